// SPDX-License-Identifier: Apache-2.0
// Keys as libp2p serializes them (github.com/libp2p/specs peer-ids). The form must be deterministic, for it is hashed:
// exactly the fields 1 (type) and 2 (data), in order, minimal varints, nothing else. Everything else is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "crypto/verify.hpp"
#include "kith/bytes.hpp"
#include "kith/error.hpp"
#include "kith/peer_id.hpp"

namespace kith::wire {

// Longest accepted key data: PKIX DER of an 8192-bit RSA key (1,062 bytes) and some room.
inline constexpr std::size_t max_public_key_data = 1100;
inline constexpr std::size_t max_public_key_size = max_public_key_data + 6;

struct PublicKey {
    crypto::KeyType type{};
    Bytes data;  // ed25519: 32 bytes; secp256k1: 33, compressed; rsa and ecdsa: PKIX DER

    friend bool operator==(const PublicKey&, const PublicKey&) = default;
};

Bytes encode_public_key(crypto::KeyType type, ByteView data);
inline Bytes encode_public_key(const PublicKey& key) { return encode_public_key(key.type, key.data); }

// Fails with invalid_key. Checks form and lengths, not that the data is a point or a modulus: crypto::verify does.
Result<PublicKey> decode_public_key(ByteView encoded);

// The id of a serialized public key: identity multihash up to 42 bytes, SHA2-256 above.
PeerId peer_id_of(ByteView encoded_public_key);

// The key inside an id that carries it (ed25519, secp256k1). invalid_key for a hashed id or one without a valid key.
Result<PublicKey> inlined_key(const PeerId& id);

// An Ed25519 private key, serialized: 08 01 12 40 seed public.
inline constexpr std::size_t private_key_size = 68;

// Both parts borrow from the serialized key: no copy of a secret is made here.
struct Ed25519PrivateView {
    std::span<const std::uint8_t, 32> seed;
    std::span<const std::uint8_t, 32> public_key;  // as stored; the caller checks that the seed makes it
};

// Takes 64 bytes of data and the legacy 96 (seed, public, public again; unequal copies are refused). invalid_key otherwise.
Result<Ed25519PrivateView> decode_private_key(ByteView encoded);

void encode_private_key(std::span<const std::uint8_t, 32> seed, std::span<const std::uint8_t, 32> public_key,
                        std::span<std::uint8_t, private_key_size> out) noexcept;

}  // namespace kith::wire
