// SPDX-License-Identifier: Apache-2.0
// Peers that mean harm: published holes of other implementations, broken frames, floods.
#include <gtest/gtest.h>

#include "support.hpp"

namespace kith::mux::test {
namespace {

void expect_failed(Session& session, const Lines& events, std::string_view why) {
    ASSERT_FALSE(events.empty());
    EXPECT_EQ(events.back(), "failed: " + std::string{why});
    EXPECT_TRUE(session.failed());
    EXPECT_EQ(session.streams(), 0U);
    EXPECT_EQ(session.total_window(), 0U);
    EXPECT_TRUE(session.wants_pull());
    EXPECT_EQ(frames(control(session)), Lines{"go_away 1"});
    EXPECT_FALSE(session.wants_pull());
    EXPECT_EQ(read(session, data(1, "x", flag::syn)), Lines{}) << "nothing more is read";
    EXPECT_TRUE(session.open().error() == Errc::going_away);
    EXPECT_FALSE(session.ping({}, 1));
}

// CVE-2024-32984: the peer opens streams, has them refused and reads nothing, so that RST frames pile up.
TEST(Attack, Cve2024_32984_QueuedControlFramesAreBounded) {
    Config config;
    config.max_inbound_streams = 1;
    Session session = server(config);
    read(session, update(1, 0, flag::syn));
    std::uint32_t id = 3;
    Lines events;
    std::size_t refused = 0;
    std::size_t most = 0;
    while (events.empty() && refused < 100'000) {
        events = read(session, update(id, 0, flag::syn));
        id += 2;
        ++refused;
        most = std::max(most, session.memory());
    }
    EXPECT_EQ(refused, config.max_queued_control + 1U);
    EXPECT_LT(most, 24 * 1024U);
    expect_failed(session, events, "yamux: too many resets wait: the peer opens streams and does not read");
}

TEST(Attack, Cve2024_32984_TheSameByStreamsThatTheApplicationResets) {
    Session session = server();
    std::uint32_t id = 1;
    while (!session.failed() && id < 100'000) {
        EXPECT_EQ(read(session, update(id, 0, flag::syn)), Lines{"opened " + std::to_string(id)});
        session.reset(StreamId{id});
        id += 2;
    }
    EXPECT_EQ(id / 2, Config{}.max_queued_control + 1U);
    expect_failed(session, read(session, {}), "too many resets wait: the peer opens streams and does not read");
}

TEST(Attack, APeerThatReadsMayBeRefusedForEver) {
    Config config;
    config.max_inbound_streams = 0;
    Session session = server(config);
    for (std::uint32_t id = 1; id < 20'000; id += 2) {
        ASSERT_EQ(read(session, update(id, 0, flag::syn)), Lines{});
        if (id % 512 == 1) control(session);
    }
    EXPECT_EQ(session.counters().streams_refused, 10'000U);
    EXPECT_FALSE(session.failed());
}

TEST(Attack, ResettingAllOwnStreamsAtOnceIsNoAttack) {
    Config config;
    config.max_outbound_streams = config.max_unacked_opens = 3000;
    Session session = client(config);
    std::vector<StreamId> ids;
    for (int i = 0; i < 3000; ++i) ids.push_back(*session.open());
    control(session, 3000 * header_size);
    for (const StreamId id : ids) session.reset(id, 9);
    EXPECT_FALSE(session.failed());
    EXPECT_EQ(frames(control(session)).size(), 3000U);
    EXPECT_LT(session.memory(), 2048U) << "the burst's memory is given back";
}

// CVE-2026-31814: the sum of window updates wraps.
TEST(Attack, Cve2026_31814_WindowUpdatesDoNotOverflow) {
    Session session = server();
    read(session, update(1, 0, flag::syn));
    EXPECT_EQ(read(session, update(1, 0xFFFFFFFF - window)), Lines{});
    EXPECT_EQ(session.send_window(StreamId{1}), 0xFFFFFFFF);
    expect_failed(session, read(session, update(1, 1)), "yamux: window larger than 32 bits");

    Session twice = server();
    read(twice, update(1, 0, flag::syn));
    expect_failed(twice, read(twice, update(1, 0xFFFFFFFF) + update(1, 0xFFFFFFFF)), "yamux: window larger than 32 bits");

    Session syn = server();
    expect_failed(syn, read(syn, update(1, 0xFFFFFFFF, flag::syn)), "yamux: window larger than 32 bits");
}

// CVE-2026-32314: a first frame with SYN and more than 256 KiB of data left a broken state behind.
TEST(Attack, Cve2026_32314_TheFirstFrameObeysTheInitialWindow) {
    Session session = server();
    expect_failed(session, read(session, frame(FrameType::data, flag::syn, 1, window + 1)),
                  "yamux: first frame larger than the initial window");
    Session exact = server();
    EXPECT_EQ(read(exact, data(1, std::string(window, 'x'), flag::syn)), (Lines{"opened 1", "data 1 262144"}));
    Session refused = server();
    refused.go_away(0);
    EXPECT_EQ(read(refused, frame(FrameType::data, flag::syn, 1, window + 1)),
              Lines{"failed: yamux: first frame larger than the initial window"});
}

TEST(Attack, OneByteAboveTheWindow) {
    Session session = server();
    read(session, data(1, std::string(window, 'x'), flag::syn));
    expect_failed(session, read(session, data(1, "x")), "yamux: more data than the window allows");
}

TEST(Attack, TakenButNotAnnouncedWindowDoesNotCount) {
    Session session = server();
    read(session, data(1, std::string(window, 'x'), flag::syn));
    session.consumed(StreamId{1}, window, {});
    expect_failed(session, read(session, data(1, "x")), "yamux: more data than the window allows");
}

struct Bad {
    const char* name;
    Bytes input;
    const char* why;
};

Bytes raw(std::uint8_t version, std::uint8_t type, std::uint16_t flags, std::uint32_t stream, std::uint32_t length) {
    Bytes out(header_size);
    encode_header({version, type, flags, stream, length}, out.data());
    return out;
}

// Stream 1 is open, stream 3 has ended from the peer's side, stream 2 is ours.
std::vector<Bad> bad_frames() {
    constexpr std::uint32_t huge = 0xFFFFFFFF;
    return {
        {"version 1", raw(1, 0, 0, 1, 0), "yamux: unknown version"},
        {"version 255", raw(255, 2, flag::syn, 0, 0), "yamux: unknown version"},
        {"type 4", raw(0, 4, 0, 1, 0), "yamux: unknown frame type"},
        {"type 255", raw(0, 255, 0xFFFF, huge, huge), "yamux: unknown frame type"},
        {"data on id 0", raw(0, 0, 0, 0, 5), "yamux: stream frame on id 0"},
        {"open of id 0", raw(0, 0, flag::syn, 0, 0), "yamux: stream frame on id 0"},
        {"window update on id 0", raw(0, 1, 0, 0, 5), "yamux: stream frame on id 0"},
        {"reset of id 0", raw(0, 1, flag::rst, 0, 0), "yamux: stream frame on id 0"},
        {"opened twice", raw(0, 1, flag::syn, 1, 0), "yamux: stream opened twice"},
        {"opened twice, with reset", raw(0, 1, flag::syn | flag::rst, 1, 0), "yamux: stream opened twice"},
        {"opened after its FIN", raw(0, 0, flag::syn, 3, 1), "yamux: stream opened twice"},
        {"our stream opened by the peer", raw(0, 0, flag::syn, 2, 1), "yamux: stream opened twice"},
        {"wrong parity", raw(0, 1, flag::syn, 4, 0), "yamux: stream id of the wrong parity"},
        {"wrong parity, greatest id", raw(0, 0, flag::syn, 0xFFFFFFFE, 0), "yamux: stream id of the wrong parity"},
        {"data after FIN", raw(0, 0, 0, 3, 1), "yamux: data after FIN"},
        {"data after FIN, with FIN", raw(0, 0, flag::fin, 3, 1), "yamux: data after FIN"},
        {"huge data", raw(0, 0, 0, 1, huge), "yamux: more data than the window allows"},
        {"huge first data", raw(0, 0, flag::syn, 5, huge), "yamux: first frame larger than the initial window"},
        {"huge first data, with reset", raw(0, 0, flag::syn | flag::rst, 5, huge), "yamux: first frame larger than the initial window"},
        {"huge data on an unknown stream", raw(0, 0, 0, 99, huge), "yamux: frame larger than any window"},
        {"more than any window on an unknown stream", raw(0, 0, 0, 99, 16 * 1024 * 1024 + 1), "yamux: frame larger than any window"},
        {"huge delta", raw(0, 1, 0, 1, huge), "yamux: window larger than 32 bits"},
    };
}

Session victim() {
    Session session = server();
    (void)session.open();
    control(session);
    read(session, data(1, "x", flag::syn) + data(3, "y", flag::syn | flag::fin));
    control(session);
    return session;
}

TEST(Attack, BadFramesEndInAnErrorAndAllocateNothing) {
    for (const Bad& bad : bad_frames()) {
        SCOPED_TRACE(bad.name);
        Session session = victim();
        ASSERT_EQ(session.streams(), 3U);
        const std::size_t before = session.memory();
        const Lines events = read(session, bad.input + Bytes(100, 0x55));
        EXPECT_EQ(events.size(), 1U);
        EXPECT_LE(session.memory(), before);
        expect_failed(session, events, bad.why);
    }
}

TEST(Attack, StrangeButLegalFramesAreHarmless) {
    const std::vector<std::pair<const char*, Bytes>> table{
        {"FIN twice", data(3, "", flag::fin)},
        {"FIN twice by window update", update(3, 0, flag::fin)},
        {"window for a half-closed stream", update(3, 10)},
        {"open and reset in one", update(5, 0, flag::syn | flag::rst)},
        {"open and reset with data", data(5, "abc", flag::syn | flag::rst)},
        {"reset of an unknown stream", update(99, 0, flag::rst)},
        {"ACK of a stream that is not ours", update(1, 0, flag::ack)},
        {"ping with a stream id and both flags", frame(FrameType::ping, flag::syn | flag::ack, 7, 1)},
    };
    for (const auto& [name, input] : table) {
        SCOPED_TRACE(name);
        Session session = victim();
        EXPECT_EQ(read(session, input), Lines{});
        EXPECT_EQ(session.streams(), 3U);
        EXPECT_FALSE(session.wants_pull());
        EXPECT_EQ(read(session, data(1, "on")), Lines{"data 1 on"});
    }
}

TEST(Attack, AMillionPingsThatNobodyReads) {
    Session session = server();
    Bytes input;
    for (std::uint32_t i = 0; i < 1000; ++i) input = std::move(input) + frame(FrameType::ping, flag::syn, 0, i);
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(read(session, input), Lines{});
    EXPECT_LT(session.memory(), 2048U);
    EXPECT_EQ(session.counters().pings_dropped, 1'000'000U - 32U);
    const Lines answers = frames(control(session));
    EXPECT_EQ(answers.size(), 32U);
    EXPECT_EQ(answers.front(), "ping 0 ack");
    EXPECT_EQ(answers.back(), "ping 31 ack");
}

TEST(Attack, AMillionGoAways) {
    Session session = server();
    Bytes input;
    for (int i = 0; i < 1000; ++i) input = std::move(input) + frame(FrameType::go_away, 0, 0, 0);
    EXPECT_EQ(read(session, input), Lines{"go_away 0"});
    for (int i = 1; i < 1000; ++i) ASSERT_EQ(read(session, input), Lines{});
    EXPECT_EQ(session.counters().frames_ignored, 999'999U);
}

TEST(Attack, AHundredThousandStreamsCostWhatTheLimitAllows) {
    Session session = server();
    std::size_t most = 0;
    for (std::uint32_t id = 1; id < 200'000; id += 2) {
        read(session, data(id, "x", flag::syn));
        most = std::max(most, session.memory());
        if (id % 256 == 1) control(session);
    }
    EXPECT_FALSE(session.failed());
    EXPECT_EQ(session.inbound_streams(), Config{}.max_inbound_streams);
    EXPECT_EQ(session.counters().streams_refused, 100'000U - Config{}.max_inbound_streams);
    EXPECT_LT(most, 64 * 1024U);
}

TEST(Attack, WindowUpdatesOfAStreamAreOneFrameHoweverOften) {
    Session session = server();
    read(session, update(1, 0, flag::syn));
    control(session);
    for (int i = 0; i < 3; ++i) {
        read(session, data(1, std::string(window, 'x')));
        for (std::uint32_t n = 0; n < window; n += 1024) session.consumed(StreamId{1}, 1024, {});
        EXPECT_EQ(frames(control(session)), Lines{"update 1 +262144"});
    }
}

}  // namespace
}  // namespace kith::mux::test
