// SPDX-License-Identifier: Apache-2.0
// Ed25519 (RFC 8032), the pure form.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "crypto/secret.hpp"
#include "crypto/x25519.hpp"
#include "kith/bytes.hpp"

namespace kith::crypto {

using Signature64 = std::array<std::uint8_t, 64>;

// A key that signs. Move-only; the secret half is in a LockedSecret. A moved-from key must only be assigned to or
// destroyed.
class SigningKey {
public:
    explicit SigningKey(std::span<const std::uint8_t, 32> seed);  // the RFC's 32-byte private key
    explicit SigningKey(const Secret32& seed) : SigningKey(seed.fixed()) {}

    const PublicKey32& public_key() const noexcept { return public_key_; }
    Signature64 sign(ByteView message) const noexcept;
    ByteView seed() const noexcept;  // 32 secret bytes inside the key: for the key file only

private:
    LockedSecret secret_;  // seed, then public key
    PublicKey32 public_key_{};
};

// False for a wrong signature, a signature that is not 64 bytes, an S not below the group order, and a key or R that is
// not canonical or of small order.
bool ed25519_verify(const PublicKey32& key, ByteView message, ByteView signature) noexcept;

}  // namespace kith::crypto
