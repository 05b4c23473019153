// SPDX-License-Identifier: Apache-2.0
// Signatures of the four key kinds that a libp2p peer may have (libp2p specs, peer-ids, "Key Types"). Verification only:
// kith's own keys are Ed25519.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kith/bytes.hpp"
#include "kith/error.hpp"

namespace kith::crypto {

// The numbers are those of the wire (protobuf KeyType). Take other numbers from a peer to be an unknown kind.
enum class KeyType : std::uint8_t { rsa = 0, ed25519 = 1, secp256k1 = 2, ecdsa = 3 };

// An RSA key of 8192 bits takes 1,062 bytes with the largest exponent allowed; nothing longer is parsed.
inline constexpr std::size_t max_key_data = 1100;

// `key_data` is the Data field of the PublicKey message:
//   rsa        PKIX DER; 2048 to 8192 bits, exponent odd and from 3 to 2^32 - 1; RSASSA-PKCS1-v1_5 with SHA-256
//   ed25519    32 bytes; 64-byte signature
//   secp256k1  33 bytes, compressed point; DER signature over SHA-256, S of either half
//   ecdsa      PKIX DER, P-256, P-384 or P-521 by name; DER signature over SHA-256
// Sizes are checked before any arithmetic on the key (giant RSA keys are a known attack, CVE-2023-39533).
// Errors: invalid_key (form or size of the key; what[] says which rule), bad_signature. After either, end the link.
Status verify(KeyType type, ByteView key_data, ByteView message, ByteView signature);

// The checks of verify() on the key alone. Error: invalid_key.
Status check_public_key(KeyType type, ByteView key_data);

}  // namespace kith::crypto
