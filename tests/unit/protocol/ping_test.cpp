// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "protocol/ping/ping.hpp"
#include "unit/protocol/handlers.hpp"

namespace kith::protocol {
namespace {

struct PingTest : ::testing::Test {
    StreamInfo info(Direction direction, StreamRef ref = stream_a) {
        StreamInfo made{.ref = ref, .peer = peer(1), .protocol = Ping::id, .direction = direction, .caps = {}, .cookie = cookie};
        return made;
    }
    void ask(std::uint64_t op) {
        ping.ping(peer(1), OpId{op}, at(1s), out);
        if (const auto* open = last<OpenStream>(out)) {
            cookie = open->cookie;
            out.clear();
            ping.opened(info(Direction::outbound), at(1s), out);
        }
    }
    Ping ping{crypto::Secret32{}};
    Actions out;
    std::uint64_t cookie = 0;
};

TEST_F(PingTest, OneStreamForManyPings) {
    ask(1);
    ASSERT_NE(last<WantWrite>(out), nullptr);
    const auto first = pull_all(ping, stream_a, at(1s));
    ASSERT_EQ(first.size(), Ping::size);
    out.clear();
    ping.ping(peer(1), OpId{2}, at(1s), out);
    EXPECT_EQ(count<OpenStream>(out), 0U);
    ping.received(stream_a, ByteView{first}.first(10), at(2s), out);
    EXPECT_EQ(count<Complete>(out), 0U);
    ping.received(stream_a, ByteView{first}.subspan(10), at(3s), out);
    const auto* done = last<Complete>(out);
    ASSERT_NE(done, nullptr);
    EXPECT_EQ(done->op, OpId{1});
    EXPECT_EQ(std::get<Duration>(done->result), 2s);
    const auto second = pull_all(ping, stream_a, at(3s));
    EXPECT_EQ(second.size(), Ping::size);
    EXPECT_NE(second, first);
}

TEST_F(PingTest, AnAnswerThatDiffers) {
    ask(1);
    auto bytes = pull_all(ping, stream_a, at(1s));
    bytes[31] ^= 1;
    out.clear();
    ping.received(stream_a, bytes, at(2s), out);
    ASSERT_NE(last<Complete>(out), nullptr);
    EXPECT_EQ(error_of(*last<Complete>(out)), Errc::protocol_error);
    EXPECT_NE(last<ResetStream>(out), nullptr);
    EXPECT_EQ(ping.streams(), 0U);
}

TEST_F(PingTest, AnAnswerBeforeTheQuestionOrTooLong) {
    for (const std::size_t size : {1UL, 33UL, 100UL}) {
        Ping fresh{crypto::Secret32{}};
        Actions actions;
        fresh.ping(peer(1), OpId{1}, at(1s), actions);
        cookie = last<OpenStream>(actions)->cookie;
        fresh.opened(info(Direction::outbound), at(1s), actions);
        auto bytes = pull_all(fresh, stream_a, at(1s));
        bytes.resize(size, 7);
        if (size < 32) bytes[0] ^= 1;
        fresh.received(stream_a, bytes, at(2s), actions);
        ASSERT_NE(last<Complete>(actions), nullptr) << size;
        EXPECT_EQ(error_of(*last<Complete>(actions)), Errc::protocol_error) << size;
    }
}

TEST_F(PingTest, NoAnswerInTime) {
    ask(1);
    ping.ping(peer(1), OpId{2}, at(1s), out);
    const auto timer = *last<SetTimer>(out);
    EXPECT_EQ(timer.at, at(1s) + Ping::patience);
    out.clear();
    ping.timer(timer.key, timer.at, out);
    EXPECT_EQ(count<Complete>(out), 2U);
    EXPECT_EQ(error_of(*last<Complete>(out)), Errc::timeout);
    EXPECT_EQ(ping.streams(), 0U);
}

TEST_F(PingTest, AnIdleStreamIsGivenUp) {
    ask(1);
    const auto bytes = pull_all(ping, stream_a, at(1s));
    out.clear();
    ping.received(stream_a, bytes, at(1s), out);
    const auto timer = *last<SetTimer>(out);
    EXPECT_EQ(timer.at, at(1s) + Ping::idle);
    out.clear();
    ping.timer(timer.key, timer.at, out);
    EXPECT_EQ(count<ResetStream>(out), 1U);
    EXPECT_EQ(count<Complete>(out), 0U);
    EXPECT_EQ(ping.streams(), 0U);
}

TEST_F(PingTest, ACancelledPingTakesItsStreamAlong) {
    ask(1);
    out.clear();
    ping.cancel(OpId{1}, out);
    EXPECT_EQ(count<ResetStream>(out), 1U);
    EXPECT_EQ(count<ClearTimer>(out), 1U);
    EXPECT_EQ(count<Complete>(out), 0U);
    EXPECT_EQ(ping.streams(), 0U);
    out.clear();
    ping.cancel(OpId{1}, out);
    EXPECT_TRUE(out.empty());
}

TEST_F(PingTest, CancelledWhileItsStreamOpens) {
    ping.ping(peer(1), OpId{1}, at(1s), out);
    cookie = last<OpenStream>(out)->cookie;
    out.clear();
    ping.cancel(OpId{1}, out);
    EXPECT_EQ(ping.streams(), 0U);
    ping.opened(info(Direction::outbound), at(1s), out);
    EXPECT_EQ(count<ResetStream>(out), 1U);
    EXPECT_EQ(count<Complete>(out), 0U);
}

TEST_F(PingTest, OthersOnTheStreamOfACancelledPingGoOn) {
    ask(1);
    ping.ping(peer(1), OpId{2}, at(1s), out);
    ping.ping(peer(1), OpId{3}, at(1s), out);
    const auto first = pull_all(ping, stream_a, at(1s));
    out.clear();
    ping.cancel(OpId{1}, out);  // on its way
    ping.cancel(OpId{3}, out);  // waits
    EXPECT_TRUE(out.empty());
    ping.received(stream_a, first, at(2s), out);
    EXPECT_EQ(count<Complete>(out), 0U);
    const auto second = pull_all(ping, stream_a, at(2s));
    ASSERT_EQ(second.size(), Ping::size);
    ping.received(stream_a, second, at(3s), out);
    ASSERT_EQ(count<Complete>(out), 1U);
    EXPECT_EQ(last<Complete>(out)->op, OpId{2});
    // The last one that is wanted goes while nobody's echo is awaited.
    ping.ping(peer(1), OpId{4}, at(4s), out);
    ping.ping(peer(1), OpId{5}, at(4s), out);
    pull_all(ping, stream_a, at(4s));
    out.clear();
    ping.cancel(OpId{4}, out);
    ping.cancel(OpId{5}, out);
    EXPECT_EQ(count<ResetStream>(out), 1U);
    EXPECT_EQ(count<Complete>(out), 0U);
    EXPECT_EQ(ping.streams(), 0U);
}

TEST_F(PingTest, TooManyWait) {
    ask(1);
    for (std::uint64_t i = 0; i < Ping::max_waiting + 5; ++i) ping.ping(peer(1), OpId{10 + i}, at(1s), out);
    EXPECT_EQ(count<Complete>(out), 6U);
    EXPECT_EQ(error_of(*last<Complete>(out)), Errc::limit_exceeded);
}

TEST_F(PingTest, TheStreamEndsOrNeverOpens) {
    ask(1);
    out.clear();
    StreamEnd end;
    end.kind = StreamEnd::Kind::refused;
    end.error = {Errc::not_supported};
    ping.closed(stream_a, end, at(2s), out);
    EXPECT_EQ(error_of(*last<Complete>(out)), Errc::not_supported);
    out.clear();
    ping.ping(peer(1), OpId{2}, at(3s), out);
    ping.open_failed(peer(1), last<OpenStream>(out)->cookie, Errc::not_connected, at(3s), out);
    EXPECT_EQ(error_of(*last<Complete>(out)), Errc::not_connected);
    EXPECT_EQ(ping.streams(), 0U);
}

TEST_F(PingTest, AnswersWithTheSameBytes) {
    ping.opened(info(Direction::inbound, stream_b), at(1s), out);
    Bytes question(32);
    for (std::size_t i = 0; i < 32; ++i) question[i] = static_cast<std::uint8_t>(i);
    for (int round = 0; round < 3; ++round) {
        EXPECT_EQ(ping.received(stream_b, ByteView{question}.first(5), at(1s), out), 5U);
        EXPECT_TRUE(pull_all(ping, stream_b, at(1s)).empty());
        EXPECT_EQ(ping.received(stream_b, ByteView{question}.subspan(5), at(1s), out), 27U);
        EXPECT_EQ(pull_all(ping, stream_b, at(1s), nullptr, 7), question);
    }
    bool fin = false;
    ping.finished(stream_b, at(1s), out);
    EXPECT_TRUE(pull_all(ping, stream_b, at(1s), &fin).empty());
    EXPECT_TRUE(fin);
}

TEST_F(PingTest, AFloodIsReset) {
    ping.opened(info(Direction::inbound, stream_b), at(1s), out);
    ping.received(stream_b, Bytes(100, 1), at(1s), out);
    EXPECT_EQ(count<ResetStream>(out), 1U);
    EXPECT_EQ(ping.streams(), 0U);
}

}  // namespace
}  // namespace kith::protocol
