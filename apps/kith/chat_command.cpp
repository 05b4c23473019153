// SPDX-License-Identifier: Apache-2.0
#include "chat_command.hpp"

#include <algorithm>
#include <array>

namespace kith::app {
namespace {

// What follows the command word. The order is that of the arguments.
enum class Takes : std::uint8_t { nothing, target, text, target_and_text, maybe_target };

struct Row {
    std::string_view word;
    ChatVerb verb;
    Takes takes;
    std::string_view usage;
};

constexpr std::array rows{
    Row{"/all", ChatVerb::select, Takes::nothing, "/all"},
    Row{"/broadcast", ChatVerb::everybody, Takes::text, "/broadcast TEXT"},
    Row{"/connect", ChatVerb::connect, Takes::target, "/connect ADDRESS"},
    Row{"/exit", ChatVerb::quit, Takes::nothing, "/exit"},
    Row{"/help", ChatVerb::help, Takes::nothing, "/help"},
    Row{"/id", ChatVerb::id, Takes::nothing, "/id"},
    Row{"/list", ChatVerb::peers, Takes::nothing, "/list"},
    Row{"/msg", ChatVerb::message, Takes::target_and_text, "/msg PEER TEXT"},
    Row{"/peers", ChatVerb::peers, Takes::nothing, "/peers"},
    Row{"/quit", ChatVerb::quit, Takes::nothing, "/quit"},
    Row{"/send", ChatVerb::message, Takes::target_and_text, "/send N TEXT"},
    Row{"/to", ChatVerb::select, Takes::maybe_target, "/to PEER"},
};

constexpr auto words = [] {
    std::array<std::string_view, rows.size()> out{};
    for (std::size_t i = 0; i < rows.size(); ++i) out[i] = rows[i].word;
    return out;
}();

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::string_view take_word(std::string_view& text) {
    text = trim(text);
    const auto end = std::min(text.find_first_of(" \t"), text.size());
    const auto word = text.substr(0, end);
    text = trim(text.substr(end));
    return word;
}

}  // namespace

ChatCommand parse_chat(std::string_view line) {
    line = trim(line);
    if (line.empty()) return {};
    if (!line.starts_with('/')) return {ChatVerb::say, {}, std::string{line}};
    if (line.starts_with("//")) return {ChatVerb::say, {}, std::string{line.substr(1)}};

    auto rest = line;
    const auto word = take_word(rest);
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.word == word; });
    if (row == rows.end()) return {ChatVerb::unknown, std::string{word}, {}};

    ChatCommand out{row->verb, {}, {}};
    const auto incomplete = [&] { return ChatCommand{ChatVerb::incomplete, std::string{word}, std::string{row->usage}}; };
    switch (row->takes) {
        case Takes::nothing:
            return out;
        case Takes::text:
            if (rest.empty()) return incomplete();
            out.text = rest;
            return out;
        case Takes::target:
            if (rest.empty()) return incomplete();
            out.target = take_word(rest);
            return out;
        case Takes::maybe_target:
            out.target = take_word(rest);
            return out;
        case Takes::target_and_text:
            out.target = take_word(rest);
            out.text = rest;
            if (out.target.empty()) return incomplete();
            // "/msg bo" alone: the next lines go to bo.
            if (out.text.empty()) out.verb = ChatVerb::select;
            return out;
    }
    return out;
}

std::span<const ChatHelp> chat_help() noexcept {
    static constexpr std::array help{
        ChatHelp{"TEXT", "say it to the chosen peer, or to everybody who is connected"},
        ChatHelp{"/peers", "who is there, with numbers (also /list)"},
        ChatHelp{"/msg PEER TEXT", "say it to one peer: a number, a name, or 4 characters of an id (also /send)"},
        ChatHelp{"/to PEER", "the next lines go to this peer"},
        ChatHelp{"/all", "the next lines go to everybody"},
        ChatHelp{"/broadcast TEXT", "say it to everybody"},
        ChatHelp{"/connect ADDRESS", "reach a peer outside the LAN: /ip4/192.0.2.1/tcp/4001"},
        ChatHelp{"/id", "who am I, and my addresses"},
        ChatHelp{"/quit", "end (also Ctrl-D)"},
    };
    return help;
}

std::span<const std::string_view> chat_words() noexcept { return words; }

}  // namespace kith::app
