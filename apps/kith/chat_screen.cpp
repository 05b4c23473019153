// SPDX-License-Identifier: Apache-2.0
#include "chat_screen.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "sanitize.hpp"

namespace kith::app {
namespace {

std::size_t terminal_width() {
    winsize size{};
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): the system's interface
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 80;
    return size.ws_col;
}

}  // namespace

ChatScreen::ChatScreen(Output& out, LineEditor::Completer completer) : out_(out), editor_(std::move(completer)) {
    termios mode{};
    if (out_.json() || ::isatty(STDOUT_FILENO) != 1 || ::tcgetattr(STDIN_FILENO, &mode) != 0) return;
    saved_ = mode;
    mode.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);  // ISIG stays: Ctrl-C is a signal
    mode.c_cc[VMIN] = 1;
    mode.c_cc[VTIME] = 0;
    mode.c_cc[VSUSP] = _POSIX_VDISABLE;  // stopped, the terminal would be left without echo
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &mode);
}

ChatScreen::~ChatScreen() {
    if (!saved_) return;
    erase();
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &*saved_);
}

void ChatScreen::print(std::string_view line) {
    if (!interactive()) {
        out_.line(line);
        return;
    }
    out_.raw(fmt::format("\r\x1b[K{}\n", line));
    draw();
}

void ChatScreen::prompt(std::string_view text) {
    if (text == prompt_) return;
    prompt_ = text;
    if (interactive()) draw();
}

void ChatScreen::erase() { out_.raw("\r\x1b[K"); }

void ChatScreen::draw() {
    const auto begin = columns(prompt_);
    const auto width = terminal_width();
    const auto view = editor_.view(width > begin + 10 ? width - begin : 10);
    const auto column = begin + view.cursor;
    std::string bytes = fmt::format("\r\x1b[K{}{}\r", out_.paint(Style::bold, prompt_), view.text);
    if (column > 0) bytes += fmt::format("\x1b[{}C", column);
    out_.raw(bytes);
}

bool ChatScreen::read(const std::function<void(std::string_view line)>& got) {
    std::array<char, 4096> chunk;
    const auto n = ::read(STDIN_FILENO, chunk.data(), chunk.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    const std::string_view bytes{chunk.data(), n > 0 ? static_cast<std::size_t>(n) : 0};
    if (interactive()) {
        for (const char byte : bytes) {
            switch (editor_.feed(byte)) {
                case LineEditor::Event::none:
                    break;
                case LineEditor::Event::end:
                    return false;
                case LineEditor::Event::line:
                    erase();
                    got(editor_.take());
                    break;
            }
        }
        draw();
        return n > 0;
    }
    pending_ += bytes;
    std::size_t from = 0;
    for (auto at = pending_.find('\n'); at != std::string::npos; at = pending_.find('\n', from)) {
        got(std::string_view{pending_}.substr(from, at - from));
        from = at + 1;
    }
    pending_.erase(0, from);
    if (n > 0 && pending_.size() < LineEditor::max_line) return true;
    if (!pending_.empty()) got(std::exchange(pending_, {}));
    return n > 0;
}

}  // namespace kith::app
