// SPDX-License-Identifier: Apache-2.0
// Byte sequences as kith passes them: views are borrowed for the call, Bytes own.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace kith {
inline namespace v0 {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

// The bytes of a text, borrowed.
inline ByteView as_bytes(std::string_view text) noexcept { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }

// The text of some bytes, borrowed. Not checked for UTF-8.
inline std::string_view as_text(ByteView bytes) noexcept { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

}  // namespace v0
}  // namespace kith
