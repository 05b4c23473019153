// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "chat_command.hpp"
#include "line_editor.hpp"
#include "match.hpp"
#include "sanitize.hpp"

namespace {

using namespace kith::app;
using Found = std::vector<std::size_t>;

const std::array people{
    Candidate{"12D3KooWAnaAnaAnaAnaAnaAnaAnaAnaAnaAna1111", "ana@thinkpad"},
    Candidate{"12D3KooWBoBoBoBoBoBoBoBoBoBoBoBoBoBoBo2222", "bo@desk"},
    Candidate{"12D3KooWBoTwoTwoTwoTwoTwoTwoTwoTwoTwoT3333", "Bo@phone"},
    Candidate{"12D3KooWEvilEvilEvilEvilEvilEvilEvilEv4444", "\x1b[31mana"},
};

TEST(Match, ByIdNameAndParts) {
    EXPECT_EQ(match(people[1].id, people), Found{1});
    EXPECT_EQ(match("bo@desk", people), Found{1});
    EXPECT_EQ(match("BO@DESK", people), Found{1});
    EXPECT_EQ(match("ana", people), Found{0});
    EXPECT_EQ(match("2222", people), Found{1});
    EXPECT_EQ(match("12D3KooWBoTwo", people), Found{2});
    EXPECT_EQ(match("12D3KooW…3333", people), Found{2});
    EXPECT_EQ(match("12D3KooW...1111", people), Found{0});
}

TEST(Match, AmbiguousGivesAll) {
    EXPECT_EQ(match("bo", people), (Found{1, 2}));
    EXPECT_EQ(match("12D3", people).size(), people.size());
}

TEST(Match, NothingAndTooShort) {
    EXPECT_TRUE(match("", people).empty());
    EXPECT_TRUE(match("222", people).empty());
    EXPECT_TRUE(match("...", people).empty());
    EXPECT_TRUE(match("nobody", people).empty());
}

TEST(ChatCommand, LinesAndCommands) {
    EXPECT_EQ(parse_chat("  ").verb, ChatVerb::nothing);
    EXPECT_EQ(parse_chat(" hello bo \r").text, "hello bo");
    EXPECT_EQ(parse_chat("//etc").text, "/etc");
    const auto message = parse_chat("/msg  bo  how are  you");
    EXPECT_EQ(message.verb, ChatVerb::message);
    EXPECT_EQ(message.target, "bo");
    EXPECT_EQ(message.text, "how are  you");
    EXPECT_EQ(parse_chat("/msg bo").verb, ChatVerb::select);
    EXPECT_EQ(parse_chat("/quit").verb, ChatVerb::quit);
}

TEST(ChatCommand, AliasesOfCsend) {
    EXPECT_EQ(parse_chat("/list").verb, ChatVerb::peers);
    EXPECT_EQ(parse_chat("/send 2 hi").target, "2");
    EXPECT_EQ(parse_chat("/broadcast hi all").text, "hi all");
}

TEST(ChatCommand, SaysWhatIsMissing) {
    EXPECT_EQ(parse_chat("/msg").text, "/msg PEER TEXT");
    EXPECT_EQ(parse_chat("/connect").verb, ChatVerb::incomplete);
    EXPECT_EQ(parse_chat("/broadcast").verb, ChatVerb::incomplete);
    EXPECT_EQ(parse_chat("/nonsense x").target, "/nonsense");
    EXPECT_EQ(parse_chat("/nonsense").verb, ChatVerb::unknown);
}

TEST(ChatCommand, EveryWordIsUnderstood) {
    for (const auto word : chat_words()) EXPECT_NE(parse_chat(word).verb, ChatVerb::unknown) << word;
}

std::string typed(LineEditor& editor, std::string_view keys) {
    std::string lines;
    for (const char key : keys) {
        if (editor.feed(key) == LineEditor::Event::line) lines += editor.take() + "|";
    }
    return lines;
}

TEST(LineEditor, EditsUtf8) {
    LineEditor editor;
    EXPECT_EQ(typed(editor, "h\xc3\xa9llo\x7f\x7f\r"), "hél|");
    EXPECT_EQ(typed(editor, "\xe6\x97\xa5x\x1b[D\x7f\r"), "x|");
    EXPECT_EQ(typed(editor,
                    "b\x01"
                    "a\x05"
                    "c\r"),
              "abc|");
    EXPECT_EQ(typed(editor, "one two three\x17\x17X\r"), "one X|");
    EXPECT_EQ(typed(editor, "abc\x1b[H\x1b[3~\r"), "bc|");
}

TEST(LineEditor, HistoryAndDraft) {
    LineEditor editor;
    typed(editor, "first\rsecond\r");
    EXPECT_EQ(typed(editor, "dra\x1b[A\x1b[A\x1b[A\r"), "first|");
    typed(editor, "draft\x1b[A\x1b[B");
    EXPECT_EQ(editor.line(), "draft");
}

TEST(LineEditor, EndOnlyOnAnEmptyLine) {
    LineEditor editor;
    EXPECT_EQ(editor.feed('\x04'), LineEditor::Event::end);
    editor.feed('a');
    EXPECT_EQ(editor.feed('\x04'), LineEditor::Event::none);
    EXPECT_EQ(editor.line(), "a");
}

TEST(LineEditor, CompletesTheCommonPart) {
    LineEditor editor([](std::string_view) { return std::vector<std::string>{"bo@desk", "bo@phone"}; });
    typed(editor, "/msg b\t");
    EXPECT_EQ(editor.line(), "/msg bo@");
    LineEditor one([](std::string_view) { return std::vector<std::string>{"/msg"}; });
    typed(one, "/m\t");
    EXPECT_EQ(one.line(), "/msg ");
}

TEST(LineEditor, BoundedLineAndWindow) {
    LineEditor editor;
    typed(editor, std::string(LineEditor::max_line + 100, 'x'));
    EXPECT_EQ(editor.line().size(), LineEditor::max_line);
    const auto view = editor.view(80);
    EXPECT_LT(columns(view.text), 80U);
    EXPECT_EQ(view.cursor, columns(view.text));
    typed(editor, "\x01");
    EXPECT_EQ(editor.view(80).cursor, 0U);
    EXPECT_EQ(columns(editor.view(80).text), 79U);
}

TEST(LineEditor, WhateverIsPastedTheViewIsHarmless) {
    LineEditor editor;
    for (int c = 1; c < 256; ++c) editor.feed(static_cast<char>(c));
    for (const unsigned char out : editor.view(500).text) EXPECT_TRUE(out >= 0x20 && out != 0x7f);
}

}  // namespace
