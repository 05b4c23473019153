// SPDX-License-Identifier: Apache-2.0
#include "crypto/init.hpp"

#include <sodium.h>

namespace kith::crypto {

Status init() {
    if (sodium_init() < 0) return Error{Errc::internal, "the cryptographic library could not be set up"};
    return {};
}

}  // namespace kith::crypto
