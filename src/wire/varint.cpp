// SPDX-License-Identifier: Apache-2.0
#include "wire/varint.hpp"

#include <algorithm>

namespace kith::wire {

Varint get_long_varint(ByteView in) noexcept {
    std::uint64_t value = 0;
    const auto n = std::min(in.size(), max_varint_size);
    for (std::size_t i = 0; i < n; ++i) {
        value |= static_cast<std::uint64_t>(in[i] & 0x7f) << (7 * i);
        if (in[i] >= 0x80) continue;
        if (i > 0 && in[i] == 0) return {VarintState::bad, 0, 0};  // not minimal
        return {VarintState::ok, value, static_cast<std::uint8_t>(i + 1)};
    }
    return {n == max_varint_size ? VarintState::bad : VarintState::need_more, 0, 0};
}

}  // namespace kith::wire
