// SPDX-License-Identifier: Apache-2.0
// What a peer may put into messages 2 and 3, and what must never pass.
#include <gtest/gtest.h>

#include <functional>

#include "base/hex.hpp"
#include "fuzz/handshake/noise_peers.hpp"
#include "handshake/noise.hpp"
#include "identity_keys.hpp"

namespace kith::handshake {
namespace {

using namespace testing;

const crypto::SigningKey& mallory() {
    static const crypto::SigningKey key{secret(33)};
    return key;
}

wire::NoisePayload signed_payload(const crypto::PublicKey32& static_public) {
    const auto signature = mallory().sign(text_to_sign(static_public));
    wire::NoisePayload payload;
    payload.identity_key = wire::encode_public_key(crypto::KeyType::ed25519, mallory().public_key());
    payload.identity_sig.assign(signature.begin(), signature.end());
    return payload;
}

using MakePayload = std::function<Bytes(const crypto::PublicKey32&)>;

// The answer of each role to the payload.
void expect_both(const std::optional<Errc>& expected, const MakePayload& make, std::vector<std::string> muxers = {}) {
    const NoiseIdentity node = identity(1);
    NoiseHandshake initiator{config(Role::initiator, node, muxers), secret(7)};
    NoiseHandshake responder{config(Role::responder, node, muxers), secret(7)};
    const Result<std::size_t> answers[] = {answer_of_initiator(initiator, make), answer_of_responder(responder, make)};
    for (const auto& answer : answers) {
        ASSERT_EQ(answer.has_value(), !expected) << (answer ? "" : answer.error().message());
        if (expected) {
            EXPECT_EQ(answer.error(), *expected) << answer.error().message();
        }
    }
    EXPECT_EQ(initiator.wants_pull(), !expected);
    EXPECT_EQ(responder.done(), !expected);
}

void expect_changed(const std::optional<Errc>& expected, const std::function<void(wire::NoisePayload&)>& change) {
    expect_both(expected, [&](const auto& key) {
        auto payload = signed_payload(key);
        change(payload);
        return wire::encode_noise_payload(payload);
    });
}

TEST(NoisePayload, RightOnePasses) {
    expect_changed({}, [](auto&) {});
}

TEST(NoisePayload, WrongSignature) {
    expect_changed(Errc::bad_signature, [](auto& p) { p.identity_sig[10] ^= 1; });
    expect_changed(Errc::bad_signature, [](auto& p) { p.identity_sig.pop_back(); });
    expect_changed(Errc::bad_signature, [](auto& p) { p.identity_sig.clear(); });
    expect_changed(Errc::bad_signature, [](auto& p) { p.identity_key.clear(); });
    expect_changed(Errc::bad_signature, [](auto& p) { p = {}; });
    // Right signatures of the wrong text.
    expect_both(Errc::bad_signature, [](const auto&) {
        return wire::encode_noise_payload(signed_payload(crypto::x25519_public(secret(200))));  // another static key
    });
    expect_both(Errc::bad_signature, [](const auto& key) {
        auto payload = signed_payload(key);
        const auto unprefixed = mallory().sign(key);
        payload.identity_sig.assign(unprefixed.begin(), unprefixed.end());
        return wire::encode_noise_payload(payload);
    });
}

TEST(NoisePayload, AnothersIdentity) {
    // The victim's real payload, recorded elsewhere, with this peer's static key.
    const NoiseIdentity victim = identity(120);
    expect_changed(Errc::bad_signature, [&](auto& p) {
        p.identity_key = victim.identity_key;
        p.identity_sig = victim.identity_sig;
    });
    expect_changed(Errc::bad_signature, [&](auto& p) { p.identity_key = victim.identity_key; });
}

TEST(NoisePayload, RefusedKeys) {
    expect_changed(Errc::handshake_failed, [](auto& p) { p.identity_key = {8, 1, 18, 1, 7}; });  // 1 byte
    expect_changed(Errc::handshake_failed, [](auto& p) { p.identity_key[1] = 9; });              // unknown kind
    expect_changed(Errc::handshake_failed, [](auto& p) { p.identity_key.push_back(0); });        // not deterministic
    // RSA: the size decides before any arithmetic. A key of 2048 bits comes as far as the signature.
    const struct {
        Bytes der;
        Errc expected;
    } keys[] = {
        {rsa_der(2048), Errc::bad_signature},   {rsa_der(2047), Errc::handshake_failed},    {rsa_der(8193), Errc::handshake_failed},
        {rsa_der(16384), Errc::protocol_error}, {rsa_der(2048, 5), Errc::handshake_failed}, {rsa_der(2048, 64), Errc::handshake_failed},
    };
    for (const auto& key : keys) {
        expect_changed(key.expected, [&](auto& p) {
            p.identity_key = wire::encode_public_key(crypto::KeyType::rsa, key.der);
            p.identity_sig.assign(256, 1);
        });
    }
}

TEST(NoisePayload, Garbage) {
    for (const char* hex : {"00", "ff", "0a7f", "0aff", "08", "220a"}) {
        expect_both(Errc::protocol_error, [&](const auto&) { return *from_hex(hex); });
    }
}

TEST(NoisePayload, ListOf101MuxersIsRefusedAndOf100Read) {
    const std::vector<std::string> known{"/yamux/1.0.0"};
    for (const std::size_t count : {100U, 101U}) {
        expect_both(
            count == 100 ? std::optional<Errc>{} : Errc::protocol_error,
            [&](const auto& key) {
                auto payload = signed_payload(key);
                payload.muxers.assign(count, "/none");
                payload.muxers.back() = known.front();
                return wire::encode_noise_payload(payload);
            },
            known);
    }
}

TEST(NoisePayload, RetiredAndUnknownFieldsAreIgnored) {
    expect_both({}, [](const auto& key) {
        Bytes out{0x1A, 0x80, 0x20};  // field 3, 4096 bytes: early data of old nodes
        out.resize(3 + 4096, 0x55);
        const Bytes rest = wire::encode_noise_payload(signed_payload(key));
        out.insert(out.end(), rest.begin(), rest.end());
        out.insert(out.end(), {0x28, 0x05});  // field 5
        return out;
    });
}

TEST(NoisePayload, OtherKindsOfIdentity) {
    for (const auto type : {crypto::KeyType::rsa, crypto::KeyType::secp256k1, crypto::KeyType::ecdsa}) {
        const NoiseIdentity foreign = foreign_identity(type);
        const NoiseIdentity own = identity(1);
        for (const bool foreign_dials : {true, false}) {
            NoiseHandshake a{config(Role::initiator, foreign_dials ? foreign : own), secret(7)};
            NoiseHandshake b{config(Role::responder, foreign_dials ? own : foreign), secret(77)};
            ASSERT_TRUE(b.received(pull_all(a)));
            const auto second = a.received(pull_all(b));
            ASSERT_TRUE(second) << second.error().message();
            const auto third = b.received(pull_all(a));
            ASSERT_TRUE(third) << third.error().message();
            EXPECT_EQ((foreign_dials ? b : a).take_outcome().peer, id_of(foreign)) << static_cast<int>(type);
        }
        NoiseIdentity forged = foreign_identity(type);
        forged.identity_sig.back() ^= 1;
        NoiseHandshake a{config(Role::initiator, own), secret(7)};
        NoiseHandshake b{config(Role::responder, forged), secret(77)};
        ASSERT_TRUE(b.received(pull_all(a)));
        const auto n = a.received(pull_all(b));
        ASSERT_FALSE(n);
        EXPECT_EQ(n.error(), Errc::bad_signature) << n.error().message();
    }
}

// RFC 7748 section 7: these make the shared secret zero whatever the other key is.
const char* const small_order[] = {
    "0000000000000000000000000000000000000000000000000000000000000000", "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
};

TEST(NoiseSmallOrder, Ephemeral) {
    const NoiseIdentity node = identity(1);
    for (const char* hex : small_order) {
        const Bytes point = *from_hex(hex);
        Bytes first{0, 32};
        first.insert(first.end(), point.begin(), point.end());
        NoiseHandshake responder{config(Role::responder, node), secret(7)};
        const auto n = responder.received(first);
        ASSERT_FALSE(n) << hex;
        EXPECT_EQ(n.error(), Errc::protocol_error);
        EXPECT_FALSE(responder.wants_pull());
        NoiseHandshake initiator{config(Role::initiator, node), secret(7)};
        pull_all(initiator);
        Bytes second{0, 96};
        second.insert(second.end(), point.begin(), point.end());
        second.resize(98);
        const auto m = initiator.received(second);
        ASSERT_FALSE(m) << hex;
        EXPECT_EQ(m.error(), Errc::protocol_error);
    }
}

// A peer whose static key is such a point would need no secret to finish the handshake.
TEST(NoiseSmallOrder, Static) {
    const NoiseIdentity node = identity(1);
    for (const char* hex : small_order) {
        const Bytes bytes = *from_hex(hex);
        crypto::PublicKey32 point;
        std::copy_n(bytes.begin(), 32, point.begin());
        const auto own = secret(90);
        {
            XxState peer{Role::responder, {}, own, point, secret(91)};
            NoiseHandshake initiator{config(Role::initiator, node), secret(7)};
            Bytes first = pull_all(initiator);
            ASSERT_TRUE(peer.read(MutableBytes{first}.subspan(2)));
            Bytes second(98);
            second[1] = 96;
            ASSERT_TRUE(peer.write({}, MutableBytes{second}.subspan(2)));
            const auto n = initiator.received(second);
            ASSERT_FALSE(n) << hex;
            EXPECT_EQ(n.error(), Errc::protocol_error);
        }
        XxState peer{Role::initiator, {}, own, point, secret(91)};
        NoiseHandshake responder{config(Role::responder, node), secret(7)};
        Bytes first(34);
        first[1] = 32;
        ASSERT_TRUE(peer.write({}, MutableBytes{first}.subspan(2)));
        ASSERT_TRUE(responder.received(first));
        Bytes second = pull_all(responder);
        ASSERT_TRUE(peer.read(MutableBytes{second}.subspan(2)));
        Bytes third(66);
        third[1] = 64;
        ASSERT_TRUE(peer.write({}, MutableBytes{third}.subspan(2)));
        const auto n = responder.received(third);
        ASSERT_FALSE(n) << hex;
        EXPECT_EQ(n.error(), Errc::protocol_error);
    }
}

}  // namespace
}  // namespace kith::handshake
