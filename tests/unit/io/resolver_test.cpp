// SPDX-License-Identifier: Apache-2.0
#include "io/resolver.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>

#include "unit/io/support.hpp"

namespace {

using namespace kith::io::test;
using namespace std::chrono_literals;
using kith::Errc;
using kith::EventLoop;
using kith::IpAddress;
using kith::Result;
using kith::io::Family;
using kith::io::Resolver;
using Answer = std::optional<Result<Resolver::Addresses>>;

// A look-up that answers only when it is let: names beginning with "slow" wait for the gate. One test at a time uses it.
std::atomic<int> waiting{0};
std::atomic<bool> gate{false};

Result<Resolver::Addresses> lookup(const std::string& name, Family family) {
    if (name.starts_with("slow")) {
        ++waiting;
        gate.wait(false);
        if (--waiting == 0) waiting.notify_all();
    }
    if (name == "none") return Resolver::Addresses{};
    if (name == "error") return kith::Error{Errc::name_not_found, {}, name};
    if (name == "many") return Resolver::Addresses(1000, IpAddress::v4(192, 0, 2, 1));
    return Resolver::Addresses{family == Family::v6 ? *IpAddress::parse("2001:db8::1") : IpAddress::v4(192, 0, 2, 1)};
}

class ResolverTest : public testing::Test {
protected:
    void SetUp() override { gate = false; }
    void TearDown() override {
        gate = true;
        gate.notify_all();
        for (int n = waiting; n != 0; n = waiting) waiting.wait(n);
    }
    auto into(Answer& answer) {
        return [this, &answer](Result<Resolver::Addresses> got) {
            EXPECT_TRUE(loop.on_loop_thread());
            answer.emplace(std::move(got));
        };
    }
    EventLoop loop;
};

TEST_F(ResolverTest, TheSystemKnowsLocalhost) {
    Resolver resolver{loop};
    Answer four;
    Answer any;
    ASSERT_TRUE(resolver.resolve("localhost", Family::v4, patience, into(four)));
    ASSERT_TRUE(resolver.resolve("127.0.0.1", Family::any, patience, into(any)));
    EXPECT_FALSE(four) << "never inside the call";
    ASSERT_TRUE(run_until(loop, [&] { return four && any; }));
    ASSERT_TRUE(*four) << four->error().message();
    EXPECT_EQ((*four)->front(), IpAddress::v4(127, 0, 0, 1));
    EXPECT_EQ(any->value(), Resolver::Addresses{IpAddress::v4(127, 0, 0, 1)});
    EXPECT_EQ(loop.count(), 0U);
}

TEST_F(ResolverTest, TheSystemSaysWhenANameIsUnknown) {
    Resolver resolver{loop};
    Answer answer;
    ASSERT_TRUE(resolver.resolve("::1", Family::v4, patience, into(answer)));  // needs no DNS server to fail
    ASSERT_TRUE(run_until(loop, [&] { return answer.has_value(); }));
    ASSERT_FALSE(*answer);
    EXPECT_EQ(answer->error(), Errc::name_not_found);
    EXPECT_NE(answer->error().detail.find("::1"), std::string::npos);
}

TEST_F(ResolverTest, AnswersAreBoundedAndNeverEmpty) {
    Resolver resolver{loop, {.max_addresses = 32, .lookup = lookup}};
    Answer six;
    Answer none;
    Answer error;
    Answer many;
    ASSERT_TRUE(resolver.resolve("six", Family::v6, patience, into(six)));
    ASSERT_TRUE(resolver.resolve("none", Family::any, patience, into(none)));
    ASSERT_TRUE(resolver.resolve("error", Family::any, patience, into(error)));
    ASSERT_TRUE(resolver.resolve("many", Family::any, patience, into(many)));
    ASSERT_TRUE(run_until(loop, [&] { return six && none && error && many; }));
    EXPECT_EQ(six->value().front().text(), "2001:db8::1");
    EXPECT_EQ(none->error(), Errc::name_not_found);
    EXPECT_EQ(error->error(), Errc::name_not_found);
    EXPECT_EQ(many->value().size(), 32U);
}

TEST_F(ResolverTest, RefusesWhatIsNotAName) {
    Resolver resolver{loop, {.lookup = lookup}};
    Answer answer;
    EXPECT_EQ(resolver.resolve("", Family::any, patience, into(answer)).error(), Errc::invalid_argument);
    EXPECT_EQ(resolver.resolve(std::string(254, 'a'), Family::any, patience, into(answer)).error(), Errc::invalid_argument);
    EXPECT_EQ(resolver.resolve(std::string("a\0b", 3), Family::any, patience, into(answer)).error(), Errc::invalid_argument);
    EXPECT_EQ(loop.count(), 0U);
}

TEST_F(ResolverTest, TheDeadlineEndsAWaitAndTheLateAnswerIsDropped) {
    Resolver resolver{loop, {.lookup = lookup}};
    Answer answer;
    ASSERT_TRUE(resolver.resolve("slow", Family::any, 5ms, into(answer)));
    ASSERT_TRUE(run_until(loop, [&] { return answer.has_value(); }));
    EXPECT_EQ(answer->error(), Errc::timeout);
    answer.reset();
    gate = true;
    gate.notify_all();
    Answer next;
    ASSERT_TRUE(resolver.resolve("fast", Family::any, patience, into(next)));
    ASSERT_TRUE(run_until(loop, [&] { return next.has_value(); }));
    EXPECT_TRUE(*next);
    EXPECT_FALSE(answer);
}

TEST_F(ResolverTest, TheQueueIsBoundedAndCancelMakesRoom) {
    Resolver resolver{loop, {.threads = 1, .queue = 3, .lookup = lookup}};
    Answer a;
    Answer b;
    Answer c;
    ASSERT_TRUE(resolver.resolve("slow a", Family::any, patience, into(a)));
    for (int n = waiting; n == 0; n = waiting) std::this_thread::yield();
    const auto second = resolver.resolve("b", Family::any, patience, into(b));
    ASSERT_TRUE(second);
    ASSERT_TRUE(resolver.resolve("c", Family::any, patience, into(c)));
    EXPECT_EQ(resolver.resolve("d", Family::any, patience, into(c)).error(), Errc::queue_full);
    EXPECT_TRUE(resolver.cancel(*second));
    EXPECT_FALSE(resolver.cancel(*second));
    EXPECT_FALSE(resolver.cancel({}));
    Answer e;
    ASSERT_TRUE(resolver.resolve("e", Family::any, patience, into(e)));
    gate = true;
    gate.notify_all();
    ASSERT_TRUE(run_until(loop, [&] { return a && c && e; }));
    EXPECT_FALSE(b);
    EXPECT_EQ(loop.count(), 0U);
}

TEST_F(ResolverTest, DestructionDoesNotWaitForALookUp) {
    Answer answer;
    {
        Resolver resolver{loop, {.lookup = lookup}};
        ASSERT_TRUE(resolver.resolve("slow", Family::any, patience, into(answer)));
        ASSERT_TRUE(resolver.resolve("fast", Family::any, patience, into(answer)));
        for (int n = waiting; n == 0; n = waiting) std::this_thread::yield();
    }
    EXPECT_EQ(loop.count(), 0U);
    gate = true;
    gate.notify_all();
    loop.poll();
    EXPECT_FALSE(answer);
}

TEST_F(ResolverTest, MayBeDestroyedInItsCallback) {
    auto resolver = std::make_unique<Resolver>(loop, Resolver::Options{.lookup = lookup});
    int answers = 0;
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(resolver->resolve("fast", Family::any, patience, [&](const Result<Resolver::Addresses>&) {
            ++answers;
            resolver.reset();
        }));
    }
    ASSERT_TRUE(run_until(loop, [&] { return answers > 0; }));
    loop.poll();
    EXPECT_EQ(answers, 1);
}

}  // namespace
