// SPDX-License-Identifier: Apache-2.0
// What the common implementations (go, rust, js) do and expect, rule by rule.
#include <gtest/gtest.h>

#include "support.hpp"

namespace kith::mux::test {
namespace {

TEST(Behaviour, TheDialerHasOddIdsAndTheListenerEvenOnes) {
    Session dialer = client();
    Session listener = server();
    EXPECT_EQ(dialer.open()->value, 1U);
    EXPECT_EQ(dialer.open()->value, 3U);
    EXPECT_EQ(listener.open()->value, 2U);
    EXPECT_EQ(listener.open()->value, 4U);
}

TEST(Behaviour, SynTravelsWithTheFirstData) {
    Session session = client();
    const StreamId id = *session.open();
    session.want_write(id);
    EXPECT_EQ(frames(control(session)), Lines{}) << "the data frame will carry it";
    EXPECT_EQ(frames(send(session, id, "hello")), Lines{"data 1 5 syn"});
    EXPECT_EQ(frames(send(session, id, "again")), Lines{"data 1 5"});
    EXPECT_FALSE(session.wants_pull());
}

TEST(Behaviour, AnOpenWithoutDataIsSentAlone) {
    Session session = client();
    const StreamId id = *session.open();
    EXPECT_TRUE(session.wants_pull());
    EXPECT_EQ(frames(control(session)), Lines{"update 1 +0 syn"});
    EXPECT_FALSE(session.wants_pull());
    EXPECT_EQ(frames(send(session, id, "x")), Lines{"data 1 1"});
}

TEST(Behaviour, AnOpenWhoseDataDidNotComeIsStillSent) {
    Session session = client();
    const StreamId id = *session.open();
    session.want_write(id);
    control(session);
    Bytes header(header_size);
    EXPECT_EQ(session.commit(*session.next_grant(100), 0, false, false, header), 0U);
    EXPECT_EQ(frames(control(session)), Lines{"update 1 +0 syn"});
}

TEST(Behaviour, TheAnswerIsPrompt) {
    Session session = server();
    EXPECT_EQ(read(session, update(1, 0, flag::syn)), Lines{"opened 1"});
    EXPECT_TRUE(session.wants_pull());
    EXPECT_EQ(frames(control(session)), Lines{"update 1 +0 ack"});
    EXPECT_EQ(read(session, data(3, "ab", flag::syn)), (Lines{"opened 3", "data 3 ab"}));
    EXPECT_EQ(frames(send(session, StreamId{3}, "x")), Lines{"data 3 1 ack"}) << "or goes with the first data";
    EXPECT_FALSE(session.wants_pull());
}

TEST(Behaviour, SynOnAWindowUpdateAddsItsDelta) {
    Session session = server();
    read(session, update(1, 1000, flag::syn));
    EXPECT_EQ(session.send_window(StreamId{1}), window + 1000);
}

TEST(Behaviour, AnyFrameBackIsAnAnswer) {
    Session session = client();
    const StreamId a = *session.open();
    const StreamId b = *session.open();
    control(session);
    EXPECT_EQ(session.unacked_opens(), 2U);
    EXPECT_EQ(read(session, update(a.value, 0, flag::ack)), Lines{"acked 1"});
    EXPECT_EQ(read(session, update(a.value, 0, flag::ack)), Lines{});
    EXPECT_EQ(read(session, data(b.value, "x")), (Lines{"acked 3", "data 3 x"}));
    EXPECT_EQ(session.unacked_opens(), 0U);
}

TEST(Behaviour, AStreamNotYetAnnouncedCannotBeMeant) {
    Session session = client();
    const StreamId id = *session.open();
    EXPECT_EQ(read(session, data(id.value, "x", flag::ack) + update(id.value, 7, flag::rst)), Lines{});
    EXPECT_TRUE(session.exists(id));
    EXPECT_EQ(session.unacked_opens(), 1U);
}

TEST(Behaviour, PayloadIsStreamedAndAHeaderMayBeSplitAnywhere) {
    const Bytes input = data(1, "hello", flag::syn) + data(1, "world", flag::fin);
    for (std::size_t step = 1; step <= input.size(); ++step) {
        Session session = server();
        std::string text;
        Lines others;
        for (std::size_t from = 0; from < input.size(); from += step) {
            ByteView piece = ByteView{input}.subspan(from, std::min(step, input.size() - from));
            for (Event event = session.next(piece, {}); event.kind != Event::Kind::need_more; event = session.next(piece, {})) {
                if (event.kind == Event::Kind::data) {
                    text.append(as_text(event.data));
                } else {
                    others.push_back(show(event));
                }
            }
            ASSERT_TRUE(piece.empty());
        }
        EXPECT_EQ(text, "helloworld");
        EXPECT_EQ(others, (Lines{"opened 1", "finished 1"})) << "step " << step;
    }
}

TEST(Behaviour, DataIsAViewIntoTheInput) {
    Session session = server();
    const Bytes input = data(1, "hello", flag::syn);
    ByteView rest = input;
    EXPECT_EQ(session.next(rest, {}).kind, Event::Kind::opened);
    const Event event = session.next(rest, {});
    EXPECT_EQ(event.data.data(), input.data() + header_size);
    EXPECT_TRUE(rest.empty());
}

TEST(Behaviour, FramesOfUnknownStreamsAreDrainedAndIgnored) {
    Session session = server();
    EXPECT_EQ(read(session, data(9, "late data", flag::fin) + update(9, 5) + update(9, 5, flag::rst) + data(2, "x", flag::ack) +
                                data(1, "next", flag::syn)),
              (Lines{"opened 1", "data 1 next"}));
    EXPECT_EQ(session.counters().frames_ignored, 4U);
}

TEST(Behaviour, AnEmptyFrameSaysNothing) {
    Session session = server();
    read(session, data(1, "x", flag::syn));
    EXPECT_EQ(read(session, data(1, "") + update(1, 0)), Lines{});
    EXPECT_TRUE(session.exists(StreamId{1}));
}

TEST(Behaviour, UnknownFlagsAreIgnored) {
    Session session = server();
    EXPECT_EQ(read(session, data(1, "x", 0xFFF0 | flag::syn)), (Lines{"opened 1", "data 1 x"}));
}

TEST(Behaviour, OneInboundStreamTooManyIsResetAndTheSessionLives) {
    Config config;
    config.max_inbound_streams = 2;
    Session session = server(config);
    EXPECT_EQ(read(session, data(1, "a", flag::syn) + data(3, "b", flag::syn) + data(5, "c", flag::syn) + data(5, "more") + data(1, "d")),
              (Lines{"opened 1", "data 1 a", "opened 3", "data 3 b", "data 1 d"}));
    EXPECT_EQ(session.counters().streams_refused, 1U);
    EXPECT_EQ(frames(control(session)), (Lines{"update 5 +0 rst", "update 1 +0 ack", "update 3 +0 ack"}));
    read(session, update(1, 0, flag::rst));
    EXPECT_EQ(read(session, update(7, 0, flag::syn)), Lines{"opened 7"}) << "there is room again";
}

TEST(Behaviour, OpensAreBoundedByStreamsAndByAnswers) {
    Config config;
    config.max_outbound_streams = 3;
    config.max_unacked_opens = 2;
    Session session = client(config);
    const StreamId a = *session.open();
    const StreamId b = *session.open();
    EXPECT_TRUE(session.open().error() == Errc::limit_exceeded);
    control(session);
    EXPECT_TRUE(session.open().error() == Errc::limit_exceeded);
    read(session, update(a.value, 0, flag::ack) + update(b.value, 0, flag::ack));
    ASSERT_TRUE(session.open().has_value());
    EXPECT_TRUE(session.open().error() == Errc::limit_exceeded);
    session.reset(a);
    EXPECT_TRUE(session.open().has_value());
    EXPECT_EQ(session.outbound_streams(), 3U);
}

TEST(Behaviour, AStreamWithoutWindowWaitsForItAndKeepsItsWish) {
    Session session = client();
    const StreamId id = *session.open();
    const std::string much(window + 10, 'x');
    std::size_t sent = 0;
    session.want_write(id);
    Bytes out(header_size + 64 * 1024);
    while (const auto grant = session.next_grant(out.size())) {
        sent += grant->max;
        session.commit(*grant, grant->max, false, true, out);
    }
    EXPECT_EQ(sent, window);
    EXPECT_FALSE(session.wants_pull());
    session.want_write(id);
    EXPECT_FALSE(session.wants_pull());
    EXPECT_EQ(read(session, update(id.value, 0, flag::ack)), Lines{"acked 1"});
    EXPECT_EQ(read(session, update(id.value, 10)), Lines{"writable 1"});
    EXPECT_TRUE(session.wants_pull());
    EXPECT_EQ(session.next_grant(1000)->max, 10U);
    EXPECT_EQ(read(session, update(id.value, 10)), Lines{}) << "it was not blocked";
    EXPECT_EQ(session.next_grant(1000)->max, 20U);
}

TEST(Behaviour, AFinNeedsNoWindow) {
    Session session = client();
    const StreamId id = *session.open();
    session.want_write(id);
    Bytes out(header_size + 64 * 1024);
    while (const auto grant = session.next_grant(out.size())) session.commit(*grant, grant->max, false, true, out);
    session.want_write(id, true);
    const auto grant = session.next_grant(header_size);
    ASSERT_TRUE(grant.has_value());
    EXPECT_EQ(grant->max, 0U);
    EXPECT_EQ(session.commit(*grant, 0, true, false, out), header_size);
    EXPECT_EQ(frames(ByteView{out}.first(header_size)), Lines{"data 1 0 fin"});
}

TEST(Behaviour, AWindowUpdateIsDueWhenHalfIsTaken) {
    Session session = server();
    read(session, data(1, std::string(window, 'x'), flag::syn));
    control(session);
    session.consumed(StreamId{1}, window / 2 - 1, {});
    EXPECT_FALSE(session.wants_pull());
    session.consumed(StreamId{1}, 1, {});
    EXPECT_EQ(frames(control(session)), Lines{"update 1 +131072"});
    session.consumed(StreamId{1}, window / 2, {});
    EXPECT_EQ(frames(control(session)), Lines{"update 1 +131072"});
    session.consumed(StreamId{1}, 1000, {});
    EXPECT_FALSE(session.wants_pull()) << "there was nothing more to take";
}

TEST(Behaviour, WhatIsTakenBeforeTheUpdateLeavesGoesWithIt) {
    Session session = server();
    read(session, data(1, std::string(window, 'x'), flag::syn));
    session.consumed(StreamId{1}, window / 2, {});
    session.consumed(StreamId{1}, 100, {});
    EXPECT_EQ(frames(control(session)), Lines{"update 1 +131172 ack"}) << "and the ACK too";
}

TEST(Behaviour, NoWindowForADirectionThatEnded) {
    Session session = server();
    read(session, data(1, std::string(window, 'x'), flag::syn));
    control(session);
    session.consumed(StreamId{1}, window / 2, {});
    read(session, data(1, "", flag::fin));
    session.consumed(StreamId{1}, window / 2, {});
    EXPECT_FALSE(session.wants_pull());
    EXPECT_EQ(frames(control(session)), Lines{});
}

TEST(Behaviour, APingIsAnsweredOnceWithTheSameOpaque) {
    Session session = server();
    EXPECT_EQ(read(session, frame(FrameType::ping, flag::syn, 0, 0xDEADBEEF)), Lines{});
    EXPECT_EQ(frames(control(session)), Lines{"ping 3735928559 ack"});
    EXPECT_EQ(frames(control(session)), Lines{});
}

TEST(Behaviour, OnePingIsInFlightAndItsAnswerGivesTheRoundTrip) {
    using namespace std::chrono_literals;
    Session session = client();
    EXPECT_TRUE(session.ping(at(1s), 77));
    EXPECT_FALSE(session.ping(at(1s), 78));
    EXPECT_EQ(read(session, frame(FrameType::ping, flag::ack, 0, 77), at(2s)), Lines{}) << "it has not left yet";
    EXPECT_EQ(frames(control(session)), Lines{"ping 77 syn"});
    EXPECT_TRUE(session.ping_in_flight());
    EXPECT_EQ(read(session, frame(FrameType::ping, flag::ack, 0, 77), at(1s + 40ms)), Lines{"pong 40000000"});
    EXPECT_EQ(session.rtt(), Duration{40ms});
    EXPECT_TRUE(session.ping(at(2s), 79));
    control(session);
    read(session, frame(FrameType::ping, flag::ack, 0, 79), at(2s + 20ms));
    EXPECT_EQ(session.rtt(), Duration{30ms}) << "smoothed as go-yamux does";
}

TEST(Behaviour, AWrongOrUnaskedPongIsIgnored) {
    Session session = client();
    EXPECT_EQ(read(session, frame(FrameType::ping, flag::ack, 0, 5)), Lines{});
    session.ping({}, 77);
    control(session);
    EXPECT_EQ(read(session, frame(FrameType::ping, flag::ack, 0, 78) + frame(FrameType::ping, 0, 0, 77)), Lines{});
    EXPECT_TRUE(session.ping_in_flight());
    EXPECT_EQ(read(session, frame(FrameType::ping, flag::ack, 0, 77) + frame(FrameType::ping, flag::ack, 0, 77)), Lines{"pong 0"});
    EXPECT_FALSE(session.failed());
    EXPECT_EQ(session.counters().frames_ignored, 4U);
    EXPECT_FALSE(session.wants_pull());
}

TEST(Behaviour, TheirGoAwayIsToldOnceAndEndsOpening) {
    Session session = client();
    const StreamId id = *session.open();
    control(session);
    EXPECT_EQ(read(session, frame(FrameType::go_away, 0, 0, 2) + frame(FrameType::go_away, 0, 0, 0) + data(id.value, "bye", flag::ack)),
              (Lines{"go_away 2", "acked 1", "data 1 bye"}));
    EXPECT_TRUE(session.open().error() == Errc::going_away);
}

TEST(Behaviour, OurGoAwayComesLastAndRefusesNewStreams) {
    Session session = server();
    read(session, data(1, "x", flag::syn));
    session.go_away(0);
    session.go_away(2);
    EXPECT_TRUE(session.open().error() == Errc::going_away);
    EXPECT_EQ(frames(control(session)), (Lines{"update 1 +0 ack", "go_away 0"}));
    EXPECT_EQ(read(session, data(3, "y", flag::syn) + data(1, "z")), Lines{"data 1 z"});
    EXPECT_EQ(frames(control(session)), Lines{"update 3 +0 rst"});
    EXPECT_EQ(frames(send(session, StreamId{1}, "rest", true)), Lines{"data 1 4 fin"}) << "open streams may still end well";
}

TEST(Behaviour, ControlFramesAreWrittenWholeAsManyAsFit) {
    Session session = server();
    for (std::uint32_t id = 1; id <= 9; id += 2) read(session, update(id, 0, flag::syn));
    EXPECT_EQ(frames(control(session, 11)), Lines{});
    EXPECT_EQ(frames(control(session, 35)).size(), 2U);
    EXPECT_TRUE(session.wants_pull());
    EXPECT_EQ(frames(control(session)).size(), 3U);
    EXPECT_FALSE(session.wants_pull());
}

TEST(Behaviour, StreamIdsAreNeverUsedTwice) {
    Session session = client();
    std::uint32_t last = 0;
    for (int i = 0; i < 1000; ++i) {
        const StreamId id = *session.open();
        EXPECT_GT(id.value, last);
        last = id.value;
        session.reset(id);
    }
    EXPECT_FALSE(session.wants_pull()) << "the peer never heard of them";
}

TEST(Behaviour, EarlyOpensOverTheLimitAreHeldUntilThePeerSpeaks) {
    for (const Bytes& word : {data(1, "x", flag::ack), data(2, "x", flag::syn), update(2, 0, flag::syn),
                              update(1, 0, flag::ack | flag::fin), update(1, 0, flag::rst)}) {
        Session session = client({.max_early_opens = 2});
        for (int i = 0; i < 5; ++i) session.want_write(*session.open());
        session.want_write(*session.open(), true);
        session.reset(StreamId{9});
        EXPECT_EQ(frames(control(session)), Lines{});
        EXPECT_EQ(frames(send(session, StreamId{1}, "a")), Lines{"data 1 1 syn"});
        EXPECT_EQ(frames(send(session, StreamId{3}, "b")), Lines{"data 3 1 syn"});
        EXPECT_FALSE(session.wants_pull()) << "the others are held";
        EXPECT_EQ(session.streams(), 5U);
        read(session, update(1, 0, flag::ack) + update(3, 100, flag::ack));
        EXPECT_FALSE(session.wants_pull()) << "an ACK is no word";
        EXPECT_EQ(read(session, update(7, 10)), Lines{}) << "the peer cannot know it";
        read(session, word);
        control(session);
        EXPECT_EQ(frames(send(session, StreamId{5}, "c")), Lines{"data 5 1 syn"});
        EXPECT_EQ(frames(send(session, StreamId{7}, "d")), Lines{"data 7 1 syn"});
        EXPECT_EQ(frames(send(session, StreamId{11}, "", true)), Lines{"data 11 0 syn fin"});
        EXPECT_EQ(session.open()->value, 13U);
        EXPECT_EQ(frames(control(session)), Lines{"update 13 +0 syn"}) << "no limit from now on";
    }
}

// Else two streams that were given up would stop all others for as long as the peer has nothing to say by itself.
TEST(Behaviour, EarlyOpensThatAreResetHoldNobodyBack) {
    Session session = client({.max_early_opens = 2});
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(session.open());
    session.reset(StreamId{3});  // the peer never hears of it
    EXPECT_EQ(frames(control(session)), (Lines{"update 1 +0 syn", "update 5 +0 syn"}));
    session.reset(StreamId{1});
    control(session);
    EXPECT_FALSE(session.wants_pull()) << "5 may be answered";
    session.reset(StreamId{5});
    auto written = frames(control(session));
    for (auto& line : frames(control(session))) written.push_back(line);  // resets go first
    EXPECT_EQ(written.back(), "update 7 +0 syn");
    EXPECT_EQ(session.open()->value, 9U);
    EXPECT_FALSE(session.wants_pull()) << "7 may be answered";
    read(session, update(7, 0, flag::ack | flag::fin));
    EXPECT_EQ(frames(control(session)), Lines{"update 9 +0 syn"});
}

TEST(Behaviour, CommitRefusesWhatWasNotGranted) {
    Session session = client();
    const StreamId id = *session.open();
    Bytes out(200);
    EXPECT_EQ(session.commit({id, 10}, 1, false, false, out), 0U) << "not in the rotation";
    session.want_write(id);
    const auto grant = session.next_grant(112);
    EXPECT_EQ(grant->max, 100U);
    EXPECT_EQ(session.commit(*grant, 101, false, false, out), 0U);
    EXPECT_EQ(session.commit(*grant, 1, false, false, MutableBytes{out}.first(11)), 0U);
    EXPECT_EQ(session.commit({StreamId{99}, 10}, 1, false, false, out), 0U);
    EXPECT_EQ(session.send_window(id), window);
    EXPECT_EQ(session.commit(*grant, 100, false, false, out), 112U);
    EXPECT_EQ(session.send_window(id), window - 100);
}

}  // namespace
}  // namespace kith::mux::test
