// SPDX-License-Identifier: Apache-2.0
#include "test_sequence.hpp"

#include <gtest/gtest.h>

namespace {

using namespace kith::app;

TEST(TestSequence, CountsAsCsendDid) {
    const Plan plan;
    EXPECT_EQ(plan.counted(2), 36U);
    EXPECT_EQ(plan.on_wire(2), 48U);
    EXPECT_EQ(plan.per_peer(), 24U);
}

TEST(TestSequence, OrderOfARound) {
    const Plan plan{2, 2};
    const std::vector<std::string> expected{"TEST_R1_BROADCAST_1", "TEST_R1_BROADCAST_2", "TEST_R1_DIRECT_1", "TEST_R1_DIRECT_2",
                                            "TEST_R2_BROADCAST_1", "TEST_R2_BROADCAST_2", "TEST_R2_DIRECT_1", "TEST_R2_DIRECT_2"};
    for (std::size_t n = 0; n < expected.size(); ++n) EXPECT_EQ(text_of(step(plan, n)), expected[n]);
    EXPECT_EQ(plan.per_peer(), expected.size());
}

TEST(TestSequence, MessagesAreChecked) {
    const Plan plan;
    const auto line = message_line(plan, 5, -7);
    EXPECT_EQ(line, "5 -7 TEST_R1_DIRECT_3");
    EXPECT_EQ(parse_message(line, plan, 5), -7);
    EXPECT_FALSE(parse_message(line, plan, 4));
    EXPECT_FALSE(parse_message(line + " ", plan, 5));
    EXPECT_FALSE(parse_message("5 -7 TEST_R1_DIRECT_2", plan, 5));
    for (const auto* wrong : {"", "x", "5", "5 ", "5 99999999999999999999 TEST_R1_DIRECT_3", "\x1b[2J", "END"}) {
        EXPECT_FALSE(parse_message(wrong, plan, 5)) << wrong;
    }
}

TEST(TestSequence, PlansOfPeersAreLimited) {
    const auto plan = parse_ready(ready_line({7, 9}));
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->rounds, 7U);
    EXPECT_EQ(plan->messages, 9U);
    for (const auto* wrong : {"", "READY", "READY 1", "READY 0 3", "READY 3 0", "READY 3 3 3", "READY -1 3", "READY 10000000 10000000",
                              "READY 18446744073709551615 2", "READY 4 x"}) {
        EXPECT_FALSE(parse_ready(wrong)) << wrong;
    }
}

TEST(TestSequence, Percentiles) {
    std::vector<double> none;
    EXPECT_EQ(percentile(none, 0.5), 0);
    std::vector<double> values;
    for (int i = 100; i > 0; --i) values.push_back(i);
    EXPECT_EQ(percentile(values, 0.5), 50);
    EXPECT_EQ(percentile(values, 0.99), 99);
    EXPECT_EQ(percentile(values, 1), 100);
    EXPECT_EQ(percentile(values, 0), 1);
}

}  // namespace
