// SPDX-License-Identifier: Apache-2.0
// The part of the event loop that asks the system which sockets are ready. The only user of Boost.Asio.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kith/event_loop.hpp"

namespace kith::io {

// Owner: EventLoop. wake() from any thread, everything else from the loop's. Collecting and calling are two steps: wait() and
// its poll of the system only note what is ready, dispatch() calls each ready watch once. So one event that is readable,
// writable and an error is one call, and a watch that is removed in between is not called.
class Reactor {
public:
    struct Counters {
        std::uint64_t waits = 0;
        std::uint64_t arms = 0;
        std::uint64_t callbacks = 0;
    };

    static Result<std::unique_ptr<Reactor>> create();
    ~Reactor();
    Reactor(const Reactor&) = delete;
    Reactor& operator=(const Reactor&) = delete;

    Result<WatchId> add(NativeSocket socket, Interest interest, Function<void(Ready)> callback);
    Status modify(WatchId id, Interest interest);
    bool remove(WatchId id) noexcept;
    std::size_t size() const noexcept;

    // Sleeps until something is ready, wake() was called or steady_now() reaches `deadline`; then notes all that is ready.
    void wait(Duration deadline) noexcept;
    std::size_t dispatch() noexcept;  // the number of watches called
    void wake() noexcept;

    const Counters& counters() const noexcept;

private:
    struct State;
    explicit Reactor(std::unique_ptr<State> state) noexcept;
    std::unique_ptr<State> state_;
};

}  // namespace kith::io
