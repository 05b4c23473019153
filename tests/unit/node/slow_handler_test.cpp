// SPDX-License-Identifier: Apache-2.0
// A handler that takes long holds up its own channel, and no other.
#include "unit/node/support.hpp"

namespace kith::node::test {
namespace {

void work_for(Duration time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
    }
}

struct SlowHandler : testing::TestWithParam<Mode> {};
INSTANTIATE_TEST_SUITE_P(Modes, SlowHandler, testing::Values(Mode::own, Mode::executor, Mode::manual, Mode::loop, Mode::polled),
                         [](const auto& test) { return mode_name(test.param); });

TEST_P(SlowHandler, OtherChannelsGetTheirTurn) {
    constexpr int count = 1'000;
    Pair pair{Mode::own};
    Host receiver{GetParam()};
    std::atomic<bool> others_came{false};
    std::atomic<int> slow_before{0};
    Log<int> slow;
    Flag fast;
    receiver->on_message("slow", [&](const Message& m) {
        if (!others_came) {
            work_for(std::chrono::milliseconds{2});
            ++slow_before;
        }
        slow.add(std::stoi(std::string{m.text()}));
    });
    receiver->on_message("fast", [&](const Message&) {
        others_came = true;
        fast.set();
    });
    pair.start();
    ASSERT_TRUE(receiver.start());
    ASSERT_TRUE(pair.a->connect(receiver->addresses().front(), patient));
    const auto to = receiver->id();
    for (int i = 0; i < count; ++i) ASSERT_TRUE(pair.a->send(to, "slow", std::to_string(i)));
    ASSERT_TRUE(pair.a->send(to, "fast", "x"));
    ASSERT_TRUE(fast.wait());
    EXPECT_LT(slow_before, count);
    // Nothing is lost and the order is kept, also of what comes while others are set aside.
    for (int i = count; i < 2 * count; ++i) ASSERT_TRUE(pair.a->send(to, "slow", std::to_string(i)));
    ASSERT_TRUE(slow.wait_count(2 * count));
    const auto all = slow.all();
    for (int i = 0; i < 2 * count; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)], i);
    EXPECT_TRUE(pair.a->deliver(to, "slow", as_bytes("2000"), {}, patient));  // and all is acknowledged
    receiver->stop();
    pair.stop();
}

// What waited for a handler goes to it in turns as well; a handler of batches still gets batches.
TEST(SlowHandlers, LateHandlers) {
    constexpr std::size_t count = 500;
    Pair pair;
    pair.start();
    pair.connect();
    const auto& to = pair.b->id();
    for (std::size_t i = 0; i < count; ++i) {
        ASSERT_TRUE(pair.a->send(to, "batch", std::to_string(i)));
        ASSERT_TRUE(pair.a->send(to, "each", std::to_string(i)));
    }
    while (pair.b->stats().messages_received < 2 * count) std::this_thread::yield();
    Flag asked;  // the callback thread has set them aside
    pair.b->async_ping(pair.a->id(), [&](const Result<PingResult>&) { asked.set(); });
    ASSERT_TRUE(asked.wait());
    Log<std::size_t> sizes;
    Log<std::string> each;
    pair.b->on_messages("batch", [&](std::span<const Message> messages) {
        for (std::size_t i = 0; i < messages.size(); ++i) sizes.add(messages.size());
    });
    pair.b->on_message("each", [&](const Message& m) {
        work_for(std::chrono::microseconds{20});
        each.add(std::string{m.text()});
    });
    ASSERT_TRUE(sizes.wait_count(count));
    ASSERT_TRUE(each.wait_count(count));
    EXPECT_EQ(sizes.all().front(), count);
    for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(each.all()[i], std::to_string(i));
    pair.stop();
}

TEST(SlowHandlers, StopWhileMessagesAreSetAside) {
    for (int round = 0; round < 20; ++round) {
        Pair pair;
        std::atomic<int> received{0};
        Flag some;
        pair.b->on_message("slow", [&](const Message&) {
            work_for(std::chrono::microseconds{300});
            if (++received == 20) {
                some.set();
                if (round % 2 == 0) pair.b->stop();
            }
        });
        pair.start();
        pair.connect();
        for (int i = 0; i < 200; ++i) ASSERT_TRUE(pair.a->send(pair.b->id(), "slow", "x"));
        ASSERT_TRUE(some.wait());
        pair.b->stop();
        const int then = received;
        EXPECT_GE(then, 20);
        EXPECT_TRUE(round % 2 != 0 || then == 20);
        pair.stop();
        EXPECT_EQ(received, then);
    }
}

}  // namespace
}  // namespace kith::node::test
