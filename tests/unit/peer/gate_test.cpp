// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "peer/gate.hpp"

namespace kith::peer {
namespace {

using namespace std::chrono_literals;

Instant at(Duration d) { return {d, d}; }
IpAddress host(std::uint8_t n, std::uint8_t m = 1) { return IpAddress::v4(10, 1, m, n); }

TEST(Gate, LinksPerAddress) {
    Gate gate({.max_links_per_address = 3, .max_handshakes_per_address = 100});
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(gate.accepted(host(1), at(1s)));
    const auto refused = gate.accepted(host(1), at(1s));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::limit_exceeded);
    EXPECT_TRUE(gate.accepted(host(2), at(1s)));
    gate.closed(host(1), false, at(1s));
    EXPECT_TRUE(gate.accepted(host(1), at(1s)));
    EXPECT_EQ(gate.refused(), 1U);
}

TEST(Gate, HandshakesEndByAuthenticationOrEnd) {
    Gate gate({.max_links_per_address = 100, .max_handshakes = 4, .max_handshakes_per_address = 2});
    EXPECT_TRUE(gate.accepted(host(1), at(1s)));
    EXPECT_TRUE(gate.accepted(host(1), at(1s)));
    EXPECT_FALSE(gate.accepted(host(1), at(1s)));
    gate.authenticated(host(1));
    EXPECT_TRUE(gate.accepted(host(1), at(1s)));
    EXPECT_TRUE(gate.accepted(host(2), at(1s)));
    EXPECT_TRUE(gate.accepted(host(3), at(1s)));
    EXPECT_EQ(gate.handshakes(), 4U);
    EXPECT_FALSE(gate.accepted(host(4), at(1s)));  // of all
    gate.closed(host(2), false, at(1s));
    EXPECT_EQ(gate.handshakes(), 3U);
    EXPECT_TRUE(gate.accepted(host(4), at(1s)));
    gate.closed(host(1), true, at(1s));  // the authenticated one: handshakes stay
    EXPECT_EQ(gate.handshakes(), 4U);
}

TEST(Gate, RatePerAddressAndOfAll) {
    Gate gate({.max_links_per_address = 1000,
               .max_handshakes = 10'000,
               .max_handshakes_per_address = 1000,
               .links_per_second = 1000,
               .links_per_second_per_address = 10});
    int accepted = 0;
    for (int i = 0; i < 100; ++i) accepted += gate.accepted(host(1), at(1s)) ? 1 : 0;
    EXPECT_EQ(accepted, 30);  // three seconds' worth at once
    EXPECT_FALSE(gate.accepted(host(1), at(1050ms)));
    EXPECT_TRUE(gate.accepted(host(1), at(1150ms)));
    EXPECT_FALSE(gate.accepted(host(1), at(1150ms)));
}

TEST(Gate, AnIpv6NetworkCountsAsOne) {
    Gate gate({.max_links_per_address = 2});
    const auto a = *IpAddress::parse("2001:db8:1:2::1");
    const auto b = *IpAddress::parse("2001:db8:1:2:ffff::9");
    const auto c = *IpAddress::parse("2001:db8:1:3::1");
    EXPECT_TRUE(gate.accepted(a, at(1s)));
    EXPECT_TRUE(gate.accepted(b, at(1s)));
    EXPECT_FALSE(gate.accepted(*IpAddress::parse("2001:db8:1:2::77"), at(1s)));
    EXPECT_TRUE(gate.accepted(c, at(1s)));
    EXPECT_EQ(gate.addresses(), 2U);
}

TEST(Gate, StrangersCannotMakeItGrow) {
    Gate gate({.max_links = 100, .max_handshakes = 100'000, .links_per_second = 1e9});
    for (int i = 0; i < 5000; ++i) {
        const auto from = host(static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8));
        if (gate.accepted(from, at(1s))) gate.closed(from, false, at(1s));
    }
    EXPECT_LE(gate.addresses(), 100U);
    EXPECT_EQ(gate.links(), 0U);
    // Their tokens have come back: swept.
    EXPECT_TRUE(gate.accepted(host(200, 77), at(100s)));
    EXPECT_EQ(gate.addresses(), 1U);
}

TEST(Gate, OwnDialsCountTowardsAll) {
    Gate gate({.max_links = 2});
    EXPECT_TRUE(gate.dialled());
    EXPECT_TRUE(gate.dialled());
    EXPECT_FALSE(gate.dialled());
    EXPECT_FALSE(gate.accepted(host(1), at(1s)));
    gate.dial_closed();
    EXPECT_TRUE(gate.accepted(host(1), at(1s)));
}

TEST(Gate, ClosingWhatIsUnknownChangesNothing) {
    Gate gate({});
    gate.closed(host(1), true, at(1s));
    gate.closed(host(1), false, at(1s));
    gate.authenticated(host(1));
    gate.dial_closed();
    EXPECT_EQ(gate.links(), 0U);
    EXPECT_EQ(gate.handshakes(), 0U);
}

}  // namespace
}  // namespace kith::peer
