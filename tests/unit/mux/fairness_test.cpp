// SPDX-License-Identifier: Apache-2.0
// Who may send when: round robin, records that cut frames, priorities.
#include <gtest/gtest.h>

#include <map>

#include "support.hpp"

namespace kith::mux::test {
namespace {

constexpr std::uint32_t plenty = 0x7FFFFFFF;

std::vector<StreamId> open_streams(Session& session, int count) {
    std::vector<StreamId> out;
    for (int i = 0; i < count; ++i) {
        out.push_back(*session.open());
        control(session);
        read(session, update(out.back().value, plenty, flag::ack));
    }
    return out;
}

// Fills records of `room` bytes with endless data until `total` bytes are sent.
std::map<std::uint32_t, std::uint64_t> pump(Session& session, std::size_t room, std::uint64_t total) {
    std::map<std::uint32_t, std::uint64_t> sent;
    Bytes record(room);
    for (std::uint64_t sum = 0; sum < total;) {
        std::size_t used = 0;
        while (const auto grant = session.next_grant(room - used)) {
            const std::size_t n = session.commit(*grant, grant->max, false, true, MutableBytes{record}.subspan(used));
            used += n;
            sum += grant->max;
            sent[grant->stream.value] += grant->max;
        }
        if (used == 0) break;
    }
    return sent;
}

TEST(Fairness, SixteenEndlessStreamsGetEqualShares) {
    for (const std::size_t room : {16384UL, 65519UL, 16396UL, 20000UL, 24600UL, 3000UL, 100'000UL}) {
        SCOPED_TRACE(room);
        Session session = client();
        for (const StreamId id : open_streams(session, 16)) session.want_write(id);
        const auto sent = pump(session, room, 64 * 1024 * 1024);
        ASSERT_EQ(sent.size(), 16U);
        for (const auto& [id, bytes] : sent) EXPECT_NEAR(static_cast<double>(bytes), 4.0 * 1024 * 1024, 2 * 16384) << "stream " << id;
    }
}

TEST(Fairness, ARecordEndThatAlwaysMeetsTheSameStreamCostsItNothing) {
    // 20000 = one whole frame and a piece: without the account of shares one stream would get four times the other's bytes.
    Session session = client();
    for (const StreamId id : open_streams(session, 2)) session.want_write(id);
    const auto sent = pump(session, 20000, 32 * 1024 * 1024);
    EXPECT_NEAR(static_cast<double>(sent.at(1)), static_cast<double>(sent.at(3)), 2 * 16384);
}

TEST(Fairness, AFrameThatIsNearlyAWholeShareIsTheTurn) {
    // A record of 16 KiB holds a frame of 12 bytes less than the share: the rest must not give a stream two records in a row.
    Session session = client();
    for (const StreamId id : open_streams(session, 2)) session.want_write(id);
    Bytes header(header_size);
    std::string order;
    for (int i = 0; i < 8; ++i) {
        const auto grant = session.next_grant(16384);
        order += std::to_string(grant->stream.value);
        session.commit(*grant, grant->max, false, true, header);
    }
    EXPECT_EQ(order, "13131313");
}

TEST(Fairness, AStreamWithOneFrameWaitsAtMostOneRound) {
    Session session = client();
    const auto ids = open_streams(session, 17);
    for (std::size_t i = 0; i < 16; ++i) session.want_write(ids[i]);
    pump(session, 16396, 1024 * 1024);
    session.want_write(ids[16]);
    Bytes header(header_size);
    for (int waited = 0;; ++waited) {
        ASSERT_LE(waited, 16);
        const auto grant = session.next_grant(16396);
        if (grant->stream == ids[16]) {
            EXPECT_EQ(session.commit(*grant, 10, false, false, header), header_size + 10);
            break;
        }
        session.commit(*grant, grant->max, false, true, header);
    }
    EXPECT_EQ(pump(session, 16396, 1024 * 1024).count(ids[16].value), 0U) << "it has no more to send";
}

TEST(Fairness, AGrantThatIsNotCommittedIsGivenAgain) {
    Session session = client();
    for (const StreamId id : open_streams(session, 2)) session.want_write(id);
    EXPECT_EQ(session.next_grant(100)->stream.value, 1U);
    EXPECT_EQ(session.next_grant(5000)->stream.value, 1U);
    EXPECT_FALSE(session.next_grant(header_size).has_value()) << "no room for data";
    EXPECT_FALSE(session.next_grant(0).has_value());
    EXPECT_EQ(session.next_grant(header_size + 1)->max, 1U);
}

TEST(Fairness, AStreamWithNothingReadyYieldsItsTurn) {
    Session session = client();
    for (const StreamId id : open_streams(session, 2)) session.want_write(id);
    Bytes header(header_size);
    EXPECT_EQ(session.commit(*session.next_grant(1000), 0, false, true, header), 0U);
    EXPECT_EQ(session.next_grant(1000)->stream.value, 3U);
    EXPECT_EQ(session.commit(*session.next_grant(1000), 0, false, true, header), 0U);
    EXPECT_EQ(session.next_grant(1000)->stream.value, 1U);
}

TEST(Fairness, SmallMessagesTakeTurnsOneByOne) {
    Session session = client();
    for (const StreamId id : open_streams(session, 3)) session.want_write(id);
    Bytes header(header_size);
    std::string order;
    for (int i = 0; i < 6; ++i) {
        const auto grant = session.next_grant(1000);
        order += std::to_string(grant->stream.value);
        session.commit(*grant, 64, false, true, header);
    }
    EXPECT_EQ(order, "135135");
}

TEST(Fairness, NoFrameIsLargerThanConfiguredOrLegal) {
    for (const auto& [configured, legal] :
         std::map<std::uint32_t, std::uint32_t>{{0, 1}, {1000, 1000}, {65536, 65536}, {1U << 30, 65536}}) {
        Config config;
        config.max_frame_payload = configured;
        Session session = client(config);
        for (const StreamId id : open_streams(session, 1)) session.want_write(id);
        EXPECT_EQ(session.next_grant(1 << 20)->max, legal);
    }
}

TEST(Priority, AHigherLevelGoesFirst) {
    Session session = client();
    const auto ids = open_streams(session, 3);
    for (const StreamId id : ids) session.want_write(id);
    session.set_priority(ids[2], 3);
    session.set_priority(ids[0], 0);
    Bytes header(header_size);
    std::string order;
    for (int i = 0; i < 3; ++i) {
        const auto grant = session.next_grant(1000);
        order += std::to_string(grant->stream.value);
        session.commit(*grant, 10, false, false, header);
    }
    EXPECT_EQ(order, "531");
    EXPECT_FALSE(session.wants_pull());
}

TEST(Priority, NoLevelStarves) {
    Session session = client();
    const auto ids = open_streams(session, 4);
    for (std::size_t i = 0; i < 4; ++i) {
        session.set_priority(ids[i], static_cast<std::uint8_t>(i));
        session.want_write(ids[i]);
    }
    Bytes header(header_size);
    std::map<std::uint32_t, int> last;
    std::map<std::uint32_t, int> count;
    for (int i = 0; i < 2000; ++i) {
        const auto grant = session.next_grant(16396);
        const std::uint32_t id = grant->stream.value;
        ASSERT_LE(i - last[id], static_cast<int>(Session::patience) + 3) << "stream " << id;
        last[id] = i;
        ++count[id];
        session.commit(*grant, grant->max, false, true, header);
    }
    EXPECT_EQ(count.size(), 4U);
    EXPECT_GT(count[ids[3].value], 1600) << "the first level still gets nearly all";
}

TEST(Priority, OutOfRangeIsTheHighest) {
    Session session = client();
    const auto ids = open_streams(session, 2);
    session.want_write(ids[0]);
    session.want_write(ids[1]);
    session.set_priority(ids[1], 255);
    EXPECT_EQ(session.next_grant(100)->stream, ids[1]);
}

}  // namespace
}  // namespace kith::mux::test
