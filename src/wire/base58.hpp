// SPDX-License-Identifier: Apache-2.0
// Bases of the multibase table (github.com/multiformats/multibase). Decoding is strict: only the alphabet, no
// whitespace, no padding, pad bits zero. Base 58 and base 36 cost the square of the length, hence their limit.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "kith/bytes.hpp"

namespace kith::wire {

inline constexpr std::size_t max_big_base_text = 256;  // characters a base 58 or base 36 decoder takes

std::string to_base58(ByteView bytes);  // the bitcoin alphabet, "base58btc"
std::optional<Bytes> from_base58(std::string_view text);
std::optional<Bytes> from_base36(std::string_view text);  // either case
std::string to_base32(ByteView bytes);                    // RFC 4648, lower case, no padding
std::optional<Bytes> from_base32(std::string_view text);  // either case
std::string to_base64url(ByteView bytes);                 // RFC 4648 section 5, no padding
std::optional<Bytes> from_base64url(std::string_view text);
std::optional<Bytes> from_base64(std::string_view text);  // the "+/" alphabet, no padding

// A text whose first character names its base: f F (16), b B (32), k K (36), z (58btc), m (64), u (64url).
std::optional<Bytes> from_multibase(std::string_view text);

}  // namespace kith::wire
