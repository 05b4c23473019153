// SPDX-License-Identifier: Apache-2.0
#include "handshake/noise_state.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "base/hex.hpp"

namespace kith::handshake {
namespace {

nlohmann::json load(const std::string& name) {
    std::ifstream file{std::string{KITH_TEST_DATA} + "/" + name};
    return nlohmann::json::parse(file);
}

Bytes hex(const nlohmann::json& value) {
    auto bytes = from_hex(value.get<std::string>());
    EXPECT_TRUE(bytes);
    return bytes.value_or(Bytes{});
}

crypto::Secret32 secret(const nlohmann::json& value) { return crypto::Secret32{std::span<const std::uint8_t, 32>{hex(value)}}; }

TEST(NoiseVectors, All) {
    const auto vectors = load("noise_xx_25519_chachapoly_sha256.json").at("vectors");
    ASSERT_EQ(vectors.size(), 4U);
    std::size_t messages = 0;
    std::size_t hashes = 0;
    for (const auto& v : vectors) {
        SCOPED_TRACE(v.at("source").get<std::string>());
        const auto init_static = secret(v.at("init_static"));
        const auto resp_static = secret(v.at("resp_static"));
        const Bytes prologue = hex(v.at("init_prologue"));
        XxState sides[2] = {
            XxState{Role::initiator, prologue, init_static, crypto::x25519_public(init_static), secret(v.at("init_ephemeral"))},
            XxState{Role::responder, hex(v.at("resp_prologue")), resp_static, crypto::x25519_public(resp_static),
                    secret(v.at("resp_ephemeral"))},
        };
        std::optional<SymmetricState::Ciphers> ciphers[2];
        unsigned index = 0;
        for (const auto& m : v.at("messages")) {
            SCOPED_TRACE(index);
            const Bytes payload = hex(m.at("payload"));
            const Bytes expected = hex(m.at("ciphertext"));
            const unsigned from = index % 2;
            Bytes wire;
            if (index < XxState::messages) {
                wire.resize(XxState::overhead(index) + payload.size());
                ASSERT_EQ(sides[from].write(payload, wire).value_or(0U), wire.size());
                ASSERT_EQ(wire, expected);
                const auto read = sides[1 - from].read(wire);
                ASSERT_TRUE(read);
                EXPECT_EQ(Bytes(read->begin(), read->end()), payload);
                if (index == 2) {
                    ASSERT_TRUE(sides[0].finished() && sides[1].finished());
                    EXPECT_EQ(sides[0].handshake_hash(), sides[1].handshake_hash());
                    EXPECT_EQ(sides[1].remote_static(), crypto::x25519_public(init_static));
                    EXPECT_EQ(sides[0].remote_static(), crypto::x25519_public(resp_static));
                    if (v.contains("handshake_hash")) {
                        EXPECT_EQ(to_hex(sides[0].handshake_hash()), v.at("handshake_hash").get<std::string>());
                        ++hashes;
                    }
                    for (int i = 0; i < 2; ++i) ciphers[i].emplace(sides[i].split());
                }
            } else {
                wire = payload;
                wire.resize(payload.size() + CipherState::tag_size);
                auto& sender = from == 0 ? ciphers[0]->of_initiator : ciphers[1]->of_responder;
                auto& receiver = from == 0 ? ciphers[1]->of_initiator : ciphers[0]->of_responder;
                ASSERT_TRUE(sender.seal({}, wire));
                ASSERT_EQ(wire, expected);
                const auto opened = receiver.open({}, wire);
                ASSERT_TRUE(opened);
                EXPECT_EQ(Bytes(opened->begin(), opened->end()), payload);
            }
            ++index;
            ++messages;
        }
    }
    EXPECT_EQ(messages, 23U);
    EXPECT_EQ(hashes, 2U);
}

TEST(NoiseState, AnotherPrologueFails) {
    const crypto::Secret32 s{};
    const auto p = crypto::x25519_public(s);
    XxState a{Role::initiator, as_bytes("one"), s, p, crypto::Secret32{}};
    XxState b{Role::responder, as_bytes("two"), s, p, crypto::Secret32{}};
    Bytes wire(200);
    ASSERT_TRUE(a.write({}, wire));
    ASSERT_TRUE(b.read(MutableBytes{wire}.first(32)));
    const auto n = b.write({}, wire);
    ASSERT_TRUE(n);
    const auto read = a.read(MutableBytes{wire}.first(*n));
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error(), Errc::decrypt_failed);
}

TEST(NoiseState, TurnsRoomAndSizes) {
    const crypto::Secret32 s{};
    XxState a{Role::initiator, {}, s, crypto::x25519_public(s), crypto::Secret32{}};
    XxState b{Role::responder, {}, s, crypto::x25519_public(s), crypto::Secret32{}};
    Bytes wire(200);
    EXPECT_EQ(a.read(wire).error(), Errc::invalid_argument);
    EXPECT_EQ(b.write({}, wire).error(), Errc::invalid_argument);
    EXPECT_EQ(a.write(as_bytes("x"), MutableBytes{wire}.first(32)).error(), Errc::invalid_argument);
    ASSERT_TRUE(a.write({}, wire));
    EXPECT_EQ(b.read(MutableBytes{wire}.first(31)).error(), Errc::protocol_error);
}

TEST(NoiseState, NumbersRunOut) {
    CipherState send{crypto::Secret32{}};
    CipherState receive{crypto::Secret32{}};
    constexpr auto last = std::numeric_limits<std::uint64_t>::max();
    send.set_nonce(last - 1);
    receive.set_nonce(last - 1);
    Bytes record(20);
    ASSERT_TRUE(send.seal({}, record));
    ASSERT_TRUE(receive.open({}, record));
    EXPECT_EQ(send.nonce(), last);
    const Bytes before = record;
    EXPECT_EQ(send.seal({}, record).error(), Errc::limit_exceeded);
    EXPECT_EQ(record, before);
    EXPECT_EQ(receive.open({}, record).error(), Errc::limit_exceeded);
    EXPECT_EQ(send.nonce(), last) << "never wraps to 0";
}

}  // namespace
}  // namespace kith::handshake
