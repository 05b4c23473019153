// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "unit/delivery/pair.hpp"

namespace kith::delivery {
namespace {

TEST(Sender, SaysHelloAndNothingElseUntilItIsAnswered) {
    Pair p;
    const auto l = p.lane();
    p.send(l, "one");
    p.attach();
    const auto first = p.pull();
    wire::FrameReader reader;
    wire::Frame frame;
    ByteView in{first};
    ASSERT_EQ(reader.next(in, frame), wire::FrameReader::State::frame);
    EXPECT_EQ(frame.type, static_cast<std::uint8_t>(wire::FrameType::hello));
    EXPECT_TRUE(in.empty());
    EXPECT_TRUE(p.pull().empty());
    EXPECT_FALSE(p.sender.wants_fill());
}

TEST(Sender, EarlyDataOnlyForALaneAddedOnAnAnsweredStream) {
    Pair p;
    p.lane("a");
    p.attach();
    const auto before = p.lane("b");  // while attaching
    p.send(before, "waits");
    const auto opening = p.pull();
    ASSERT_TRUE(p.sink.feed(p.stream, opening, p.now));
    EXPECT_TRUE(p.sink.got.empty());
    p.run();
    ASSERT_EQ(p.sink.got.size(), 1U);

    const auto added = p.lane("c");
    const std::string large(1000, 'x');
    for (int i = 0; i < 100; ++i) p.send(added, large);
    Bytes all;
    for (auto piece = p.pull(); !piece.empty(); piece = p.pull()) all.insert(all.end(), piece.begin(), piece.end());
    EXPECT_EQ(p.sender.sent() - 1, early_bytes / (large.size() + cost_per_message));  // no more before its RESUME
    ASSERT_TRUE(p.sink.feed(p.stream, all, p.now));
    p.run();
    EXPECT_EQ(p.sink.got.size(), 101U);
}

TEST(Sender, AcknowledgementOfWhatWasNotSentIsAnError) {
    for (const std::uint64_t done : {3ULL, 4ULL, 1000ULL, 0xFFFFFFFFFFFFFFFFULL}) {
        Pair p;
        const auto l = p.lane();
        p.send(l, "one");
        p.send(l, "two");
        p.attach();
        p.consume = false;
        p.run();
        Bytes ack;
        wire::append_ack(ack, l, done, done);
        const auto result = p.sender.received(ack, p.now);
        ASSERT_FALSE(result) << done;
        EXPECT_EQ(result.error().code, Errc::protocol_error);
        EXPECT_EQ(p.released(), 0U);
    }
}

TEST(Sender, HostileAnswersAreErrors) {
    const wire::ResumeLane lane0{.id = 0, .limit = 1000};
    Bytes limit;
    wire::append_limit(limit, 9, 5);
    Bytes ack;
    wire::append_ack(ack, 9, 1, 1);
    Bytes close;
    wire::append_close(close, 3, "bye");
    const std::pair<const char*, Bytes> table[] = {
        {"unknown lane in RESUME", resume({{.id = 7}})},
        {"the same lane twice", resume({lane0, lane0})},
        {"RESUME twice", resume({lane0}) + resume({})},
        {"messages never sent", resume({{.id = 0, .state = wire::ResumeState::known, .have = 9, .done = 0}})},
        {"done above have", resume({{.id = 0, .state = wire::ResumeState::known, .have = 1, .done = 2}})},
        {"LIMIT of an unknown lane", limit},
        {"ACK of an unknown lane", ack},
        {"another instance on the same stream", resume({lane0}, 1) + resume({{.id = 0}}, 2)},
        {"an unknown critical frame", Bytes{0x10 | 0x0E, 0}},
        {"DATA from the receiver", data(0, 1, "x")},
        {"a number that is not minimal", Bytes{0x8A, 0x00, 0}},
        {"a frame longer than 64 KiB", Bytes{0x0A, 0x81, 0x80, 0x04}},
        {"CLOSE", close},
    };
    for (const auto& [name, bytes] : table) {
        Pair p;
        p.lane();
        p.attach();
        p.pull();
        EXPECT_FALSE(p.sender.received(bytes, p.now)) << name;
    }
}

TEST(Sender, AnUnknownFrameWithAnOddTypeIsSkipped) {
    Pair p;
    const auto l = p.lane();
    p.send(l, "one");
    p.attach();
    p.pull();
    const Bytes odd{(0 << 5) | 31, 2, 1, 1};
    ASSERT_TRUE(p.sender.received(odd + resume({{.id = 0, .limit = 1000}}), p.now));
    EXPECT_TRUE(p.sender.wants_fill());
}

TEST(Sender, CreditIsKeptAndGrowsOnlyUpwards) {
    Pair p;
    const auto l = p.lane();
    for (int i = 0; i < 10; ++i) p.send(l, std::string(36, 'x'));  // costs 100
    p.attach();
    p.pull();
    ASSERT_TRUE(p.sender.received(resume({{.id = 0, .limit = 350}}), p.now));
    p.pull();
    EXPECT_EQ(p.sender.sent(), 3U);
    Bytes lower;
    wire::append_limit(lower, 0, 100);  // an old one: absolute values may be repeated
    ASSERT_TRUE(p.sender.received(lower, p.now));
    EXPECT_TRUE(p.pull().empty());
    Bytes higher;
    wire::append_limit(higher, 0, 500);
    ASSERT_TRUE(p.sender.received(higher, p.now));
    p.pull();
    EXPECT_EQ(p.sender.sent(), 5U);
}

TEST(Sender, MarksOnlyWhatAnotherReceiverMayHaveHandedOver) {
    Pair p;
    const auto l = p.lane();
    p.send(l, "one");
    p.attach();
    p.pull();
    ASSERT_TRUE(p.sender.received(resume({{.id = 0, .limit = 10'000}}, 1), p.now));
    EXPECT_FALSE(p.pull().empty());  // lost with its link
    const auto flags_after = [&](std::uint64_t instance) {
        p.sender.detach();
        p.sender.attach();
        p.pull();
        EXPECT_TRUE(p.sender.received(resume({{.id = 0, .limit = 10'000}}, instance), p.now));
        const auto bytes = p.pull();
        EXPECT_GT(bytes.size(), 2U);
        return bytes.size() > 2 ? bytes[2] : 0;
    };
    EXPECT_EQ(flags_after(1) & wire::data_flag::repeat, 0);  // the same receiver has nothing: nothing was handed over
    EXPECT_NE(flags_after(2) & wire::data_flag::repeat, 0);  // a new one cannot know
    EXPECT_NE(flags_after(2) & wire::data_flag::repeat, 0);  // and the mark stays
}

TEST(Sender, PrioritiesAndTheTurnOfLowerLanes) {
    Pair p(SenderConfig{.lower_turn_after = 64 * 1024});
    const auto low = p.lane("bulk", Priority::low);
    const auto high = p.lane("chat", Priority::high);
    const std::string kilobyte(1000, 'x');
    for (int i = 0; i < 500; ++i) p.send(high, kilobyte);
    for (int i = 0; i < 50; ++i) p.send(low, kilobyte);
    p.attach();
    p.consume = false;
    p.run();
    ASSERT_EQ(p.sink.got.size(), 550U);
    std::size_t high_before_first_low = 0;
    while (p.sink.channels[high_before_first_low] == "chat") ++high_before_first_low;
    EXPECT_LE(high_before_first_low, 64U + 17U);  // its turn, after at most one turn of the higher lane more
    EXPECT_GE(high_before_first_low, 60U);
    std::size_t lows = 0;
    for (std::size_t i = 0; i < 500; ++i) lows += p.sink.channels[i] == "bulk" ? 1 : 0;
    EXPECT_GE(lows, 20U);
    EXPECT_LE(lows, 40U);
}

TEST(Sender, DatagramsAreDroppedWhenFull) {
    Pair p(SenderConfig{.max_datagram_bytes = 1000});
    EXPECT_TRUE(p.sender.enqueue_datagram("state", as_bytes(std::string(400, 'x'))));
    EXPECT_TRUE(p.sender.enqueue_datagram("state", as_bytes(std::string(400, 'x'))));
    EXPECT_FALSE(p.sender.enqueue_datagram("state", as_bytes(std::string(400, 'x'))));
    Journal journal;
    EXPECT_FALSE(Sender(SenderConfig{}, journal).enqueue_datagram("state", as_bytes(std::string(70'000, 'x'))));
    p.attach();
    p.run();
    ASSERT_EQ(p.sink.got.size(), 2U);
    EXPECT_EQ(p.sink.got[0].seq, 0U);
    EXPECT_TRUE(p.sender.enqueue_datagram("state", as_bytes("again")));
}

TEST(Sender, AbandonedMessagesEndAsFailedOrUnknown) {
    Pair p;
    const auto l = p.lane();
    p.send(l, "written", 1);
    p.attach();
    p.consume = false;
    p.run();
    p.send(l, "not written", 2);
    p.sender.detach();
    p.sender.abandon(p.now);
    ASSERT_EQ(p.sender.outcomes().size(), 2U);
    EXPECT_EQ(p.sender.outcomes()[0].outcome, Receipt::Outcome::unknown);
    EXPECT_EQ(p.sender.outcomes()[1].outcome, Receipt::Outcome::failed);
    EXPECT_EQ(p.released(), 2U);
    EXPECT_FALSE(p.sender.has_work());
}

TEST(Sender, LanesAreLimitedAndFoundAgain) {
    Journal journal;
    Sender sender(SenderConfig{.max_lanes = 2}, journal);
    const auto a = sender.lane("a", Strength::reliable, Priority::normal, 1);
    const auto b = sender.lane("a", Strength::reliable, Priority::high, 2);
    ASSERT_TRUE(a && b);
    EXPECT_NE(*a, *b);
    EXPECT_EQ(*sender.lane("a", Strength::reliable, Priority::normal, 3), *a);
    const auto c = sender.lane("b", Strength::reliable, Priority::normal, 4);
    ASSERT_FALSE(c);
    EXPECT_EQ(c.error().code, Errc::limit_exceeded);
}

}  // namespace
}  // namespace kith::delivery
