// SPDX-License-Identifier: Apache-2.0
#include "kith/error.hpp"

#include <gtest/gtest.h>

#include <set>
#include <sstream>
#include <string>

namespace {

using kith::Errc;
using kith::Error;
using kith::Result;

TEST(Error, EveryCodeHasANameATextAndAHint) {
    std::set<std::string_view> names;
    for (int i = 1; i <= static_cast<int>(Errc::internal); ++i) {
        const auto code = static_cast<Errc>(i);
        EXPECT_TRUE(names.insert(kith::name(code)).second) << "two codes are named " << kith::name(code);
        EXPECT_FALSE(kith::text(code).empty()) << kith::name(code);
        EXPECT_FALSE(kith::hint(code).empty()) << kith::name(code);
    }
}

TEST(Error, MessageHoldsEveryPart) {
    Error error{Errc::dial_failed, "tcp", "/ip4/192.0.2.1/tcp/1"};
    error.os_error = 111;
    EXPECT_EQ(error.message(), "no address of the peer could be reached: tcp: /ip4/192.0.2.1/tcp/1 (Connection refused)");
    std::ostringstream out;
    out << error;
    EXPECT_NE(out.str().find(error.hint()), std::string::npos);
}

TEST(Error, AnUnknownNumberIsADefectAndNotACrash) {
    EXPECT_EQ(kith::name(static_cast<Errc>(250)), "internal");
    EXPECT_EQ(kith::name(static_cast<Errc>(0)), "internal");
}

TEST(Result, HoldsAValueOrAnError) {
    Result<std::string> good = std::string{"yes"};
    ASSERT_TRUE(good);
    EXPECT_EQ(*good, "yes");
    Result<std::string> bad = Errc::timeout;
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error(), Errc::timeout);
    EXPECT_EQ(bad.value_or("no"), "no");
    kith::Status fine;
    EXPECT_TRUE(fine);
    kith::Status not_fine = Errc::stopped;
    EXPECT_FALSE(not_fine);
}

}  // namespace
