// SPDX-License-Identifier: Apache-2.0
#include "crypto/verify.hpp"

#include <openssl/err.h>

#include <chrono>

#include "crypto/ed25519.hpp"
#include "openssl_keys.hpp"
#include "vectors.hpp"

namespace kith::crypto::test {
namespace {

const Bytes& message() {
    static const Bytes bytes = pattern(100, 31);
    return bytes;
}

const ForeignKey& rsa2048() {
    static const ForeignKey key = ForeignKey::rsa(2048);
    return key;
}

const Bytes three{3};
const Bytes f4{1, 0, 1};

// The code, and a part of the text, of a refused key; verify() must say the same as check_public_key().
void expect_invalid(KeyType type, ByteView key, std::string_view text) {
    const Status check = check_public_key(type, key);
    ASSERT_FALSE(check.has_value()) << text;
    EXPECT_EQ(check.error().code, Errc::invalid_key);
    EXPECT_NE(check.error().what.find(text), std::string_view::npos) << check.error().what << " / " << text;
    const Status status = verify(type, key, message(), pattern(256));
    ASSERT_FALSE(status.has_value()) << text;
    EXPECT_EQ(status.error().code, Errc::invalid_key);
    EXPECT_EQ(status.error().what, check.error().what);
}

void expect_bad_signature(KeyType type, ByteView key, ByteView text, ByteView signature, const char* why) {
    const Status status = verify(type, key, text, signature);
    ASSERT_FALSE(status.has_value()) << why;
    EXPECT_EQ(status.error().code, Errc::bad_signature) << why;
}

void expect_good_and_each_flip_bad(KeyType type, Bytes key, Bytes signature) {
    ASSERT_TRUE(check_public_key(type, key).has_value());
    const Status status = verify(type, key, message(), signature);
    ASSERT_TRUE(status.has_value()) << status.error();
    for (std::size_t i = 0; i < signature.size(); ++i) {
        signature[i] ^= 1;
        EXPECT_FALSE(verify(type, key, message(), signature).has_value()) << "signature byte " << i;
        signature[i] ^= 1;
    }
    for (std::size_t i = 0; i < key.size(); ++i) {
        key[i] ^= 1;
        EXPECT_FALSE(verify(type, key, message(), signature).has_value()) << "key byte " << i;
        key[i] ^= 1;
    }
    Bytes other = message();
    other.back() ^= 1;
    expect_bad_signature(type, key, other, signature, "another message");
    expect_bad_signature(type, key, message(), {}, "no signature");
    expect_bad_signature(type, key, message(), ByteView(signature).first(signature.size() - 1), "short");
    signature.push_back(0);
    expect_bad_signature(type, key, message(), signature, "a byte behind it");
    EXPECT_EQ(ERR_peek_error(), 0U) << "the thread's OpenSSL error queue is the host program's";
}

TEST(Verify, Ed25519) {
    const SigningKey key(array<32>(pattern(32, 32)));
    const auto signature = key.sign(message());
    expect_good_and_each_flip_bad(KeyType::ed25519, Bytes(key.public_key().begin(), key.public_key().end()),
                                  Bytes(signature.begin(), signature.end()));
    expect_invalid(KeyType::ed25519, pattern(31), "32 bytes");
    expect_invalid(KeyType::ed25519, pattern(33), "32 bytes");
    expect_invalid(KeyType::ed25519, {}, "32 bytes");
}

TEST(Verify, Secp256k1) {
    const ForeignKey key = ForeignKey::ec("secp256k1", true);
    ASSERT_EQ(key.point().size(), 33U);
    expect_good_and_each_flip_bad(KeyType::secp256k1, key.point(), key.sign(message()));
}

TEST(Verify, Secp256k1RefusesOtherForms) {
    const Bytes whole = ForeignKey::ec("secp256k1").point();
    ASSERT_EQ(whole.size(), 65U);
    expect_invalid(KeyType::secp256k1, whole, "compressed");
    Bytes key = ForeignKey::ec("secp256k1", true).point();
    for (const unsigned first : {0U, 1U, 4U, 5U, 6U, 7U, 255U}) {
        key[0] = static_cast<std::uint8_t>(first);
        expect_invalid(KeyType::secp256k1, key, "compressed");
    }
    expect_invalid(KeyType::secp256k1, {}, "compressed");
    expect_invalid(KeyType::secp256k1, Bytes{0}, "compressed");
    Bytes outside(33, 0xff);  // x is not below the field's prime
    outside[0] = 2;
    expect_invalid(KeyType::secp256k1, outside, "not a point");
    outside.assign(33, 0);
    outside[0] = 2;
    outside[32] = 5;  // 5^3 + 7 is not a square
    expect_invalid(KeyType::secp256k1, outside, "not a point");
}

TEST(Verify, Ecdsa) {
    for (const char* group : {"P-256", "P-384", "P-521"}) {
        SCOPED_TRACE(group);
        const ForeignKey key = ForeignKey::ec(group);
        expect_good_and_each_flip_bad(KeyType::ecdsa, key.info(), key.sign(message()));
        const ForeignKey compressed = ForeignKey::ec(group, true);
        EXPECT_TRUE(verify(KeyType::ecdsa, compressed.info(), message(), compressed.sign(message())).has_value());
        expect_bad_signature(KeyType::ecdsa, key.info(), message(), key.sign(message(), "SHA512"), "another hash");
    }
}

TEST(Verify, EcdsaRefusesOtherCurvesAndKinds) {
    for (const char* group : {"secp256k1", "P-224", "brainpoolP256r1"})
        expect_invalid(KeyType::ecdsa, ForeignKey::ec(group).info(), "curve");
    expect_invalid(KeyType::ecdsa, rsa2048().info(), "SubjectPublicKeyInfo");
    expect_invalid(KeyType::rsa, ForeignKey::ec("P-256").info(), "SubjectPublicKeyInfo");
    Bytes off_curve = ForeignKey::ec("P-256").info();
    off_curve.back() ^= 1;
    expect_invalid(KeyType::ecdsa, off_curve, "not a point");
    expect_invalid(KeyType::ecdsa, ForeignKey::ec("P-256").point(), "SubjectPublicKeyInfo");
}

// The public keys printed in libp2p's peer-ids specification.
TEST(Verify, KeysOfTheLibp2pSpecification) {
    EXPECT_TRUE(
        check_public_key(KeyType::secp256k1, hex("037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99")).has_value());
    EXPECT_TRUE(check_public_key(KeyType::ecdsa,
                                 hex("3059301306072a8648ce3d020106082a8648ce3d03010703420004de3d300fa36ae0e8f5d530899d83abab44abf3161f162a"
                                     "4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47c646a597fb4dcec034e9f77c409e62"))
                    .has_value());
    EXPECT_TRUE(check_public_key(KeyType::ed25519, hex("1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e")).has_value());
}

TEST(Verify, Rsa) {
    const Bytes key = rsa2048().info();
    const Bytes signature = rsa2048().sign(message());
    ASSERT_TRUE(verify(KeyType::rsa, key, message(), signature).has_value());
    for (std::size_t i = 0; i < signature.size(); i += 17) {
        Bytes damaged = signature;
        damaged[i] ^= 1;
        expect_bad_signature(KeyType::rsa, key, message(), damaged, "flipped");
    }
    for (std::size_t i = 0; i < key.size(); i += 3) {
        Bytes damaged = key;
        damaged[i] ^= 1;
        EXPECT_FALSE(verify(KeyType::rsa, damaged, message(), signature).has_value()) << i;
    }
    expect_bad_signature(KeyType::rsa, key, message(), ByteView(signature).first(255), "short");
    Bytes longer = signature;
    longer.insert(longer.begin(), 0);
    expect_bad_signature(KeyType::rsa, key, message(), longer, "a zero in front");
    expect_bad_signature(KeyType::rsa, key, message(), Bytes(256, 0xff), "not below the modulus");
    expect_bad_signature(KeyType::rsa, key, message(), rsa2048().sign(message(), "SHA1"), "another hash");
    expect_bad_signature(KeyType::rsa, key, message(), rsa2048().sign(message(), "SHA256", true), "another padding");
    EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST(Verify, RsaSizes) {
    for (const std::size_t bits : {2048U, 2049U, 3072U, 8191U, 8192U}) {
        EXPECT_TRUE(check_public_key(KeyType::rsa, rsa_info(odd_number(bits), f4)).has_value()) << bits;
    }
    for (const std::size_t bits : {8U, 512U, 1024U, 2040U, 2047U}) {
        expect_invalid(KeyType::rsa, rsa_info(odd_number(bits), f4), "less than 2048");
    }
    for (const std::size_t bits : {8193U, 8200U, 9000U, 16384U, 200000U}) {
        expect_invalid(KeyType::rsa, rsa_info(odd_number(bits), f4), "more than 8192");
    }
}

TEST(Verify, LargestRsaKeyFits) {
    const Bytes largest = rsa_info(odd_number(8192), Bytes(4, 0xff));
    EXPECT_LE(largest.size(), max_key_data);
    EXPECT_TRUE(check_public_key(KeyType::rsa, largest).has_value());
    expect_bad_signature(KeyType::rsa, largest, message(), pattern(1024), "arbitrary");
}

TEST(Verify, RsaExponents) {
    const Bytes n = odd_number(2048);
    for (const Bytes& e : {three, f4, Bytes{5}, Bytes(4, 0xff)}) {
        EXPECT_TRUE(check_public_key(KeyType::rsa, rsa_info(n, e)).has_value());
    }
    expect_invalid(KeyType::rsa, rsa_info(n, Bytes{1, 0, 0, 0, 1}), "exponent of more than 32 bits");
    expect_invalid(KeyType::rsa, rsa_info(n, odd_number(700)), "exponent of more than 32 bits");
    expect_invalid(KeyType::rsa, rsa_info(odd_number(4096), odd_number(4090)), "exponent of more than 32 bits");
    expect_invalid(KeyType::rsa, rsa_info(n, Bytes{1}), "even or 1");
    expect_invalid(KeyType::rsa, rsa_info(n, Bytes{2}), "even or 1");
    expect_invalid(KeyType::rsa, rsa_info(n, Bytes{1, 0, 0}), "even or 1");
    Bytes even = n;
    even.back() &= 0xfeU;
    expect_invalid(KeyType::rsa, rsa_info(even, f4), "modulus that is even");
}

// CVE-2023-39533: the cost of refusing a giant key must not grow with the key. 1,000 refusals would take minutes if
// each did one public operation on 8193 bits or with a giant exponent.
TEST(Verify, GiantRsaKeysAreRefusedAtOnce) {
    const Bytes too_wide = rsa_info(odd_number(8193), f4);
    const Bytes much_too_wide = rsa_info(odd_number(300000), f4);
    const Bytes huge_exponent = rsa_info(odd_number(4096), odd_number(4096));
    const Bytes signature(1025, 1);
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 1000; ++i) {
        for (const auto* key : {&too_wide, &much_too_wide, &huge_exponent}) {
            ASSERT_FALSE(verify(KeyType::rsa, *key, message(), signature).has_value());
        }
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

TEST(Verify, DerMustBeStrict) {
    const auto refused = [](const std::string& digits, KeyType type) { expect_invalid(type, hex(digits), "SubjectPublicKeyInfo"); };
    const std::string good = to_hex(ForeignKey::ec("P-256").info());  // 3059 3013 0607.. 0608.. 0342 00 04..
    ASSERT_TRUE(check_public_key(KeyType::ecdsa, hex(good)).has_value());
    refused("", KeyType::ecdsa);
    refused("30", KeyType::ecdsa);
    refused("3000", KeyType::ecdsa);
    refused(good + "00", KeyType::ecdsa);                                  // behind the end
    refused("308159" + good.substr(4), KeyType::ecdsa);                    // a length longer than needed
    refused("30820059" + good.substr(4), KeyType::ecdsa);                  // the same, two bytes
    refused("3080" + good.substr(4) + "0000", KeyType::ecdsa);             // no length
    refused("3084ffffffff" + good.substr(4), KeyType::ecdsa);              // a length of four bytes
    refused("3058" + good.substr(4, good.size() - 6), KeyType::ecdsa);     // the inner one is longer
    refused("31" + good.substr(2), KeyType::ecdsa);                        // another tag
    refused(good.substr(0, 50) + "01" + good.substr(52), KeyType::ecdsa);  // unused bits
    for (std::size_t n = 0; n < good.size(); n += 2) refused(good.substr(0, n), KeyType::ecdsa);

    const std::string rsa = to_hex(rsa_info(odd_number(2048), f4));
    for (std::size_t n = 0; n < 120; n += 2) refused(rsa.substr(0, n), KeyType::rsa);
    refused(rsa + "00", KeyType::rsa);
    // Integers: negative, and with a zero byte too many.
    Bytes modulus = odd_number(2048);
    Bytes padded = modulus;
    padded.insert(padded.begin(), {0, 0});
    refused(to_hex(rsa_info(padded, f4)), KeyType::rsa);
    refused(to_hex(rsa_info(modulus, Bytes{0, 3})), KeyType::rsa);
    refused(to_hex(rsa_info(modulus, {})), KeyType::rsa);
    Bytes negative = rsa_info(modulus, Bytes{0x7f});
    negative.back() = 0x81;
    refused(to_hex(negative), KeyType::rsa);
}

TEST(Verify, RsaAlgorithmWithoutNullOrAnotherOne) {
    Bytes key = rsa_info(odd_number(2048), f4);
    ASSERT_EQ(key[17], 0x05);  // NULL
    key[17] = 0x04;
    expect_invalid(KeyType::rsa, key, "SubjectPublicKeyInfo");
    key[17] = 0x05;
    key[16] = 0x0a;  // id-RSASSA-PSS
    expect_invalid(KeyType::rsa, key, "not an RSA key");
}

TEST(Verify, UnknownType) { expect_invalid(static_cast<KeyType>(4), pattern(32), "unknown type"); }

}  // namespace
}  // namespace kith::crypto::test
