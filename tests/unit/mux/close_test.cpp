// SPDX-License-Identifier: Apache-2.0
// How streams end: half-close in both orders, reset in every state, and that nothing is left.
#include <gtest/gtest.h>

#include "support.hpp"

namespace kith::mux::test {
namespace {

TEST(Close, WeFinishFirstAndStillReceive) {
    Session session = client();
    const StreamId id = *session.open();
    EXPECT_EQ(frames(send(session, id, "request", true)), Lines{"data 1 7 syn fin"});
    EXPECT_TRUE(session.exists(id));
    session.want_write(id);
    EXPECT_FALSE(session.wants_pull()) << "no data after FIN";
    const std::string half(window / 2, 'x');
    EXPECT_EQ(read(session, update(1, 0, flag::ack) + data(1, half)), (Lines{"acked 1", "data 1 131072"}));
    session.consumed(id, half.size(), {});
    EXPECT_EQ(frames(control(session)), Lines{"update 1 +131072"}) << "windows are still given";
    EXPECT_EQ(read(session, update(1, 500) + data(1, "end", flag::fin)), (Lines{"data 1 end", "finished 1"}));
    EXPECT_EQ(session.streams(), 0U);
    EXPECT_EQ(read(session, data(1, "late")), Lines{});
}

TEST(Close, ThePeerFinishesFirstAndWeStillSend) {
    Session session = server();
    EXPECT_EQ(read(session, data(1, "request", flag::syn | flag::fin)), (Lines{"opened 1", "data 1 request", "finished 1"}));
    EXPECT_TRUE(session.exists(StreamId{1}));
    EXPECT_EQ(frames(send(session, StreamId{1}, "answer")), Lines{"data 1 6 ack"});
    EXPECT_EQ(read(session, update(1, 1000)), Lines{});
    EXPECT_EQ(session.send_window(StreamId{1}), window - 6 + 1000);
    EXPECT_EQ(frames(send(session, StreamId{1}, "", true)), Lines{"data 1 0 fin"});
    EXPECT_EQ(session.streams(), 0U);
    EXPECT_FALSE(session.wants_pull());
}

TEST(Close, FinOnAWindowUpdateAlsoEndsTheirDirection) {
    Session session = server();
    EXPECT_EQ(read(session, update(1, 10, flag::syn | flag::fin)), (Lines{"opened 1", "finished 1"}));
    EXPECT_EQ(session.send_window(StreamId{1}), window + 10);
    EXPECT_EQ(frames(send(session, StreamId{1}, "x", true)), Lines{"data 1 1 ack fin"});
    EXPECT_EQ(session.streams(), 0U);
}

TEST(Close, BothFinsCross) {
    Session a = client();
    Session b = server();
    const StreamId id = *a.open();
    read(b, send(a, id, "x"));
    settle(a, b);
    const Bytes from_a = send(a, id, "a", true);
    const Bytes from_b = send(b, id, "b", true);
    EXPECT_EQ(read(b, from_a), (Lines{"data 1 a", "finished 1"}));
    EXPECT_EQ(read(a, from_b), (Lines{"data 1 b", "finished 1"}));
    EXPECT_EQ(a.streams() + b.streams(), 0U);
    EXPECT_FALSE(a.wants_pull() || b.wants_pull());
}

TEST(Close, TheirResetEndsTheStreamInEveryState) {
    struct State {
        const char* name;
        bool we_finish, they_finish, blocked;
    };
    for (const State& state : {State{"open", false, false, false}, State{"we finished", true, false, false},
                               State{"they finished", false, true, false}, State{"wants to write", false, false, true}}) {
        SCOPED_TRACE(state.name);
        Session session = client();
        const StreamId id = *session.open();
        send(session, id, "x", state.we_finish);
        if (state.they_finish) read(session, data(1, "y", flag::fin));
        if (state.blocked) session.want_write(id);
        Lines events = read(session, update(1, 0x1001, flag::rst));
        EXPECT_EQ(events.back(), "reset 1 code 4097");
        EXPECT_EQ(session.streams(), 0U);
        EXPECT_EQ(session.unacked_opens(), 0U);
        EXPECT_EQ(session.total_window(), 0U);
        EXPECT_FALSE(session.wants_pull()) << "a reset is not answered";
        EXPECT_FALSE(session.next_grant(1000).has_value());
    }
}

TEST(Close, OurResetEndsTheStreamInEveryState) {
    // Opened by the peer, its ACK not written.
    Session session = server();
    read(session, data(1, "x", flag::syn));
    session.reset(StreamId{1}, 7);
    EXPECT_EQ(frames(control(session)), Lines{"update 1 +7 rst"});
    // Half-closed by the peer; and while it is in the rotation and owes a window update.
    read(session, data(3, "x", flag::syn | flag::fin));
    session.reset(StreamId{3});
    read(session, data(5, std::string(window, 'x'), flag::syn));
    session.consumed(StreamId{5}, window, {});
    session.want_write(StreamId{5});
    session.reset(StreamId{5}, 1);
    session.reset(StreamId{5}, 2);
    EXPECT_EQ(frames(control(session)), (Lines{"update 3 +0 rst", "update 5 +1 rst"}));
    EXPECT_FALSE(session.wants_pull());
    EXPECT_EQ(session.streams(), 0U);
    EXPECT_EQ(session.total_window(), 0U);
    // Ours: announced, then half-closed by us.
    const StreamId id = *session.open();
    send(session, id, "x", true);
    session.reset(id);
    EXPECT_EQ(frames(control(session)), Lines{"update 2 +0 rst"});
    EXPECT_EQ(session.unacked_opens(), 0U);
}

TEST(Close, AStreamThePeerNeverHeardOfLeavesNoTrace) {
    Session session = client();
    const StreamId id = *session.open();
    session.want_write(id);
    session.reset(id, 5);
    EXPECT_FALSE(session.wants_pull());
    EXPECT_EQ(frames(control(session)), Lines{});
}

TEST(Close, AfterOurResetLateFramesAreDrained) {
    Session session = server();
    read(session, data(1, "x", flag::syn));
    session.reset(StreamId{1});
    EXPECT_EQ(read(session, data(1, std::string(1000, 'x')) + update(1, 5) + data(1, "y", flag::fin) + data(3, "z", flag::syn)),
              (Lines{"opened 3", "data 3 z"}));
}

TEST(Close, ResetInTheMiddleOfAFrameSkipsItsRest) {
    Session session = server();
    const Bytes input = data(1, "abcdef", flag::syn | flag::fin) + data(3, "z", flag::syn);
    ByteView first = ByteView{input}.first(header_size + 3);
    EXPECT_EQ(show(session.next(first, {})), "opened 1");
    EXPECT_EQ(show(session.next(first, {})), "data 1 abc");
    session.reset(StreamId{1});
    EXPECT_EQ(read(session, ByteView{input}.subspan(header_size + 3)), (Lines{"opened 3", "data 3 z"}));
}

TEST(Close, ResetOnTheOpenedEventSilencesTheFrame) {
    Session session = server();
    const Bytes input = data(1, "abc", flag::syn | flag::fin) + data(3, "z", flag::syn);
    ByteView rest = input;
    EXPECT_EQ(show(session.next(rest, {})), "opened 1");
    session.reset(StreamId{1});
    EXPECT_EQ(show(session.next(rest, {})), "opened 3");
}

TEST(Close, AFinThatWasOfferedAndNotTakenIsNotOfferedForEver) {
    Session session = client();
    const StreamId id = *session.open();
    session.want_write(id);
    Bytes out(header_size + 64 * 1024);
    while (const auto grant = session.next_grant(out.size())) session.commit(*grant, grant->max, false, true, out);
    session.want_write(id, true);
    EXPECT_EQ(session.commit(*session.next_grant(100), 0, false, true, out), 0U) << "there was data after all";
    EXPECT_FALSE(session.wants_pull());
    session.want_write(id);
    EXPECT_FALSE(session.wants_pull()) << "without window only a FIN may go";
    session.want_write(id, true);
    EXPECT_EQ(session.commit(*session.next_grant(100), 0, true, false, out), header_size);
    EXPECT_FALSE(session.wants_pull());
}

TEST(Close, CallsForAStreamThatIsGoneDoNothing) {
    Session session = client();
    const StreamId id = *session.open();
    session.want_write(id);
    const auto grant = session.next_grant(1000);
    control(session);
    read(session, update(1, 0, flag::rst));
    EXPECT_TRUE(session.exists(id)) << "not announced yet: the peer cannot have meant it";
    Bytes out(header_size + 1);
    ASSERT_EQ(session.commit(*grant, 1, false, true, out), out.size());
    const auto stale = session.next_grant(1000);
    EXPECT_EQ(read(session, data(1, "gone", flag::rst)), Lines{"reset 1 code 0"}) << "payload of a reset is skipped";
    EXPECT_EQ(session.commit(*stale, 1, true, false, out), 0U);
    session.want_write(id, true);
    session.consumed(id, 100, {});
    session.set_priority(id, 3);
    session.reset(id);
    EXPECT_EQ(session.send_window(id), 0U);
    EXPECT_FALSE(session.wants_pull());
}

TEST(Close, TenThousandCyclesLeaveNothing) {
    Session a = client();
    Session b = server();
    std::size_t memory_a = 0;
    std::size_t memory_b = 0;
    for (int i = 0; i < 10'000; ++i) {
        Session& opener = i % 3 == 0 ? b : a;
        Session& other = i % 3 == 0 ? a : b;
        const StreamId id = *opener.open();
        read(other, send(opener, id, "ping", i % 2 == 0));
        settle(a, b);
        if (i % 5 == 0) {
            other.reset(id);
        } else {
            read(opener, send(other, id, "pong", true));
            if (i % 2 != 0) read(other, send(opener, id, "", true));
        }
        settle(a, b);
        ASSERT_EQ(a.streams() + b.streams(), 0U) << "cycle " << i;
        if (i == 100) {
            memory_a = a.memory();
            memory_b = b.memory();
        }
    }
    EXPECT_EQ(a.memory(), memory_a);
    EXPECT_EQ(b.memory(), memory_b);
    EXPECT_EQ(a.total_window() + b.total_window(), 0U);
    EXPECT_EQ(a.unacked_opens() + b.unacked_opens(), 0U);
    EXPECT_FALSE(a.wants_pull() || b.wants_pull());
}

TEST(Close, AnIdleSessionIsSmall) {
    Session session = client();
    EXPECT_LT(session.memory(), 1024U);
    for (int i = 0; i < 3; ++i) read(session, update((*session.open()).value, 0));
    control(session);
    EXPECT_LT(session.memory(), 2048U);
}

}  // namespace
}  // namespace kith::mux::test
