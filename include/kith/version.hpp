// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#define KITH_VERSION_MAJOR 0
#define KITH_VERSION_MINOR 1
#define KITH_VERSION_PATCH 0

namespace kith {
inline namespace v0 {

// The version of the library that was linked, "0.1.0"; the macros above are that of the headers.
std::string_view version() noexcept;

}  // namespace v0
}  // namespace kith
