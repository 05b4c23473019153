// SPDX-License-Identifier: Apache-2.0
// The part of protobuf that libp2p's messages use: varint and length-delimited fields.
#pragma once

#include <cstdint>

#include "kith/bytes.hpp"
#include "kith/error.hpp"
#include "kith/function.hpp"
#include "wire/varint.hpp"

namespace kith::wire {

struct Field {
    enum class Kind : std::uint8_t { bytes, number };
    Kind kind = Kind::bytes;
    std::uint32_t tag = 0;
    ByteView bytes;  // borrowed from the message
    std::uint64_t number = 0;

    bool is_bytes(std::uint32_t wanted) const noexcept { return kind == Kind::bytes && tag == wanted; }
    bool is_number(std::uint32_t wanted) const noexcept { return kind == Kind::number && tag == wanted; }
};

// Calls `on_field` for each varint and each length-delimited field, in order; fixed32 and fixed64 fields are skipped. Ends
// with its first error, or with malformed for bytes that are not protobuf (groups included).
Status for_each_field(ByteView message, Function<Status(const Field&)> on_field);

inline void put_bytes_field(Bytes& out, std::uint32_t tag, ByteView value) {
    append_varint(out, (std::uint64_t{tag} << 3) | 2);
    append_varint(out, value.size());
    out.insert(out.end(), value.begin(), value.end());
}

// A 64-bit value: up to 10 bytes, as protobuf (not multiformats) has it.
inline void put_number_field(Bytes& out, std::uint32_t tag, std::uint64_t value) {
    append_varint(out, std::uint64_t{tag} << 3);
    append_varint(out, value);
}

// Bytes that put_bytes_field adds.
constexpr std::size_t bytes_field_size(std::uint32_t tag, std::size_t value_size) noexcept {
    return varint_size((std::uint64_t{tag} << 3) | 2) + varint_size(value_size) + value_size;
}

}  // namespace kith::wire
