// SPDX-License-Identifier: Apache-2.0
// The stream protocols of the interop matrix: both sides of echo and of upper-after-eof.
#pragma once

#include <cstdint>
#include <string_view>

#include "kith/kith.hpp"

namespace kith::interop {

inline constexpr std::string_view echo_protocol = "/test/echo/1.0.0";              // sends back what arrives
inline constexpr std::string_view upper_protocol = "/test/upper-after-eof/1.0.0";  // answers in upper case after the other side's end

// Answers both.
void serve_streams(Node& node);

// Sends `bytes` on each of `streams` streams at once and compares what comes back. `wait` is for all together.
Status echo(Node& node, const PeerId& peer, std::uint64_t bytes, std::uint64_t streams, const Wait& wait);

// Sends a text, ends its side, and expects the answer that only a half-closed stream can bring.
Status half_close(Node& node, const PeerId& peer, const Wait& wait);

}  // namespace kith::interop
