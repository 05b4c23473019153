// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "peer/book.hpp"

namespace kith::peer {
namespace {

using namespace std::chrono_literals;

Instant at(Duration d) { return {d, d}; }
PeerId id(std::uint8_t n) {
    std::array<std::uint8_t, PeerId::classic_size> bytes{};
    bytes[0] = n;
    return PeerId::classic(bytes);
}
Multiaddr address(int n) { return *Multiaddr::parse("/ip4/10.0.0." + std::to_string(n) + "/tcp/4001"); }

TEST(Book, ForgetsThePeerThatWasUsedLongestAgo) {
    Book book(3, 4);
    for (std::uint8_t n = 1; n <= 3; ++n) book.add(id(n), address(n), Source::lan, std::nullopt, at(Duration{n}));
    book.get(id(1), at(10s));
    ASSERT_NE(book.get(id(4), at(11s)), nullptr);
    EXPECT_EQ(book.size(), 3U);
    EXPECT_EQ(book.find(id(2)), nullptr);
    EXPECT_NE(book.find(id(1)), nullptr);
}

TEST(Book, KeepsWhatIsPinnedOrKept) {
    Book book(2, 4);
    book.get(id(1), at(1s))->pinned = true;
    book.get(id(2), at(2s))->keep = true;
    EXPECT_EQ(book.get(id(3), at(3s)), nullptr);
    EXPECT_FALSE(book.add(id(3), address(3), Source::user, std::nullopt, at(3s)));
    book.find(id(1))->pinned = false;
    EXPECT_NE(book.get(id(3), at(4s)), nullptr);
    EXPECT_EQ(book.find(id(1)), nullptr);
}

TEST(Book, AFullListDropsTheLeastTrustedAddress) {
    Book book(2, 2);
    EXPECT_TRUE(book.add(id(1), address(1), Source::user, std::nullopt, at(1s)));
    EXPECT_TRUE(book.add(id(1), address(2), Source::identify, std::nullopt, at(1s)));
    EXPECT_TRUE(book.add(id(1), address(3), Source::lan, std::nullopt, at(1s)));
    const auto& known = book.find(id(1))->addresses;
    ASSERT_EQ(known.size(), 2U);
    EXPECT_EQ(known[0].address, address(1));
    EXPECT_EQ(known[1].address, address(3));
    EXPECT_FALSE(book.add(id(1), address(4), Source::link, std::nullopt, at(1s)));  // less trusted than all that are there
}

TEST(Book, TheSameAddressIsOneAndKeepsTheBetterSource) {
    Book book(2, 4);
    EXPECT_TRUE(book.add(id(1), address(1), Source::lan, at(5s), at(1s)));
    EXPECT_FALSE(book.add(id(1), address(1), Source::user, std::nullopt, at(1s)));
    EXPECT_FALSE(book.add(id(1), address(1), Source::lan, at(9s), at(1s)));
    ASSERT_EQ(book.find(id(1))->addresses.size(), 1U);
    EXPECT_EQ(book.find(id(1))->addresses[0].source, Source::user);
    EXPECT_FALSE(book.find(id(1))->addresses[0].expires);
}

TEST(Book, LanAddressesGoTogether) {
    Book book(2, 4);
    book.add(id(1), address(1), Source::lan, std::nullopt, at(1s));
    book.add(id(1), address(2), Source::user, std::nullopt, at(1s));
    book.find(id(1))->on_lan = true;
    book.expire_lan(id(1));
    book.expire_lan(id(9));
    ASSERT_EQ(book.find(id(1))->addresses.size(), 1U);
    EXPECT_EQ(book.find(id(1))->addresses[0].address, address(2));
    EXPECT_FALSE(book.find(id(1))->on_lan);
}

TEST(Book, AnAddressThatOthersToldTooOutlivesTheLan) {
    Book book(2, 4);
    for (std::uint8_t n = 1; n <= 4; ++n) book.add(id(1), address(n), Source::lan, at(5s), at(1s));
    book.add(id(1), address(1), Source::identify, std::nullopt, at(1s));
    book.add(id(1), address(2), Source::link, std::nullopt, at(1s));
    book.add(id(1), address(3), Source::user, std::nullopt, at(1s));
    book.add(id(1), address(1), Source::link, std::nullopt, at(1s));
    EXPECT_EQ(book.find(id(1))->addresses[0].source, Source::lan);
    book.expire_lan(id(1));
    const auto& known = book.find(id(1))->addresses;
    ASSERT_EQ(known.size(), 3U);
    EXPECT_EQ(known[0].source, Source::identify);
    EXPECT_EQ(known[1].source, Source::link);
    EXPECT_EQ(known[2].source, Source::user);
    for (std::size_t n = 0; n < known.size(); ++n) EXPECT_EQ(known[n].address, address(static_cast<std::uint8_t>(n + 1)));
    EXPECT_FALSE(book.add(id(1), address(1), Source::lan, at(9s), at(2s)));  // and back
    EXPECT_EQ(book.find(id(1))->addresses[0].source, Source::lan);
    book.expire_lan(id(1));
    EXPECT_EQ(book.find(id(1))->addresses.size(), 3U);
}

TEST(Backoff, DoublesUpToItsLimitWithFullJitter) {
    Backoff backoff;
    Duration longest{};
    for (int i = 0; i < 40; ++i) {
        const Duration span = std::min<Duration>(30s, 100ms * (1LL << std::min(i, 20)));
        backoff.failed(at(100s), 30s, 0xFFFFFFFFFFFFFFFFULL - static_cast<std::uint64_t>(i) * 12345);
        const auto wait = backoff.until() - at(100s);
        EXPECT_GE(wait, span / 8);
        EXPECT_LE(wait, span);
        longest = std::max(longest, wait);
    }
    EXPECT_EQ(backoff.failures(), 40U);
    EXPECT_GT(longest, 1s);
    backoff.reset();
    EXPECT_EQ(backoff.failures(), 0U);
    backoff.failed(at(100s), 30s, 5);
    EXPECT_LE(backoff.until() - at(100s), 100ms);
}

}  // namespace
}  // namespace kith::peer
