// SPDX-License-Identifier: Apache-2.0
// The 12-byte yamux header: version, type, flags u16, stream u32, length u32, all big-endian.
// Source: https://github.com/hashicorp/yamux/blob/master/spec.md; libp2p protocol id /yamux/1.0.0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/strong_id.hpp"

namespace kith::mux {

inline constexpr std::size_t header_size = 12;
inline constexpr std::uint8_t protocol_version = 0;

// What `length` means differs by type: payload bytes, window delta, opaque of a ping, code of a go-away. A window update
// with `rst` has a code for the application there (go-yamux 5 and later).
enum class FrameType : std::uint8_t { data = 0, window_update = 1, ping = 2, go_away = 3 };

namespace flag {
inline constexpr std::uint16_t syn = 1;
inline constexpr std::uint16_t ack = 2;
inline constexpr std::uint16_t fin = 4;
inline constexpr std::uint16_t rst = 8;
}  // namespace flag

namespace go_away_code {
inline constexpr std::uint32_t normal = 0;
inline constexpr std::uint32_t protocol_error = 1;
inline constexpr std::uint32_t internal_error = 2;
}  // namespace go_away_code

// Any 12 bytes decode to a Header; whether version and type are known is for the session to say.
struct Header {
    std::uint8_t version = protocol_version;
    std::uint8_t type = 0;
    std::uint16_t flags = 0;
    std::uint32_t stream = 0;
    std::uint32_t length = 0;

    constexpr bool has(std::uint16_t mask) const noexcept { return (flags & mask) != 0; }
    friend constexpr bool operator==(const Header&, const Header&) noexcept = default;
};

// `from` and `to` point at header_size bytes: the callers have checked the room for the whole batch already.
constexpr Header decode_header(const std::uint8_t* from) noexcept {
    const auto u32 = [](const std::uint8_t* p) {
        return static_cast<std::uint32_t>(p[0]) << 24 | static_cast<std::uint32_t>(p[1]) << 16 | static_cast<std::uint32_t>(p[2]) << 8 |
               p[3];
    };
    return {from[0], from[1], static_cast<std::uint16_t>(from[2] << 8 | from[3]), u32(from + 4), u32(from + 8)};
}

constexpr void encode_header(const Header& header, std::uint8_t* to) noexcept {
    const auto u32 = [](std::uint32_t v, std::uint8_t* p) {
        p[0] = static_cast<std::uint8_t>(v >> 24);
        p[1] = static_cast<std::uint8_t>(v >> 16);
        p[2] = static_cast<std::uint8_t>(v >> 8);
        p[3] = static_cast<std::uint8_t>(v);
    };
    to[0] = header.version;
    to[1] = header.type;
    to[2] = static_cast<std::uint8_t>(header.flags >> 8);
    to[3] = static_cast<std::uint8_t>(header.flags);
    u32(header.stream, to + 4);
    u32(header.length, to + 8);
}

constexpr Header make_header(FrameType type, std::uint16_t flags, StreamId stream, std::uint32_t length) noexcept {
    return {protocol_version, static_cast<std::uint8_t>(type), flags, stream.value, length};
}

}  // namespace kith::mux
