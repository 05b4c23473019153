// SPDX-License-Identifier: Apache-2.0
// Project Wycheproof's cases: every valid one accepted, every invalid one refused. The counts are asserted, so that a
// changed file or a parser that skips cases is seen.
#include "crypto/aead.hpp"
#include "crypto/ed25519.hpp"
#include "crypto/hash.hpp"
#include "crypto/verify.hpp"
#include "crypto/x25519.hpp"
#include "vectors.hpp"

namespace kith::crypto::test {
namespace {

struct Counts {
    int valid = 0;
    int invalid = 0;
    int acceptable = 0;
    void add(const std::string& result) {
        if (result == "valid") {
            ++valid;
        } else if (result == "invalid") {
            ++invalid;
        } else {
            ++acceptable;
        }
    }
    void expect(int v, int i, int a) const {
        EXPECT_EQ(valid, v);
        EXPECT_EQ(invalid, i);
        EXPECT_EQ(acceptable, a);
    }
};

template <class F>
Counts each(const std::string& file, F&& check) {
    Counts counts;
    const auto root = load("wycheproof/" + file);
    int seen = 0;
    for (const auto& group : root.at("testGroups")) {
        for (const auto& test : group.at("tests")) {
            SCOPED_TRACE(file + " tcId " + std::to_string(test.at("tcId").get<int>()) + " " + test.at("comment").get<std::string>());
            const auto result = test.at("result").get<std::string>();
            counts.add(result);
            check(group, test, result);
            ++seen;
        }
    }
    EXPECT_EQ(seen, root.at("numberOfTests").get<int>());
    return counts;
}

TEST(Wycheproof, ChaCha20Poly1305) {
    int with_context = 0;
    int nonce_sizes_refused = 0;
    const Counts counts = each("chacha20_poly1305_test.json", [&](const auto&, const auto& test, const std::string& result) {
        const Bytes iv = field(test, "iv");
        if (iv.size() != Aead::nonce_size) {
            EXPECT_EQ(result, "invalid");  // the type of the argument refuses it
            ++nonce_sizes_refused;
            return;
        }
        const auto nonce = array<12>(iv);
        const Bytes aad = field(test, "aad");
        const Bytes message = field(test, "msg");
        const Bytes sealed = field(test, "ct");
        const auto tag = array<16>(field(test, "tag"));
        Aead aead{Secret32(array<32>(field(test, "key")))};

        Bytes text(sealed.size());
        const bool good = aead.open(nonce, aad, sealed, text, tag);
        EXPECT_EQ(good, result == "valid");
        EXPECT_EQ(text, good ? message : Bytes(sealed.size(), 0));

        Bytes out(message.size());
        std::array<std::uint8_t, 16> out_tag{};
        aead.seal(nonce, aad, message, out, out_tag);
        EXPECT_EQ(out == sealed && out_tag == tag, result == "valid");
        if (aead.has_context()) ++with_context;
    });
    counts.expect(256, 69, 0);
    EXPECT_EQ(nonce_sizes_refused, 9);
    EXPECT_EQ(with_context, 32);  // both libraries took part; AeadEquivalence compares them at every size
}

TEST(Wycheproof, X25519) {
    int zero_refused = 0;
    const Counts counts = each("x25519_test.json", [&](const auto&, const auto& test, const std::string& result) {
        const auto ours = Secret32(array<32>(field(test, "private")));
        const auto shared = x25519(ours, array<32>(field(test, "public")));
        // The rule for `acceptable`: points on the twist, not canonical or small are computed like any other (RFC 7748
        // wants it, and every libp2p peer does); a shared secret of zero is refused, whatever the flags say.
        const Bytes expected = field(test, "shared");
        const bool zero = std::all_of(expected.begin(), expected.end(), [](auto b) { return b == 0; });
        if (zero) {
            EXPECT_EQ(result, "acceptable");
            ASSERT_FALSE(shared.has_value());
            EXPECT_EQ(shared.error().code, Errc::invalid_key);
            ++zero_refused;
        } else {
            ASSERT_TRUE(shared.has_value());
            EXPECT_TRUE(equal(shared->view(), expected));
        }
    });
    counts.expect(264, 0, 254);
    EXPECT_EQ(zero_refused, 31);
}

TEST(Wycheproof, Ed25519) {
    const Counts counts = each("ed25519_test.json", [&](const auto& group, const auto& test, const std::string& result) {
        const Bytes key = field(group.at("publicKey"), "pk");
        const Bytes message = field(test, "msg");
        const Bytes signature = field(test, "sig");
        EXPECT_EQ(ed25519_verify(array<32>(key), message, signature), result == "valid");
        const Status status = verify(KeyType::ed25519, key, message, signature);
        EXPECT_EQ(status.has_value(), result == "valid");
        if (!status) {
            EXPECT_EQ(status.error().code, Errc::bad_signature);
        }
    });
    counts.expect(88, 63, 0);
}

TEST(Wycheproof, HkdfSha256) {
    const Counts counts = each("hkdf_sha256_test.json", [&](const auto&, const auto& test, const std::string& result) {
        Bytes out(test.at("size").template get<std::size_t>());
        const Status status = hkdf_sha256(field(test, "salt"), field(test, "ikm"), field(test, "info"), out);
        ASSERT_EQ(status.has_value(), result == "valid");
        if (status) {
            EXPECT_EQ(out, field(test, "okm"));
        } else {
            EXPECT_EQ(status.error().code, Errc::invalid_argument);
        }
    });
    counts.expect(83, 3, 0);
}

}  // namespace
}  // namespace kith::crypto::test
