// SPDX-License-Identifier: Apache-2.0
// The line being typed: bytes of a terminal in raw mode go in, a line and a cursor come out. Pure, UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kith::app {

class LineEditor {
public:
    // All ways to go on from the word left of the cursor, each a whole replacement for it.
    using Completer = std::function<std::vector<std::string>(std::string_view line_before_cursor)>;

    static constexpr std::size_t max_line = 64 * 1024;  // bytes; more input is ignored
    static constexpr std::size_t max_history = 200;

    enum class Event : std::uint8_t { none, line, end };

    explicit LineEditor(Completer completer = {}) : completer_(std::move(completer)) {}

    // One byte. `line`: take() has a finished line. `end`: Ctrl-D on an empty line.
    Event feed(char byte);

    std::string take();  // the finished line; it is also the newest of the history
    const std::string& line() const noexcept { return line_; }
    std::size_t cursor() const noexcept { return cursor_; }  // in bytes, at a code point

    // What to draw in `width` columns behind a prompt: a part of the line that holds the cursor.
    struct View {
        std::string text;
        std::size_t cursor = 0;  // columns from its begin
    };
    View view(std::size_t width) const;

private:
    enum class State : std::uint8_t { text, escape, sequence };

    void insert(char byte);
    void erase(std::size_t from, std::size_t to);
    std::size_t before(std::size_t at) const noexcept;
    std::size_t after(std::size_t at) const noexcept;
    std::size_t word_start() const noexcept;
    void recall(bool older);
    void complete();
    void key(char final);

    Completer completer_;
    std::string line_;
    std::size_t cursor_ = 0;
    std::string finished_;
    std::deque<std::string> history_;
    std::size_t recalled_ = 0;  // 0: the new line; n: the n-th newest of the history
    std::string draft_;
    State state_ = State::text;
    std::string sequence_;
};

}  // namespace kith::app
