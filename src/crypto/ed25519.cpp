// SPDX-License-Identifier: Apache-2.0
#include "crypto/ed25519.hpp"

#include <sodium.h>

namespace kith::crypto {

SigningKey::SigningKey(std::span<const std::uint8_t, 32> seed) : secret_(std::size_t{crypto_sign_ed25519_SECRETKEYBYTES}) {
    static_cast<void>(crypto_sign_ed25519_seed_keypair(public_key_.data(), secret_.bytes().data(), seed.data()));
}

Signature64 SigningKey::sign(ByteView message) const noexcept {
    Signature64 out;
    static_cast<void>(crypto_sign_ed25519_detached(out.data(), nullptr, message.data(), message.size(), secret_.view().data()));
    return out;
}

ByteView SigningKey::seed() const noexcept { return secret_.view().first(crypto_sign_ed25519_SEEDBYTES); }

bool ed25519_verify(const PublicKey32& key, ByteView message, ByteView signature) noexcept {
    return signature.size() == crypto_sign_ed25519_BYTES &&
           crypto_sign_ed25519_verify_detached(signature.data(), message.data(), message.size(), key.data()) == 0;
}

}  // namespace kith::crypto
