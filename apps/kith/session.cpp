// SPDX-License-Identifier: Apache-2.0
#include "session.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <csignal>

namespace kith::app {
namespace {

int milliseconds_until(Deadline deadline) {
    if (deadline == never) return -1;
    const auto rest = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(rest, 0, INT_MAX));
}

}  // namespace

Deadline after(Duration d) noexcept {
    const auto now = Clock::now();
    return d >= never - now ? never : now + d;
}

Signals::Signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    fd_ = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

Signals::~Signals() {
    if (fd_ >= 0) ::close(fd_);
}

bool Signals::take() noexcept {
    signalfd_siginfo info{};
    return ::read(fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info);
}

Session::Session(const Common& common, Output& out, const Needs& needs)
    : common_(common), out_(out), needs_(needs), lan_(needs.lan && !common.no_lan) {}

Status Session::load_identity() {
    auto lock = HomeLock::take(common_.home);
    if (!lock && lock.error() == Errc::refused) {
        // A short command of the same user may just be ending.
        if (needs_.if_busy == IfBusy::refuse) {
            out_.note("Waiting for another kith that uses " + common_.home.string() + " ...");
            const auto patience = after(std::chrono::seconds{3});
            while (!lock && lock.error() == Errc::refused && Clock::now() < patience && !interrupted_) {
                pollfd signal{signals_.fd(), POLLIN, 0};
                if (::poll(&signal, 1, 100) > 0) interrupted_ = signals_.take();
                lock = HomeLock::take(common_.home);
            }
            if (interrupted_) return Errc::cancelled;
        } else {
            guest_ = true;
        }
    }
    if (guest_) {
        out_.note("Another kith is running with your identity, so this one uses a new identity for this run.");
        auto made = Identity::generate();
        if (!made) return std::move(made).error();
        identity_ = std::make_shared<Identity>(std::move(*made));
        return {};
    }
    if (!lock) return std::move(lock).error();
    lock_ = std::move(*lock);
    auto loaded = Identity::load_or_create(key_file(common_.home));
    if (!loaded) return std::move(loaded).error();
    identity_ = std::make_shared<Identity>(std::move(*loaded));
    return {};
}

Status Session::prepare() {
    if (auto ok = load_identity(); !ok) return ok;
    Config config;
    config.name = common_.name.empty() ? default_name() : common_.name;
    if (guest_ && common_.name.empty()) config.name += "-guest";
    config.lan = lan_;
    config.lan_auto_connect = needs_.auto_connect;
    if (!common_.listen.empty()) {
        config.listen = common_.listen;
    } else if (!needs_.listen) {
        config.listen.clear();
    }
    config.identity = identity_;
    config.serve_perf = needs_.serve_perf;
    config.manual_dispatch = true;
    node_ = std::make_unique<Node>(std::move(config));
    return {};
}

Status Session::start() {
    if (!node_) {
        if (auto ok = prepare(); !ok) return ok;
    }
    return node_->start();
}

void Session::stop() {
    if (node_) node_->stop();
}

bool Session::turn(Deadline deadline, int fd) {
    if (node_->dispatch() > 0) deadline = Clock::now();
    std::array<pollfd, 3> watched{pollfd{signals_.fd(), POLLIN, 0}, pollfd{node_->dispatch_fd(), POLLIN, 0}, pollfd{fd, POLLIN, 0}};
    if (::poll(watched.data(), watched.size(), milliseconds_until(deadline)) <= 0) return false;
    if (watched[0].revents != 0 && signals_.take()) interrupted_ = true;
    if (watched[1].revents != 0) node_->dispatch();
    return watched[2].revents != 0;
}

bool Session::pump(const std::function<bool()>& done, Deadline deadline) {
    while (!done()) {
        if (interrupted_ || out_.broken() || Clock::now() >= deadline) return false;
        turn(deadline);
    }
    return true;
}

}  // namespace kith::app
