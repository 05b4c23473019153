// SPDX-License-Identifier: Apache-2.0
// Unsigned LEB128 under the multiformats rule: minimal form only, at most 9 bytes (63 bits).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "kith/bytes.hpp"

namespace kith::wire {

inline constexpr std::size_t max_varint_size = 9;
inline constexpr std::uint64_t max_varint = (std::uint64_t{1} << 63) - 1;

constexpr std::size_t varint_size(std::uint64_t value) noexcept {
    return value < 0x80 ? 1 : (static_cast<std::size_t>(std::bit_width(value)) + 6) / 7;
}

// Writes varint_size(value) bytes, which `out` must have room for. Values above max_varint take 10 bytes and are refused
// by every reader: protocol fields never hold them.
inline std::size_t put_varint(std::uint8_t* out, std::uint64_t value) noexcept {
    std::size_t n = 0;
    while (value >= 0x80) {
        out[n++] = static_cast<std::uint8_t>(value | 0x80);
        value >>= 7;
    }
    out[n++] = static_cast<std::uint8_t>(value);
    return n;
}

// The same with a check: 0, and nothing written, when `out` is too small.
inline std::size_t put_varint(MutableBytes out, std::uint64_t value) noexcept {
    return out.size() < varint_size(value) ? 0 : put_varint(out.data(), value);
}

inline void append_varint(Bytes& out, std::uint64_t value) {
    std::uint8_t room[10];
    const auto n = put_varint(room, value);
    out.insert(out.end(), room, room + n);
}

enum class VarintState : std::uint8_t {
    ok,
    need_more,  // a proper beginning; read on
    bad,        // not minimal, or longer than 9 bytes: no more bytes will repair it
};

struct Varint {
    VarintState state = VarintState::need_more;
    std::uint64_t value = 0;
    std::uint8_t size = 0;  // bytes used, when ok

    constexpr explicit operator bool() const noexcept { return state == VarintState::ok; }
};

Varint get_long_varint(ByteView in) noexcept;

// Reads the varint at the front of `in`.
inline Varint get_varint(ByteView in) noexcept {
    if (in.empty()) return {};
    if (in[0] < 0x80) return {VarintState::ok, in[0], 1};
    if (in.size() > 1 && in[1] < 0x80) {
        if (in[1] == 0) return {VarintState::bad, 0, 0};
        return {VarintState::ok, (in[0] & 0x7fU) | (static_cast<std::uint64_t>(in[1]) << 7), 2};
    }
    return get_long_varint(in);
}

}  // namespace kith::wire
