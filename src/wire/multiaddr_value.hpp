// SPDX-License-Identifier: Apache-2.0
// The protocols of a multiaddr and the values they take. Internal to Multiaddr.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "kith/bytes.hpp"

namespace kith::wire {

enum class ValueKind : std::uint8_t { none, ip4, ip6, port, prefix_length, host, word, path, percent, peer, onion3, multihash };

struct Protocol {
    std::uint32_t code = 0;
    std::string_view name;
    ValueKind kind = ValueKind::none;
    std::uint8_t size = 0;  // bytes of the value; variable_size: a varint says it
};

inline constexpr std::uint8_t variable_size = 255;

const Protocol* find_protocol(std::uint32_t code) noexcept;
const Protocol* find_protocol(std::string_view name) noexcept;  // knows the alias "ipfs"

// Each returns "" or the static text that says what was wrong.
std::string_view check_value(const Protocol& protocol, ByteView value);
std::string_view parse_value(const Protocol& protocol, std::string_view text, Bytes& out);  // checks as well

std::string value_text(const Protocol& protocol, ByteView value);  // of a checked value

}  // namespace kith::wire
