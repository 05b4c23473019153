// SPDX-License-Identifier: Apache-2.0
#include "kith/event_loop.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "io/clock.hpp"
#include "io/reactor.hpp"
#include "io/timer_heap.hpp"

namespace kith {
inline namespace v0 {
namespace {

// A burst of posts must not hold its memory for ever.
constexpr std::size_t kept_posts = 16 * 1024;

struct Hook {
    HookId id;
    Function<bool()> call;
    bool alive = true;
};

}  // namespace

struct EventLoop::Impl {
    Result<std::unique_ptr<io::Reactor>> reactor = io::Reactor::create();
    io::TimerHeap timers;
    std::vector<std::unique_ptr<Hook>> hooks;
    std::uint64_t last_hook = 0;
    bool more = false;  // a hook has work left
    bool in_hooks = false;
    Stats stats;

    std::atomic<std::thread::id> runner{};
    std::atomic<int> visitors{0};
    std::vector<Function<void()>> running;

    // Guards what follows.
    mutable std::mutex mutex;
    std::vector<Function<void()>> posted;
    bool sleeping = false;
    bool stopping = false;
    bool closed = false;
    std::uint64_t posts = 0;
    std::uint64_t wakeups = 0;

    // With `mutex` held. The first of several posters wakes; the loop then sees all of them.
    void wake_if_asleep() {
        if (!std::exchange(sleeping, false)) return;
        ++wakeups;
        (*reactor)->wake();
    }

    bool may_sleep() {
        if (more) return false;
        const std::lock_guard lock{mutex};
        sleeping = posted.empty() && !stopping;
        return sleeping;
    }

    void take_posts() {
        const std::lock_guard lock{mutex};
        sleeping = false;
        running.swap(posted);
    }

    bool take_stop() {
        const std::lock_guard lock{mutex};
        return std::exchange(stopping, false);
    }

    std::size_t run_timers() noexcept {
        std::size_t n = 0;
        const auto now = io::steady_now();
        const auto limit = timers.sequence();
        while (auto callback = timers.take_due(now, limit)) {
            callback();
            ++n;
        }
        stats.timers += n;
        return n;
    }

    std::size_t run_posts() noexcept {
        const auto n = running.size();
        for (auto& function : running) {
            function();
            function = nullptr;
        }
        running.clear();
        if (running.capacity() > kept_posts) std::vector<Function<void()>>{}.swap(running);
        return n;
    }

    void run_hooks() noexcept {
        in_hooks = true;
        more = false;
        const auto n = hooks.size();  // hooks added meanwhile wait for the next turn
        for (std::size_t i = 0; i < n; ++i) {
            Hook& hook = *hooks[i];
            if (hook.alive && hook.call()) more = true;
        }
        in_hooks = false;
        std::erase_if(hooks, [](const auto& hook) { return !hook->alive; });
    }

    // noexcept: an exception from a callback has nowhere to go.
    std::size_t turn(Duration wait_until) noexcept {
        ++stats.turns;
        (*reactor)->wait(may_sleep() ? std::min(wait_until, timers.next()) : Duration::zero());
        take_posts();
        auto handled = (*reactor)->dispatch();
        if (timers.size() != 0) handled += run_timers();
        handled += run_posts();
        if (!hooks.empty()) run_hooks();
        return handled;
    }

    // A visitor (call_if_idle) is soon gone: it is waited for.
    bool enter() {
        for (int last = 0; last < 2;) {
            if (try_enter()) return true;
            if (runner.load() == std::this_thread::get_id()) return false;
            if (visitors.load() == 0) {
                ++last;  // it may have left in between
            } else {
                std::this_thread::yield();
            }
        }
        return false;
    }
    bool try_enter() {
        auto nobody = std::thread::id{};
        return runner.compare_exchange_strong(nobody, std::this_thread::get_id());
    }
    void leave() { runner.store(std::thread::id{}); }
};

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {}

// The destructors of callbacks may call this loop: they go last, while it is whole and empty.
EventLoop::~EventLoop() {
    std::vector<Function<void()>> dropped;
    {
        const std::lock_guard lock{impl_->mutex};
        impl_->closed = true;
        dropped.swap(impl_->posted);
    }
    const auto reactor = std::exchange(impl_->reactor, Error{Errc::stopped});
    const auto timers = std::exchange(impl_->timers, io::TimerHeap{});
    const auto hooks = std::exchange(impl_->hooks, {});
}

Status EventLoop::status() const {
    if (!impl_->reactor) return impl_->reactor.error();
    return {};
}

Result<WatchId> EventLoop::watch(NativeSocket socket, Interest interest, Function<void(Ready)> callback) {
    if (!impl_->reactor) return impl_->reactor.error();
    return (*impl_->reactor)->add(socket, interest, std::move(callback));
}

Status EventLoop::modify(WatchId id, Interest interest) {
    if (!impl_->reactor) return impl_->reactor.error();
    return (*impl_->reactor)->modify(id, interest);
}

bool EventLoop::unwatch(WatchId id) noexcept { return impl_->reactor && (*impl_->reactor)->remove(id); }

TimerId EventLoop::after(Duration delay, Function<void()> callback) {
    const auto now = io::steady_now();
    return {impl_->timers.add(std::max(now, saturating_add(now, delay)), std::move(callback))};
}

// Not before now: a timer that always restarts itself in the past must not overtake those that are due.
TimerId EventLoop::at(Instant when, Function<void()> callback) {
    return {impl_->timers.add(std::max(when.steady, io::steady_now()), std::move(callback))};
}

bool EventLoop::cancel(TimerId id) noexcept { return static_cast<bool>(impl_->timers.take(id.value)); }

HookId EventLoop::on_turn(Function<bool()> hook) {
    const HookId id{++impl_->last_hook};
    impl_->hooks.push_back(std::make_unique<Hook>(Hook{id, std::move(hook)}));
    return id;
}

bool EventLoop::remove_hook(HookId id) noexcept {
    auto& hooks = impl_->hooks;
    const auto at = std::find_if(hooks.begin(), hooks.end(), [id](const auto& hook) { return hook->alive && hook->id == id; });
    if (at == hooks.end()) return false;
    (*at)->alive = false;
    if (!impl_->in_hooks) {
        const auto gone = std::move(*at);
        hooks.erase(at);
    }
    return true;
}

void EventLoop::post(Function<void()> function) {
    const std::lock_guard lock{impl_->mutex};
    if (impl_->closed) return;
    impl_->posted.push_back(std::move(function));
    ++impl_->posts;
    impl_->wake_if_asleep();
}

Status EventLoop::run() {
    if (!impl_->reactor) return impl_->reactor.error();
    if (!impl_->enter()) return Error{Errc::would_deadlock, "the loop is already running"};
    while (!impl_->take_stop()) impl_->turn(Duration::max());
    impl_->leave();
    return {};
}

std::size_t EventLoop::poll(Duration timeout) {
    if (!impl_->reactor || !impl_->enter()) return 0;
    const auto handled = impl_->turn(timeout > Duration::zero() ? saturating_add(io::steady_now(), timeout) : Duration::zero());
    impl_->take_stop();
    impl_->leave();
    return handled;
}

bool EventLoop::call_if_idle(Function<void()> function) {
    ++impl_->visitors;
    const bool entered = impl_->try_enter();
    if (entered) {
        function();
        impl_->leave();
    }
    --impl_->visitors;
    return entered;
}

void EventLoop::stop() {
    const std::lock_guard lock{impl_->mutex};
    impl_->stopping = true;
    impl_->wake_if_asleep();
}

std::size_t EventLoop::count() const noexcept { return impl_->timers.size() + (impl_->reactor ? (*impl_->reactor)->size() : 0); }
bool EventLoop::on_loop_thread() const noexcept { return impl_->runner.load() == std::this_thread::get_id(); }
Instant EventLoop::now() const noexcept { return io::now(); }

EventLoop::Stats EventLoop::stats() const {
    Stats out = impl_->stats;
    if (impl_->reactor) {
        const auto& counters = (*impl_->reactor)->counters();
        out.waits = counters.waits;
        out.arms = counters.arms;
        out.callbacks = counters.callbacks;
    }
    const std::lock_guard lock{impl_->mutex};
    out.posts = impl_->posts;
    out.wakeups = impl_->wakeups;
    return out;
}

}  // namespace v0
}  // namespace kith
