// SPDX-License-Identifier: Apache-2.0
// What the application does to a queue: replacing, cancelling, times to live; and what it may not do to what was on the wire.
#include <gtest/gtest.h>

#include "unit/delivery/pair.hpp"

namespace kith::delivery {
namespace {

using Ended = Receipt::Outcome;

Ended ended(Pair& p, std::uint64_t token) {
    for (const auto& o : p.sender.outcomes()) {
        if (o.token == token) return o.outcome;
    }
    return Ended::stored;  // none yet
}

std::vector<std::string> texts(const Pair& p) {
    std::vector<std::string> out;
    for (const auto& m : p.sink.got) out.push_back(m.text);
    return out;
}

void send(Pair& p, LaneIndex lane, std::string_view text, Outgoing more) {
    more.bytes = as_bytes(text);
    p.sender.enqueue(lane, more, p.now);
}

TEST(Queue, ANewerMessageTakesThePlaceAndPriorityOfTheOlder) {
    Pair p;
    const auto low = p.lane("state", Priority::low);
    const auto high = p.lane("state", Priority::high);
    send(p, low, "x=1", {.token = 1, .key = 7});
    p.send(low, "after");
    send(p, high, "x=2, longer than before", {.token = 2, .key = 7});  // stays where the first one was
    send(p, low, "y=1", {.token = 3, .key = 8});
    EXPECT_EQ(p.sender.queued(), 3U);
    EXPECT_EQ(p.released(), 1U);
    p.attach();
    p.run();
    EXPECT_EQ(texts(p), (std::vector<std::string>{"x=2, longer than before", "after", "y=1"}));
    EXPECT_EQ(ended(p, 1), Ended::replaced);
    EXPECT_EQ(ended(p, 2), Ended::delivered);
    EXPECT_EQ(ended(p, 3), Ended::delivered);
    EXPECT_EQ(p.released(), 4U);
}

TEST(Queue, WhatWasWrittenIsNotReplaced) {
    Pair p;
    const auto l = p.lane();
    send(p, l, "x=1", {.token = 1, .key = 7});
    p.attach();
    p.consume = false;
    p.run();
    send(p, l, "x=2", {.token = 2, .key = 7});
    p.cut();  // though it may have been lost: the receiver may have it
    send(p, l, "x=3", {.token = 3, .key = 7});
    p.attach();
    p.consume = true;
    p.run();
    EXPECT_EQ(texts(p), (std::vector<std::string>{"x=1", "x=3"}));
    EXPECT_EQ(ended(p, 1), Ended::delivered);
    EXPECT_EQ(ended(p, 2), Ended::replaced);
}

TEST(Queue, ReplacingManyTimesDoesNotGrowTheQueue) {
    Pair p;
    const auto l = p.lane();
    p.send(l, "first");
    for (int i = 0; i < 10'000; ++i) send(p, l, std::string(100, 'x') + std::to_string(i), {.key = 3});
    EXPECT_EQ(p.sender.queued(), 2U);
    EXPECT_LT(p.sender.memory(), 20'000U);
}

// Each replacement has a time to live of its own, in any order: they do not pile up, and the last one counts.
TEST(Queue, ReplacingManyTimesWithTimesToLiveDoesNotGrowEither) {
    Pair p;
    const auto l = p.lane();
    for (int i = 0; i < 10'000; ++i) {
        p.now = p.now + 1ms;
        send(p, l, "x", {.key = 3, .ttl = i % 2 == 0 ? 1h : 30min});
    }
    EXPECT_LT(p.sender.memory(), 20'000U);
    send(p, l, "last", {.token = 1, .key = 3, .ttl = 2h});
    p.now = p.now + (2h - 1ms);
    ASSERT_TRUE(p.sender.tick(p.now));
    EXPECT_EQ(ended(p, 1), Ended::stored);
    p.now = p.now + 1ms;
    EXPECT_LE(p.sender.deadline().steady, p.now.steady);
    ASSERT_TRUE(p.sender.tick(p.now));
    EXPECT_EQ(ended(p, 1), Ended::expired);
    EXPECT_FALSE(p.sender.has_work());
}

TEST(Queue, AReplacementThatLivesShorterExpiresAtItsOwnTime) {
    Pair p;
    const auto l = p.lane();
    send(p, l, "long", {.token = 1, .key = 3, .ttl = 1h});
    send(p, l, "short", {.token = 2, .key = 3, .ttl = 1s});
    p.now = p.now + 1s;
    ASSERT_TRUE(p.sender.tick(p.now));
    EXPECT_EQ(ended(p, 2), Ended::expired);
}

// The receiver stands before the numbers that were given up; it must not take that for lost messages.
TEST(Queue, ALaneGoesOnAfterItsMessagesWereGivenUp) {
    Pair p;
    const auto l = p.lane();
    p.send(l, "one", 1);
    p.attach();
    p.run();
    p.cut();
    p.send(l, "two", 2);
    p.sender.abandon(p.now);
    p.send(l, "three", 3);
    p.attach();
    p.run();
    EXPECT_EQ(texts(p), (std::vector<std::string>{"one", "three"}));
    EXPECT_FALSE(p.sink.got.back().repeat);
    EXPECT_EQ(ended(p, 2), Ended::failed);
    EXPECT_EQ(ended(p, 3), Ended::delivered);
    EXPECT_EQ(p.sink.receiver.resyncs(), 0U);
}

// What is not replaced in memory is not replaced on disk either: the request would say both.
TEST(Queue, ADoubtfulReplacementWritesNothingTwice) {
    Journal journal;
    Sender sender(SenderConfig{}, journal);
    const auto now = at(1s);
    const auto l = *sender.lane("chat", Strength::durable, Priority::normal, 1);
    sender.enqueue(l, {.bytes = as_bytes(std::string_view{"one"}), .token = 1, .key = 7, .mid = 11}, now);
    sender.committed(journal.take().ticket);
    sender.enqueue(l, {.bytes = as_bytes(std::string_view{"two"}), .token = 2, .key = 7, .mid = 12}, now);
    (void)journal.take();  // the disk fails
    storage::OutLane row;
    row.key = sender.view(l).key;
    row.epoch = sender.view(l).epoch;
    row.first = 1;
    row.next = 2;
    sender.reopened({row}, now);
    ASSERT_EQ(sender.fetches().size(), 1U);
    storage::OutMessage kept;
    kept.seq = 1;
    kept.mid = 11;
    kept.bytes = {'o', 'n', 'e'};
    sender.fetched(row.key, {kept}, now);  // it has the first one
    (void)journal.take();
    sender.enqueue(l, {.bytes = as_bytes(std::string_view{"three"}), .token = 3, .key = 7, .mid = 13}, now);
    const auto request = journal.take();
    ASSERT_EQ(request.operations.size(), 1U);
    EXPECT_TRUE(std::holds_alternative<storage::Replace>(request.operations[0]));
    EXPECT_EQ(sender.queued(), 1U);
}

TEST(Queue, CancellingWhatWasNeverWrittenIsCertain) {
    Pair p;
    const auto l = p.lane();
    p.send(l, "one", 1);
    p.send(l, "two", 2);
    p.send(l, "three", 3);
    p.sender.cancel(2, p.now);
    p.sender.cancel(99, p.now);
    EXPECT_EQ(ended(p, 2), Ended::cancelled);
    EXPECT_EQ(p.released(), 1U);
    p.attach();
    p.run();
    EXPECT_EQ(texts(p), (std::vector<std::string>{"one", "three"}));
    EXPECT_EQ(p.sink.receiver.resyncs(), 0U);
    p.sender.cancel(1, p.now);  // it has ended: nothing happens
    EXPECT_EQ(p.sender.outcomes().size(), 3U);
}

TEST(Queue, CancellingWhatIsOnTheWireIsDecidedByTheNextAnswer) {
    for (const bool arrived : {true, false}) {
        Pair p;
        const auto l = p.lane();
        p.attach();
        p.run();
        p.send(l, "one", 1);
        const auto bytes = p.pull();
        if (arrived) {
            ASSERT_TRUE(p.sink.feed(p.stream, bytes, p.now));
        }
        p.sender.cancel(1, p.now);
        EXPECT_EQ(ended(p, 1), Ended::stored);  // too late to be sure
        p.cut();
        EXPECT_EQ(ended(p, 1), Ended::stored);
        p.attach();
        p.run();
        EXPECT_EQ(ended(p, 1), arrived ? Ended::delivered : Ended::cancelled);
        EXPECT_EQ(p.sink.got.size(), arrived ? 1U : 0U);
    }
}

// The receiving process may have handed it over before it died: nothing is certain, so it is sent again, marked.
TEST(Queue, CancellingWhatAnEarlierReceiverMayHaveHandedOver) {
    Pair p;
    const auto l = p.lane();
    p.send(l, "one", 1);
    p.attach();
    p.pull();
    ASSERT_TRUE(p.sender.received(resume({{.id = 0, .limit = 10'000}}, 1), p.now));
    ASSERT_FALSE(p.pull().empty());
    p.sender.cancel(1, p.now);
    p.sender.detach();
    p.sender.attach();
    p.pull();
    ASSERT_TRUE(p.sender.received(resume({{.id = 0, .limit = 10'000}}, 2), p.now));
    EXPECT_EQ(ended(p, 1), Ended::stored);
    const auto again = p.pull();
    ASSERT_GT(again.size(), 2U);
    EXPECT_NE(again[2] & wire::data_flag::repeat, 0);
}

TEST(Queue, ATimeToLiveEndsWhatWasNotSent) {
    Pair p;
    const auto l = p.lane();
    send(p, l, "short", {.token = 1, .ttl = 1s});
    send(p, l, "long", {.token = 2, .ttl = 1h});
    p.send(l, "without", 3);
    EXPECT_EQ(p.sender.deadline(), p.now + 1s);
    p.now = p.now + 2s;
    ASSERT_TRUE(p.sender.tick(p.now));
    EXPECT_EQ(ended(p, 1), Ended::expired);
    p.attach();
    p.run();
    EXPECT_EQ(texts(p), (std::vector<std::string>{"long", "without"}));
}

TEST(Queue, ATimeToLiveOfWhatIsOnTheWire) {
    Pair p;
    const auto l = p.lane();
    p.attach();
    p.run();
    send(p, l, "one", {.token = 1, .ttl = 1s});
    send(p, l, "two", {.token = 2, .ttl = 1s});
    (void)p.pull();  // lost
    p.now = p.now + 5s;
    ASSERT_TRUE(p.sender.tick(p.now));
    EXPECT_TRUE(p.sender.outcomes().empty());  // linked: an answer may be on its way
    p.cut();
    p.now = p.now + 10s;
    ASSERT_TRUE(p.sender.tick(p.now));
    EXPECT_TRUE(p.sender.outcomes().empty());
    p.now = p.now + 70s;  // a minute behind its time, and nobody can say
    ASSERT_TRUE(p.sender.tick(p.now));
    EXPECT_EQ(ended(p, 1), Ended::unknown);
    EXPECT_EQ(ended(p, 2), Ended::unknown);
    p.send(l, "three", 3);
    p.attach();
    p.run();
    EXPECT_EQ(texts(p), (std::vector<std::string>{"three"}));
    EXPECT_EQ(p.sink.receiver.resyncs(), 0U);
}

// Presence for a peer that is away for a year: the queue stays small.
TEST(Queue, ExpiredMessagesDoNotPileUp) {
    Pair p;
    const auto l = p.lane();
    p.send(l, "stays");
    for (int i = 0; i < 100'000; ++i) {
        send(p, l, "here I am", {.ttl = 10s});
        p.now = p.now + 1s;
        ASSERT_TRUE(p.sender.tick(p.now));
    }
    EXPECT_LE(p.sender.queued(), 12U);
    EXPECT_LT(p.sender.memory(), 100'000U);
    p.attach();
    p.run();
    EXPECT_EQ(p.sink.got.front().text, "stays");
    EXPECT_LE(p.sink.got.size(), 12U);
    EXPECT_EQ(p.sender.queued(), 0U);
    EXPECT_EQ(p.sink.receiver.resyncs(), 0U);
}

TEST(Queue, ALargeMessageGoesOnWhereItWasCut) {
    Pair p;
    const auto l = p.lane();
    Bytes large(500'000, 'x');
    p.sender.enqueue(l, {.owned = &large, .token = 1}, p.now);
    p.attach();
    std::size_t before = 0;
    p.exchange(1000);  // HELLO, RESUME
    for (int i = 0; i < 20; ++i) {
        const auto piece = p.pull();
        before += piece.size();
        ASSERT_TRUE(p.sink.feed(p.stream, piece, p.now));
    }
    ASSERT_GT(before, 200'000U);
    p.cut();
    EXPECT_GT(p.sink.receiver.partials(), 200'000U);
    p.attach();
    std::size_t after = 0;
    for (int idle = 0; idle < 3;) {
        const auto piece = p.pull();
        after += piece.size();
        ASSERT_TRUE(p.sink.feed(p.stream, piece, p.now));
        idle = p.exchange() || !piece.empty() ? 0 : idle + 1;
        p.now = p.now + 5ms;
    }
    ASSERT_EQ(p.sink.got.size(), 1U);
    EXPECT_EQ(p.sink.got[0].text.size(), 500'000U);
    EXPECT_LT(after, 500'000U - before + 40'000U);
    EXPECT_EQ(ended(p, 1), Ended::delivered);
    // And when the memory was given up meanwhile, from the beginning.
    Bytes another(300'000, 'y');
    p.sender.enqueue(l, {.owned = &another, .token = 2}, p.now);
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(p.sink.feed(p.stream, p.pull(), p.now));
    p.cut();
    p.sink.receiver.drop_partials();
    EXPECT_EQ(p.sink.receiver.partials(), 0U);
    p.attach();
    p.run();
    EXPECT_EQ(ended(p, 2), Ended::delivered);
}

// A peer that acknowledges and never says that its application is done does not make the sender remember for ever.
TEST(Queue, ReceiptsThatNeverComeAreNotAwaitedForEver) {
    Journal journal;
    Sender sender(SenderConfig{.max_awaited = 3}, journal);
    const auto l = *sender.lane("chat", Strength::durable, Priority::normal, 1);
    for (std::uint64_t i = 1; i <= 5; ++i) {
        sender.enqueue(l, {.bytes = as_bytes("x"), .token = i, .processed = true, .mid = i}, at(1s));
    }
    sender.committed(journal.take().ticket);
    sender.attach();
    Bytes out(4096);
    (void)sender.fill(out, at(1s));
    ASSERT_TRUE(sender.received(resume({{.id = l, .limit = 10'000}}), at(1s)));
    sender.committed(journal.take().ticket);
    ASSERT_NE(sender.fill(out, at(1s)).bytes, 0U);
    Bytes ack;
    wire::append_ack(ack, l, 5, 0);
    ASSERT_TRUE(sender.received(ack, at(1s)));
    sender.outcomes().clear();
    sender.committed(journal.take().ticket);
    std::vector<std::uint64_t> given_up;
    std::size_t delivered = 0;
    for (const auto& o : sender.outcomes()) {
        if (o.outcome == Ended::unknown) given_up.push_back(o.token);
        if (o.outcome == Ended::delivered) ++delivered;
    }
    EXPECT_EQ(delivered, 5U);
    EXPECT_EQ(given_up, (std::vector<std::uint64_t>{1, 2}));
}

TEST(Queue, TheWatchdogAsksAndThenGivesUpTheLink) {
    Pair p;
    const auto l = p.lane();
    p.attach();
    p.run();
    p.send(l, "one", 1);
    (void)p.pull();  // the receiver never gets it, or is mute
    EXPECT_EQ(p.sender.deadline(), p.now + 10s);
    p.now = p.now + 10s;
    ASSERT_TRUE(p.sender.tick(p.now));
    const auto first = p.pull();
    ASSERT_FALSE(first.empty());
    EXPECT_EQ(first[0] & 31, static_cast<int>(wire::FrameType::mark));
    p.now = p.now + 10s;
    ASSERT_TRUE(p.sender.tick(p.now));
    EXPECT_FALSE(p.pull().empty());
    p.now = p.now + 10s;
    const auto given_up = p.sender.tick(p.now);
    ASSERT_FALSE(given_up);
    EXPECT_EQ(given_up.error().code, Errc::timeout);
}

TEST(Queue, ASlowApplicationIsNotSilence) {
    Pair p;
    const auto l = p.lane();
    p.attach();
    p.consume = false;
    p.run();
    p.send(l, "one", 1);
    p.run();
    for (int i = 0; i < 20; ++i) {
        p.now = p.now + 10s;
        ASSERT_TRUE(p.sender.tick(p.now)) << i;
        p.run();
    }
    p.consume = true;
    p.sink.consume_all(p.now);
    p.run();
    EXPECT_EQ(ended(p, 1), Ended::delivered);
}

}  // namespace
}  // namespace kith::delivery
