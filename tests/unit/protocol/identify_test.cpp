// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "protocol/identify/identify.hpp"
#include "unit/protocol/handlers.hpp"

namespace kith::protocol {
namespace {

struct IdentifyTest : ::testing::Test {
    IdentifyTest() {
        identify.set({*Multiaddr::parse("/ip4/10.0.0.1/tcp/4001")}, {"/b/1", "/a/1"});
        identify.link_up(link, at(1s), out);
    }
    StreamInfo info(std::string_view protocol, Direction direction, StreamRef ref = stream_a) {
        return {.ref = ref, .peer = peer(1), .protocol = protocol, .direction = direction, .caps = {}, .cookie = 1};
    }
    Bytes message(ByteView key, std::vector<std::string> protocols = {"/x/1"}) {
        wire::Identify m;
        m.public_key.assign(key.begin(), key.end());
        m.protocols = std::move(protocols);
        m.agent_version = "test";
        return wire::encode_identify(m);
    }
    const Bytes their_key{8, 1, 18, 3, 1, 2, 3};
    LinkInfo link{.link = LinkId{1},
                  .peer = peer(1),
                  .direction = Direction::outbound,
                  .caps = {},
                  .remote = *Multiaddr::parse("/ip4/10.0.0.2/tcp/5"),
                  .remote_key = their_key};
    Identify identify{Bytes{8, 1, 18, 1, 9}, "kith/test"};
    Actions out;
};

TEST_F(IdentifyTest, AsksOnEveryNewLink) {
    ASSERT_EQ(count<OpenStream>(out), 1U);
    EXPECT_EQ(last<OpenStream>(out)->protocol, Identify::id);
    EXPECT_EQ(last<OpenStream>(out)->link, LinkId{1});
}

TEST_F(IdentifyTest, TellsAndCloses) {
    identify.opened(info(Identify::id, Direction::inbound), at(1s), out);
    bool fin = false;
    const auto bytes = pull_all(identify, stream_a, at(1s), &fin, 10);
    EXPECT_TRUE(fin);
    wire::IdentifyReader reader;
    ASSERT_TRUE(reader.feed(bytes));
    const auto told = reader.finish();
    ASSERT_TRUE(told);
    EXPECT_EQ(told->agent_version, "kith/test");
    EXPECT_EQ(told->protocols, (std::vector<std::string>{"/a/1", "/b/1"}));
    EXPECT_EQ(told->listen_addrs.size(), 1U);
    EXPECT_EQ(told->observed, link.remote);
}

TEST_F(IdentifyTest, BelievesTheProvedKeyOnly) {
    for (const bool right : {true, false}) {
        out.clear();
        identify.opened(info(Identify::id, Direction::outbound), at(1s), out);
        const auto bytes = message(right ? ByteView{their_key} : ByteView{Bytes{8, 1, 18, 1, 7}});
        for (const auto byte : bytes) identify.received(stream_a, {&byte, 1}, at(1s), out);
        identify.finished(stream_a, at(1s), out);
        EXPECT_EQ(count<Identified>(out), right ? 1U : 0U);
        identify.closed(stream_a, {}, at(1s), out);
    }
    EXPECT_EQ(identify.streams(), 0U);
}

TEST_F(IdentifyTest, TooMuchOrMalformedIsReset) {
    for (const auto& bytes : {Bytes(100'000, 0x0A), Bytes{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}}) {
        out.clear();
        identify.opened(info(Identify::id, Direction::outbound), at(1s), out);
        for (std::size_t i = 0; i < bytes.size(); i += 4096) {
            identify.received(stream_a, ByteView{bytes}.subspan(i, std::min<std::size_t>(4096, bytes.size() - i)), at(1s), out);
        }
        identify.finished(stream_a, at(1s), out);
        EXPECT_EQ(count<Identified>(out), 0U);
        identify.closed(stream_a, {}, at(1s), out);
    }
}

TEST_F(IdentifyTest, PushesBeyondTheRateAreReset) {
    std::size_t refused = 0;
    for (std::uint32_t i = 0; i < 30; ++i) {
        out.clear();
        const StreamRef ref{LinkId{1}, StreamId{100 + i}};
        identify.opened(info(Identify::push_id, Direction::inbound, ref), at(1s), out);
        refused += count<ResetStream>(out);
    }
    EXPECT_EQ(refused, 20U);
    out.clear();
    identify.opened(info(Identify::push_id, Direction::inbound, {LinkId{1}, StreamId{999}}), at(2s), out);
    EXPECT_EQ(count<ResetStream>(out), 0U);  // one a second
}

TEST_F(IdentifyTest, PushesGoToThoseWhoListen) {
    out.clear();
    identify.push(out);
    EXPECT_TRUE(out.empty());
    identify.opened(info(Identify::id, Direction::outbound), at(1s), out);
    identify.received(stream_a, message(their_key, {std::string{Identify::push_id}}), at(1s), out);
    identify.finished(stream_a, at(1s), out);
    out.clear();
    identify.push(out);
    ASSERT_EQ(count<OpenStream>(out), 1U);
    EXPECT_EQ(last<OpenStream>(out)->protocol, Identify::push_id);
    identify.link_down(link, at(2s), out);
    out.clear();
    identify.push(out);
    EXPECT_TRUE(out.empty());
}

TEST_F(IdentifyTest, SetTellsWhetherItDiffers) {
    EXPECT_FALSE(identify.set({*Multiaddr::parse("/ip4/10.0.0.1/tcp/4001")}, {"/a/1", "/b/1"}));
    EXPECT_TRUE(identify.set({}, {"/a/1", "/b/1"}));
}

TEST_F(IdentifyTest, ASlowPeerIsGivenUp) {
    out.clear();
    identify.opened(info(Identify::id, Direction::outbound), at(1s), out);
    const auto timer = *last<SetTimer>(out);
    EXPECT_EQ(timer.at, at(1s) + Identify::patience);
    identify.timer(timer.key, timer.at, out);
    EXPECT_EQ(count<ResetStream>(out), 1U);
    EXPECT_EQ(identify.streams(), 0U);
}

TEST_F(IdentifyTest, AStreamOfALinkThatIsGone) {
    out.clear();
    identify.opened(info(Identify::id, Direction::inbound, {LinkId{5}, StreamId{1}}), at(1s), out);
    EXPECT_EQ(count<ResetStream>(out), 1U);
    EXPECT_EQ(identify.streams(), 0U);
}

}  // namespace
}  // namespace kith::protocol
