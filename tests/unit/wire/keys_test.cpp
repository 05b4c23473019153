// SPDX-License-Identifier: Apache-2.0
#include "wire/keys.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/hex.hpp"
#include "wire/noise_payload.hpp"
#include "wire/proto.hpp"

namespace kith::wire {
namespace {

using crypto::KeyType;

Bytes hex(std::string_view digits) { return from_hex(digits).value(); }
const std::string key32 = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
const std::string seed = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

TEST(PublicKey, Ed25519) {
    const auto encoded = hex("08011220" + key32);
    const auto key = decode_public_key(encoded);
    ASSERT_TRUE(key);
    EXPECT_EQ(key->type, KeyType::ed25519);
    EXPECT_EQ(to_hex(key->data), key32);
    EXPECT_EQ(encode_public_key(*key), encoded);
    const auto id = peer_id_of(encoded);
    EXPECT_EQ(id.text(), "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB");
    EXPECT_EQ(inlined_key(id).value(), *key);
}

// The vectors of the peer-id specification: secp256k1 is inlined, ECDSA and RSA are hashed.
TEST(PublicKey, SpecificationVectors) {
    const auto secp = hex("08021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99");
    EXPECT_EQ(decode_public_key(secp).value().type, KeyType::secp256k1);
    EXPECT_TRUE(peer_id_of(secp).text().starts_with("16Uiu2"));
    EXPECT_EQ(inlined_key(peer_id_of(secp)).value().data.size(), 33u);
    const auto ecdsa =
        hex("0803125b3059301306072a8648ce3d020106082a8648ce3d03010703420004de3d300fa36ae0e8f5d530899d83abab44abf3161f162a4bc901d8e6ecda02"
            "0e8b6d5f8da30525e71d6851510c098e5c47c646a597fb4dcec034e9f77c409e62");
    EXPECT_EQ(decode_public_key(ecdsa).value().type, KeyType::ecdsa);
    const auto hashed = peer_id_of(ecdsa);
    EXPECT_TRUE(hashed.text().starts_with("Qm"));
    EXPECT_EQ(inlined_key(hashed).error().code, Errc::invalid_key);
    EXPECT_EQ(inlined_key(PeerId{}).error().code, Errc::invalid_key);
}

TEST(PublicKey, OnlyTheDeterministicForm) {
    const std::pair<std::string, std::string_view> bad[]{
        {"", "a key is the two fields type and data, in this order"},
        {"0801", "a key is the two fields type and data, in this order"},
        {"1220" + key32, "a key is the two fields type and data, in this order"},
        {"1220" + key32 + "0801", "a key is the two fields type and data, in this order"},
        {"0881001220" + key32, "a key is the two fields type and data, in this order"},  // type 1 in two bytes
        {"08041220" + key32, "unknown key type"},
        {"08811220" + key32, "unknown key type"},
        {"080112a000" + key32, "the data length of a key is cut off or no minimal varint"},
        {"08011280", "the data length of a key is cut off or no minimal varint"},
        {"08011220" + key32 + "00", "the data of a key has another length than it says"},
        {"08011220" + key32 + "1a00", "the data of a key has another length than it says"},
        {"08011221" + key32, "the data of a key has another length than it says"},
        {"0801121f" + key32.substr(2), "the public key has a wrong length for its type"},
        {"08021220" + key32, "the public key has a wrong length for its type"},
        {"08001220" + key32, "the public key has a wrong length for its type"},
        {"08031200", "the public key has a wrong length for its type"},
        {"080112ffffffffffffffff7f", "the data of a key has another length than it says"},
    };
    for (const auto& [digits, what] : bad) {
        const auto key = decode_public_key(hex(digits));
        ASSERT_FALSE(key) << digits;
        EXPECT_EQ(key.error().code, Errc::invalid_key);
        EXPECT_EQ(key.error().what, what) << digits;
    }
}

TEST(PublicKey, LengthLimit) {
    EXPECT_TRUE(decode_public_key(encode_public_key(KeyType::rsa, Bytes(max_public_key_data, 0x30))));
    EXPECT_FALSE(decode_public_key(encode_public_key(KeyType::rsa, Bytes(max_public_key_data + 1, 0x30))));
    EXPECT_EQ(decode_public_key(Bytes(1 << 20, 8)).error().what, "the public key is too long");
}

TEST(PublicKey, InlinedKeyMustBeAKey) {
    const auto id = PeerId::from_multihash(hex("0003616263")).value();
    EXPECT_EQ(inlined_key(id).error().code, Errc::invalid_key);
}

TEST(PrivateKey, SixtyFourAndNinetySixBytes) {
    for (const auto& encoded : {"08011240" + seed + key32, "08011260" + seed + key32 + key32}) {
        const auto bytes = hex(encoded);
        const auto key = decode_private_key(bytes);
        ASSERT_TRUE(key) << encoded;
        EXPECT_EQ(to_hex(key->seed), seed);
        EXPECT_EQ(to_hex(key->public_key), key32);
        EXPECT_EQ(key->seed.data(), bytes.data() + 4) << "a secret is not copied";
        std::array<std::uint8_t, private_key_size> out{};
        encode_private_key(key->seed, key->public_key, out);
        EXPECT_EQ(to_hex(out), "08011240" + seed + key32);
    }
}

TEST(PrivateKey, Refusals) {
    auto other = key32;
    other[0] = '1';
    const std::pair<std::string, std::string_view> bad[]{
        {"08011260" + seed + key32 + other, "the two copies of the public key differ"},
        {"08011220" + seed, "an Ed25519 private key has 64 or 96 bytes"},
        {"08021240" + seed + key32, "only Ed25519 private keys can be used"},
        {"08011240" + seed, "the data of a key has another length than it says"},
    };
    for (const auto& [digits, what] : bad) {
        const auto key = decode_private_key(hex(digits));
        ASSERT_FALSE(key) << digits;
        EXPECT_EQ(key.error().what, what);
    }
}

NoisePayload payload() {
    NoisePayload out;
    out.identity_key = hex("08011220" + key32);
    out.identity_sig = Bytes(64, 7);
    out.muxers = {"/yamux/1.0.0", "/mplex/6.7.0"};
    out.certhashes = {Bytes(34, 1)};
    return out;
}

TEST(NoisePayload, RoundTrip) {
    EXPECT_EQ(decode_noise_payload(encode_noise_payload(payload())).value(), payload());
    auto plain = payload();
    plain.muxers.clear();
    plain.certhashes.clear();
    const auto bytes = encode_noise_payload(plain);
    EXPECT_EQ(bytes.size(), 2 + 36 + 2 + 64u) << "no extensions field";
    EXPECT_EQ(decode_noise_payload(bytes).value(), plain);
}

TEST(NoisePayload, SkipsWhatItDoesNotKnow) {
    auto bytes = encode_noise_payload(payload());
    put_bytes_field(bytes, 3, as_bytes("retired"));
    put_number_field(bytes, 9, 1);
    put_number_field(bytes, 1, 5);                  // a known number with another wire type
    bytes.insert(bytes.end(), {0x55, 1, 2, 3, 4});  // field 10, fixed32
    EXPECT_EQ(decode_noise_payload(bytes).value(), payload());
    EXPECT_EQ(decode_noise_payload({}).value(), NoisePayload{}) << "the handshake refuses it, not the decoder";
}

TEST(NoisePayload, Limits) {
    auto many = payload();
    many.muxers.assign(100, "/m");
    EXPECT_TRUE(decode_noise_payload(encode_noise_payload(many)));
    many.muxers.emplace_back("/m");
    EXPECT_EQ(decode_noise_payload(encode_noise_payload(many)).error().code, Errc::limit_exceeded);
    auto longer = payload();
    longer.muxers = {std::string(64, 'm')};
    EXPECT_TRUE(decode_noise_payload(encode_noise_payload(longer)));
    longer.muxers = {std::string(65, 'm')};
    EXPECT_EQ(decode_noise_payload(encode_noise_payload(longer)).error().code, Errc::limit_exceeded);
    auto key = payload();
    key.identity_key = Bytes(max_public_key_size + 1, 1);
    EXPECT_EQ(decode_noise_payload(encode_noise_payload(key)).error().what, "the identity key is too long");
    auto signature = payload();
    signature.identity_sig = Bytes(1025, 1);
    EXPECT_EQ(decode_noise_payload(encode_noise_payload(signature)).error().what, "the identity signature is too long");
    auto hashes = payload();
    hashes.certhashes.assign(17, Bytes(34, 1));
    EXPECT_EQ(decode_noise_payload(encode_noise_payload(hashes)).error().code, Errc::limit_exceeded);
    hashes.certhashes.assign(1, Bytes(129, 1));
    EXPECT_EQ(decode_noise_payload(encode_noise_payload(hashes)).error().code, Errc::limit_exceeded);
    EXPECT_EQ(decode_noise_payload(Bytes(65536, 0)).error().code, Errc::limit_exceeded);
}

TEST(NoisePayload, LimitsCountOverSeveralExtensionFields) {
    Bytes bytes;
    for (int field = 0; field < 3; ++field) {
        Bytes extensions;
        for (int i = 0; i < 50; ++i) put_bytes_field(extensions, 2, as_bytes("/m"));
        put_bytes_field(bytes, 4, extensions);
    }
    EXPECT_EQ(decode_noise_payload(bytes).error().code, Errc::limit_exceeded);
}

TEST(NoisePayload, BrokenProtobuf) {
    const auto good = encode_noise_payload(payload());
    std::size_t refused = 0;
    for (std::size_t cut = 1; cut < good.size(); ++cut) {
        const auto out = decode_noise_payload(ByteView{good}.first(cut));
        if (out) continue;  // a cut between two fields
        EXPECT_EQ(out.error().code, Errc::malformed);
        ++refused;
    }
    EXPECT_GT(refused, good.size() - 6);
    for (const auto* digits : {"0affffffffffffffff7f", "00", "0b", "0f00", "08ffffffffffffffffffff01", "220300ffff", "0a"}) {
        EXPECT_EQ(decode_noise_payload(hex(digits)).error().code, Errc::malformed) << digits;
    }
}

}  // namespace
}  // namespace kith::wire
