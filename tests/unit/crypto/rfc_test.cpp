// SPDX-License-Identifier: Apache-2.0
// The vectors printed in the specifications.
#include "crypto/aead.hpp"
#include "crypto/ed25519.hpp"
#include "crypto/hash.hpp"
#include "crypto/x25519.hpp"
#include "vectors.hpp"

namespace kith::crypto::test {
namespace {

TEST(Hash, Sha256) {
    EXPECT_EQ(to_hex(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(to_hex(sha256(as_bytes("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(to_hex(sha256(Bytes(1'000'000, 'a'))), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Hash, PiecesGiveTheSameAsTheWhole) {
    for (std::size_t size : {0U, 1U, 55U, 56U, 63U, 64U, 65U, 127U, 128U, 1000U}) {
        const Bytes data = pattern(size);
        const Digest whole = sha256(data);
        for (std::size_t cut = 0; cut <= size; ++cut) {
            Sha256 hash;
            hash.update(ByteView(data).first(cut)).update({}).update(ByteView(data).subspan(cut));
            ASSERT_EQ(hash.finish(), whole) << size << " cut at " << cut;
            ASSERT_EQ(hash.finish(), sha256({})) << "starts again";
        }
    }
}

TEST(Hash, ACopyContinuesOnItsOwn) {
    Sha256 first;
    first.update(as_bytes("a"));
    Sha256 second = first;
    second.update(as_bytes("x"));
    first.update(as_bytes("bc"));
    EXPECT_EQ(first.finish(), sha256(as_bytes("abc")));
    EXPECT_EQ(second.finish(), sha256(as_bytes("ax")));
}

TEST(Hash, HmacOfRfc4231) {
    EXPECT_EQ(to_hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    EXPECT_EQ(to_hex(hmac_sha256(Bytes(131, 0xaa), as_bytes("Test Using Larger Than Block-Size Key - Hash Key First"))),
              "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Hash, HkdfOfRfc5869) {
    Bytes out(42);
    ASSERT_TRUE(hkdf_sha256(hex("000102030405060708090a0b0c"), Bytes(22, 0x0b), hex("f0f1f2f3f4f5f6f7f8f9"), out).has_value());
    EXPECT_EQ(to_hex(out), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    ASSERT_TRUE(hkdf_sha256({}, Bytes(22, 0x0b), {}, out).has_value());
    EXPECT_EQ(to_hex(out), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST(Hash, HkdfLimit) {
    Bytes out(255 * 32);
    EXPECT_TRUE(hkdf_sha256({}, as_bytes("x"), {}, out).has_value());
    out.push_back(0);
    const Status status = hkdf_sha256({}, as_bytes("x"), {}, out);
    ASSERT_FALSE(status.has_value());
    EXPECT_EQ(status.error().code, Errc::invalid_argument);
}

// The Noise framework's HKDF with two outputs is RFC 5869's with an empty info and 64 bytes.
TEST(Hash, NoiseHkdfIsHkdf) {
    for (std::size_t size : {0U, 32U, 100U}) {
        const Bytes chaining_key = pattern(32, 7);
        const Bytes input = pattern(size, 9);
        Bytes expected(64);
        ASSERT_TRUE(hkdf_sha256(chaining_key, input, {}, expected).has_value());
        Secret32 one;
        Secret32 two;
        noise_hkdf2(Secret32(array<32>(chaining_key)), input, one, two);
        EXPECT_TRUE(equal(one.view(), ByteView(expected).first(32)));
        EXPECT_TRUE(equal(two.view(), ByteView(expected).last(32)));
    }
}

TEST(Hash, NoiseHkdfMayWriteOverItsArguments) {
    const Bytes key = pattern(32, 3);
    const Bytes input = pattern(32, 4);
    Secret32 one;
    Secret32 two;
    noise_hkdf2(Secret32(array<32>(key)), input, one, two);
    Secret32 same_one{array<32>(key)};
    Secret32 same_two{array<32>(input)};
    noise_hkdf2(same_one, same_two.view(), same_one, same_two);
    EXPECT_TRUE(equal(one.view(), same_one.view()));
    EXPECT_TRUE(equal(two.view(), same_two.view()));
}

TEST(X25519, Rfc7748) {
    const auto scalar = secret("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
    const auto shared = x25519(scalar, array<32>(hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")));
    ASSERT_TRUE(shared.has_value());
    EXPECT_EQ(to_hex(shared->view()), "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
}

TEST(X25519, Rfc7748Iterated) {
    PublicKey32 u{9};
    Secret32 k{u};
    EXPECT_EQ(to_hex(x25519_public(k)), "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    for (int i = 0; i < 1000; ++i) {
        auto next = x25519(k, u);
        ASSERT_TRUE(next.has_value());
        u = array<32>(k.view());
        k = std::move(*next);
    }
    EXPECT_EQ(to_hex(k.view()), "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

TEST(X25519, BothSidesAgree) {
    const Secret32 a{array<32>(pattern(32, 11))};
    const Secret32 b{array<32>(pattern(32, 12))};
    const auto ab = x25519(a, x25519_public(b));
    const auto ba = x25519(b, x25519_public(a));
    ASSERT_TRUE(ab.has_value() && ba.has_value());
    EXPECT_TRUE(equal(ab->view(), ba->view()));
}

TEST(Ed25519, Rfc8032) {
    struct Vector {
        const char *seed, *key, *message, *signature;
    };
    for (const Vector& v : {Vector{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                                   "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                                   "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f"
                                   "0595bbe24655141438e7a100b"},
                            Vector{"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                                   "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
                                   "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2ea"
                                   "eb4302aeeb00d291612bb0c00"}}) {
        const SigningKey key(secret(v.seed));
        const Bytes message = hex(v.message);
        EXPECT_EQ(to_hex(key.public_key()), v.key);
        EXPECT_EQ(to_hex(key.seed()), v.seed);
        EXPECT_EQ(to_hex(key.sign(message)), v.signature);
        EXPECT_TRUE(ed25519_verify(key.public_key(), message, hex(v.signature)));
    }
}

TEST(Ed25519, EveryFlippedByteIsRefused) {
    const SigningKey key(array<32>(pattern(32, 5)));
    Bytes message = pattern(40);
    Signature64 signature = key.sign(message);
    PublicKey32 pub = key.public_key();
    ASSERT_TRUE(ed25519_verify(pub, message, signature));
    for (auto bytes : {MutableBytes(message), MutableBytes(signature), MutableBytes(pub)}) {
        for (auto& byte : bytes) {
            byte ^= 1;
            EXPECT_FALSE(ed25519_verify(pub, message, signature));
            byte ^= 1;
        }
    }
    EXPECT_FALSE(ed25519_verify(pub, message, ByteView(signature).first(63)));
    EXPECT_FALSE(ed25519_verify(pub, message, {}));
    EXPECT_TRUE(ed25519_verify(pub, message, signature));
}

// A key of small order would let anyone sign: refused with any signature (here the one that satisfies the equation).
TEST(Ed25519, SmallOrderKeyIsRefused) {
    const PublicKey32 identity{1};
    Signature64 signature{1};
    EXPECT_FALSE(ed25519_verify(identity, as_bytes("anything"), signature));
}

TEST(Ed25519, MovedKeySigns) {
    SigningKey first(array<32>(pattern(32, 6)));
    const auto expected = first.sign(as_bytes("m"));
    SigningKey second = std::move(first);
    EXPECT_EQ(second.sign(as_bytes("m")), expected);
    SigningKey third(array<32>(pattern(32, 8)));
    EXPECT_NE(third.sign(as_bytes("m")), expected);
    third = std::move(second);
    EXPECT_EQ(third.sign(as_bytes("m")), expected);
}

TEST(Aead, Rfc8439) {
    Aead aead(secret("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"));
    Aead::Nonce nonce = array<12>(hex("070000004041424344454647"));
    const std::string_view text =
        "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
    const Bytes ad = hex("50515253c0c1c2c3c4c5c6c7");
    Bytes out(text.size());
    std::array<std::uint8_t, 16> tag{};
    aead.seal(nonce, ad, as_bytes(text), out, tag);
    EXPECT_EQ(to_hex(ByteView(out).first(16)), "d31a8d34648e60db7b86afbc53ef7ec2");
    EXPECT_EQ(to_hex(tag), "1ae10b594f09e26a7e902ecbd0600691");
}

}  // namespace
}  // namespace kith::crypto::test
