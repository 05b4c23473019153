// SPDX-License-Identifier: Apache-2.0
#include "store/checksum.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

namespace kith::store {
namespace {

using Table = std::array<std::array<std::uint32_t, 256>, 8>;

// Eight bytes per step ("slicing by 8"): table[k] is the remainder of a byte followed by k zero bytes.
constexpr Table make_table() {
    Table table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t rest = i;
        for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1U) != 0 ? 0x82F63B78U : 0U);
        table[0][i] = rest;
    }
    for (std::uint32_t i = 0; i < 256; ++i) {
        for (std::size_t k = 1; k < 8; ++k) table[k][i] = (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 0xFFU];
    }
    return table;
}
constexpr Table table = make_table();

std::uint32_t step(std::uint32_t state, std::uint64_t word) noexcept {
    word ^= state;
    std::uint32_t out = 0;
    for (std::size_t k = 0; k < 8; ++k) out ^= table[7 - k][(word >> (8 * k)) & 0xFFU];
    return out;
}

}  // namespace

Checksum& Checksum::number(std::uint64_t value) noexcept {
    state_ = step(state_, value);
    return *this;
}

Checksum& Checksum::bytes(ByteView data) noexcept {
    number(data.size());
    if constexpr (std::endian::native == std::endian::little) {
        for (; data.size() >= 8; data = data.subspan(8)) {
            std::uint64_t word = 0;
            std::memcpy(&word, data.data(), sizeof word);
            state_ = step(state_, word);
        }
    }
    for (const auto byte : data) state_ = (state_ >> 8) ^ table[0][(state_ ^ byte) & 0xFFU];
    return *this;
}

}  // namespace kith::store
