// SPDX-License-Identifier: Apache-2.0
// Small text conversions of the command line. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kith/bytes.hpp"
#include "kith/time.hpp"

namespace kith::app {

// "1048576", "64MiB", "64M" (binary, as M alone is used by most tools), "64MB" (decimal), "1.5GiB"; case does not matter.
// Nothing when it is not a size or does not fit.
std::optional<std::uint64_t> parse_size(std::string_view text);

std::string size_text(std::uint64_t bytes);  // "64.0 MiB"
std::string duration_text(Duration d);       // "0.42 ms", "1.3 s"
std::string base64(ByteView bytes);          // RFC 4648 with padding
double milliseconds(Duration d) noexcept;
Duration from_seconds(double seconds) noexcept;  // saturated; negative and NaN give 0

}  // namespace kith::app
