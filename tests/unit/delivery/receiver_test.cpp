// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "unit/delivery/pair.hpp"

namespace kith::delivery {
namespace {

constexpr StreamRef first{LinkId{1}, StreamId{1}};
constexpr StreamRef second{LinkId{2}, StreamId{1}};

TEST(Receiver, HostileFramesAreErrors) {
    Bytes add;
    wire::append_add(add, described(0, "b"));
    Bytes add_same;
    wire::append_add(add_same, described(1, "a"));
    const auto open = hello({described(0, "a")});
    const std::pair<const char*, Bytes> table[] = {
        {"DATA before HELLO", data(0, 1, "x")},
        {"HELLO twice", open + open},
        {"a lane announced twice", open + add},
        {"two lanes of one channel", open + add_same},
        {"DATA of an unknown lane", open + data(3, 1, "x")},
        {"a number too high", open + data(0, 2, "x")},
        {"the same number twice", open + data(0, 1, "x") + data(0, 1, "x")},
        {"a fragment that begins in the middle", open + fragment(0, 1, 100, 10, "x")},
        {"a fragment that leaves a gap", open + fragment(0, 1, 100, 0, "xx") + fragment(0, 1, 100, 3, "x")},
        {"fragments of different totals", open + fragment(0, 1, 100, 0, "xx") + fragment(0, 1, 90, 2, "x")},
        {"a message inside another", open + fragment(0, 1, 100, 0, "xx") + data(0, 1, "x")},
        {"a message above the limit", open + fragment(0, 1, (1 << 20) + 1, 0, "x")},
        {"an enormous total", open + fragment(0, 1, 0xFFFFFFFFFFFFFFF0ULL, 0, "x")},
        {"number 0", open + data(0, 0, "x")},
        {"an unknown flag", open + data(0, 1, "x", 0x80)},
        {"an unknown critical frame", open + Bytes{16, 0}},
        {"an empty channel name", hello({described(0, "")})},
        {"a name of 65 bytes", hello({described(0, std::string(65, 'n'))})},
        {"CLOSE", open + Bytes{14, 1, 0}},
    };
    for (const auto& [name, bytes] : table) {
        Sink sink;
        ASSERT_TRUE(sink.receiver.opened(first, "LAN"));
        EXPECT_FALSE(sink.feed(first, bytes, at(1s))) << name;
        EXPECT_LT(sink.receiver.memory(), 100'000U) << name;
    }
}

TEST(Receiver, ABufferGrowsWithWhatCameAndNotWithWhatWasAnnounced) {
    Sink sink;
    ASSERT_TRUE(sink.receiver.opened(first, "LAN"));
    ASSERT_TRUE(sink.feed(first, hello({described(0, "a")}), at(1s)));
    ASSERT_TRUE(sink.feed(first, fragment(0, 1, 1 << 20, 0, "x"), at(1s)));
    EXPECT_LT(sink.receiver.memory(), 2000U);
    sink.receiver.closed(first);
    EXPECT_LT(sink.receiver.memory(), 1000U);
}

TEST(Receiver, MoreThanItsCreditIsAnError) {
    Sink sink(ReceiverConfig{.max_message = 1000, .lane_window = 5000});
    ASSERT_TRUE(sink.receiver.opened(first, "LAN"));
    ASSERT_TRUE(sink.feed(first, hello({described(0, "a")}), at(1s)));
    const std::string text(936, 'x');  // costs 1000
    for (std::uint64_t i = 1; i <= 5; ++i) ASSERT_TRUE(sink.feed(first, data(0, i, text), at(1s))) << i;
    const auto ok = sink.feed(first, data(0, 6, text), at(1s));
    ASSERT_FALSE(ok);
    EXPECT_EQ(ok.error().code, Errc::protocol_error);
    EXPECT_EQ(sink.got.size(), 5U);
    EXPECT_EQ(sink.receiver.resyncs(), 0U);
}

// One stream after the other, each with an epoch of its own and all the early data it may send: the memory stays within one
// window and one allowance.
TEST(Receiver, EpochsAndStreamsDoNotMultiplyTheCredit) {
    Sink sink(ReceiverConfig{.max_message = 10'000, .lane_window = 100'000});
    std::size_t taken = 0;
    for (std::uint32_t s = 1; s <= 100; ++s) {
        const StreamRef stream{LinkId{1}, StreamId{s}};
        ASSERT_TRUE(sink.receiver.opened(stream, "LAN"));
        ASSERT_TRUE(sink.feed(stream, hello({}), at(s * 1s)));
        Bytes add;
        wire::append_add(add, described(0, "a", 100 + s));
        ASSERT_TRUE(sink.feed(stream, add, at(1s)));
        for (std::uint64_t i = 1; i <= 20; ++i) {
            if (!sink.feed(stream, data(0, i, std::string(9000, 'x')), at(1s))) break;
        }
        taken = sink.got.size();
        sink.receiver.closed(stream);
    }
    EXPECT_LE(taken * 9064, 100'000 + early_bytes);
    EXPECT_GE(taken, 11U);
    // Consumption of what came under older epochs gives the credit back.
    sink.consume_all(at(2s));
    EXPECT_LT(sink.receiver.memory(), 1000U);
}

TEST(Receiver, TooManyHellosAreRefusedAndTheCurrentStreamStays) {
    Sink sink;
    std::uint32_t s = 0;
    const auto say_hello = [&](Instant now) {
        const StreamRef stream{LinkId{1}, StreamId{++s}};
        EXPECT_TRUE(sink.receiver.opened(stream, "LAN"));
        const auto ok = sink.feed(stream, hello({described(0, "a")}), now);
        if (!ok) sink.receiver.closed(stream);
        return ok;
    };
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(say_hello(at(1s))) << i;
    const auto current = sink.receiver.current();
    const auto refused = say_hello(at(1s));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::limit_exceeded);
    EXPECT_EQ(sink.receiver.hellos_refused(), 1U);
    EXPECT_EQ(sink.receiver.current(), current);
    ASSERT_TRUE(sink.feed(current, data(0, 1, "x"), at(1s)));
    EXPECT_EQ(sink.got.size(), 1U);
    // Ten a second from then on.
    int taken = 0;
    for (auto t = 1s + 10ms; t <= 11s; t += 10ms) taken += say_hello(at(t)).has_value() ? 1 : 0;
    EXPECT_GE(taken, 99);
    EXPECT_LE(taken, 100);
}

// An honest sender whose attachments all fail waits 0.1 s, then twice as long each time, at most 5 s: never refused.
TEST(Receiver, AnHonestSenderStaysBelowTheLimitOfHellos) {
    Sink sink;
    Duration t = 1s;
    Duration wait = 100ms;
    for (std::uint32_t s = 1; s <= 200; ++s) {
        const StreamRef stream{LinkId{1}, StreamId{s}};
        ASSERT_TRUE(sink.receiver.opened(stream, "LAN"));
        ASSERT_TRUE(sink.feed(stream, hello({described(0, "a")}), at(t))) << s;
        sink.receiver.closed(stream);
        t += wait;
        wait = s % 20 == 0 ? Duration{100ms} : std::min<Duration>(5s, 2 * wait);  // sometimes one lasts, and it begins anew
    }
    EXPECT_EQ(sink.receiver.hellos_refused(), 0U);
}

TEST(Receiver, TheLatestHelloWins) {
    Sink sink;
    ASSERT_TRUE(sink.receiver.opened(first, "LAN"));
    ASSERT_TRUE(sink.receiver.opened(second, "direct"));
    ASSERT_TRUE(sink.feed(first, hello({described(0, "a")}) + data(0, 1, "one"), at(1s)));
    EXPECT_EQ(sink.receiver.current(), first);
    ASSERT_TRUE(sink.feed(second, hello({described(0, "a")}), at(1s)));
    EXPECT_EQ(sink.receiver.current(), second);
    EXPECT_EQ(sink.receiver.take_fenced(), first);
    EXPECT_EQ(sink.receiver.take_fenced(), std::nullopt);
    ASSERT_TRUE(sink.feed(first, data(0, 2, "late"), at(1s)));  // noise
    ASSERT_TRUE(sink.feed(second, data(0, 2, "two"), at(1s)));
    ASSERT_EQ(sink.got.size(), 2U);
    EXPECT_EQ(sink.got[1].text, "two");
    EXPECT_EQ(sink.receiver.resyncs(), 0U);
}

TEST(Receiver, AGapIsCountedAsResync) {
    Sink sink;
    ASSERT_TRUE(sink.receiver.opened(first, "LAN"));
    ASSERT_TRUE(sink.feed(first, hello({described(0, "a")}) + data(0, 1, "one"), at(1s)));
    EXPECT_FALSE(sink.feed(first, data(0, 3, "three"), at(1s)));
    EXPECT_EQ(sink.receiver.resyncs(), 1U);
}

TEST(Receiver, RowsAreLimited) {
    Sink sink(ReceiverConfig{.max_rows = 2});
    ASSERT_TRUE(sink.receiver.opened(first, "LAN"));
    ASSERT_TRUE(sink.feed(first, hello({described(0, "a"), described(1, "b"), described(2, "c")}), at(1s)));
    EXPECT_EQ(sink.receiver.rows(), 2U);
    EXPECT_EQ(sink.answer(at(1s)).at(0).type, static_cast<std::uint8_t>(wire::FrameType::close));
    ASSERT_TRUE(sink.feed(first, data(0, 1, "not looked at"), at(1s)));
    EXPECT_TRUE(sink.got.empty());
}

// They wait, without credit and without a row; the other lanes do not notice. When they are taken after all, they come again.
TEST(Receiver, DurableLanesThatAreNotTakenWait) {
    auto durable = described(0, "a");
    durable.strength = 2;
    Sink sink;
    ASSERT_TRUE(sink.receiver.opened(first, "LAN"));
    Bytes mark;
    wire::append_mark(mark, 0, 2, 0);
    ASSERT_TRUE(sink.feed(first, hello({durable, described(1, "a")}) + data(1, 1, "reliable") + mark, at(1s)));
    EXPECT_EQ(sink.receiver.rows(), 1U);
    EXPECT_EQ(sink.got.size(), 1U);
    const auto answer = sink.answer(at(1s));
    ASSERT_EQ(answer.size(), 2U);
    const auto resume = wire::decode_resume(answer[0].body);
    ASSERT_TRUE(resume);
    ASSERT_EQ(resume->lanes.size(), 2U);
    EXPECT_EQ(resume->lanes[0].state, wire::ResumeState::none);
    EXPECT_EQ(resume->lanes[0].limit, 0U);
    EXPECT_GT(resume->lanes[1].limit, 0U);
    EXPECT_EQ(answer[1].type, static_cast<std::uint8_t>(wire::FrameType::ack));
    sink.receiver.allow_durable(true);
    const auto again = sink.answer(at(1s));
    ASSERT_EQ(again.size(), 1U);
    EXPECT_EQ(again[0].type, static_cast<std::uint8_t>(wire::FrameType::close));
    sink.receiver.closed(first);
    ASSERT_TRUE(sink.receiver.opened(second, "LAN"));
    ASSERT_TRUE(sink.feed(second, hello({durable}), at(2s)));
    EXPECT_EQ(sink.receiver.rows(), 2U);
}

TEST(Receiver, DataWithoutCreditOfALaneThatIsNotTaken) {
    auto durable = described(0, "a");
    durable.strength = 2;
    Sink sink;
    ASSERT_TRUE(sink.receiver.opened(first, "LAN"));
    EXPECT_EQ(sink.feed(first, hello({durable}) + data(0, 1, "x"), at(1s)).error(), Errc::protocol_error);
}

// A row makes room for another when its sender will never come back to it: settled ones first.
TEST(Receiver, ASettledRowMakesRoomForAnother) {
    Sink sink(ReceiverConfig{.max_rows = 2, .instance = 5});
    ASSERT_TRUE(sink.receiver.opened(first, "LAN"));
    Bytes mark;
    wire::append_mark(mark, 0, 2, 1);
    ASSERT_TRUE(sink.feed(first, hello({described(0, "a"), described(1, "b")}) + data(0, 1, "x") + data(1, 1, "y"), at(1s)));
    sink.consume_all(at(1s));
    ASSERT_TRUE(sink.feed(first, mark, at(1s)));
    sink.receiver.closed(first);
    ASSERT_TRUE(sink.receiver.opened(second, "LAN"));
    ASSERT_TRUE(sink.feed(second, hello({described(0, "c"), described(1, "b")}), at(1s)));
    const auto answer = sink.answer(at(1s));
    ASSERT_EQ(answer.size(), 1U);
    const auto resume = wire::decode_resume(answer[0].body);
    ASSERT_TRUE(resume);
    EXPECT_EQ(resume->lanes[0].state, wire::ResumeState::none);
    EXPECT_EQ(resume->lanes[1].have, 1U);  // b was not settled, and is remembered
    EXPECT_EQ(resume->instance, 5U);
    EXPECT_EQ(sink.receiver.forgotten(), 0U);
    // Only unsettled ones are left: the memory is another one from here on, and says so.
    sink.receiver.closed(second);
    const StreamRef third{LinkId{3}, StreamId{1}};
    ASSERT_TRUE(sink.receiver.opened(third, "LAN"));
    ASSERT_TRUE(sink.feed(third, hello({described(0, "d"), described(1, "e")}), at(1s)));
    const auto other = wire::decode_resume(sink.answer(at(1s)).at(0).body);
    ASSERT_TRUE(other);
    EXPECT_NE(other->instance, 5U);
    EXPECT_EQ(sink.receiver.forgotten(), 1U);
}

// The sender died and began a new epoch; what its former process sent is consumed only now. Numbers of the two must not be mixed.
TEST(Receiver, WhatIsConsumedOfAnEarlierEpochAcknowledgesNothing) {
    Sink sink;
    ASSERT_TRUE(sink.receiver.opened(first, "LAN"));
    ASSERT_TRUE(sink.feed(first, hello({described(0, "a", 5)}) + data(0, 1, "x") + data(0, 2, "y"), at(1s)));
    sink.receiver.closed(first);
    ASSERT_TRUE(sink.receiver.opened(second, "LAN"));
    ASSERT_TRUE(sink.feed(second, hello({described(0, "a", 6)}), at(1s)));
    (void)sink.answer(at(1s));
    sink.consume_all(at(1s));
    for (const auto& frame : sink.answer(at(2s))) EXPECT_NE(frame.type, static_cast<std::uint8_t>(wire::FrameType::ack));
    ASSERT_TRUE(sink.feed(second, data(0, 1, "new"), at(2s)));
    sink.consume_all(at(2s));
    const auto answers = sink.answer(at(3s));
    ASSERT_FALSE(answers.empty());
    EXPECT_EQ(wire::decode_two(answers[0].body)->first, 1U);
}

TEST(Receiver, MarkIsCheckedAndAnsweredAtOnce) {
    Sink sink;
    ASSERT_TRUE(sink.receiver.opened(first, "LAN"));
    ASSERT_TRUE(sink.feed(first, hello({described(0, "a")}) + data(0, 1, "x"), at(1s)));
    (void)sink.answer(at(1s));
    Bytes mark;
    wire::append_mark(mark, 0, 2, 0);
    ASSERT_TRUE(sink.feed(first, mark, at(1s)));
    const auto answer = sink.answer(at(1s));
    ASSERT_EQ(answer.size(), 1U);
    EXPECT_EQ(answer[0].type, static_cast<std::uint8_t>(wire::FrameType::ack));
    EXPECT_EQ(wire::decode_two(answer[0].body)->first, 0U);  // not consumed yet; it is alive
    Bytes ahead;
    wire::append_mark(ahead, 0, 3, 0);
    EXPECT_FALSE(sink.feed(first, ahead, at(1s)));  // a message is missing
    EXPECT_EQ(sink.receiver.resyncs(), 1U);
}

TEST(Receiver, SkippedNumbersAreDoneInOrder) {
    Sink sink;
    ASSERT_TRUE(sink.receiver.opened(first, "LAN"));
    Bytes skip;
    wire::append_skip(skip, 0, 2, 1'000'000'000'000ULL, nullptr);  // costs nothing to remember
    ASSERT_TRUE(sink.feed(first, hello({described(0, "a")}) + data(0, 1, "x") + skip, at(1s)));
    EXPECT_LT(sink.receiver.memory(), 2000U);
    (void)sink.answer(at(2s));
    sink.consume_all(at(2s));
    const auto answer = sink.answer(at(3s));
    ASSERT_FALSE(answer.empty());
    EXPECT_EQ(wire::decode_two(answer[0].body)->first, 1'000'000'000'001ULL);
    ASSERT_TRUE(sink.feed(first, data(0, 1'000'000'000'002ULL, "y"), at(3s)));
    Bytes again;
    wire::append_skip(again, 0, 5, 1, nullptr);
    EXPECT_FALSE(sink.feed(first, again, at(3s)));
    EXPECT_EQ(sink.receiver.resyncs(), 1U);
}

TEST(Receiver, StreamsThatSayNothingAreLimited) {
    Sink sink(ReceiverConfig{.max_streams = 3});
    for (std::uint32_t i = 1; i <= 3; ++i) EXPECT_TRUE(sink.receiver.opened({LinkId{1}, StreamId{i}}, "LAN"));
    EXPECT_FALSE(sink.receiver.opened({LinkId{1}, StreamId{4}}, "LAN"));
    sink.receiver.closed({LinkId{1}, StreamId{2}});
    EXPECT_TRUE(sink.receiver.opened({LinkId{1}, StreamId{4}}, "LAN"));
}

TEST(Receiver, AnswersOfTheApplicationThatMeanNothingAreIgnored) {
    Sink sink;
    ASSERT_TRUE(sink.receiver.opened(first, "LAN"));
    ASSERT_TRUE(sink.feed(first, hello({described(0, "a")}) + data(0, 1, "one"), at(1s)));
    const auto held = sink.receiver.memory();
    sink.receiver.consumed(0, sink.got[0].generation + 1, 1, at(1s));
    sink.receiver.consumed(0, sink.got[0].generation, 2, at(1s));
    sink.receiver.consumed(9, sink.got[0].generation, 1, at(1s));
    EXPECT_EQ(sink.receiver.memory(), held);
    EXPECT_FALSE(sink.receiver.deadline());
    sink.receiver.consumed(0, sink.got[0].generation, 1, at(1s));
    EXPECT_LT(sink.receiver.memory(), held);
    EXPECT_TRUE(sink.receiver.deadline());
}

TEST(Receiver, ADatagramNeedsNoLane) {
    Sink sink;
    ASSERT_TRUE(sink.receiver.opened(first, "LAN"));
    Bytes datagram;
    wire::append_datagram(datagram, "state", as_bytes("42"));
    ASSERT_TRUE(sink.feed(first, hello({}) + datagram, at(1s)));
    ASSERT_EQ(sink.got.size(), 1U);
    EXPECT_EQ(sink.got[0].seq, 0U);
    EXPECT_EQ(sink.channels[0], "state");
}

// ---- with a disk

struct DiskSink : Sink {
    explicit DiskSink(ReceiverConfig config) : Sink((config.durable = true, config)) {}

    static wire::HelloLane lane(std::uint64_t epoch) {
        auto out = described(0, "a", epoch);
        out.strength = 2;
        return out;
    }
    static Bytes message(std::uint64_t seq, std::string_view text) {
        Bytes body{static_cast<std::uint8_t>(wire::data_flag::mid | wire::data_flag::ack_now)};
        wire::append_varint(body, seq);
        body.insert(body.end(), 8, static_cast<std::uint8_t>(seq));
        body.insert(body.end(), text.begin(), text.end());
        Bytes out(20);
        out.resize(wire::put_frame_head(out.data(), wire::FrameType::data, 0, body.size()));
        out.insert(out.end(), body.begin(), body.end());
        return out;
    }
    // What is on its way to the disk arrives there; then what the application has.
    std::vector<delivery::Delivered> commit() {
        receiver.committed(journal.take().ticket, now, batch);
        auto out = batch.messages;
        batch.clear();
        return out;
    }
    Instant now = at(1s);
};

// A quota that counts the bytes of messages alone lets a peer fill the disk with empty ones.
TEST(Receiver, TheInboxCountsWhatASmallMessageCosts) {
    DiskSink sink({.max_message = 1000, .lane_window = 2000, .inbox_bytes = 10'000});
    ASSERT_TRUE(sink.receiver.opened(first, "x"));
    ASSERT_TRUE(sink.feed(first, hello({DiskSink::lane(5)}), sink.now));
    auto answers = sink.answer(sink.now);
    ASSERT_EQ(answers.size(), 1U);
    auto limit = wire::decode_resume(answers[0].body)->lanes[0].limit;
    std::uint64_t spent = 0;
    std::uint64_t sent = 0;
    while (spent + 1 + cost_per_message <= limit && sent < 100'000) {
        spent += 1 + cost_per_message;
        ASSERT_TRUE(sink.feed(first, DiskSink::message(++sent, "x"), sink.now));
        sink.commit();
        sink.now = sink.now + 10ms;
        for (const auto& answer : sink.answer(sink.now)) {
            if (answer.type == static_cast<std::uint8_t>(wire::FrameType::limit)) limit = std::max(limit, *wire::decode_one(answer.body));
        }
    }
    EXPECT_LE(sent * (1 + cost_per_message), 10'000U + 2000U);
    EXPECT_GE(sent * (1 + cost_per_message), 9000U);
}

// The numbers of two epochs overlap: what the application is done with of the former one is no receipt for the latter.
TEST(Receiver, ProcessedMessagesOfAnEarlierEpochAreNoReceipt) {
    DiskSink sink({.memory_messages = 1});
    ASSERT_TRUE(sink.receiver.opened(first, "x"));
    ASSERT_TRUE(sink.feed(first, hello({DiskSink::lane(5)}), sink.now));
    std::vector<storage::InMessage> disk;
    const auto put = [&](StreamRef stream) {
        for (std::uint64_t seq = 1; seq <= 3; ++seq) {
            ASSERT_TRUE(sink.feed(stream, DiskSink::message(seq, "x"), sink.now));
            disk.push_back({.inbox = sink.journal.last_inbox(), .seq = seq, .bytes = {'x'}});
        }
    };
    put(first);
    const auto got = sink.commit();
    ASSERT_EQ(got.size(), 1U);  // the others lie on disk alone
    ASSERT_TRUE(sink.receiver.opened(second, "x"));
    ASSERT_TRUE(sink.feed(second, hello({DiskSink::lane(6)}), sink.now));
    put(second);
    EXPECT_TRUE(sink.commit().empty());
    sink.receiver.consumed(got[0].row, got[0].generation, got[0].mark(), sink.now);
    ASSERT_FALSE(sink.receiver.fetches().empty());
    const auto key = sink.receiver.fetches().back().lane;
    std::vector<storage::InMessage> read(disk.begin() + 1, disk.begin() + 3);
    sink.receiver.fetched(key, read, sink.batch);
    ASSERT_EQ(sink.batch.messages.size(), 2U);
    const auto last = sink.batch.messages.back();
    sink.batch.clear();
    sink.receiver.consumed(last.row, last.generation, last.mark(), sink.now);
    sink.now = sink.now + 10ms;
    for (const auto& answer : sink.answer(sink.now)) {
        if (answer.type != static_cast<std::uint8_t>(wire::FrameType::ack)) continue;
        EXPECT_EQ(wire::decode_two(answer.body)->first, 3U);
        EXPECT_EQ(wire::decode_two(answer.body)->second, 0U);
    }
}

}  // namespace
}  // namespace kith::delivery
