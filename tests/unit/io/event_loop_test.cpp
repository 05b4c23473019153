// SPDX-License-Identifier: Apache-2.0
#include "kith/event_loop.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "unit/io/support.hpp"

namespace {

using namespace std::chrono_literals;
using namespace kith::io::test;
using kith::Errc;
using kith::EventLoop;
using kith::TimerId;

TEST(Timers, FireInTheOrderOfTheirTimes) {
    EventLoop loop;
    std::vector<int> fired;
    loop.after(3ms, [&] { fired.push_back(3); });
    loop.after(1ms, [&] { fired.push_back(1); });
    const auto when = loop.now() + 2ms;
    loop.at(when, [&] { fired.push_back(20); });
    loop.at(when, [&] { fired.push_back(21); });
    EXPECT_EQ(loop.count(), 4U);
    ASSERT_TRUE(run_until(loop, [&] { return fired.size() == 4; }));
    EXPECT_EQ(fired, (std::vector{1, 20, 21, 3}));
    EXPECT_EQ(loop.count(), 0U);
}

TEST(Timers, NeverFireEarly) {
    EventLoop loop;
    for (const auto delay : {kith::Duration{100us}, kith::Duration{1500us}, kith::Duration{7ms}}) {
        const auto start = loop.now();
        kith::Duration took{};
        loop.after(delay, [&] { took = loop.now() - start; });
        ASSERT_TRUE(run_until(loop, [&] { return took != kith::Duration{}; }));
        EXPECT_GE(took, delay);
    }
}

TEST(Timers, ATimerOfZeroBelongsToTheNextTurn) {
    EventLoop loop;
    int depth = 0;
    kith::Function<void()> again;
    loop.after(0ms, [&] {
        ++depth;
        loop.after(0ms, [&] { ++depth; });
        loop.at({}, [&] { ++depth; });  // long ago
    });
    EXPECT_EQ(loop.poll(), 1U);
    EXPECT_EQ(depth, 1);
    EXPECT_EQ(loop.poll(), 2U);
    EXPECT_EQ(depth, 3);
}

TEST(Timers, ATimerThatRestartsItselfInThePastStarvesNobody) {
    EventLoop loop;
    int selfish = 0;
    bool other = false;
    struct Restart {
        EventLoop& loop;
        int& count;
        void operator()() const {
            ++count;
            loop.at({}, Restart{loop, count});
        }
    };
    loop.at({}, Restart{loop, selfish});
    loop.after(2ms, [&] { other = true; });
    ASSERT_TRUE(run_until(loop, [&] { return other; }));
    EXPECT_GT(selfish, 0);
}

TEST(Timers, CancelInsideCallbacks) {
    EventLoop loop;
    std::vector<int> fired;
    TimerId second;
    TimerId own;
    own = loop.after(0ms, [&] {
        fired.push_back(1);
        EXPECT_FALSE(loop.cancel(own)) << "it has fired";
        EXPECT_TRUE(loop.cancel(second)) << "due in this turn, not yet called";
        EXPECT_FALSE(loop.cancel(second));
    });
    second = loop.after(0ms, [&] { fired.push_back(2); });
    loop.after(0ms, [&] { fired.push_back(3); });
    EXPECT_EQ(loop.poll(), 2U);
    EXPECT_EQ(fired, (std::vector{1, 3}));
    EXPECT_FALSE(loop.cancel(TimerId{}));
    EXPECT_FALSE(loop.cancel(TimerId{99}));
}

TEST(Timers, FarAwayIsNotSoon) {
    EventLoop loop;
    bool fired = false;
    loop.after(kith::Duration::max(), [&] { fired = true; });
    const auto id = loop.after(24h * 365 * 100, [&] { fired = true; });
    loop.after(1ms, [&] { loop.stop(); });
    ASSERT_TRUE(loop.run());
    EXPECT_FALSE(fired);
    EXPECT_TRUE(loop.cancel(id));
    EXPECT_EQ(loop.count(), 1U);
}

TEST(Timers, AnEarlierTimerWakesASleepThatWasLonger) {
    EventLoop loop;
    loop.after(1h, [] {});
    EXPECT_EQ(loop.poll(1ms), 0U);  // sleeps with the hour as next timer
    bool fired = false;
    loop.after(1ms, [&] { fired = true; });
    EXPECT_EQ(loop.poll(patience), 1U);
    EXPECT_TRUE(fired);
}

TEST(Timers, ManyWithRandomCancels) {
    EventLoop loop;
    std::vector<TimerId> ids;
    std::vector<int> fired(5000);
    unsigned random = 1;
    for (std::size_t i = 0; i < fired.size(); ++i) {
        random = random * 1664525 + 1013904223;
        ids.push_back(loop.after(std::chrono::microseconds{random >> 22U}, [&, i] { ++fired[i]; }));
    }
    for (std::size_t i = 0; i < ids.size(); i += 3) EXPECT_TRUE(loop.cancel(ids[i]));
    ASSERT_TRUE(run_until(loop, [&] { return loop.count() == 0; }));
    for (std::size_t i = 0; i < fired.size(); ++i) EXPECT_EQ(fired[i], i % 3 == 0 ? 0 : 1);
}

TEST(Poll, WithoutTimeReturnsAtOnceAndWithTimeWaits) {
    EventLoop loop;
    EXPECT_EQ(loop.poll(), 0U);
    EXPECT_EQ(loop.poll(-1s), 0U);
    const auto start = loop.now();
    EXPECT_EQ(loop.poll(5ms), 0U);
    EXPECT_GE(loop.now() - start, 5ms);
    EXPECT_LE(loop.stats().waits, 3U) << "it slept";
}

TEST(Poll, AGameLoop) {
    EventLoop loop;
    Pair pair;
    int packets = 0;
    ASSERT_TRUE(loop.watch(pair.b.get(), {.readable = true}, [&](kith::Ready) { packets += static_cast<int>(take(pair.b).size()); }));
    for (int frame = 0; frame < 100; ++frame) {
        put(pair.a, "p");
        loop.poll();
        EXPECT_EQ(packets, frame + 1);
    }
}

TEST(Poll, InsideACallbackDoesNothing) {
    EventLoop loop;
    loop.post([&] {
        EXPECT_TRUE(loop.on_loop_thread());
        EXPECT_EQ(loop.poll(), 0U);
        EXPECT_EQ(loop.run().error(), Errc::would_deadlock);
    });
    EXPECT_FALSE(loop.on_loop_thread());
    EXPECT_EQ(loop.poll(), 1U);
}

TEST(Post, FromACallbackRunsInTheNextTurn) {
    EventLoop loop;
    int ran = 0;
    loop.post([&] {
        ++ran;
        loop.post([&] { ++ran; });
    });
    EXPECT_EQ(loop.poll(), 1U);
    EXPECT_EQ(ran, 1);
    EXPECT_EQ(loop.poll(patience), 1U) << "work that waits keeps the loop from sleeping";
    EXPECT_EQ(ran, 2);
}

TEST(Post, FromFourThreadsInTheOrderOfEach) {
    EventLoop loop;
    constexpr int threads = 4;
    constexpr int each = 20'000;
    std::array<int, threads> next{};
    int total = 0;
    std::vector<std::thread> posters;
    for (int t = 0; t < threads; ++t) {
        posters.emplace_back([&, t] {
            for (int i = 0; i < each; ++i) {
                loop.post([&, t, i] {
                    EXPECT_EQ(next[static_cast<std::size_t>(t)]++, i);
                    if (++total == threads * each) loop.stop();
                });
            }
        });
    }
    ASSERT_TRUE(loop.run());
    for (auto& poster : posters) poster.join();
    EXPECT_EQ(total, threads * each);
    const auto stats = loop.stats();
    EXPECT_EQ(stats.posts, static_cast<std::uint64_t>(threads * each));
    EXPECT_LE(stats.wakeups, stats.posts);
}

TEST(Post, WakesASleepingLoopEveryTime) {
    EventLoop loop;
    std::atomic<int> done{0};
    std::thread runner{[&] { EXPECT_TRUE(loop.run()); }};
    for (int i = 1; i <= 2000; ++i) {
        loop.post([&] {
            ++done;
            done.notify_one();
        });
        for (int seen = done; seen < i; seen = done) done.wait(seen);
    }
    loop.stop();
    runner.join();
    EXPECT_EQ(done, 2000);
}

TEST(Allocations, AreCounted) {
    const auto before = allocations();
    const auto p = std::make_unique<std::array<char, 100>>();
    EXPECT_EQ(allocations() - before, 1U) << static_cast<const void*>(p.get());
}

TEST(Post, SmallFunctionsAllocateNothing) {
    EventLoop loop;
    std::size_t ran = 0;
    const auto round = [&] {
        for (int i = 0; i < 100; ++i) loop.post([&ran] { ++ran; });
        loop.after(0ms, [&ran] { ++ran; });
        loop.poll();
    };
    for (int i = 0; i < 10; ++i) round();
    const auto before = allocations();
    for (int i = 0; i < 100; ++i) round();
    EXPECT_EQ(allocations() - before, 0U);
    EXPECT_EQ(ran, 110U * 101U);
}

TEST(Stop, FromAnotherThreadEndsASleep) {
    EventLoop loop;
    for (int i = 0; i < 100; ++i) {
        std::thread stopper{[&] { loop.stop(); }};
        ASSERT_TRUE(loop.run());
        stopper.join();
    }
}

TEST(Stop, BeforeRunIsNotLost) {
    EventLoop loop;
    loop.stop();
    ASSERT_TRUE(loop.run());
    bool ran = false;
    loop.post([&] {
        ran = true;
        loop.stop();
    });
    ASSERT_TRUE(loop.run());
    EXPECT_TRUE(ran);
    loop.stop();
    EXPECT_EQ(loop.poll(patience), 0U);
}

TEST(Hooks, RunOncePerTurnAfterTheCallbacks) {
    EventLoop loop;
    std::vector<char> order;
    loop.on_turn([&] {
        order.push_back('h');
        return false;
    });
    loop.post([&] { order.push_back('p'); });
    loop.after(0ms, [&] { order.push_back('t'); });
    EXPECT_EQ(loop.poll(), 2U);
    EXPECT_EQ(order, (std::vector{'t', 'p', 'h'}));
    loop.poll();
    EXPECT_EQ(order.size(), 4U);
}

TEST(Hooks, MoreWorkKeepsTheLoopAwake) {
    EventLoop loop;
    int left = 5;
    loop.on_turn([&] {
        if (--left == 0) loop.stop();
        return left > 0;
    });
    loop.post([] {});  // the first turn
    ASSERT_TRUE(loop.run());
    EXPECT_EQ(left, 0);
    EXPECT_EQ(loop.stats().turns, 5U);
}

TEST(Hooks, MayAddAndRemoveThemselvesAndOthers) {
    EventLoop loop;
    std::vector<char> order;
    kith::HookId first;
    kith::HookId third;
    first = loop.on_turn([&] {
        order.push_back('1');
        EXPECT_TRUE(loop.remove_hook(first));
        EXPECT_FALSE(loop.remove_hook(first));
        EXPECT_TRUE(loop.remove_hook(third));
        loop.on_turn([&] {
            order.push_back('4');
            return false;
        });
        return false;
    });
    loop.on_turn([&] {
        order.push_back('2');
        return false;
    });
    third = loop.on_turn([&] {
        order.push_back('3');
        return false;
    });
    loop.poll();
    EXPECT_EQ(order, (std::vector{'1', '2'}));
    loop.poll();
    EXPECT_EQ(order, (std::vector{'1', '2', '2', '4'}));
    EXPECT_FALSE(loop.remove_hook(kith::HookId{}));
}

TEST(Loop, TwoOfThemInTwoThreads) {
    EventLoop left;
    EventLoop right;
    Pair pair;
    constexpr int rounds = 2000;
    int count = 0;
    ASSERT_TRUE(left.watch(pair.a.get(), {.readable = true}, [&](kith::Ready) {
        take(pair.a);
        if (++count == rounds) {
            right.stop();
            return left.stop();
        }
        put(pair.a, "x");
    }));
    ASSERT_TRUE(right.watch(pair.b.get(), {.readable = true}, [&](kith::Ready) {
        EXPECT_TRUE(right.on_loop_thread());
        EXPECT_FALSE(left.on_loop_thread());
        take(pair.b);
        put(pair.b, "x");
    }));
    put(pair.b, "x");
    std::thread other{[&] { EXPECT_TRUE(right.run()); }};
    ASSERT_TRUE(left.run());
    other.join();
    EXPECT_EQ(count, rounds);
}

TEST(Loop, OnlyOneThreadRunsIt) {
    EventLoop loop;
    std::atomic<bool> running{false};
    loop.post([&] {
        running = true;
        running.notify_one();
    });
    std::thread other{[&] { EXPECT_TRUE(loop.run()); }};
    running.wait(false);
    EXPECT_EQ(loop.run().error(), Errc::would_deadlock);
    EXPECT_EQ(loop.poll(), 0U);
    loop.stop();
    other.join();
}

TEST(Loop, DestructionDropsCallbacksAndLeavesSockets) {
    Pair pair;
    auto token = std::make_shared<int>(0);
    const std::weak_ptr<int> alive = token;
    {
        EventLoop loop;
        // Destructors of callbacks that call the dying loop, as objects that own watches and timers do.
        struct Owner {
            EventLoop& loop;
            kith::WatchId watch;
            TimerId timer;
            std::shared_ptr<int> token;
            ~Owner() {
                EXPECT_FALSE(loop.unwatch(watch));
                EXPECT_FALSE(loop.cancel(timer));
                loop.post([] { FAIL(); });
                loop.stop();
            }
        };
        const auto owner = [&] { return std::make_unique<Owner>(Owner{loop, {}, {}, token}); };
        const auto watch = loop.watch(pair.a.get(), {.readable = true, .writable = true}, [o = owner()](kith::Ready) { FAIL(); });
        ASSERT_TRUE(watch);
        loop.after(0ms, [o = owner()] { FAIL(); });
        loop.post([o = owner()] { FAIL(); });
        loop.on_turn([o = owner()] {
            ADD_FAILURE();
            return false;
        });
        token.reset();
    }
    EXPECT_TRUE(alive.expired());
    put(pair.b, "still open");
    EXPECT_EQ(take(pair.a), "still open");
}

TEST(Loop, SaysWhenTheSystemHasNoDescriptorLeft) {
    rlimit old{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
    rlimit none = old;
    none.rlim_cur = 3;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    EventLoop loop;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
    ASSERT_FALSE(loop.status());
    EXPECT_EQ(loop.status().error(), Errc::limit_exceeded);
    EXPECT_EQ(loop.run().error(), Errc::limit_exceeded);
    EXPECT_EQ(loop.watch(0, {}, [](kith::Ready) {}).error(), Errc::limit_exceeded);
    EXPECT_EQ(loop.poll(), 0U);
    loop.post([] {});
    loop.stop();
    EXPECT_FALSE(loop.unwatch({}));
    EventLoop second;
    EXPECT_TRUE(second.status());
}

TEST(LoopDeathTest, AnExceptionFromACallbackEndsTheProgram) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            EventLoop loop;
            loop.post([] { throw std::runtime_error{"from a callback"}; });
            loop.poll();
        },
        "from a callback");
}

}  // namespace
