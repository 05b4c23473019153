// SPDX-License-Identifier: Apache-2.0
// EventLoop::call_if_idle: a visit by a thread that does not run the loop.
#include <atomic>
#include <thread>

#include "unit/io/support.hpp"

namespace kith::io::test {
namespace {

TEST(Visit, OnlyWhenNobodyRunsTheLoop) {
    EventLoop loop;
    bool inside = false;
    EXPECT_TRUE(loop.call_if_idle([&] {
        inside = loop.on_loop_thread();
        EXPECT_EQ(loop.poll(), 0U);
        EXPECT_FALSE(loop.run());
        EXPECT_FALSE(loop.call_if_idle([] { FAIL(); }));
    }));
    EXPECT_TRUE(inside);
    EXPECT_FALSE(loop.on_loop_thread());
    loop.post([&] { EXPECT_FALSE(loop.call_if_idle([] { FAIL(); })); });
    EXPECT_EQ(loop.poll(), 1U);
}

// A runner never takes a visitor for another runner.
TEST(Visit, RunnersWaitForVisitors) {
    for (int i = 0; i < 200; ++i) {
        EventLoop loop;
        std::atomic<bool> end{false};
        std::thread visitor([&] {
            while (!end) loop.call_if_idle([] {});
        });
        loop.post([&] { loop.stop(); });
        EXPECT_TRUE(loop.run());
        end = true;
        visitor.join();
    }
}

}  // namespace
}  // namespace kith::io::test
