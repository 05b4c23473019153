// SPDX-License-Identifier: Apache-2.0
#include "wire/keys.hpp"

#include <algorithm>
#include <array>

#include "crypto/hash.hpp"
#include "wire/proto.hpp"

namespace kith::wire {
namespace {

constexpr std::uint8_t type_field = 0x08;
constexpr std::uint8_t data_field = 0x12;
constexpr std::size_t max_inlined = 42;
constexpr std::size_t min_der = 64;  // a P-256 key takes 91; every shorter DER is noise

bool data_fits(crypto::KeyType type, std::size_t size) {
    switch (type) {
        case crypto::KeyType::ed25519:
            return size == 32;
        case crypto::KeyType::secp256k1:
            return size == 33;
        case crypto::KeyType::rsa:
        case crypto::KeyType::ecdsa:
            return size >= min_der && size <= max_public_key_data;
    }
    return false;
}

struct Split {
    crypto::KeyType type{};
    ByteView data;
};

// The deterministic form that public and private keys share: 08 type 12 length data.
Result<Split> split(ByteView encoded) {
    if (encoded.size() < 4 || encoded[0] != type_field || encoded[2] != data_field) {
        return Error{Errc::invalid_key, "a key is the two fields type and data, in this order"};
    }
    if (encoded[1] > static_cast<std::uint8_t>(crypto::KeyType::ecdsa)) return Error{Errc::invalid_key, "unknown key type"};
    const auto length = get_varint(encoded.subspan(3));
    if (!length) return Error{Errc::invalid_key, "the data length of a key is cut off or no minimal varint"};
    const auto data = encoded.subspan(3 + length.size);
    if (length.value != data.size()) return Error{Errc::invalid_key, "the data of a key has another length than it says"};
    return Split{static_cast<crypto::KeyType>(encoded[1]), data};
}

}  // namespace

Bytes encode_public_key(crypto::KeyType type, ByteView data) {
    Bytes out{type_field, static_cast<std::uint8_t>(type), data_field};
    append_varint(out, data.size());
    out.insert(out.end(), data.begin(), data.end());
    return out;
}

Result<PublicKey> decode_public_key(ByteView encoded) {
    if (encoded.size() > max_public_key_size) return Error{Errc::invalid_key, "the public key is too long"};
    const auto parts = split(encoded);
    if (!parts) return parts.error();
    if (!data_fits(parts->type, parts->data.size())) return Error{Errc::invalid_key, "the public key has a wrong length for its type"};
    return PublicKey{parts->type, Bytes{parts->data.begin(), parts->data.end()}};
}

PeerId peer_id_of(ByteView encoded_public_key) {
    Bytes multihash;
    if (encoded_public_key.size() <= max_inlined) {
        multihash = {0x00, static_cast<std::uint8_t>(encoded_public_key.size())};
        multihash.insert(multihash.end(), encoded_public_key.begin(), encoded_public_key.end());
    } else {
        const auto digest = crypto::sha256(encoded_public_key);
        multihash = {0x12, 0x20};
        multihash.insert(multihash.end(), digest.begin(), digest.end());
    }
    return PeerId::from_multihash(multihash).value_or(PeerId{});
}

Result<PublicKey> inlined_key(const PeerId& id) {
    const auto multihash = id.multihash();
    if (multihash.empty() || multihash[0] != 0x00) return Error{Errc::invalid_key, "the peer id holds a hash of the key, not the key"};
    return decode_public_key(multihash.subspan(2));
}

Result<Ed25519PrivateView> decode_private_key(ByteView encoded) {
    const auto parts = split(encoded);
    if (!parts) return parts.error();
    if (parts->type != crypto::KeyType::ed25519) return Error{Errc::invalid_key, "only Ed25519 private keys can be used"};
    const auto data = parts->data;
    if (data.size() != 64 && data.size() != 96) return Error{Errc::invalid_key, "an Ed25519 private key has 64 or 96 bytes"};
    const auto key = data.subspan(32, 32);
    if (data.size() == 96 && !std::equal(key.begin(), key.end(), data.begin() + 64)) {
        return Error{Errc::invalid_key, "the two copies of the public key differ"};
    }
    return Ed25519PrivateView{data.first<32>(), data.subspan<32, 32>()};
}

void encode_private_key(std::span<const std::uint8_t, 32> seed, std::span<const std::uint8_t, 32> public_key,
                        std::span<std::uint8_t, private_key_size> out) noexcept {
    constexpr std::array<std::uint8_t, 4> head{type_field, static_cast<std::uint8_t>(crypto::KeyType::ed25519), data_field, 64};
    auto* at = std::copy(head.begin(), head.end(), out.data());
    at = std::copy(seed.begin(), seed.end(), at);
    std::copy(public_key.begin(), public_key.end(), at);
}

}  // namespace kith::wire
