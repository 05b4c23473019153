// SPDX-License-Identifier: Apache-2.0
// X25519 (RFC 7748). Any 32 bytes are a secret key; the clamping is done inside.
#pragma once

#include <array>
#include <cstdint>

#include "crypto/secret.hpp"
#include "kith/error.hpp"

namespace kith::crypto {

using PublicKey32 = std::array<std::uint8_t, 32>;

PublicKey32 x25519_public(const Secret32& secret) noexcept;

// The shared secret. Error: invalid_key when the result is all zero, which is so exactly when `theirs` is a point of
// small order: the peer would know the "secret" without any key, so end the handshake.
Result<Secret32> x25519(const Secret32& secret, const PublicKey32& theirs);

}  // namespace kith::crypto
