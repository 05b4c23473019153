// SPDX-License-Identifier: Apache-2.0
// Sender and receiver against each other.
#include <gtest/gtest.h>

#include "unit/delivery/pair.hpp"

namespace kith::delivery {
namespace {

std::string text_of(std::size_t i, std::size_t size) {
    std::string out = std::to_string(i) + ":";
    for (std::size_t k = out.size(); k < size; ++k) out.push_back(static_cast<char>('a' + (i + k) % 26));
    return out;
}

class Splits : public ::testing::TestWithParam<std::pair<std::size_t, std::size_t>> {};

// Every record size against every cut: the bytes of all frames are cut at every place.
TEST_P(Splits, AllArriveInOrder) {
    const auto [room, piece] = GetParam();
    Pair p;
    const auto a = p.lane("a");
    const auto b = p.lane("b", Priority::high);
    std::vector<std::string> sent;
    for (std::size_t i = 0; i < 60; ++i) {
        sent.push_back(text_of(i, i == 30 ? 40'000 : i * 7));
        p.send(i % 2 == 0 ? a : b, sent.back(), i + 1);
    }
    p.attach();
    p.run(room, piece);
    ASSERT_EQ(p.sink.got.size(), sent.size());
    std::vector<std::string> of[2];
    for (std::size_t i = 0; i < sent.size(); ++i) of[i % 2].push_back(sent[i]);
    std::size_t at_lane[2] = {};
    for (std::size_t i = 0; i < sent.size(); ++i) {
        const auto lane = p.sink.channels[i] == "a" ? 0U : 1U;
        EXPECT_EQ(p.sink.got[i].text, of[lane][at_lane[lane]++]);
        EXPECT_FALSE(p.sink.got[i].repeat);
    }
    EXPECT_EQ(p.released(), sent.size());
    EXPECT_EQ(p.sender.outcomes().size(), sent.size());
    EXPECT_EQ(p.sink.receiver.resyncs(), 0U);
    EXPECT_FALSE(p.sender.has_work());
}

INSTANTIATE_TEST_SUITE_P(Sizes, Splits,
                         ::testing::Values(std::pair{16384UL, 1UL}, std::pair{16384UL, 2UL}, std::pair{16384UL, 3UL},
                                           std::pair{16384UL, 7UL}, std::pair{16384UL, 100000UL}, std::pair{9000UL, 11UL},
                                           std::pair{12345UL, 64UL}, std::pair{65536UL, 1000UL}));

TEST(DeliveryPair, AMessageOfAMebibyteInFragments) {
    Pair p;
    const auto l = p.lane();
    std::string large(1 << 20, 'x');
    for (std::size_t i = 0; i < large.size(); i += 97) large[i] = static_cast<char>(i);
    Bytes owned(large.begin(), large.end());
    p.sender.enqueue(l, {.owned = &owned, .token = 1}, p.now);
    p.send(l, "after");
    p.attach();
    p.run();
    ASSERT_EQ(p.sink.got.size(), 2U);
    EXPECT_EQ(p.sink.got[0].text, large);
    EXPECT_EQ(p.sink.got[1].text, "after");
    EXPECT_LT(p.sink.receiver.memory(), 10'000U);
}

TEST(DeliveryPair, OtherLanesPassALargeMessage) {
    Pair p;
    const auto bulk = p.lane("bulk", Priority::low);
    p.send(bulk, std::string(1 << 20, 'x'));
    p.attach();
    p.consume = false;
    p.exchange();  // HELLO and RESUME
    for (int i = 0; i < 5; ++i) {
        const auto bytes = p.pull();
        ASSERT_TRUE(p.sink.feed(p.stream, bytes, p.now));
    }
    EXPECT_TRUE(p.sink.got.empty());
    p.send(p.lane("chat", Priority::high), "quick");
    const auto bytes = p.pull();
    ASSERT_TRUE(p.sink.feed(p.stream, bytes, p.now));
    ASSERT_EQ(p.sink.got.size(), 1U);
    EXPECT_EQ(p.sink.got[0].text, "quick");
}

// Cut after every number of bytes: nothing is lost, doubled or marked.
TEST(DeliveryPair, ACutAtEveryByte) {
    for (std::size_t cut = 0; cut < 700; ++cut) {
        Pair p;
        const auto l = p.lane();
        std::vector<std::string> sent;
        for (std::size_t i = 0; i < 12; ++i) {
            sent.push_back(text_of(i, 5 + i * 5));
            p.send(l, sent.back());
        }
        p.attach();
        std::size_t left = cut;
        // Up to `cut` bytes of S arrive; R answers at once and everything it says arrives.
        while (left != 0) {
            const auto bytes = p.pull();
            if (bytes.empty()) break;
            const auto n = std::min(left, bytes.size());
            ASSERT_TRUE(p.sink.feed(p.stream, ByteView{bytes}.first(n), p.now));
            left -= n;
            p.sink.consume_all(p.now);
            Bytes out(4096);
            const auto filled = p.sink.receiver.fill(out, p.now);
            ASSERT_TRUE(p.sender.received(ByteView{out}.first(filled.bytes), p.now));
        }
        p.cut();
        p.attach();
        p.run();
        ASSERT_EQ(p.sink.got.size(), sent.size()) << cut;
        for (std::size_t i = 0; i < sent.size(); ++i) {
            ASSERT_EQ(p.sink.got[i].text, sent[i]) << cut;
            ASSERT_FALSE(p.sink.got[i].repeat) << cut;
        }
        ASSERT_EQ(p.sink.receiver.resyncs(), 0U);
        ASSERT_EQ(p.released(), sent.size());
    }
}

TEST(DeliveryPair, AnswersThatAreLostAreSaidAgain) {
    Pair p;
    const auto l = p.lane();
    p.send(l, "one", 1);
    p.attach();
    p.exchange();
    const auto bytes = p.pull();
    ASSERT_TRUE(p.sink.feed(p.stream, bytes, p.now));
    p.sink.consume_all(p.now);
    p.cut();  // with the ACK
    EXPECT_TRUE(p.sender.has_work());
    p.attach();
    p.run();
    EXPECT_EQ(p.sink.got.size(), 1U);
    EXPECT_EQ(p.released(), 1U);
    ASSERT_EQ(p.sender.outcomes().size(), 1U);
    EXPECT_EQ(p.sender.outcomes()[0].outcome, Receipt::Outcome::delivered);
}

TEST(DeliveryPair, ASlowApplicationStopsOnlyItsLane) {
    Pair p(SenderConfig{}, ReceiverConfig{.max_message = 10'000, .lane_window = 20'000, .peer_window = 40'000});
    const auto slow = p.lane("slow");
    const auto fast = p.lane("fast");
    for (int i = 0; i < 100; ++i) p.send(slow, std::string(1000, 's'));
    p.attach();
    p.consume = false;
    p.run();
    const auto held = p.sink.got.size();
    EXPECT_EQ(held, 20'000U / (1000 + cost_per_message));
    p.send(fast, "through");
    p.run();
    ASSERT_EQ(p.sink.got.size(), held + 1);
    EXPECT_EQ(p.sink.got.back().text, "through");
    EXPECT_LE(p.sink.receiver.memory(), 25'000U);
    p.consume = true;
    p.run();
    EXPECT_EQ(p.sink.got.size(), 101U);
    EXPECT_EQ(p.released(), 101U);
}

TEST(DeliveryPair, AcknowledgementsAreFew) {
    Pair p;
    const auto l = p.lane();
    p.attach();
    p.run();
    Bytes out(4096);
    std::size_t answers = 0;
    for (int i = 0; i < 1000; ++i) {
        p.send(l, "x");
        p.send(l, "y");
        const auto bytes = p.pull(18);  // one at a time: never the last of the lane
        ASSERT_TRUE(p.sink.feed(p.stream, bytes, p.now));
        p.sink.consume_all(p.now);
        if (!p.sink.receiver.wants_fill(p.now)) continue;
        ++answers;
        const auto filled = p.sink.receiver.fill(out, p.now);
        ASSERT_TRUE(p.sender.received(ByteView{out}.first(filled.bytes), p.now));
    }
    // Nothing asked for an answer and the window is large: all of it waits for the one timer.
    EXPECT_EQ(answers, 0U);
    EXPECT_EQ(p.sink.receiver.deadline(), p.now + 5ms);
    EXPECT_TRUE(p.sink.receiver.wants_fill(p.now + 5ms));
}

}  // namespace
}  // namespace kith::delivery
