// SPDX-License-Identifier: Apache-2.0
#include "kith/version.hpp"

namespace kith {
inline namespace v0 {

#define KITH_TEXT_(x) #x
#define KITH_TEXT(x) KITH_TEXT_(x)
std::string_view version() noexcept {
    return KITH_TEXT(KITH_VERSION_MAJOR) "." KITH_TEXT(KITH_VERSION_MINOR) "." KITH_TEXT(KITH_VERSION_PATCH);
}

}  // namespace v0
}  // namespace kith
