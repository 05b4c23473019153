// SPDX-License-Identifier: Apache-2.0
#include "output.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "sanitize.hpp"

namespace kith::app {
namespace {

bool environment(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0';
}

// A signal that this thread blocks has come (Session takes signals through a descriptor).
bool told_to_end() {
    sigset_t pending;
    if (::sigpending(&pending) != 0) return false;
    return sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGHUP) == 1;
}

// Waits for a reader that is slow, but not when the program is to end: a pipe takes PIPE_BUF bytes at once when it is writable.
bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        pollfd writable{fd, POLLOUT, 0};
        if (::poll(&writable, 1, 100) <= 0) {
            if (told_to_end()) return false;
            continue;
        }
        const auto n = ::write(fd, bytes.data(), std::min<std::size_t>(bytes.size(), PIPE_BUF));
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

std::string_view code_of(Style style) {
    switch (style) {
        case Style::plain:
            return "";
        case Style::dim:
            return "\x1b[2m";
        case Style::bold:
            return "\x1b[1m";
        case Style::good:
            return "\x1b[32m";
        case Style::bad:
            return "\x1b[31m";
        case Style::accent:
            return "\x1b[36m";
    }
    return "";
}

}  // namespace

Json object(std::string_view type) { return Json{{"v", 1}, {"type", type}}; }

Json to_json(const Error& error, std::string_view hint) {
    auto out = object("error");
    out["code"] = name(error.code);
    out["message"] = error.message();
    out["hint"] = hint.empty() ? error.hint() : hint;
    out["retriable"] = error.retriable();
    return out;
}

Output::Output(bool json) : json_(json) {
    const char* term = std::getenv("TERM");
    color_ = ::isatty(STDOUT_FILENO) == 1 && !environment("NO_COLOR") && term != nullptr && std::string_view{term} != "dumb";
}

void Output::raw(std::string_view bytes) {
    if (!broken_ && !write_all(STDOUT_FILENO, bytes)) broken_ = true;
}

void Output::emit(const Json& value) {
    if (!json_) return;
    raw(escape_json(value.dump(-1, ' ', false, Json::error_handler_t::replace)) + "\n");
}

void Output::line(std::string_view text) {
    if (json_) return;
    std::string whole{text};
    whole += '\n';
    raw(whole);
}

void Output::note(std::string_view text) {
    std::string whole{text};
    whole += '\n';
    // Nobody to tell when even standard error is gone.
    static_cast<void>(write_all(STDERR_FILENO, whole));
}

std::string Output::paint(Style style, std::string_view text) const {
    if (!color_ || style == Style::plain) return std::string{text};
    std::string out{code_of(style)};
    out += text;
    out += "\x1b[0m";
    return out;
}

Exit Output::fail(const Error& error, std::string_view doing, std::string_view hint) {
    if (json_) {
        auto value = to_json(error, hint);
        value["doing"] = doing;
        emit(value);
    }
    // The detail may quote the peer.
    std::string text{"kith: "};
    text += clean(doing);
    text += ": ";
    text += clean(error.message(), {.lines = false, .indent = {}, .limit = 1000});
    note(text);
    const auto advice = hint.empty() ? error.hint() : hint;
    if (!advice.empty()) note("  try: " + clean(advice));
    return exit_code(error.code);
}

}  // namespace kith::app
