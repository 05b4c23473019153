// SPDX-License-Identifier: Apache-2.0
// Nodes on loopback, in every way a node can get its threads.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "kith/kith.hpp"

namespace kith::node::test {

// Far more than any test needs: a deadline here is a failure, never a wait.
inline constexpr Duration patience = std::chrono::seconds{60};
inline const Wait patient{patience};

inline Config local() {
    Config config;
    config.lan = false;
    config.listen = {"/ip4/127.0.0.1/tcp/0"};
    config.limits.new_links_per_second_per_address = 10'000;
    config.limits.max_handshakes_per_address = 1'000;
    return config;
}

// What callbacks on other threads leave for the test.
template <class T>
class Log {
public:
    void add(T value) {
        const std::scoped_lock lock(mutex_);
        values_.push_back(std::move(value));
        wake_.notify_all();
    }
    template <class Predicate>
    bool wait(Predicate ready) {
        std::unique_lock lock(mutex_);
        return wake_.wait_for(lock, patience, [&] { return ready(values_); });
    }
    bool wait_count(std::size_t n) {
        return wait([n](const auto& all) { return all.size() >= n; });
    }
    std::vector<T> all() const {
        const std::scoped_lock lock(mutex_);
        return values_;
    }
    std::size_t size() const {
        const std::scoped_lock lock(mutex_);
        return values_.size();
    }

private:
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<T> values_;
};

class Flag {
public:
    void set() {
        const std::scoped_lock lock(mutex_);
        set_ = true;
        wake_.notify_all();
    }
    bool is_set() const {
        const std::scoped_lock lock(mutex_);
        return set_;
    }
    bool wait() {
        std::unique_lock lock(mutex_);
        return wake_.wait_for(lock, patience, [&] { return set_; });
    }

private:
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    bool set_ = false;
};

enum class Mode { own, executor, manual, loop, polled };
inline std::string mode_name(Mode mode) {
    constexpr std::array names{"own", "executor", "manual", "loop", "polled"};
    return names.at(static_cast<std::size_t>(mode));
}

// A node with the threads that its mode needs from outside, so that a test can treat all modes alike.
class Host {
public:
    explicit Host(Mode mode, Config config = local()) : mode_(mode) {
        switch (mode) {
            case Mode::own:
                break;
            case Mode::executor:
                config.executor = [this](Function<void()> call) { loop_.post(std::move(call)); };
                break;
            case Mode::manual:
                config.manual_dispatch = true;
                break;
            case Mode::loop:
                config.threads = ThreadMode::loop;
                config.loop = &loop_;
                break;
            case Mode::polled:
                config.threads = ThreadMode::polled;
                break;
        }
        node_ = std::make_unique<Node>(std::move(config));
    }
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;
    ~Host() {
        node_->stop();
        end();
    }

    Status start() {
        auto ok = node_->start();
        if (!ok) return ok;
        switch (mode_) {
            case Mode::own:
                break;
            case Mode::executor:
            case Mode::loop:
                thread_ = std::thread([this] { EXPECT_TRUE(loop_.run()); });
                break;
            case Mode::manual:
                thread_ = std::thread([this] {
                    std::array<pollfd, 2> wait{pollfd{node_->dispatch_fd(), POLLIN, 0}, pollfd{end_, POLLIN, 0}};
                    while (::poll(wait.data(), wait.size(), -1) > 0 && wait[1].revents == 0) node_->dispatch();
                });
                break;
            case Mode::polled:
                thread_ = std::thread([this] {
                    while (!ending_) node_->poll(std::chrono::milliseconds{20});
                });
                break;
        }
        return {};
    }
    Node& operator*() noexcept { return *node_; }
    Node* operator->() noexcept { return node_.get(); }

private:
    void end() {
        ending_ = true;
        const std::uint64_t one = 1;
        if (::write(end_, &one, sizeof one) != sizeof one) std::abort();
        loop_.stop();
        if (thread_.joinable()) thread_.join();
        ::close(end_);
    }

    const Mode mode_;
    EventLoop loop_;
    int end_ = ::eventfd(0, EFD_CLOEXEC);
    std::atomic<bool> ending_{false};
    std::unique_ptr<Node> node_;
    std::thread thread_;
};

// Two started nodes; `a` is connected to `b`.
struct Pair {
    explicit Pair(Mode mode = Mode::own, Config for_a = local(), Config for_b = local())
        : a(mode, std::move(for_a)), b(mode, std::move(for_b)) {}
    void start() {
        ASSERT_TRUE(a.start());
        ASSERT_TRUE(b.start());
    }
    void connect() {
        const auto peer = a->connect(b->addresses().front(), patient);
        ASSERT_TRUE(peer) << peer.error();
        ASSERT_EQ(*peer, b->id());
    }
    // At the end of a test: what its callbacks use goes before the nodes do.
    void stop() {
        a->stop();
        b->stop();
    }
    // b may hear of the link a moment later than a.
    void connected_both() {
        Flag there;
        b->on_peer([&, self = a->id()](const PeerEvent& e) {
            if (e.peer == self && e.state == PeerState::connected) there.set();
        });
        connect();
        ASSERT_TRUE(there.wait());
        b->on_peer({});
    }
    Host a;
    Host b;
};

class Folder {
public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "kith-test-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) std::abort();
        path = name;
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
    std::filesystem::path path;
};

inline Bytes pattern(std::size_t n, std::uint8_t seed = 1) {
    Bytes out(n);
    for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::uint8_t>(i * 31U + i / 251U + seed);
    return out;
}

// Of all threads since the program began (allocations.cpp).
std::uint64_t allocations() noexcept;

}  // namespace kith::node::test
