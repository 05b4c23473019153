// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "io/fd.hpp"
#include "kith/event_loop.hpp"

namespace kith::io::test {

// Far more than any test needs: a deadline here is a failure, never a wait.
inline constexpr Duration patience = std::chrono::seconds{60};

template <class Predicate>
bool run_until(EventLoop& loop, Predicate done, Duration limit = patience) {
    const auto end = loop.now() + limit;
    while (!done()) {
        if (loop.now() > end) return false;
        loop.poll(std::chrono::milliseconds{100});
    }
    return true;
}

struct Pair {
    Fd a;
    Fd b;

    Pair() {
        std::array<int, 2> fds{-1, -1};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()) != 0) std::abort();
        a.reset(fds[0]);
        b.reset(fds[1]);
    }
};

inline void put(const Fd& fd, std::string_view text) {
    if (::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) std::abort();
}

inline std::string take(const Fd& fd, std::size_t max = 4096) {
    std::string out(max, '\0');
    const auto n = ::recv(fd.get(), out.data(), out.size(), 0);
    out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return out;
}

// A folder of its own (0700), removed at the end.
class Folder {
public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "kith-test-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) std::abort();
        path_ = name;
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    std::string operator/(std::string_view name) const { return (path_ / name).string(); }
    std::string string() const { return path_.string(); }

private:
    std::filesystem::path path_;
};

// Runs the test with this name in a fresh user and network namespace, where it may change the network, after the shell command
// `setup`. True inside; outside it checks that the run inside passed and says false.
inline bool inside_namespace(const std::string& name, const std::string& setup = "true") {
    if (std::getenv("KITH_TEST_NAMESPACE") != nullptr) return true;
    const auto self = std::filesystem::read_symlink("/proc/self/exe").string();
    const auto command = "KITH_TEST_NAMESPACE=1 unshare --user --map-root-user --net sh -ec \"" + setup + "; exec '" + self +
                         "' --gtest_filter='" + name + "'\" >&2";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    return false;
}

// Allocations by this thread so far (allocations.cpp).
std::size_t allocations() noexcept;

}  // namespace kith::io::test
