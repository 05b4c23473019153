// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>

#include "peer/slots.hpp"

namespace kith::peer {
namespace {

using namespace std::chrono_literals;
using Keys = std::vector<Slots::Key>;
using Need = Slots::Need;

Instant at(Duration d) { return {d, d}; }

struct SlotsTest : ::testing::Test {
    Keys grant(Duration now) {
        Keys out;
        while (const auto key = slots.next(at(now))) {
            out.push_back(*key);
            uses[*key].used = at(now);
        }
        return out;
    }
    Slots::Review review(Duration now) {
        return slots.review(at(now), [this](Slots::Key key) { return uses[key]; });
    }
    Slots slots{{.limit = 2}};
    std::map<Slots::Key, Slots::Use> uses;
};

TEST_F(SlotsTest, FirstComeFirstServedAndNeverMoreThanTheLimit) {
    for (Slots::Key key = 1; key <= 5; ++key) slots.want(key, Need::use);
    EXPECT_EQ(grant(1s), (Keys{1, 2}));
    EXPECT_EQ(slots.held(), 2U);
    EXPECT_EQ(slots.waiting(), 3U);
    EXPECT_EQ(slots.deferred(), 4U);  // all that found somebody before them
    slots.drop(2);
    EXPECT_EQ(grant(1s), (Keys{3}));
    slots.want(2, Need::use);
    slots.drop(1);
    slots.drop(3);
    EXPECT_EQ(grant(1s), (Keys{4, 5}));
    EXPECT_TRUE(slots.waits(2));
    EXPECT_FALSE(slots.waits(4));
}

TEST_F(SlotsTest, WhoOnlyWantsToBeConnectedComesLast) {
    slots.want(1, Need::keep);
    slots.want(2, Need::keep);
    slots.want(3, Need::use);
    EXPECT_EQ(grant(1s), (Keys{3, 1}));
    slots.want(2, Need::use);  // it has something to say now
    slots.want(2, Need::keep);
    slots.want(4, Need::use);
    slots.drop(3);
    EXPECT_EQ(grant(1s), (Keys{2}));
}

TEST_F(SlotsTest, WaitingTwiceOrWhileHoldingIsOnce) {
    slots.want(1, Need::use);
    slots.want(1, Need::use);
    EXPECT_EQ(slots.waiting(), 1U);
    EXPECT_EQ(grant(1s), (Keys{1}));
    slots.want(1, Need::use);
    EXPECT_EQ(slots.waiting(), 0U);
    slots.drop(7);
    EXPECT_EQ(slots.held(), 1U);
}

TEST_F(SlotsTest, NobodyGivesWayWhileNobodyWithSomethingToDoWaits) {
    slots.want(1, Need::use);
    slots.want(2, Need::use);
    grant(1s);
    slots.want(3, Need::keep);
    const auto review = this->review(1000s);
    EXPECT_TRUE(review.leave.empty());
    EXPECT_EQ(review.again, std::nullopt);
}

TEST_F(SlotsTest, TheQuietGiveWayFirst) {
    slots.want(1, Need::use);
    slots.want(2, Need::use);
    grant(1s);
    slots.want(3, Need::use);
    uses[1].used = at(2500ms);
    uses[2].used = at(2s);
    EXPECT_TRUE(review(3900ms).leave.empty());
    EXPECT_EQ(review(1100ms).again, at(1150ms));
    EXPECT_EQ(review(3900ms).again, at(4150ms));
    EXPECT_EQ(review(4s).leave, (Keys{2}));
    EXPECT_EQ(slots.given_up(), 1U);
    EXPECT_TRUE(review(60s).leave.empty());  // one is on its way out for the one that waits
    slots.want(4, Need::use);
    EXPECT_EQ(review(60s).leave, (Keys{1}));
}

TEST_F(SlotsTest, WhoIsDoneGivesWaySoon) {
    slots.want(1, Need::use);
    slots.want(2, Need::use);
    grant(1s);
    slots.want(3, Need::use);
    uses[1].used = at(1500ms);
    uses[1].state = Slots::State::done;
    EXPECT_TRUE(review(1590ms).leave.empty());
    EXPECT_EQ(review(1600ms).leave, (Keys{1}));
}

TEST_F(SlotsTest, WhatIsOnItsWayGetsMoreTime) {
    slots.want(1, Need::use);
    slots.want(2, Need::use);
    grant(0s);
    slots.want(3, Need::use);
    slots.want(4, Need::use);
    uses[1].state = uses[2].state = Slots::State::sending;
    uses[1].whole = uses[2].whole = false;
    uses[2].used = at(9s);
    EXPECT_TRUE(review(9990ms).leave.empty());
    EXPECT_EQ(review(10s).leave, (Keys{1}));
    EXPECT_EQ(review(19s).leave, (Keys{2}));
}

TEST_F(SlotsTest, TheBusyGiveWayAfterTheirSlice) {
    slots.want(1, Need::use);
    grant(1s);
    slots.want(2, Need::use);
    grant(2s);
    slots.want(3, Need::use);
    for (Duration now = 3s; now < 11s; now += 250ms) {
        uses[1].used = uses[2].used = at(now);
        EXPECT_TRUE(review(now).leave.empty());
    }
    uses[1].used = uses[2].used = at(12s);
    EXPECT_EQ(review(12s).leave, (Keys{1}));  // it has had its slot for longest
}

TEST_F(SlotsTest, ALargeMessageMayTakeLonger) {
    slots.want(1, Need::use);
    slots.want(2, Need::use);
    grant(0s);
    slots.want(3, Need::use);
    slots.want(4, Need::use);
    uses[1].whole = false;
    uses[1].used = uses[2].used = at(11s);
    EXPECT_EQ(review(11s).leave, (Keys{2}));
    uses[1].used = at(59s);
    EXPECT_TRUE(review(59s).leave.empty());
    uses[1].used = at(60s);
    EXPECT_EQ(review(60s).leave, (Keys{1}));
}

TEST_F(SlotsTest, WhatIsFixedStays) {
    slots.want(1, Need::use);
    slots.want(2, Need::use);
    grant(0s);
    slots.want(3, Need::use);
    slots.want(4, Need::use);
    uses[1].fixed = true;
    EXPECT_EQ(review(100s).leave, (Keys{2}));
    EXPECT_EQ(slots.given_up(), 1U);
}

// 64 that always have more to say, 4 slots: everybody gets a turn in every 16 slices.
TEST(Slots, NobodyStarves) {
    Slots slots{{.limit = 4}};
    std::map<Slots::Key, Duration> since;
    for (Slots::Key key = 1; key <= 64; ++key) {
        slots.want(key, Need::use);
        since[key] = 0s;
    }
    Duration longest{};
    for (Duration now = 0s; now < 3000s; now += 250ms) {
        const auto review = slots.review(at(now), [&](Slots::Key) { return Slots::Use{.used = at(now)}; });
        for (const auto key : review.leave) {
            slots.drop(key);
            slots.want(key, Need::use);
            since[key] = now;
        }
        while (const auto key = slots.next(at(now))) longest = std::max(longest, now - since[*key]);
        ASSERT_EQ(slots.held(), 4U);
    }
    EXPECT_LE(longest, 16 * 10s + 16 * 250ms);
    EXPECT_GE(longest, 140s);
}

TEST(Pace, ASingleDialIsNotHeldBackAndASecondHasTen) {
    Pace pace;
    EXPECT_EQ(pace.reserve(at(5s)), 0s);
    EXPECT_EQ(pace.reserve(at(5s)), 0s);
    EXPECT_EQ(pace.reserve(at(5s)), 125ms);
    std::vector<Duration> turns;
    for (int i = 0; i < 97; ++i) turns.push_back(pace.reserve(at(5s)));
    for (std::size_t i = 0; i + 10 < turns.size(); ++i) EXPECT_GT(turns[i + 10] - turns[i], 1s);
    EXPECT_EQ(pace.reserve(at(100s)), 0s);
}

}  // namespace
}  // namespace kith::peer
