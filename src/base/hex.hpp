// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "kith/bytes.hpp"

namespace kith {

std::string to_hex(ByteView bytes);                      // lower case
std::optional<Bytes> from_hex(std::string_view digits);  // even number of digits, either case

}  // namespace kith
