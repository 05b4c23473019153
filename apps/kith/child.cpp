// SPDX-License-Identifier: Apache-2.0
#include "child.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <utility>

extern "C" char** environ;  // NOLINT(readability-redundant-declaration): not in every unistd.h

namespace kith::app {
namespace {

constexpr std::size_t max_line = 4U << 20U;

void shut(int& fd) noexcept {
    if (fd >= 0) ::close(std::exchange(fd, -1));
}

// -1 on failure, in both.
std::array<int, 2> make_pipe() {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) ends = {-1, -1};
    return ends;
}

// What can be read now. False at the end.
bool append(int& fd, std::string& to) {
    if (fd < 0) return false;
    std::array<char, 16 * 1024> chunk;
    const auto n = ::read(fd, chunk.data(), chunk.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (n <= 0) {
        shut(fd);
        return false;
    }
    to.append(chunk.data(), static_cast<std::size_t>(n));
    return true;
}

}  // namespace

Result<Child> Child::start(const std::vector<std::string>& arguments) {
    auto in = make_pipe();
    auto out = make_pipe();
    auto err = make_pipe();
    Child child;
    child.in_ = in[1];
    child.out_ = out[0];
    child.err_ = err[0];
    std::string program = "/proc/self/exe";
    std::vector<std::string> words{"kith"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
    // This process blocks its signals and ignores SIGPIPE; the child begins as any program does.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    sigset_t usual;
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setflags(&attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
    const int failed = ::posix_spawn(&child.pid_, program.c_str(), &actions, &attributes, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    shut(in[0]);
    shut(out[1]);
    shut(err[1]);
    if (failed != 0) {
        child.pid_ = -1;
        Error error{Errc::io_error, "cannot start a process"};
        error.os_error = failed;
        return error;
    }
    // A write must not block for ever on a child that hangs, nor a read.
    for (const int fd : {child.in_, child.out_, child.err_}) {
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): the system's interface
        ::fcntl(fd, F_SETFL, O_NONBLOCK);
    }
    return child;
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      in_(std::exchange(other.in_, -1)),
      out_(std::exchange(other.out_, -1)),
      err_(std::exchange(other.err_, -1)),
      pending_(std::move(other.pending_)),
      errors_(std::move(other.errors_)),
      lines_(std::move(other.lines_)) {}

Child::~Child() { finish(); }

bool Child::read() {
    append(err_, errors_);
    append(out_, pending_);
    std::size_t from = 0;
    for (auto at = pending_.find('\n'); at != std::string::npos; at = pending_.find('\n', from)) {
        auto value = Json::parse(pending_.begin() + static_cast<std::ptrdiff_t>(from), pending_.begin() + static_cast<std::ptrdiff_t>(at),
                                 nullptr, false);
        if (value.is_object()) lines_.push_back(std::move(value));
        from = at + 1;
    }
    pending_.erase(0, from);
    if (pending_.size() > max_line) pending_.clear();
    return out_ >= 0 || err_ >= 0;
}

std::vector<Json> Child::take() { return std::exchange(lines_, {}); }

bool Child::write_line(std::string_view line) {
    std::string bytes{line};
    bytes += '\n';
    return ::write(in_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
}

int Child::finish() {
    if (pid_ < 0) return -1;
    shut(in_);
    using Clock = std::chrono::steady_clock;
    const auto begin = Clock::now();
    int sent = 0;
    int status = 0;
    while (::waitpid(pid_, &status, WNOHANG) == 0) {
        // It must be able to write its last lines.
        std::array<pollfd, 2> rest{pollfd{out_, POLLIN, 0}, pollfd{err_, POLLIN, 0}};
        ::poll(rest.data(), rest.size(), 20);
        read();
        if (out_ < 0 && err_ < 0) ::poll(nullptr, 0, 5);
        const auto waited = Clock::now() - begin;
        if (waited > std::chrono::seconds{3} && sent == 0) sent = ::kill(pid_, SIGTERM) == 0 ? SIGTERM : 0;
        if (waited > std::chrono::seconds{5} && sent == SIGTERM) sent = ::kill(pid_, SIGKILL) == 0 ? SIGKILL : sent;
    }
    pid_ = -1;
    read();
    shut(out_);
    shut(err_);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace kith::app
