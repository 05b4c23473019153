// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "unit/connection/link_pair.hpp"

namespace kith::connection {
namespace {

struct FinTest : ::testing::Test {
    FinTest() {
        b.echo = true;
        run(a, b);
        stream = *a.connection->open("/echo/1", false, 3);
        run(a, b);
    }
    Who alice{1};
    Who bob{2};
    End a{alice, Role::initiator, 11};
    End b{bob, Role::responder, 12};
    StreamId stream;
};

// js-libp2p (yamux 8) drops the data of a frame with FIN.
TEST_F(FinTest, AFinNeverTravelsInAFrameWithData) {
    a.say(stream, "hello");
    a.end(stream);
    EXPECT_EQ(a.write().size(), record_overhead + mux::header_size + 5 + mux::header_size);
}

TEST_F(FinTest, AFinAloneIsOneFrame) {
    a.end(stream);
    EXPECT_EQ(a.write().size(), record_overhead + mux::header_size);
}

// Whatever is left of a record, data and FIN go out and nothing else is cut off.
TEST_F(FinTest, EverySizeAroundTheEndOfARecord) {
    for (std::size_t size = 16'300; size < 16'420; ++size) {
        const auto each = *a.connection->open("/echo/1", true, 3);
        const std::string text(size, static_cast<char>('a' + size % 26));
        a.say(each, text);
        a.end(each);
        run(a, b);
        ASSERT_EQ(a.got[each.value], text) << size;
        ASSERT_FALSE(a.finished.empty());
        ASSERT_EQ(a.finished.back(), each.value);
        ASSERT_FALSE(a.error || b.error);
    }
    EXPECT_EQ(a.connection->streams(), 1U);
}

}  // namespace
}  // namespace kith::connection
