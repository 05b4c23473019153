// SPDX-License-Identifier: Apache-2.0
// Asking the engine from other threads: operations with a deadline, questions, tasks.
#include <algorithm>
#include <chrono>
#include <future>

#include "io/clock.hpp"
#include "node/impl.hpp"

namespace kith {
inline namespace v0 {
namespace {

constexpr Duration for_ever = std::chrono::hours{24 * 365};
constexpr Duration slice = std::chrono::milliseconds{5};    // between two looks whether a foreign loop is still run
constexpr Duration grace = std::chrono::milliseconds{500};  // for an answer on a loop that nobody may run any more

}  // namespace

bool Node::Impl::may_block() const noexcept { return !(running() && loop_->on_loop_thread()) && !callbacks_->on_callback_thread(); }

bool Node::Impl::post_to_loop(Function<void()> task) {
    const std::scoped_lock lock(life_mutex_);
    if (!running_) return false;
    loop_->post(std::move(task));
    return true;
}

void Node::Impl::on_loop(Function<void()> task) {
    if (loop_->on_loop_thread() || loop_->call_if_idle([&] { task(); })) return;
    // Whoever runs the loop may leave it before it comes to this.
    struct Once {
        Function<void()> task;
        std::atomic<bool> taken{false};
        std::promise<void> done;
        void run() {
            if (taken.exchange(true)) return;
            task();
            done.set_value();
        }
    };
    auto once = std::make_shared<Once>();
    once->task = std::move(task);
    auto future = once->done.get_future();
    loop_->post([once] { once->run(); });
    while (future.wait_for(slice) != std::future_status::ready) loop_->call_if_idle([&] { once->run(); });
}

void Node::Impl::wake() {
    post_to_loop([] {});  // the hook at the end of the turn does the work
}

void Node::Impl::post(Function<void(engine::Engine&, Instant)> task) {
    post_to_loop([weak = weak_from_this(), task = std::move(task)]() mutable {
        const auto self = weak.lock();
        if (self && self->engine_) task(*self->engine_, io::now());
    });
}

void Node::Impl::operation(Function<void(engine::Engine&, OpId, Instant)> begin, OpDone done, const Wait& wait, bool direct) {
    Start start{OpId{last_op_.fetch_add(1) + 1}, std::move(begin), std::move(done), wait, direct};
    {
        // In a list, so that stop() finds those that no turn of the loop has begun.
        const std::scoped_lock lock(life_mutex_);
        if (running_) {
            starts_.push_back(std::move(start));
            if (starts_.size() == 1) {
                loop_->post([weak = weak_from_this()] {
                    if (const auto self = weak.lock()) self->take_starts();
                });
            }
            return;
        }
    }
    auto error = why_not();
    if (direct) {
        start.done(std::move(error));
    } else {
        answer([done = std::move(start.done), error = std::move(error)]() mutable { done(std::move(error)); });
    }
}

void Node::Impl::take_starts() {
    std::vector<Start> starts;
    {
        const std::scoped_lock lock(life_mutex_);
        starts.swap(starts_);
    }
    if (!engine_) return;
    for (auto& start : starts) begin(start);
}

void Node::Impl::begin(Start& start) {
    const auto id = start.id;
    auto& op = ops_[id.value];
    op.done = std::move(start.done);
    op.direct = start.direct;
    if (start.wait.timeout < for_ever) {
        op.timer = loop_->after(start.wait.timeout, [weak = weak_from_this(), id] {
            if (const auto self = weak.lock()) self->end_operation(id, Errc::timeout);
        });
    }
    if (start.wait.stop.stop_possible()) {
        Function<void()> on_stop = [weak = weak_from_this(), id] {
            const auto self = weak.lock();
            if (!self) return;
            self->post_to_loop([weak, id] {
                if (const auto again = weak.lock()) again->end_operation(id, Errc::cancelled);
            });
        };
        op.stop = std::make_unique<std::stop_callback<Function<void()>>>(start.wait.stop, std::move(on_stop));
    }
    start.begin(*engine_, id, io::now());
}

void Node::Impl::finish(OpId id, OpValue value) {
    const auto it = ops_.find(id.value);
    if (it == ops_.end()) return;
    auto op = std::move(it->second);
    ops_.erase(it);
    if (op.timer) loop_->cancel(op.timer);
    op.stop.reset();
    if (op.direct) {
        op.done(std::move(value));
    } else {
        answer([done = std::move(op.done), value = std::move(value)]() mutable { done(std::move(value)); });
    }
}

void Node::Impl::end_operation(OpId id, Errc why) {
    if (!ops_.contains(id.value) || !engine_) return;
    engine_->cancel(id, why, io::now());  // a dial, a ping, a perf run or an opening stream ends
    auto& completions = engine_->outputs().completions;
    std::erase_if(completions, [&](const auto& completion) { return completion.op == id; });
    finish(id, Error{why});
}

bool Node::Impl::await(Function<bool(Duration)> ready, Duration limit) {
    if (config_.threads != ThreadMode::polled) return ready(std::min(limit, for_ever));
    const auto end = saturating_add(io::steady_now(), limit);
    while (!ready({})) {
        const auto left = end - io::steady_now();
        if (left <= Duration{}) return false;
        std::size_t handled = 0;
        if (std::unique_lock lock(drive_mutex_, std::try_to_lock); lock && running()) {
            quiet_ = std::this_thread::get_id();
            handled = own_loop_->poll(std::min<Duration>(left, std::chrono::milliseconds{100}));
            quiet_ = std::thread::id{};
        }
        // Another thread polls, or nothing came.
        if (handled == 0 && ready(std::chrono::milliseconds{1})) return true;
    }
    return true;
}

OpValue Node::Impl::wait_for(Function<void(engine::Engine&, OpId, Instant)> begin, const Wait& wait) {
    if (!may_block()) return Error{Errc::would_deadlock};
    auto promise = std::make_shared<std::promise<OpValue>>();
    auto future = promise->get_future();
    operation(std::move(begin), [promise](OpValue value) { promise->set_value(std::move(value)); }, wait, true);
    const auto limit = config_.threads == ThreadMode::own ? for_ever : saturating_add(wait.timeout, grace);
    const auto ready = [&](Duration d) { return future.wait_for(d) == std::future_status::ready; };
    if (!await(ready, limit)) return Error{Errc::timeout, "nobody runs the loop of this node"};
    return future.get();
}

bool Node::Impl::query(Function<void(engine::Engine&, Instant)> task) {
    if (!running()) return false;
    bool done = false;
    const auto ask = [&] {
        if (!engine_) return;
        task(*engine_, io::now());
        done = true;
    };
    if (loop_->on_loop_thread()) {
        ask();
    } else if (config_.threads == ThreadMode::own) {
        auto asked = std::make_shared<std::promise<void>>();
        if (!post_to_loop([&ask, asked] {
                ask();
                asked->set_value();
            })) {
            return false;
        }
        asked->get_future().wait();
    } else {
        on_loop(ask);
        wake();  // what the answer caused is carried out at the end of a turn
    }
    return done;
}

}  // namespace v0
}  // namespace kith
