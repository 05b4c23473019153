// SPDX-License-Identifier: Apache-2.0
// A single-threaded event loop: sockets by readiness, timers, work posted from other threads.
// A Node can run on it (ThreadMode::loop), and it is useful without one (examples/echo_server.cpp, chat_room.cpp).
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "kith/error.hpp"
#include "kith/function.hpp"
#include "kith/time.hpp"

namespace kith {
inline namespace v0 {

#ifdef _WIN32
using NativeSocket = std::uintptr_t;
#else
using NativeSocket = int;
#endif

// Ids are never reused within a loop's life (2^32 uses of a slot); 0 is none.
struct WatchId {
    std::uint64_t value = 0;
    constexpr explicit operator bool() const noexcept { return value != 0; }
    friend constexpr auto operator<=>(WatchId, WatchId) noexcept = default;
};
struct TimerId {
    std::uint64_t value = 0;
    constexpr explicit operator bool() const noexcept { return value != 0; }
    friend constexpr auto operator<=>(TimerId, TimerId) noexcept = default;
};
struct HookId {
    std::uint64_t value = 0;
    constexpr explicit operator bool() const noexcept { return value != 0; }
    friend constexpr auto operator<=>(HookId, HookId) noexcept = default;
};

// What a watch waits for. Neither: only errors and hang-ups are told.
struct Interest {
    bool readable = false;
    bool writable = false;
};

// What is true of a watched socket. After an error, an end or a hang-up it is also readable and writable, as far as the
// watch asked for that: the next read or write says what happened.
struct Ready {
    bool readable = false;
    bool writable = false;
    bool error = false;   // getsockopt(SO_ERROR) tells which
    bool hangup = false;  // both directions are closed
};

// Owner: the caller; it must outlive everything that uses it. One thread at a time runs it. Two loops in one process are
// independent of each other.
//
// Threads: post() and stop() may be called from any thread. Everything else belongs to the thread that runs the loop, or,
// while nobody runs it, to one thread at a time.
//
// A turn: wait until something is ready (no wait when there is work left), then call once each ready watch, each timer that
// is due and each function that was posted before the turn, then the hooks. What a callback starts (a timer of 0, a post)
// belongs to the next turn, so no callback can keep the others from running.
//
// Callbacks may call everything here except run() and poll(), may remove or change any watch, timer or hook including their
// own, and must not throw: an exception that leaves a callback ends the program. So does running out of memory.
// Destruction drops callbacks without calling them and does not touch the watched sockets.
class EventLoop {
public:
    // Counted since construction. Ratios of them are the cost of a turn: callbacks per turn, wake-ups per post.
    struct Stats {
        std::uint64_t turns = 0;
        std::uint64_t waits = 0;      // calls that asked the system for events and could sleep
        std::uint64_t arms = 0;       // readiness requests given to the system
        std::uint64_t callbacks = 0;  // watches called
        std::uint64_t timers = 0;     // timers fired
        std::uint64_t posts = 0;      // functions taken by post()
        std::uint64_t wakeups = 0;    // posts and stops that had to wake a sleeping loop
    };

    EventLoop();
    ~EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    // io_error or limit_exceeded when the system gave no descriptor for the loop: free some and make another EventLoop.
    // watch() and run() return the same error then, poll() returns 0 at once.
    Status status() const;

    // Calls `callback` in each turn in which a condition of `interest` holds, until unwatch(). It is called again as long as
    // the condition holds (level-triggered): reading a part is fine; who does not want to be called drops the interest. Error
    // and hang-up are told without being asked for, once, and again after modify(). The socket becomes non-blocking and
    // stays the caller's: unwatch before closing it. invalid_argument: not a pollable descriptor, or already watched here.
    Result<WatchId> watch(NativeSocket socket, Interest interest, Function<void(Ready)> callback);

    // From the next call on. invalid_argument: no such watch.
    Status modify(WatchId id, Interest interest);

    // After it returned the callback is not called again, also not for events of the running turn. The callback is destroyed
    // at once, or when it returns if it is the one running. False: no such watch (any more).
    bool unwatch(WatchId id) noexcept;

    // One-shot. Equal times fire in the order of the calls; a time in the past means the next turn. The clock goes on
    // during system sleep; a timer that came due then may fire up to 60 s after the system wakes, unless something else
    // wakes the loop first.
    TimerId after(Duration delay, Function<void()> callback);
    TimerId at(Instant when, Function<void()> callback);
    bool cancel(TimerId id) noexcept;  // false: fired, or no such timer

    // Called at the end of every turn, in the order of the calls. A hook that returns true has more work: the next turn does
    // not wait.
    HookId on_turn(Function<bool()> hook);
    bool remove_hook(HookId id) noexcept;

    // Any thread. Functions of one thread run in their order. The queue has no limit: the poster bounds what it posts.
    // Functions of up to 48 bytes are kept in recycled memory. Wakes the loop only when it sleeps.
    void post(Function<void()> function);

    // Turns until stop(), also when nothing is left to wait for. would_deadlock: from a callback, or run by another thread.
    Status run();

    // One turn that waits up to `timeout` (0: not at all; Duration::max(): until something happens) for the first event.
    // Returns how many callbacks, timers and posted functions ran; 0 after a time-out, after stop() and from a callback.
    std::size_t poll(Duration timeout = Duration::zero());

    // Runs `function` here, as if from a callback, when no thread is inside run() or poll(); those of other threads wait for it.
    // False, and nothing was done: some thread runs the loop. Any thread; for ending what lives on a loop that may not be run
    // again.
    bool call_if_idle(Function<void()> function);

    // Any thread. The running run() or poll() returns after its turn; when none runs, the next one does.
    void stop();

    std::size_t count() const noexcept;    // watches and pending timers
    bool on_loop_thread() const noexcept;  // inside run() or poll() of this thread. Any thread may ask
    Instant now() const noexcept;          // any thread. The clock of at()
    Stats stats() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace v0
}  // namespace kith
