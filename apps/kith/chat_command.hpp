// SPDX-License-Identifier: Apache-2.0
// One line typed into the chat, understood. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace kith::app {

enum class ChatVerb : std::uint8_t { nothing, say, peers, message, select, everybody, connect, id, help, quit, unknown, incomplete };

struct ChatCommand {
    ChatVerb verb = ChatVerb::nothing;
    std::string target;  // message, select: who; connect: the address; unknown, incomplete: the command word
    std::string text;    // say, message, everybody: what to send; incomplete: how it is written
};

// A line without '/' is a message; "//x" is the message "/x". csend's /list, /send N TEXT and /broadcast TEXT are aliases.
ChatCommand parse_chat(std::string_view line);

struct ChatHelp {
    std::string_view usage;
    std::string_view text;
};
std::span<const ChatHelp> chat_help() noexcept;

// Every command word, for completion: "/peers", ...
std::span<const std::string_view> chat_words() noexcept;

}  // namespace kith::app
