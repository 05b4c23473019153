// SPDX-License-Identifier: Apache-2.0
#include "crypto/aead.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <sodium.h>

#include "vectors.hpp"

namespace kith::crypto::test {
namespace {

using Tag16 = std::array<std::uint8_t, 16>;

struct Sealed {
    Bytes text;
    Tag16 tag{};
    friend bool operator==(const Sealed&, const Sealed&) = default;
};

const Bytes& key_bytes() {
    static const Bytes key = pattern(32, 77);
    return key;
}

Aead make() { return Aead{Secret32(array<32>(key_bytes()))}; }

Aead::Nonce noise(std::uint64_t number) {
    Aead::Nonce nonce{};
    for (std::size_t i = 0; i < 8; ++i) nonce[4 + i] = static_cast<std::uint8_t>(number >> (8 * i));
    return nonce;
}

Sealed by_sodium(const Aead::Nonce& nonce, ByteView ad, ByteView text) {
    Sealed out{Bytes(text.size()), {}};
    std::uint8_t none = 0;  // the pointers must not be null
    crypto_aead_chacha20poly1305_ietf_encrypt_detached(text.empty() ? &none : out.text.data(), out.tag.data(), nullptr,
                                                       text.empty() ? &none : text.data(), text.size(), ad.data(), ad.size(), nullptr,
                                                       nonce.data(), key_bytes().data());
    return out;
}

Sealed by_openssl(const Aead::Nonce& nonce, ByteView ad, ByteView text) {
    Sealed out{Bytes(text.size()), {}};
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    int n = 0;
    EXPECT_EQ(EVP_EncryptInit_ex(context, EVP_chacha20_poly1305(), nullptr, key_bytes().data(), nonce.data()), 1);
    if (!ad.empty()) {
        EXPECT_EQ(EVP_EncryptUpdate(context, nullptr, &n, ad.data(), static_cast<int>(ad.size())), 1);
    }
    if (!text.empty()) {
        EXPECT_EQ(EVP_EncryptUpdate(context, out.text.data(), &n, text.data(), static_cast<int>(text.size())), 1);
    }
    EXPECT_EQ(EVP_EncryptFinal_ex(context, out.text.data() + out.text.size(), &n), 1);
    EXPECT_EQ(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, out.tag.data()), 1);
    EVP_CIPHER_CTX_free(context);
    return out;
}

Sealed by_us(Aead& aead, std::uint64_t nonce, ByteView ad, ByteView text) {
    Sealed out{Bytes(text.size()), {}};
    aead.seal(nonce, ad, text, out.text, out.tag);
    return out;
}

// Both libraries and every form of the call give the same bytes at each size, so the crossover cannot be seen.
TEST(AeadEquivalence, EverySize) {
    Aead sealer = make();
    Aead opener = make();
    const Bytes whole = pattern(2000, 3);
    for (std::size_t size = 0; size <= whole.size(); ++size) {
        const ByteView text = ByteView(whole).first(size);
        const ByteView ad = ByteView(whole).last(size % 3 == 0 ? 0 : size % 70);
        const std::uint64_t number = size * 0x0102030405060708ULL;
        const Sealed expected = by_sodium(noise(number), ad, text);
        ASSERT_EQ(by_openssl(noise(number), ad, text), expected) << size;
        ASSERT_EQ(by_us(sealer, number, ad, text), expected) << size;

        Sealed in_place{Bytes(text.begin(), text.end()), {}};
        sealer.seal(number, ad, in_place.text, in_place.tag);
        ASSERT_EQ(in_place, expected) << size;

        ASSERT_TRUE(opener.open(number, ad, in_place.text, in_place.tag)) << size;
        ASSERT_TRUE(std::equal(text.begin(), text.end(), in_place.text.begin())) << size;

        Bytes elsewhere(size);
        ASSERT_TRUE(opener.open(number, ad, expected.text, elsewhere, expected.tag)) << size;
        ASSERT_EQ(elsewhere, in_place.text);
    }
}

TEST(AeadEquivalence, RecordSizes) {
    Aead aead = make();
    for (std::size_t size : {16383U, 16384U, 65519U, 65535U, 1000003U}) {
        const Bytes text = pattern(size, 5);
        const Sealed expected = by_sodium(noise(size), {}, text);
        Sealed ours = by_us(aead, size, {}, text);
        ASSERT_EQ(ours, expected) << size;
        ASSERT_TRUE(aead.open(size, {}, ours.text, ours.tag));
        ASSERT_EQ(ours.text, text);
    }
}

// A context that has just opened is used to seal and the reverse, with and without associated data in between.
TEST(AeadEquivalence, OneObjectBothWays) {
    Aead aead = make();
    const Bytes text = pattern(777);
    const Bytes ad = pattern(13);
    for (std::uint64_t i = 0; i < 50; ++i) {
        const ByteView use = i % 2 == 0 ? ByteView(ad) : ByteView{};
        Sealed sealed = by_us(aead, i, use, text);
        ASSERT_EQ(sealed, by_sodium(noise(i), use, text));
        Sealed damaged = sealed;
        damaged.tag[0] ^= 1;
        if (i % 5 == 0) {
            ASSERT_FALSE(aead.open(i, use, damaged.text, damaged.tag));
        }
        ASSERT_TRUE(aead.open(i, use, sealed.text, sealed.tag));
        ASSERT_EQ(sealed.text, text);
    }
}

class AeadTamper : public testing::TestWithParam<std::size_t> {};

TEST_P(AeadTamper, EveryByteCounts) {
    const std::size_t size = GetParam();
    const Bytes text = pattern(size, 2);
    Bytes ad = pattern(20, 4);
    Aead aead = make();
    Sealed sealed = by_us(aead, 9, ad, text);
    const Bytes zeros(size, 0);
    const auto refused = [&](const char* what, std::size_t at) {
        Bytes out = pattern(size, 8);
        ASSERT_FALSE(aead.open(9, ad, sealed.text, out, sealed.tag)) << what << at;
        ASSERT_EQ(out, zeros) << what << at;  // nothing of a forged record is seen
        Bytes in_place = sealed.text;
        ASSERT_FALSE(aead.open(9, ad, in_place, sealed.tag)) << what << at;
        ASSERT_EQ(in_place, zeros) << what << at;
    };
    const auto flip_all = [&](const char* what, MutableBytes bytes) {
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            const auto bit = static_cast<std::uint8_t>(1U << (i % 8));
            bytes[i] ^= bit;
            refused(what, i);
            bytes[i] ^= bit;
        }
    };
    flip_all("text ", sealed.text);
    flip_all("tag ", sealed.tag);
    flip_all("ad ", ad);
    for (int bit = 0; bit < 64; ++bit) {
        Bytes out(size);
        ASSERT_FALSE(aead.open(9 ^ (1ULL << bit), ad, sealed.text, out, sealed.tag)) << "nonce bit " << bit;
    }
    Aead other{Secret32(array<32>(pattern(32, 78)))};
    Bytes out(size);
    EXPECT_FALSE(other.open(9, ad, sealed.text, out, sealed.tag));
    EXPECT_TRUE(aead.open(9, ad, sealed.text, out, sealed.tag));
    EXPECT_EQ(out, text);
}

INSTANTIATE_TEST_SUITE_P(Sizes, AeadTamper, testing::Values(0, 1, 64, Aead::crossover - 1, Aead::crossover, 1500));

// The host program's own use of OpenSSL on the thread must not see our refusals.
TEST(Aead, ARefusalLeavesNoOpenSslError) {
    ERR_clear_error();
    Aead aead = make();
    Bytes text(1000);
    EXPECT_FALSE(aead.open(1, {}, text, Tag16{}));
    EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST(Aead, ContextIsMadeOnlyForLargeRecordsAndTrimmed) {
    Aead aead = make();
    EXPECT_FALSE(aead.has_context());
    Bytes small(Aead::crossover - 1);
    Tag16 tag;
    aead.seal(0, {}, small, tag);
    EXPECT_FALSE(aead.has_context());
    const Bytes large = pattern(Aead::crossover);
    const Sealed before = by_us(aead, 1, {}, large);
    EXPECT_TRUE(aead.has_context());
    aead.trim();
    EXPECT_FALSE(aead.has_context());
    EXPECT_EQ(by_us(aead, 1, {}, large), before);
}

TEST(Aead, MovedAeadKeepsKeyAndContext) {
    Aead first = make();
    const Bytes text = pattern(600);
    const Sealed expected = by_us(first, 4, {}, text);
    Aead second = std::move(first);
    EXPECT_TRUE(second.has_context());
    EXPECT_EQ(by_us(second, 4, {}, text), expected);
    Aead third{Secret32(array<32>(pattern(32, 79)))};
    EXPECT_NE(by_us(third, 4, {}, text), expected);
    third = std::move(second);
    EXPECT_EQ(by_us(third, 4, {}, text), expected);
    EXPECT_EQ(by_us(third, 4, {}, ByteView(text).first(10)), by_sodium(noise(4), {}, ByteView(text).first(10)));
}

TEST(Aead, NoiseNonceIsFourZerosAndLittleEndian) {
    Aead aead = make();
    Bytes text = pattern(10);
    Bytes out(10);
    Tag16 tag{};
    aead.seal(Aead::Nonce{0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1}, {}, text, out, tag);
    EXPECT_EQ(by_us(aead, 0x0102030405060708ULL, {}, text), (Sealed{out, tag}));
}

}  // namespace
}  // namespace kith::crypto::test
