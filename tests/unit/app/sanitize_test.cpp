// SPDX-License-Identifier: Apache-2.0
#include "sanitize.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace {

using kith::app::Clean;
using kith::app::clean;
using kith::app::clean_name;
using kith::app::columns;
using kith::app::escape_json;
using kith::app::valid_utf8;

TEST(Sanitize, KeepsOrdinaryText) {
    for (const std::string_view text : {"hello bo", "grüße, Ωμέγα", "日本語", "👨‍👩‍👧 ok", "می‌خواهم"})
        EXPECT_EQ(clean(text), text);
}

TEST(Sanitize, EscapeSequencesLoseTheirIntroducer) {
    EXPECT_EQ(clean("\x1b[2J\x1b]0;title\x07x"), "�[2J�]0;title�x");
    EXPECT_EQ(clean("\xc2\x9b"
                    "31m"),
              "�31m");  // C1 CSI in UTF-8
    EXPECT_EQ(clean("a\rb\bc\x7f"), "a�b�c�");
    EXPECT_EQ(clean(std::string_view{"a\0b", 3}), "a�b");
}

TEST(Sanitize, EveryControlByteIsGone) {
    for (int c = 0; c < 256; ++c) {
        const std::string text(1, static_cast<char>(c));
        for (const unsigned char out : clean(text)) EXPECT_TRUE(out >= 0x20 && out != 0x7f) << c;
        EXPECT_TRUE(valid_utf8(clean(text))) << c;
    }
}

TEST(Sanitize, BidiAndInvisibleVanish) {
    EXPECT_EQ(clean("a\u202E\u2066b\u200F\u061C\u200B\uFEFF\u2028c"), "abc");
    EXPECT_EQ(clean("a\U000E0041\u00ADb"), "ab");
}

TEST(Sanitize, InvalidUtf8IsReplaced) {
    EXPECT_EQ(clean("a\xff"
                    "b"),
              "a�b");
    EXPECT_EQ(clean("\xc0\xaf"), "��");            // non-minimal
    EXPECT_EQ(clean("\xed\xa0\x80"), "���");       // surrogate
    EXPECT_EQ(clean("\xf4\x90\x80\x80"), "����");  // above U+10FFFF
    EXPECT_EQ(clean("ok\xe2\x82"), "ok��");        // truncated
    EXPECT_FALSE(valid_utf8("\xe2\x82"));
    EXPECT_TRUE(valid_utf8("€"));
}

TEST(Sanitize, LinesAreIndentedOrJoined) {
    EXPECT_EQ(clean("a\nb"), "a b");
    EXPECT_EQ(clean("a\r\nb\nc", {.lines = true, .indent = "  ", .limit = 0}), "a\n  b\n  c");
    EXPECT_EQ(clean("a\tb"), "a b");
}

TEST(Sanitize, MarksOnOneLetterAreBounded) {
    std::string zalgo = "a";
    for (int i = 0; i < 100; ++i) zalgo += "\u0301";
    EXPECT_EQ(clean(zalgo).size(), 1U + 4U * 2U);
}

TEST(Sanitize, LimitCutsAtACodePoint) {
    EXPECT_EQ(clean("ααααα", {.lines = false, .indent = {}, .limit = 3}), "ααα…");
    EXPECT_EQ(clean("ααα", {.lines = false, .indent = {}, .limit = 3}), "ααα");
}

TEST(Sanitize, NamesAreOneShortTrimmedLine) {
    EXPECT_EQ(clean_name("  bo\n@desk \x1b"), "bo @desk �");
    EXPECT_EQ(clean_name(" \u202E "), "");
    EXPECT_EQ(columns(clean_name(std::string(1000, 'x'))), 49U);
}

TEST(Sanitize, JsonKeepsItsMeaning) {
    EXPECT_EQ(escape_json(R"({"a":"plain ü"})"), R"({"a":"plain ü"})");
    EXPECT_EQ(escape_json("\"\u009B\u202E\x7f\""), R"("\u009b\u202e\u007f")");
    EXPECT_EQ(escape_json("\"\U000E0041\""), R"("\udb40\udc41")");
}

TEST(Sanitize, ColumnsOfWideAndCombining) {
    EXPECT_EQ(columns("abc"), 3U);
    EXPECT_EQ(columns("日本"), 4U);
    EXPECT_EQ(columns("e\u0301"), 1U);
}

}  // namespace
