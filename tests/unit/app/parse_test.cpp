// SPDX-License-Identifier: Apache-2.0
#include "parse.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <set>

#include "exit_code.hpp"
#include "kith/bytes.hpp"

namespace {

using namespace std::chrono_literals;
using namespace kith::app;

TEST(Parse, Sizes) {
    EXPECT_EQ(parse_size("0"), 0U);
    EXPECT_EQ(parse_size("1048576"), 1048576U);
    EXPECT_EQ(parse_size("64MiB"), 64U << 20U);
    EXPECT_EQ(parse_size("64 mib"), 64U << 20U);
    EXPECT_EQ(parse_size("64M"), 64U << 20U);
    EXPECT_EQ(parse_size("64MB"), 64'000'000U);
    EXPECT_EQ(parse_size("1.5KiB"), 1536U);
    EXPECT_EQ(parse_size("7b"), 7U);
}

TEST(Parse, WrongSizes) {
    for (const auto* text : {"", "MiB", "-1", "1x", "1MiBx", "1e999", "nan", "inf", "99999999TiB", "1  MiB", "0x10"}) {
        EXPECT_FALSE(parse_size(text)) << text;
    }
}

TEST(Parse, SizeAndDurationText) {
    EXPECT_EQ(size_text(12), "12 B");
    EXPECT_EQ(size_text(64U << 20U), "64.0 MiB");
    EXPECT_EQ(duration_text(420us), "0.42 ms");
    EXPECT_EQ(duration_text(120ms), "120 ms");
    EXPECT_EQ(duration_text(1300ms), "1.3 s");
    EXPECT_EQ(duration_text(10min), "10 min");
}

TEST(Parse, Seconds) {
    EXPECT_EQ(from_seconds(1.5), 1500ms);
    EXPECT_EQ(from_seconds(-1), 0ms);
    EXPECT_EQ(from_seconds(std::numeric_limits<double>::quiet_NaN()), 0ms);
    EXPECT_EQ(from_seconds(1e300), kith::Duration::max());
}

TEST(Parse, Base64OfRfc4648) {
    EXPECT_EQ(base64({}), "");
    EXPECT_EQ(base64(kith::as_bytes("f")), "Zg==");
    EXPECT_EQ(base64(kith::as_bytes("fo")), "Zm8=");
    EXPECT_EQ(base64(kith::as_bytes("foo")), "Zm9v");
    EXPECT_EQ(base64(kith::as_bytes("foobar")), "Zm9vYmFy");
    EXPECT_EQ(base64(kith::Bytes{0xff, 0xfe}), "//4=");
}

TEST(ExitCode, AsDocumented) {
    using kith::Errc;
    EXPECT_EQ(exit_code(Errc::invalid_multiaddr), Exit::usage);
    EXPECT_EQ(exit_code(Errc::unknown_peer), Exit::offline);
    EXPECT_EQ(exit_code(Errc::connection_refused), Exit::offline);
    EXPECT_EQ(exit_code(Errc::wrong_peer), Exit::not_verified);
    EXPECT_EQ(exit_code(Errc::timeout), Exit::network);
    EXPECT_EQ(exit_code(Errc::not_supported), Exit::refused);
    EXPECT_EQ(exit_code(Errc::decrypt_failed), Exit::integrity);
    EXPECT_EQ(exit_code(Errc::io_error), Exit::local);
}

TEST(ExitCode, EveryErrorHasADocumentedNonZeroCode) {
    std::set<Exit> documented;
    for (const auto& row : exit_meanings()) documented.insert(row.code);
    for (int code = 1; code <= static_cast<int>(kith::Errc::internal); ++code) {
        const auto exit = exit_code(static_cast<kith::Errc>(code));
        EXPECT_NE(exit, Exit::ok) << code;
        EXPECT_TRUE(documented.contains(exit)) << code;
    }
}

}  // namespace
