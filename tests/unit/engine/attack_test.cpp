// SPDX-License-Identifier: Apache-2.0
// Strangers that break rules: each ends with a clear end and bounded memory.
#include <gtest/gtest.h>

#include "handshake/multistream.hpp"
#include "unit/engine/harness.hpp"
#include "wire/kith_frames.hpp"

namespace kith::engine {
namespace {

struct Attack : Net {
    Attack() {
        add([](Config& c) {
            c.gate.links_per_second_per_address = 1e6;
            c.gate.links_per_second = 1e6;
        });
    }
    Engine& engine() { return world.engine(0); }
};

TEST_F(Attack, LinksOfOneAddressAreLimited) {
    std::vector<LinkId> links;
    std::size_t refused = 0;
    for (int i = 0; i < 100; ++i) {
        const auto link = engine().accepted({}, {IpAddress::v4(10, 9, 9, 9), 1}, world.now());
        if (!link) ++refused;
        links.push_back(link);
    }
    EXPECT_EQ(100 - refused, peer::GateConfig{}.max_handshakes_per_address);
    EXPECT_EQ(engine().stats().links_refused, refused);
    EXPECT_TRUE(engine().accepted({}, {IpAddress::v4(10, 9, 9, 8), 1}, world.now()));
}

TEST_F(Attack, TheHandshakeHasOneDeadline) {
    // A byte each second does not extend it.
    const auto link = engine().accepted({}, {IpAddress::v4(10, 9, 9, 9), 1}, world.now());
    ASSERT_TRUE(link);
    std::string header;
    handshake::mss::append_message(header, handshake::mss::header);
    auto now = world.now();
    for (std::size_t i = 0; i < 15; ++i) {
        Bytes byte{static_cast<std::uint8_t>(header[i])};
        engine().received(link, byte, now);
        now = now + 1s;
        engine().tick(now);
        if (!engine().outputs().close_links.empty()) break;
    }
    ASSERT_EQ(engine().outputs().close_links.size(), 1U);
    EXPECT_EQ(now - world.now(), engine().config().handshake_timeout);
    engine().link_closed(link, Error{Errc::cancelled}, now);
    EXPECT_EQ(engine().links(), 0U);
    EXPECT_EQ(engine().timers(), 0U);
    EXPECT_EQ(engine().stats().links_failed, 1U);
}

TEST_F(Attack, ManyProposalsEndTheLink) {
    const auto link = engine().accepted({}, {IpAddress::v4(10, 9, 9, 9), 1}, world.now());
    std::string text;
    handshake::mss::append_message(text, handshake::mss::header);
    for (int i = 0; i < 10'000; ++i) handshake::mss::append_message(text, "/unknown/" + std::to_string(i));
    Bytes bytes(text.begin(), text.end());
    engine().received(link, bytes, world.now());
    EXPECT_EQ(engine().outputs().close_links.size(), 1U);
}

TEST_F(Attack, ManyProposalsOnAStreamResetIt) {
    Stranger s(engine(), 1, world.now());
    ASSERT_TRUE(s.run(world.now()));
    ASSERT_TRUE(s.open);
    for (int round = 0; round < 50; ++round) {
        std::vector<StreamId> opened;
        for (int i = 0; i < 100; ++i) {
            const auto stream = s.connection->open("/unknown/" + std::to_string(i), false, 1);
            ASSERT_TRUE(stream);
            opened.push_back(*stream);
        }
        ASSERT_TRUE(s.run(world.now()));
        for (const auto stream : opened) s.connection->reset(stream);
        ASSERT_TRUE(s.run(world.now()));
    }
    EXPECT_LE(engine().load().connection_streams, 4U);
    EXPECT_EQ(s.refused, 5000U);
}

TEST_F(Attack, AStreamFloodIsRefusedAndTheLinkLives) {
    Stranger s(engine(), 1, world.now());
    ASSERT_TRUE(s.run(world.now()));
    for (int i = 0; i < 1000; ++i) {
        const auto stream = s.connection->open("/ipfs/ping/1.0.0", true, 1);
        ASSERT_TRUE(stream);
        s.say(*stream, std::string(32, 'x'));
    }
    ASSERT_TRUE(s.run(world.now()));
    EXPECT_LE(engine().load().streams, 10U);
    EXPECT_LE(engine().load().connection_streams, engine().config().max_streams_per_link);
    EXPECT_GE(s.resets, 990U);
    EXPECT_FALSE(s.closed);
    // More at once than a peer that reads its answers could cause: the link ends.
    for (int i = 0; i < 2000; ++i) {
        const auto stream = s.connection->open("/ipfs/ping/1.0.0", true, 1);
        ASSERT_TRUE(stream);
        s.say(*stream, std::string(32, 'x'));
    }
    EXPECT_FALSE(s.run(world.now()));
    EXPECT_EQ(engine().load().streams, 0U);
}

TEST_F(Attack, StreamsThatProposeNothingGoAway) {
    Stranger s(engine(), 1, world.now());
    ASSERT_TRUE(s.run(world.now()));
    const auto before = engine().load().connection_streams;
    // Each proposes what nobody serves and never reads the refusal: the engine waits for its next proposal.
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(s.connection->open("/test/unknown", false, 1));
    s.give(s.write(), world.now());
    ASSERT_EQ(engine().load().connection_streams, before + 20);
    engine().tick(world.now() + (engine().config().negotiation_timeout - std::chrono::milliseconds{1}));
    EXPECT_EQ(engine().load().connection_streams, before + 20);
    engine().tick(world.now() + engine().config().negotiation_timeout + std::chrono::milliseconds{1});
    EXPECT_LE(engine().load().connection_streams, before);
    EXPECT_EQ(engine().links(), 1U) << "the link itself is not to blame";
}

TEST_F(Attack, BadMessageFramesEndTheStreamOnly) {
    Stranger s(engine(), 1, world.now());
    ASSERT_TRUE(s.run(world.now()));
    for (int i = 0; i < 200; ++i) {
        const auto stream = s.connection->open(message_protocol, true, 1);
        ASSERT_TRUE(stream);
        s.say(*stream, std::string("\x04\x03\x00\x01z", 5));  // DATA before HELLO
        ASSERT_TRUE(s.run(world.now()));
    }
    EXPECT_EQ(s.resets, 200U);
    EXPECT_LE(engine().load().streams, 4U);
    EXPECT_LT(engine().load().receiver_bytes, 2000U);
}

TEST_F(Attack, ManyMessageStreamsWithoutHello) {
    Stranger s(engine(), 1, world.now());
    ASSERT_TRUE(s.run(world.now()));
    for (int i = 0; i < 100; ++i) {
        const auto stream = s.connection->open(message_protocol, true, 1);
        s.say(*stream, std::string(1, '\0'));
    }
    ASSERT_TRUE(s.run(world.now()));
    EXPECT_GE(s.resets, 90U);
    EXPECT_LE(engine().load().streams, 10U);
}

// Each with a key of its own, each with messages: what is kept of strangers is bounded.
TEST_F(Attack, FreshIdentitiesDoNotGrowTheTables) {
    World small(2);
    const auto n = small.add_node([](Config& c) {
        c.gate.links_per_second_per_address = 1e6;
        c.gate.links_per_second = 1e6;
        c.max_peers_remembered = 20;
        c.max_peers_known = 30;
    });
    auto& e = small.engine(n);
    Instant now = small.now();
    for (std::uint64_t i = 1; i <= 700; ++i) {
        Stranger s(e, i, now);
        ASSERT_TRUE(s.link) << i;
        ASSERT_TRUE(s.run(now));
        if (i % 2 == 0) {  // half of them leave received messages to be remembered
            const auto stream = s.connection->open(message_protocol, true, 1);
            wire::Hello hello;
            hello.lanes = {{.id = 0, .channel = "a", .strength = 1, .priority = 1, .epoch = i, .first = 1, .settled = 0, .next = 2}};
            Bytes frames;
            wire::append_hello(frames, hello);
            const Bytes message{0x04, 0x03, 0x00, 0x01, 'z'};
            frames.insert(frames.end(), message.begin(), message.end());
            s.say(*stream, as_text(frames));
            ASSERT_TRUE(s.run(now));
        }
        e.link_closed(s.link, Error{Errc::link_lost}, now);
        e.outputs().events.clear();
        now = now + 10ms;
        e.tick(now);
    }
    const auto load = e.load();
    EXPECT_EQ(load.links, 0U);
    EXPECT_LE(load.peers, 21U);
    EXPECT_LE(load.known, 30U);
    EXPECT_LE(load.peer_slots, 300U);  // and free ones, kept for a while
    EXPECT_EQ(load.timers, 0U);
    EXPECT_EQ(load.streams, 0U);
}

// A late answer of the application for a peer that was forgotten must not reach the one that has its slot now.
TEST_F(Attack, ALateAnswerOfAForgottenPeerIsHarmless) {
    World small(2);
    const auto n = small.add_node([](Config& c) { c.max_peers_remembered = 0; });
    auto& e = small.engine(n);
    PeerTable table;
    auto& first = table.get(world.node(0).id);
    const auto source = first.source;
    EXPECT_EQ(table.by_source(source), &first);
    table.erase(first.slot);
    EXPECT_EQ(table.by_source(source), nullptr);
    for (std::uint8_t i = 0; i < 255; ++i) {
        std::array<std::uint8_t, PeerId::classic_size> bytes{};
        bytes[0] = i;
        auto& peer = table.get(PeerId::classic(bytes));
        EXPECT_NE(peer.source, source);
        table.erase(peer.slot);
    }
    for (int round = 0; round < 3000; ++round) {
        std::array<std::uint8_t, PeerId::classic_size> bytes{};
        bytes[1] = static_cast<std::uint8_t>(round);
        bytes[2] = static_cast<std::uint8_t>(round >> 8);
        auto& peer = table.get(PeerId::classic(bytes));
        EXPECT_NE(peer.source, source);
        table.erase(peer.slot);
    }
    EXPECT_LE(table.slots(), 300U);
    EXPECT_EQ(table.size(), 0U);
    e.consumed(source, 0, 1, 1, small.now());  // nobody
    e.consumed(0xFFFFFFFF, 0, 1, 1, small.now());
}

TEST_F(Attack, ADamagedRecordIsCounted) {
    Stranger s(engine(), 1, world.now());
    ASSERT_TRUE(s.run(world.now()));
    const auto stream = s.connection->open("/ipfs/ping/1.0.0", true, 1);
    s.say(*stream, std::string(32, 'x'));
    auto bytes = s.write();
    bytes[bytes.size() / 2] ^= 4;
    s.give(bytes, world.now());
    EXPECT_TRUE(s.closed);
    EXPECT_EQ(engine().stats().decrypt_failures, 1U);
    EXPECT_EQ(engine().links(), 0U);
}

}  // namespace
}  // namespace kith::engine
