// SPDX-License-Identifier: Apache-2.0
// The chat, line by line: who is here, what was said, what was typed.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "chat_command.hpp"
#include "chat_screen.hpp"
#include "session.hpp"

namespace kith::app {

class Chat {
public:
    Chat(Session& session, const ChatOptions& options);

    // Until /quit, end of input, a signal, or the -C and -W limits; then waits for receipts.
    Exit run();

private:
    // A line that was said, until all its receivers have it.
    struct Said {
        std::uint64_t number = 0;
        std::string text;
        std::vector<PeerId> waiting;
        std::vector<PeerId> delivered;
        Duration slowest{};
        Deadline print_at{};  // then it is shown, answered or not: a quick receipt stands on the same line
        Deadline complain_at{};
        bool printed = false;
        bool complained = false;
    };
    using SaidPtr = std::shared_ptr<Said>;

    void greet();
    void on_peer(const PeerEvent& event);
    void on_message(const Message& message);
    void on_line(std::string_view line);

    void say(const std::vector<PeerId>& to, const std::string& text);
    void settled(const SaidPtr& said, const PeerId& peer, const Result<Receipt>& result);
    void tick();
    Deadline next_tick() const;
    void show(Said& said);

    void list();
    void select(const std::string& target);
    void connect(const std::string& address);
    std::optional<PeerId> find(const std::string& target);
    std::vector<PeerId> everybody() const;  // connected and able to take messages
    void update_prompt();
    std::vector<std::string> completions(std::string_view before_cursor) const;
    void problem(const Error& error, std::string_view doing);

    Session& session_;
    ChatOptions options_;
    ChatScreen screen_;
    std::vector<PeerId> numbers_;  // /peers shows 1 + index; never reordered
    std::set<PeerId> here_;
    std::optional<PeerId> selected_;
    std::list<SaidPtr> said_;
    std::uint64_t lines_ = 0;
    std::uint64_t received_ = 0;
    bool quit_ = false;
    bool started_ = false;
};

}  // namespace kith::app
