// SPDX-License-Identifier: Apache-2.0
#include "crypto/x25519.hpp"

#include <sodium.h>

namespace kith::crypto {

PublicKey32 x25519_public(const Secret32& secret) noexcept {
    PublicKey32 out;
    // Fails never: the base point is not of small order.
    static_cast<void>(crypto_scalarmult_curve25519_base(out.data(), secret.view().data()));
    return out;
}

Result<Secret32> x25519(const Secret32& secret, const PublicKey32& theirs) {
    Secret32 out;
    if (crypto_scalarmult_curve25519(out.bytes().data(), secret.view().data(), theirs.data()) != 0 ||
        sodium_is_zero(out.view().data(), out.view().size()) != 0) {
        return Error{Errc::invalid_key, "an X25519 public key of small order"};
    }
    return out;
}

}  // namespace kith::crypto
