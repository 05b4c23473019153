// SPDX-License-Identifier: Apache-2.0
#include "handshake/noise.hpp"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/hex.hpp"
#include "fuzz/handshake/noise_peers.hpp"

namespace kith::handshake {
namespace {

using testing::config;
using testing::id_of;
using testing::identity;
using testing::Pair;
using testing::pull_all;
using testing::secret;

Bytes record_of(NoiseSession& from, std::string_view text) {
    Bytes out(text.size() + NoiseSession::overhead);
    std::copy(text.begin(), text.end(), out.begin() + NoiseSession::header_size);
    EXPECT_TRUE(from.seal(out, text.size()));
    return out;
}

void expect_talk(NoiseSession& from, NoiseSession& to) {
    Bytes wire = record_of(from, "hello");
    MutableBytes in = wire;
    const auto opened = to.open(in);
    ASSERT_TRUE(opened && *opened);
    EXPECT_EQ(as_text(**opened), "hello");
}

TEST(NoiseHandshake, BothSidesKnowEachOther) {
    Pair pair;
    EXPECT_TRUE(pair.initiator.wants_pull());
    EXPECT_FALSE(pair.responder.wants_pull());
    ASSERT_TRUE(pair.run());
    auto a = pair.initiator.take_outcome();
    auto b = pair.responder.take_outcome();
    EXPECT_EQ(a.peer, id_of(pair.bob));
    EXPECT_EQ(b.peer, id_of(pair.alice));
    EXPECT_EQ(a.remote_key, pair.bob.identity_key);
    EXPECT_EQ(b.remote_key, pair.alice.identity_key);
    EXPECT_EQ(a.handshake_hash, b.handshake_hash);
    EXPECT_NE(a.handshake_hash, crypto::Digest{});
    EXPECT_EQ(a.muxer, "");
    EXPECT_EQ(b.muxer, "");
    expect_talk(a.session, b.session);
    expect_talk(b.session, a.session);
}

// The messages of one exchange, as they go over the wire.
std::array<Bytes, 3> messages(Pair& pair) {
    std::array<Bytes, 3> out;
    out[0] = pull_all(pair.initiator);
    EXPECT_TRUE(pair.responder.received(out[0]));
    out[1] = pull_all(pair.responder);
    EXPECT_TRUE(pair.initiator.received(out[1]));
    out[2] = pull_all(pair.initiator);
    return out;
}

TEST(NoiseHandshake, EverySplitOfEveryMessage) {
    Pair sample;
    const auto wire = messages(sample);
    ASSERT_EQ(wire[0].size(), 34U);
    for (std::size_t index = 0; index < 3; ++index) {
        for (std::size_t cut = 0; cut <= wire[index].size(); ++cut) {
            Pair pair;
            for (std::size_t i = 0; i < 3; ++i) {
                NoiseHandshake& from = i == 1 ? pair.responder : pair.initiator;
                NoiseHandshake& to = i == 1 ? pair.initiator : pair.responder;
                const Bytes sent = pull_all(from, 1 + cut);
                ASSERT_EQ(sent, wire[i]) << "the same secrets make the same bytes, however they are pulled";
                const std::size_t split = i == index ? cut : sent.size();
                ASSERT_EQ(to.received(ByteView{sent}.first(split)).value_or(9999U), split);
                ASSERT_EQ(to.received(ByteView{sent}.subspan(split)).value_or(9999U), sent.size() - split);
            }
            ASSERT_TRUE(pair.initiator.done() && pair.responder.done()) << index << ' ' << cut;
        }
    }
}

TEST(NoiseHandshake, OneByteAtATime) {
    Pair pair;
    for (int i = 0; i < 3; ++i) {
        NoiseHandshake& from = i == 1 ? pair.responder : pair.initiator;
        NoiseHandshake& to = i == 1 ? pair.initiator : pair.responder;
        for (const auto byte : pull_all(from, 1)) ASSERT_EQ(to.received({&byte, 1}).value_or(0U), 1U);
    }
    EXPECT_TRUE(pair.initiator.done() && pair.responder.done());
}

TEST(NoiseHandshake, EveryFlippedBitEndsIt) {
    Pair sample;
    const auto sizes = messages(sample);
    for (std::size_t index = 0; index < 3; ++index) {
        for (std::size_t at = 0; at < sizes[index].size(); ++at) {
            for (const std::uint8_t mask : {std::uint8_t{0x01}, std::uint8_t{0x80}}) {
                Pair pair;
                bool refused = false;
                for (std::size_t i = 0; i < 3 && !refused; ++i) {
                    NoiseHandshake& from = i == 1 ? pair.responder : pair.initiator;
                    NoiseHandshake& to = i == 1 ? pair.initiator : pair.responder;
                    Bytes sent = pull_all(from);
                    if (i == index) sent[at] ^= mask;
                    const auto n = to.received(sent);
                    refused = !n;
                    if (n && !from.wants_pull() && !to.wants_pull() && !to.done()) {
                        // A longer length was announced: the receiver waits for the rest, which is no part of the handshake.
                        ASSERT_LT(at, 2U);
                        refused = !to.received(Bytes(65535));
                    }
                }
                ASSERT_TRUE(refused) << "message " << index << " byte " << at;
                ASSERT_FALSE(pair.responder.done());
                ASSERT_FALSE(pair.initiator.done() && index < 2);
            }
        }
    }
}

TEST(NoiseHandshake, RecordsBehindTheLastMessageAreLeft) {
    Pair pair;
    auto wire = messages(pair);
    ASSERT_TRUE(pair.initiator.done());
    auto a = pair.initiator.take_outcome();
    const std::size_t handshake = wire[2].size();
    const Bytes record = record_of(a.session, "early");
    wire[2].insert(wire[2].end(), record.begin(), record.end());
    ASSERT_EQ(pair.responder.received(wire[2]).value_or(0U), handshake);
    ASSERT_TRUE(pair.responder.done());
    EXPECT_EQ(pair.responder.received(record).value_or(99U), 0U) << "not the handshake's";
    auto b = pair.responder.take_outcome();
    MutableBytes in = MutableBytes{wire[2]}.subspan(handshake);
    const auto opened = b.session.open(in);
    ASSERT_TRUE(opened && *opened);
    EXPECT_EQ(as_text(**opened), "early");
}

TEST(NoiseHandshake, InitiatorIsDoneOnlyWhenTheLastMessageIsPulled) {
    Pair pair;
    ASSERT_TRUE(pair.responder.received(pull_all(pair.initiator)));
    ASSERT_TRUE(pair.initiator.received(pull_all(pair.responder)));
    EXPECT_FALSE(pair.initiator.done()) << "a record may not overtake it";
    Bytes some(10);
    pair.initiator.pull(some);
    EXPECT_FALSE(pair.initiator.done());
    pull_all(pair.initiator);
    EXPECT_TRUE(pair.initiator.done());
}

TEST(NoiseHandshake, BytesOutOfTurn) {
    {
        Pair pair;  // the initiator has sent nothing yet
        const auto n = pair.initiator.received(Bytes{0});
        ASSERT_FALSE(n);
        EXPECT_EQ(n.error(), Errc::protocol_error);
        EXPECT_FALSE(pair.initiator.wants_pull());
    }
    {
        Pair pair;  // more than message 1
        Bytes first = pull_all(pair.initiator);
        first.push_back(0);
        const auto n = pair.responder.received(first);
        ASSERT_FALSE(n);
        EXPECT_EQ(n.error(), Errc::protocol_error);
        EXPECT_FALSE(pair.responder.wants_pull());
    }
    {
        Pair pair;  // more than message 2
        ASSERT_TRUE(pair.responder.received(pull_all(pair.initiator)));
        Bytes second = pull_all(pair.responder);
        second.push_back(0);
        EXPECT_FALSE(pair.initiator.received(second));
        EXPECT_FALSE(pair.initiator.wants_pull()) << "its identity is not shown";
    }
}

TEST(NoiseHandshake, ExpectedPeer) {
    {
        Pair pair{{}, {}, id_of(identity(50))};
        EXPECT_TRUE(pair.run());
    }
    const PeerId other = id_of(identity(99));
    Pair pair{{}, {}, other};
    Status status = pair.run();
    ASSERT_FALSE(status);
    const Error error = std::move(status).error();
    EXPECT_EQ(error, Errc::wrong_peer);
    EXPECT_NE(error.detail.find(other.text()), std::string::npos);
    EXPECT_NE(error.detail.find(id_of(pair.bob).text()), std::string::npos);
    EXPECT_FALSE(pair.initiator.wants_pull()) << "message 3 is never sent";
    EXPECT_FALSE(pair.initiator.done());
}

TEST(NoiseHandshake, ResponderMayExpectToo) {
    const NoiseIdentity alice = identity(1);
    const NoiseIdentity bob = identity(50);
    for (const std::uint8_t seed : {std::uint8_t{1}, std::uint8_t{99}}) {
        NoiseHandshake a{config(Role::initiator, alice), secret(7)};
        NoiseHandshake b{config(Role::responder, bob, {}, id_of(identity(seed))), secret(77)};
        ASSERT_TRUE(b.received(pull_all(a)));
        ASSERT_TRUE(a.received(pull_all(b)));
        const auto n = b.received(pull_all(a));
        EXPECT_EQ(n.has_value(), seed == 1);
        if (!n) {
            EXPECT_EQ(n.error(), Errc::wrong_peer);
        }
    }
}

TEST(NoiseHandshake, Framing) {
    const struct {
        const char* why;
        Bytes in;
    } first[] = {
        {"empty message", {0, 0}},
        {"too short", {0, 31}},
        {"a payload in the clear", {0, 33}},
        {"largest", {0xFF, 0xFF}},
    };
    for (const auto& c : first) {
        Pair pair;
        const auto n = pair.responder.received(c.in);
        ASSERT_FALSE(n) << c.why;
        EXPECT_EQ(n.error(), Errc::protocol_error) << c.why;
        EXPECT_FALSE(pair.responder.received(c.in)) << "final";
    }
    const Bytes second[] = {{0, 0}, {0, 95}, {0x20, 0x01}, {0xFF, 0xFF}};  // 0x2001 = max_message + 1
    for (const auto& in : second) {
        Pair pair;
        pull_all(pair.initiator);
        const auto n = pair.initiator.received(in);
        ASSERT_FALSE(n);
        EXPECT_EQ(n.error(), Errc::protocol_error);
    }
    const Bytes third[] = {{0, 0}, {0, 63}, {0x20, 0x01}};
    for (const auto& in : third) {
        Pair pair;
        ASSERT_TRUE(pair.responder.received(pull_all(pair.initiator)));
        pull_all(pair.responder);
        EXPECT_FALSE(pair.responder.received(in));
    }
}

TEST(NoiseHandshake, TruncatedMessageNeverCompletes) {
    Pair sample;
    const auto wire = messages(sample);
    Pair pair;
    ASSERT_TRUE(pair.responder.received(pull_all(pair.initiator)));
    pull_all(pair.responder);
    ASSERT_TRUE(pair.responder.received(ByteView{wire[2]}.first(wire[2].size() - 1)));
    EXPECT_FALSE(pair.responder.done());
    // Cut by one byte and announced so: the tag is wrong.
    Pair other;
    ASSERT_TRUE(other.responder.received(pull_all(other.initiator)));
    pull_all(other.responder);
    Bytes cut(wire[2].begin(), wire[2].end() - 1);
    cut[1] = static_cast<std::uint8_t>(cut[1] - 1);
    const auto n = other.responder.received(cut);
    ASSERT_FALSE(n);
    EXPECT_EQ(n.error(), Errc::decrypt_failed);
}

TEST(NoiseHandshake, ReplayFromAnotherHandshake) {
    Pair old;
    const auto wire = messages(old);
    const NoiseIdentity bob = identity(50);
    NoiseHandshake responder{config(Role::responder, bob), secret(200)};  // another ephemeral key
    ASSERT_TRUE(responder.received(wire[0]));
    pull_all(responder);
    const auto n = responder.received(wire[2]);
    ASSERT_FALSE(n);
    EXPECT_EQ(n.error(), Errc::decrypt_failed);
}

TEST(NoiseHandshake, EarlyMuxer) {
    using List = std::vector<std::string>;
    const std::string y = "/yamux/1.0.0";
    const std::string m = "/mplex/6.7.0";
    const std::string q = "/other/1";
    const struct {
        List initiator;
        List responder;
        std::optional<std::string> agreed;  // nothing: the handshake fails
    } cases[] = {
        {{}, {}, ""},        {{y}, {}, ""},       {{}, {y}, ""},  {{y}, {y}, y},     {{y, m}, {m, y}, y},
        {{m, y}, {y, m}, m}, {{q, y}, {m, y}, y}, {{y}, {m}, {}}, {{y, q}, {m}, {}}, {{m, y}, {y}, y},
    };
    for (const auto& c : cases) {
        Pair pair{c.initiator, c.responder};
        Status status = pair.run();
        if (!c.agreed) {
            ASSERT_FALSE(status);
            EXPECT_EQ(status.error(), Errc::handshake_failed);
            EXPECT_FALSE(pair.initiator.done()) << "refused on message 2";
            continue;
        }
        ASSERT_TRUE(status);
        EXPECT_EQ(pair.initiator.take_outcome().muxer, *c.agreed);
        EXPECT_EQ(pair.responder.take_outcome().muxer, *c.agreed);
    }
}

TEST(NoiseIdentity, SignsAsJsDoes) {
    std::ifstream file{std::string{KITH_TEST_DATA} + "/libp2p_js.json"};
    const auto js = nlohmann::json::parse(file);
    const auto bytes = [&js](const char* name) { return from_hex(js.at(name).get<std::string>()).value(); };
    const Bytes seed = bytes("seed");
    const crypto::SigningKey key{std::span<const std::uint8_t, 32>{seed}};
    crypto::PublicKey32 static_public;
    const Bytes given = bytes("noiseSigStatic");
    std::copy_n(given.begin(), 32, static_public.begin());
    EXPECT_EQ(to_hex(key.sign(testing::text_to_sign(static_public))), js.at("noiseSig").get<std::string>());
    const NoiseIdentity who = make_noise_identity(key, secret(3));
    EXPECT_EQ(who.identity_key, bytes("publicKeyProtobuf"));
    EXPECT_EQ(id_of(who).text(), js.at("peerId").get<std::string>());
    EXPECT_EQ(who.static_public, crypto::x25519_public(secret(3)));
    EXPECT_EQ(to_hex(key.sign(testing::text_to_sign(who.static_public))), to_hex(who.identity_sig));
}

}  // namespace
}  // namespace kith::handshake
