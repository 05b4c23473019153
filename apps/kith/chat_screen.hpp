// SPDX-License-Identifier: Apache-2.0
// Lines above, the line being typed below. On a terminal the typed line survives what arrives meanwhile; elsewhere lines
// are just read and written.
#pragma once

#include <termios.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "line_editor.hpp"
#include "output.hpp"

namespace kith::app {

class ChatScreen {
public:
    ChatScreen(Output& out, LineEditor::Completer completer);
    ~ChatScreen();  // gives the terminal back as it was
    ChatScreen(const ChatScreen&) = delete;
    ChatScreen& operator=(const ChatScreen&) = delete;

    bool interactive() const noexcept { return saved_.has_value(); }

    void print(std::string_view line);   // clean text; nothing in JSON mode
    void prompt(std::string_view text);  // shown from now on, when interactive

    // Standard input is readable: takes what there is. False at its end.
    bool read(const std::function<void(std::string_view line)>& got);

private:
    void draw();
    void erase();

    Output& out_;
    LineEditor editor_;
    std::string prompt_{"> "};
    std::string pending_;  // not interactive: the begin of a line
    std::optional<termios> saved_;
};

}  // namespace kith::app
