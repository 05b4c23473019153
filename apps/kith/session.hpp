// SPDX-License-Identifier: Apache-2.0
// A node for the length of one command. Everything runs on the main thread: callbacks are dispatched between waits for
// descriptors, signals and deadlines, so commands need no locks.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "home.hpp"
#include "kith/kith.hpp"
#include "options.hpp"
#include "output.hpp"

namespace kith::app {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;
constexpr Deadline never = Deadline::max();

Deadline after(Duration d) noexcept;

// Blocks SIGINT, SIGTERM and SIGHUP in this thread and those made later, and gives them through a descriptor. Make it
// before any thread.
class Signals {
public:
    Signals();
    ~Signals();
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;

    int fd() const noexcept { return fd_; }
    bool take() noexcept;  // true if one has come

private:
    int fd_ = -1;
};

enum class IfBusy : std::uint8_t {
    guest,   // another kith runs with this identity: use a new one for this run, and say so
    refuse,  // end with Errc::refused
};

struct Needs {
    bool listen = false;        // accept links; without it the node only dials
    bool lan = false;           // unless --no-lan
    bool auto_connect = false;  // link up with everybody on the LAN: names come over the link
    bool serve_perf = false;
    IfBusy if_busy = IfBusy::guest;
};

class Session {
public:
    Session(const Common& common, Output& out, const Needs& needs);

    // The identity; start() calls it if nobody did.
    Status prepare();
    // Handlers are set on node() between prepare() and start().
    Status start();
    void stop();

    Node& node() noexcept { return *node_; }
    Output& out() noexcept { return out_; }
    const Common& common() const noexcept { return common_; }
    bool lan() const noexcept { return lan_; }
    bool guest() const noexcept { return guest_; }
    bool interrupted() const noexcept { return interrupted_; }

    // Until `done`, the deadline, a signal, or the end of standard output. True if done.
    bool pump(const std::function<bool()>& done, Deadline deadline);
    // One wait; callbacks run in it. `fd` (-1: none) is watched for reading; true if it is readable.
    bool turn(Deadline deadline, int fd = -1);

    // Runs an asynchronous call to its end. cancelled when interrupted, timeout at the deadline.
    template <class R, class Start>
    R await(Start&& begin, Deadline deadline);
    // Runs a blocking call on a thread of its own while callbacks go on here. `call` gets a stop token that an interrupt stops.
    template <class R, class Call>
    R background(Call&& call);

private:
    Status load_identity();

    Common common_;
    Output& out_;
    Needs needs_;
    bool lan_ = false;
    bool guest_ = false;
    bool interrupted_ = false;
    HomeLock lock_;
    Signals signals_;
    std::shared_ptr<Identity> identity_;
    std::unique_ptr<Node> node_;
};

template <class R, class Start>
R Session::await(Start&& begin, Deadline deadline) {
    // Shared: the completion may come after we stopped waiting.
    auto slot = std::make_shared<std::optional<R>>();
    begin([slot](R result) { slot->emplace(std::move(result)); });
    if (pump([&] { return slot->has_value(); }, deadline)) return std::move(**slot);
    return interrupted_ ? Errc::cancelled : Errc::timeout;
}

template <class R, class Call>
R Session::background(Call&& call) {
    auto slot = std::make_shared<std::optional<R>>();
    std::atomic<bool> finished{false};
    std::stop_source stop;
    std::jthread worker([&] {
        slot->emplace(call(stop.get_token()));
        finished.store(true, std::memory_order_release);
    });
    while (!finished.load(std::memory_order_acquire)) {
        turn(after(std::chrono::milliseconds{20}));
        if (interrupted_ || out_.broken()) stop.request_stop();
    }
    worker.join();
    return std::move(**slot);
}

}  // namespace kith::app
