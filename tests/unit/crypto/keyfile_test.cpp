// SPDX-License-Identifier: Apache-2.0
#include "crypto/keyfile.hpp"

#include <sodium.h>

#include "crypto/hash.hpp"
#include "vectors.hpp"

namespace kith::crypto::test {
namespace {

// The cheapest that Argon2id has: these tests open a file hundreds of times.
constexpr KeyFileCost cheap{1, 8};

const Bytes& seed() {
    static const Bytes bytes = pattern(32, 21);
    return bytes;
}
const Bytes& random_bytes() {
    static const Bytes bytes = pattern(key_file_random, 22);
    return bytes;
}

Bytes plain_file() {
    auto file = encode_key_file(seed(), std::nullopt, {});
    EXPECT_TRUE(file.has_value());
    return std::move(*file);
}

Bytes sealed_file(std::string_view passphrase = "correct horse") {
    auto file = encode_key_file(seed(), passphrase, random_bytes(), cheap);
    EXPECT_TRUE(file.has_value());
    return std::move(*file);
}

Errc refusal(ByteView file, std::optional<std::string_view> passphrase) {
    const auto result = decode_key_file(file, passphrase);
    EXPECT_FALSE(result.has_value());
    return result ? Errc::internal : result.error().code;
}

void put_u32(Bytes& file, std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) file[at + i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

TEST(KeyFile, RoundTripPlain) {
    const Bytes file = plain_file();
    EXPECT_EQ(file.size(), key_file_size);
    const auto kind = key_file_sealed(file);
    ASSERT_TRUE(kind.has_value());
    EXPECT_FALSE(*kind);
    const auto back = decode_key_file(file, std::nullopt);
    ASSERT_TRUE(back.has_value());
    EXPECT_TRUE(equal(back->view(), seed()));
}

TEST(KeyFile, RoundTripSealed) {
    const Bytes file = sealed_file();
    EXPECT_EQ(file.size(), key_file_size);
    EXPECT_EQ(std::search(file.begin(), file.end(), seed().begin(), seed().begin() + 4), file.end());
    const auto kind = key_file_sealed(file);
    ASSERT_TRUE(kind.has_value());
    EXPECT_TRUE(*kind);
    const auto back = decode_key_file(file, "correct horse");
    ASSERT_TRUE(back.has_value());
    EXPECT_TRUE(equal(back->view(), seed()));
}

TEST(KeyFile, DefaultCostRoundTrip) {
    auto file = encode_key_file(seed(), "p", random_bytes(), KeyFileCost::interactive());
    ASSERT_TRUE(file.has_value());
    EXPECT_TRUE(decode_key_file(*file, "p").has_value());
    EXPECT_EQ(KeyFileCost{}.memory_kib, KeyFileCost::moderate().memory_kib);
    EXPECT_EQ(KeyFileCost{}.passes, 3U);
}

// The layout of the header, written out by hand.
TEST(KeyFile, PlainLayout) {
    Bytes expected =
        hex("6b6974686b6579"
            "01"
            "00"
            "000000");
    expected.resize(60, 0);
    expected.insert(expected.end(), seed().begin(), seed().end());
    const Digest check = sha256(expected);
    expected.insert(expected.end(), check.begin(), check.begin() + 16);
    EXPECT_EQ(plain_file(), expected);
}

TEST(KeyFile, SealedLayout) {
    Bytes expected =
        hex("6b6974686b6579"
            "01"
            "01"
            "000000"
            "00000001"
            "00000008");
    expected.insert(expected.end(), random_bytes().begin(), random_bytes().end());
    ASSERT_EQ(expected.size(), 60U);
    std::array<std::uint8_t, 32> key{};
    ASSERT_EQ(crypto_pwhash(key.data(), 32, "correct horse", 13, random_bytes().data(), 1, 8192, crypto_pwhash_ALG_ARGON2ID13), 0);
    Bytes body(48);
    crypto_aead_xchacha20poly1305_ietf_encrypt(body.data(), nullptr, seed().data(), 32, expected.data(), 60, nullptr,
                                               random_bytes().data() + 16, key.data());
    expected.insert(expected.end(), body.begin(), body.end());
    EXPECT_EQ(sealed_file(), expected);
}

TEST(KeyFile, WrongPassphrase) {
    const Bytes file = sealed_file();
    EXPECT_EQ(refusal(file, "correct horsf"), Errc::wrong_passphrase);
    EXPECT_EQ(refusal(file, "correct hors"), Errc::wrong_passphrase);
    EXPECT_EQ(refusal(file, ""), Errc::wrong_passphrase);
    EXPECT_EQ(refusal(file, std::string_view{}), Errc::wrong_passphrase);
}

TEST(KeyFile, PassphraseMissingOrNotAsked) {
    EXPECT_EQ(refusal(sealed_file(), std::nullopt), Errc::invalid_argument);
    EXPECT_EQ(refusal(plain_file(), "correct horse"), Errc::invalid_argument);
}

TEST(KeyFile, PassphraseWithZeroByteCountsWhole) {
    const std::string with_zero("ab\0cd", 5);
    const Bytes file = sealed_file(with_zero);
    EXPECT_TRUE(decode_key_file(file, with_zero).has_value());
    EXPECT_EQ(refusal(file, "ab"), Errc::wrong_passphrase);
}

TEST(KeyFile, WrongArgumentsToEncode) {
    const auto code = [](const Result<Bytes>& result) { return result ? Errc::internal : result.error().code; };
    EXPECT_EQ(code(encode_key_file(pattern(31), std::nullopt, {})), Errc::invalid_argument);
    EXPECT_EQ(code(encode_key_file(pattern(33), std::nullopt, {})), Errc::invalid_argument);
    EXPECT_EQ(code(encode_key_file(pattern(64), "p", random_bytes(), cheap)), Errc::invalid_argument);
    EXPECT_EQ(code(encode_key_file(seed(), "", random_bytes(), cheap)), Errc::invalid_argument);
    EXPECT_EQ(code(encode_key_file(seed(), "p", {}, cheap)), Errc::invalid_argument);
    EXPECT_EQ(code(encode_key_file(seed(), "p", pattern(39), cheap)), Errc::invalid_argument);
    EXPECT_EQ(code(encode_key_file(seed(), "p", pattern(41), cheap)), Errc::invalid_argument);
    for (const KeyFileCost cost : {KeyFileCost{0, 8}, KeyFileCost{11, 8}, KeyFileCost{1, 7}, KeyFileCost{1, 1024U * 1024 + 1}}) {
        EXPECT_EQ(code(encode_key_file(seed(), "p", random_bytes(), cost)), Errc::invalid_argument);
    }
}

TEST(KeyFile, EveryLengthButOneIsRefused) {
    Bytes file = plain_file();
    for (std::size_t size = 0; size < file.size(); ++size) {
        EXPECT_EQ(refusal(ByteView(file).first(size), std::nullopt), Errc::malformed);
        EXPECT_FALSE(key_file_sealed(ByteView(file).first(size)).has_value());
    }
    file.push_back(0);
    EXPECT_EQ(refusal(file, std::nullopt), Errc::malformed);
}

TEST(KeyFile, EveryFlippedBitOfAPlainFileIsRefused) {
    Bytes file = plain_file();
    for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
        const auto mask = static_cast<std::uint8_t>(1U << (bit % 8));
        file[bit / 8] ^= mask;
        EXPECT_EQ(refusal(file, std::nullopt), Errc::malformed) << "bit " << bit;
        file[bit / 8] ^= mask;
    }
    EXPECT_TRUE(decode_key_file(file, std::nullopt).has_value());
}

TEST(KeyFile, EveryFlippedByteOfASealedFileIsRefused) {
    Bytes file = sealed_file();
    const auto check = [&](std::size_t at, unsigned mask) {
        file[at] ^= static_cast<std::uint8_t>(mask);
        const Errc code = refusal(file, "correct horse");
        EXPECT_TRUE(code == Errc::malformed || code == Errc::wrong_passphrase) << "byte " << at << " mask " << mask << " " << name(code);
        if (at < 12) {
            EXPECT_EQ(code, Errc::malformed) << at;
        }
        if (at >= 20) {
            EXPECT_EQ(code, Errc::wrong_passphrase) << at;
        }
        file[at] ^= static_cast<std::uint8_t>(mask);
    };
    for (std::size_t at = 0; at < file.size(); ++at) {
        if (at >= 12 && at < 20) {
            check(at, 0x02);  // the cost; each other bit that stays within the bounds is only a longer Argon2id
        } else {
            for (unsigned bit = 0; bit < 8; ++bit) check(at, 1U << bit);
        }
    }
    EXPECT_TRUE(decode_key_file(file, "correct horse").has_value());
}

// A file must not make the reader take more than 1 GiB, nor work for minutes. Refused as malformed, that is before
// Argon2id: it would have said wrong_passphrase or limit_exceeded.
TEST(KeyFile, HugeCostIsRefusedBeforeItIsPaid) {
    const Bytes good = sealed_file();
    for (const std::uint32_t passes : {0U, 11U, 1000U, 0xffffffffU}) {
        Bytes file = good;
        put_u32(file, 12, passes);
        EXPECT_EQ(refusal(file, "correct horse"), Errc::malformed) << passes;
        EXPECT_FALSE(key_file_sealed(file).has_value());
    }
    for (const std::uint32_t memory : {0U, 7U, 1024U * 1024 + 1, 0x80000000U, 0xffffffffU}) {
        Bytes file = good;
        put_u32(file, 16, memory);
        EXPECT_EQ(refusal(file, "correct horse"), Errc::malformed) << memory;
    }
}

TEST(KeyFile, LaterVersionAndUnknownKindAreToldApart) {
    Bytes file = plain_file();
    file[7] = 2;
    auto result = decode_key_file(file, std::nullopt);
    ASSERT_FALSE(result.has_value());
    EXPECT_NE(result.error().what.find("version"), std::string_view::npos);
    file[7] = 1;
    file[8] = 2;
    result = decode_key_file(file, std::nullopt);
    ASSERT_FALSE(result.has_value());
    EXPECT_NE(result.error().what.find("kind"), std::string_view::npos);
}

}  // namespace
}  // namespace kith::crypto::test
