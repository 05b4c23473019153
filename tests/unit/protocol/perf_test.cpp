// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "protocol/perf/perf.hpp"
#include "unit/protocol/handlers.hpp"

namespace kith::protocol {
namespace {

struct PerfTest : ::testing::Test {
    void begin(std::uint64_t upload, std::uint64_t download) {
        client.run(peer(1), upload, download, OpId{1}, at(1s), out);
        const auto cookie = last<OpenStream>(out)->cookie;
        client.opened(
            {.ref = stream_a, .peer = peer(1), .protocol = Perf::id, .direction = Direction::outbound, .caps = {}, .cookie = cookie},
            at(1s), out);
        server.opened({.ref = stream_b, .peer = peer(2), .protocol = Perf::id, .direction = Direction::inbound, .caps = {}, .cookie = 0},
                      at(1s), out);
        out.clear();
    }
    Perf client;
    Perf server;
    Actions out;
};

TEST_F(PerfTest, UploadsThenDownloads) {
    for (const auto& [up, down] : {std::pair{0UL, 0UL}, std::pair{1UL, 0UL}, std::pair{0UL, 1UL}, std::pair{100'000UL, 54'321UL}}) {
        client = {};
        server = {};
        begin(up, down);
        bool fin = false;
        const auto sent = pull_all(client, stream_a, at(2s), &fin);
        EXPECT_TRUE(fin);
        EXPECT_EQ(sent.size(), 8 + up);
        for (std::size_t i = 0; i < sent.size(); i += 3) {
            server.received(stream_b, ByteView{sent}.subspan(i, std::min<std::size_t>(3, sent.size() - i)), at(2s), out);
        }
        server.finished(stream_b, at(2s), out);
        fin = false;
        const auto back = pull_all(server, stream_b, at(3s), &fin);
        EXPECT_TRUE(fin);
        EXPECT_EQ(back.size(), down);
        if (!back.empty()) client.received(stream_a, back, at(3s), out);
        client.finished(stream_a, at(4s), out);
        ASSERT_NE(last<Complete>(out), nullptr);
        const auto& numbers = std::get<std::vector<std::uint64_t>>(last<Complete>(out)->result);
        EXPECT_EQ(numbers[0], up);
        EXPECT_EQ(numbers[1], down);
        EXPECT_EQ(client.streams(), 0U);
    }
}

// js-libp2p's server takes the number from the first chunk that it reads.
TEST_F(PerfTest, TheEightBytesNeverSpanTwoFrames) {
    begin(5, 7);
    Bytes room(20);
    for (std::size_t small = 0; small < 8; ++small) {
        const auto pulled = client.pull(stream_a, MutableBytes{room}.first(small), at(2s));
        EXPECT_EQ(pulled.bytes, 0U);
        EXPECT_TRUE(pulled.more && !pulled.fin);
    }
    EXPECT_EQ(client.pull(stream_a, MutableBytes{room}.first(8), at(2s)).bytes, 8U);
    EXPECT_EQ(room[7], 7);
    const auto rest = client.pull(stream_a, room, at(2s));
    EXPECT_EQ(rest.bytes, 5U);
    EXPECT_TRUE(rest.fin && !rest.more);
}

TEST_F(PerfTest, AServerThatSendsTooMuchOrTooLittle) {
    begin(10, 10);
    pull_all(client, stream_a, at(2s));
    client.received(stream_a, Bytes(11, 0), at(3s), out);
    EXPECT_EQ(error_of(*last<Complete>(out)), Errc::protocol_error);
    EXPECT_NE(last<ResetStream>(out), nullptr);

    client = {};
    begin(10, 10);
    pull_all(client, stream_a, at(2s));
    client.received(stream_a, Bytes(9, 0), at(3s), out);
    client.finished(stream_a, at(3s), out);
    EXPECT_EQ(error_of(*last<Complete>(out)), Errc::protocol_error);
    EXPECT_EQ(client.streams(), 0U);
}

TEST_F(PerfTest, AClientThatEndsInsideTheNumber) {
    begin(0, 0);
    server.received(stream_b, Bytes(5, 0), at(2s), out);
    server.finished(stream_b, at(2s), out);
    EXPECT_EQ(count<ResetStream>(out), 1U);
    EXPECT_EQ(server.streams(), 0U);
}

TEST_F(PerfTest, TheLinkIsLost) {
    begin(10, 10);
    StreamEnd end;
    end.kind = StreamEnd::Kind::lost;
    end.error = {Errc::link_lost};
    client.closed(stream_a, end, at(2s), out);
    EXPECT_EQ(error_of(*last<Complete>(out)), Errc::link_lost);
    server.closed(stream_b, end, at(2s), out);
    EXPECT_EQ(client.streams() + server.streams(), 0U);
}

TEST_F(PerfTest, ACancelledRunTakesItsStreamAlong) {
    begin(1000, 1000);
    client.cancel(OpId{2}, out);
    EXPECT_TRUE(out.empty());
    client.cancel(OpId{1}, out);
    EXPECT_EQ(count<ResetStream>(out), 1U);
    EXPECT_EQ(count<Complete>(out), 0U);
    EXPECT_EQ(client.streams(), 0U);
}

TEST_F(PerfTest, CancelledWhileItsStreamOpens) {
    client.run(peer(1), 1, 1, OpId{1}, at(1s), out);
    const auto cookie = last<OpenStream>(out)->cookie;
    out.clear();
    client.cancel(OpId{1}, out);
    client.opened({.ref = stream_a, .peer = peer(1), .protocol = Perf::id, .direction = Direction::outbound, .caps = {}, .cookie = cookie},
                  at(1s), out);
    EXPECT_EQ(count<ResetStream>(out), 1U);
    EXPECT_EQ(count<Complete>(out), 0U);
    EXPECT_EQ(client.streams(), 0U);
}

TEST_F(PerfTest, RefusedBeforeItBegan) {
    client.run(peer(1), 1, 1, OpId{4}, at(1s), out);
    client.open_failed(peer(1), last<OpenStream>(out)->cookie, Errc::not_supported, at(1s), out);
    EXPECT_EQ(error_of(*last<Complete>(out)), Errc::not_supported);
    EXPECT_EQ(last<Complete>(out)->op, OpId{4});
}

}  // namespace
}  // namespace kith::protocol
