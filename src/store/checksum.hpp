// SPDX-License-Identifier: Apache-2.0
// The checksum of a row. SQLite has none: a bit that flips inside a value would come back as a message.
#pragma once

#include <cstdint>

#include "kith/bytes.hpp"

namespace kith::store {

// CRC-32C (Castagnoli) over the values of a row: the kind of row first, then what docs/storage-format.md lists. Numbers count
// as 8 bytes, little-endian; byte strings come behind their length as such a number.
class Checksum {
public:
    explicit Checksum(std::uint64_t kind) noexcept { number(kind); }
    Checksum& number(std::uint64_t value) noexcept;
    Checksum& bytes(ByteView data) noexcept;
    std::uint32_t value() const noexcept { return ~state_; }

private:
    std::uint32_t state_ = ~std::uint32_t{0};
};

}  // namespace kith::store
