// SPDX-License-Identifier: Apache-2.0
#include "line_editor.hpp"

#include <algorithm>
#include <utility>

#include "sanitize.hpp"

namespace kith::app {
namespace {

constexpr char ctrl(char letter) { return static_cast<char>(letter & 0x1f); }
constexpr bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xc0U) == 0x80U; }

std::size_t common_prefix(const std::vector<std::string>& options) {
    std::size_t length = options.front().size();
    for (const auto& option : options) {
        const auto [a, b] = std::mismatch(option.begin(), option.end(), options.front().begin(), options.front().end());
        length = std::min(length, static_cast<std::size_t>(a - option.begin()));
    }
    while (length > 0 && length < options.front().size() && continues(options.front()[length])) --length;
    return length;
}

}  // namespace

LineEditor::Event LineEditor::feed(char byte) {
    if (state_ == State::escape) {
        state_ = byte == '[' || byte == 'O' ? State::sequence : State::text;
        sequence_.clear();
        return Event::none;
    }
    if (state_ == State::sequence) {
        if ((byte >= '0' && byte <= '9') || byte == ';') {
            if (sequence_.size() < 8) sequence_ += byte;
            return Event::none;
        }
        state_ = State::text;
        key(byte);
        return Event::none;
    }
    switch (byte) {
        case '\r':
        case '\n':
            finished_ = std::exchange(line_, {});
            cursor_ = 0;
            recalled_ = 0;
            return Event::line;
        case 0x1b:
            state_ = State::escape;
            break;
        case 0x7f:
        case ctrl('h'):
            erase(before(cursor_), cursor_);
            break;
        case ctrl('d'):
            if (line_.empty()) return Event::end;
            erase(cursor_, after(cursor_));
            break;
        case ctrl('a'):
            cursor_ = 0;
            break;
        case ctrl('e'):
            cursor_ = line_.size();
            break;
        case ctrl('b'):
            cursor_ = before(cursor_);
            break;
        case ctrl('f'):
            cursor_ = after(cursor_);
            break;
        case ctrl('k'):
            erase(cursor_, line_.size());
            break;
        case ctrl('u'):
            erase(0, cursor_);
            break;
        case ctrl('w'):
            erase(word_start(), cursor_);
            break;
        case ctrl('p'):
            recall(true);
            break;
        case ctrl('n'):
            recall(false);
            break;
        case '\t':
            complete();
            break;
        default:
            if (static_cast<unsigned char>(byte) >= 0x20) insert(byte);
            break;
    }
    return Event::none;
}

void LineEditor::key(char final) {
    switch (final) {
        case 'A':
            recall(true);
            break;
        case 'B':
            recall(false);
            break;
        case 'C':
            cursor_ = after(cursor_);
            break;
        case 'D':
            cursor_ = before(cursor_);
            break;
        case 'H':
            cursor_ = 0;
            break;
        case 'F':
            cursor_ = line_.size();
            break;
        case '~':
            if (sequence_ == "1" || sequence_ == "7") cursor_ = 0;
            if (sequence_ == "4" || sequence_ == "8") cursor_ = line_.size();
            if (sequence_ == "3") erase(cursor_, after(cursor_));
            break;
        default:
            break;
    }
}

std::string LineEditor::take() {
    if (!finished_.empty() && (history_.empty() || history_.front() != finished_)) {
        history_.push_front(finished_);
        if (history_.size() > max_history) history_.pop_back();
    }
    return std::exchange(finished_, {});
}

void LineEditor::insert(char byte) {
    if (line_.size() >= max_line) return;
    line_.insert(line_.begin() + static_cast<std::ptrdiff_t>(cursor_), byte);
    ++cursor_;
}

void LineEditor::erase(std::size_t from, std::size_t to) {
    line_.erase(from, to - from);
    cursor_ = from;
}

std::size_t LineEditor::before(std::size_t at) const noexcept {
    while (at > 0 && continues(line_[--at])) {
    }
    return at;
}

std::size_t LineEditor::after(std::size_t at) const noexcept {
    if (at < line_.size()) ++at;
    while (at < line_.size() && continues(line_[at])) ++at;
    return at;
}

std::size_t LineEditor::word_start() const noexcept {
    std::size_t at = cursor_;
    while (at > 0 && line_[at - 1] == ' ') --at;
    while (at > 0 && line_[at - 1] != ' ') --at;
    return at;
}

void LineEditor::recall(bool older) {
    if (older ? recalled_ >= history_.size() : recalled_ == 0) return;
    if (recalled_ == 0) draft_ = line_;
    recalled_ += older ? 1U : std::size_t(-1);
    line_ = recalled_ == 0 ? draft_ : history_[recalled_ - 1];
    cursor_ = line_.size();
}

void LineEditor::complete() {
    if (!completer_) return;
    const auto options = completer_(std::string_view{line_}.substr(0, cursor_));
    if (options.empty()) return;
    std::size_t start = cursor_;
    while (start > 0 && line_[start - 1] != ' ') --start;
    auto word = options.front().substr(0, common_prefix(options));
    if (options.size() == 1) word += ' ';
    if (word.size() < cursor_ - start || line_.size() + word.size() > max_line) return;
    line_.replace(start, cursor_ - start, word);
    cursor_ = start + word.size();
}

LineEditor::View LineEditor::view(std::size_t width) const {
    const std::string_view line{line_};
    std::size_t from = cursor_;
    while (from > 0 && columns(line.substr(before(from), cursor_ - before(from))) < width) from = before(from);
    std::size_t to = cursor_;
    while (to < line.size() && columns(line.substr(from, after(to) - from)) < width) to = after(to);
    // What was typed may hold anything: a pasted escape sequence must not reach the terminal either.
    return {clean(line.substr(from, to - from)), columns(line.substr(from, cursor_ - from))};
}

}  // namespace kith::app
