// SPDX-License-Identifier: Apache-2.0
#include "kith/peer_id.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <set>
#include <sstream>
#include <type_traits>
#include <unordered_set>

#include "base/hex.hpp"
#include "wire/base58.hpp"

namespace kith {
namespace {

static_assert(std::is_trivially_copyable_v<PeerId>);
static_assert(sizeof(PeerId) <= 48);

constexpr std::string_view ed25519_id = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB";
constexpr std::string_view hashed_id = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";

Bytes hex(std::string_view digits) { return from_hex(digits).value(); }

TEST(PeerId, ReadsEveryTextForm) {
    const auto id = PeerId::parse(ed25519_id);
    ASSERT_TRUE(id);
    EXPECT_EQ(to_hex(id->multihash()), "00240801122003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8");
    EXPECT_EQ(id->kind(), PeerId::Kind::key);
    EXPECT_EQ(id->text(), ed25519_id);
    EXPECT_EQ(id->cid(), "bafzaajaiaejcaa5ba677htqqxyoxbxiy45f4bglh4tldbg5fbvpr3xegmqjfkmny");
    Bytes cid{0x01, 0x72};
    cid.insert(cid.end(), id->multihash().begin(), id->multihash().end());
    EXPECT_EQ(PeerId::parse(id->cid()).value(), *id);
    EXPECT_EQ(PeerId::parse("z" + wire::to_base58(cid)).value(), *id);
    EXPECT_EQ(PeerId::parse("f" + to_hex(cid)).value(), *id);
    std::string upper = id->cid();
    for (auto& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    EXPECT_EQ(PeerId::parse(upper).value(), *id);
}

TEST(PeerId, ReadsBase36) {
    const auto id = PeerId::parse("k51qzi5uqu5dg9ufswxt229ntzdy7p4125xzv5rtyjso89ajdujg6csfxcj260");
    ASSERT_TRUE(id);
    EXPECT_EQ(id->text(), ed25519_id);
    EXPECT_FALSE(PeerId::parse("k51qzi5uqu5dg9ufswxt229ntzdy7p4125xzv5rtyjso89ajdujg6csfxcj26")) << "one digit short";
}

TEST(PeerId, HashedIds) {
    const auto id = PeerId::parse(hashed_id).value();
    EXPECT_EQ(id.multihash().size(), 34u);
    EXPECT_EQ(id.text(), hashed_id);
    EXPECT_EQ(PeerId::parse(id.cid()).value(), id);
}

TEST(PeerId, SaysWhatIsWrong) {
    struct Case {
        std::string text;
        std::string_view what;
    };
    const Case cases[]{
        {"", "empty"},
        {std::string(129, '1'), "too long"},
        {"hello", "neither base58 nor a CID"},
        {"classic:00", "neither base58 nor a CID"},
        {"12D3KooW0", "a character is not base58"},
        {"Qm!", "a character is not base58"},
        {"bafz1", "a character is not of the CID's base"},
        {"f0", "a character is not of the CID's base"},
        {"1", "too short for a multihash"},
        {"f", "the CID is not of version 1"},
        {"f0072", "the CID is not of version 1"},
        {"f017000240801", "the CID does not name a libp2p key"},
        {"f0172", "too short for a multihash"},
        {"f0172002608", "the multihash has another length than it says"},
        {"f0172002b08", "an identity multihash holds at most 42 bytes"},
        {"f01721220aa", "the multihash has another length than it says"},
        {"f017212210a", "a sha2-256 multihash holds 32 bytes"},
        {"f0172131400", "the multihash is neither identity nor sha2-256"},
        {"f01720000", "too short for a multihash"},
    };
    for (const auto& [text, what] : cases) {
        const auto id = PeerId::parse(text);
        ASSERT_FALSE(id) << text;
        EXPECT_EQ(id.error().code, Errc::invalid_peer_id) << text;
        EXPECT_EQ(id.error().what, what) << text;
    }
}

TEST(PeerId, FromMultihashTakesIdentityUpTo42Bytes) {
    for (std::size_t size = 0; size <= 60; ++size) {
        Bytes multihash{0x00, static_cast<std::uint8_t>(size)};
        multihash.resize(2 + size, 0x5a);
        const auto id = PeerId::from_multihash(multihash);
        EXPECT_EQ(id.has_value(), size >= 1 && size <= 42) << size;
        if (id) {
            EXPECT_EQ(PeerId::parse(id->text()).value(), *id);
            EXPECT_EQ(PeerId::parse(id->cid()).value(), *id);
        }
    }
    EXPECT_FALSE(PeerId::from_multihash({}));
    auto trailing = hex("000155");
    EXPECT_TRUE(PeerId::from_multihash(trailing));
    trailing.push_back(0);
    EXPECT_FALSE(PeerId::from_multihash(trailing));
}

TEST(PeerId, NoneIsNobody) {
    const PeerId none;
    EXPECT_FALSE(none);
    EXPECT_EQ(none.kind(), PeerId::Kind::none);
    EXPECT_EQ(none.text(), "");
    EXPECT_EQ(none.cid(), "");
    EXPECT_EQ(none.short_id(), "");
    EXPECT_TRUE(none.multihash().empty());
    std::ostringstream out;
    out << none;
    EXPECT_EQ(out.str(), "(no peer)");
}

TEST(PeerId, ClassicIdsAreNeverKeyIds) {
    // The same 16 bytes as a key id would have them: only the kind tells them apart.
    const auto key = PeerId::from_multihash(hex("000e0102030405060708090a0b0c0d0e")).value();
    const auto local = hex("000e0102030405060708090a0b0c0d0e");
    const auto classic = PeerId::classic(std::span<const std::uint8_t, 16>{local});
    EXPECT_NE(classic, key);
    EXPECT_NE(std::hash<PeerId>{}(classic), std::hash<PeerId>{}(key));
    EXPECT_EQ(classic.kind(), PeerId::Kind::classic);
    EXPECT_TRUE(classic);
    EXPECT_TRUE(classic.multihash().empty()) << "nothing to write on a libp2p wire";
    EXPECT_EQ(classic.cid(), "");
    EXPECT_EQ(classic.text(), "classic:000e0102030405060708090a0b0c0d0e");
    EXPECT_FALSE(PeerId::parse(classic.text())) << "a local id cannot come in as text";
}

TEST(PeerId, OrderAndHash) {
    const auto a = PeerId::parse(ed25519_id).value();
    const auto b = PeerId::parse(hashed_id).value();
    EXPECT_NE(a, b);
    EXPECT_EQ(a, PeerId::parse(a.cid()).value());
    EXPECT_NE(a < b, b < a);
    const std::set<PeerId> ordered{b, a, PeerId{}};
    EXPECT_EQ(*ordered.begin(), PeerId{});
    const std::unordered_set<PeerId> set{a, b, a};
    EXPECT_EQ(set.size(), 2u);
}

TEST(PeerId, ShortFormForPeople) {
    const auto id = PeerId::parse(ed25519_id).value();
    EXPECT_EQ(id.short_id(), "12D3KooW…feSB");
    std::ostringstream out;
    out << id;
    EXPECT_EQ(out.str(), ed25519_id);
}

}  // namespace
}  // namespace kith
