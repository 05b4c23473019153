// SPDX-License-Identifier: Apache-2.0
#include "node/callbacks.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "io/clock.hpp"

namespace kith::node {
namespace {

// A handler that takes long must not keep the acknowledgements of what it has already seen.
constexpr Duration give_back_after = std::chrono::milliseconds{2};
// How long the handler of one channel may keep the others', and from what time per message on it counts as slow.
constexpr Duration turn = std::chrono::milliseconds{1};
constexpr Duration slow_message = std::chrono::microseconds{2};

}  // namespace

Callbacks::Callbacks(Dispatch dispatch, Executor executor, std::size_t max_events)
    : dispatch_(dispatch), executor_(std::move(executor)), max_events_(std::max<std::size_t>(1, max_events)) {
    if (dispatch_ == Dispatch::manual) descriptor_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

Callbacks::~Callbacks() {
    if (thread_.joinable()) thread_.detach();  // it held the last reference: this is its end
    if (descriptor_ >= 0) ::close(descriptor_);
}

void Callbacks::start(GiveBack give_back, Function<void()> wake) {
    give_back_ = std::move(give_back);
    wake_loop_ = std::move(wake);
    if (dispatch_ == Dispatch::thread) thread_ = std::thread([self = shared_from_this()] { self->loop(); });
}

void Callbacks::stop() {
    const bool inside = on_callback_thread();
    {
        const std::scoped_lock lock(mutex_);
        if (inside) {
            allowed_ = Allowed::nothing;
        } else if (allowed_ == Allowed::everything || allowed_ == Allowed::ending) {
            allowed_ = Allowed::answers;
        }
        wake_.notify_all();
    }
    if (inside) return;
    wait_idle();
    while (waiting() && allowed() != Allowed::nothing) run();
    const std::scoped_lock lock(mutex_);
    allowed_ = Allowed::nothing;
}

void Callbacks::wait_idle() {
    if (on_callback_thread()) return;
    {
        const std::scoped_lock lock(join_mutex_);
        if (thread_.joinable()) thread_.join();
    }
    const std::scoped_lock lock(run_mutex_);
}

bool Callbacks::quiesce(Duration limit) {
    if (on_callback_thread()) return false;
    {
        const std::scoped_lock lock(mutex_);
        if (allowed_ == Allowed::everything) allowed_ = Allowed::ending;
    }
    const std::unique_lock lock(run_mutex_, limit);
    return lock.owns_lock();
}

bool Callbacks::may(Kind kind) const noexcept {
    return allowed() == Allowed::everything || (allowed() != Allowed::nothing && kind == Kind::answer);
}

bool Callbacks::wake_locked() {
    switch (dispatch_) {
        case Dispatch::thread:
            if (!std::exchange(sleeping_, false)) return false;
            wakeups_.fetch_add(1, std::memory_order_relaxed);
            wake_.notify_one();
            return false;
        case Dispatch::executor:
            if (std::exchange(scheduled_, true)) return false;
            wakeups_.fetch_add(1, std::memory_order_relaxed);
            return true;
        case Dispatch::manual: {
            if (std::exchange(scheduled_, true)) return false;
            wakeups_.fetch_add(1, std::memory_order_relaxed);
            const std::uint64_t one = 1;
            [[maybe_unused]] const auto n = ::write(descriptor_, &one, sizeof one);  // fails only when it is readable already
            return false;
        }
        case Dispatch::loop:
            return !std::exchange(scheduled_, true);
    }
    return false;
}

// An executor may keep its task longer than the node lives.
void Callbacks::schedule() {
    if (dispatch_ == Dispatch::loop) {
        if (wake_loop_) wake_loop_();  // not started yet: the first turn comes by itself
        return;
    }
    executor_([weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->scheduled_run();
    });
}

void Callbacks::scheduled_run() {
    run();
    {
        const std::scoped_lock lock(mutex_);
        if (items_.empty() || allowed() != Allowed::everything) {
            scheduled_ = false;
            return;
        }
    }
    schedule();
}

void Callbacks::put(Item&& item) {
    bool must_schedule = false;
    {
        const std::scoped_lock lock(mutex_);
        if (!may(item.kind)) return;
        items_.push_back(std::move(item));
        must_schedule = wake_locked();
    }
    if (must_schedule) schedule();  // it may run at once, here
}

void Callbacks::push(delivery::Batch&& batch) { put({std::move(batch), {}, Kind::messages}); }

void Callbacks::push_event(Function<void()> call) {
    Function<void()> oldest;
    bool must_schedule = false;
    {
        const std::scoped_lock lock(mutex_);
        if (!may(Kind::event)) return;
        if (events_ >= max_events_) {
            while (items_[oldest_event_].kind != Kind::event) ++oldest_event_;
            oldest = std::move(items_[oldest_event_].call);
            items_[oldest_event_].kind = Kind::dropped;
            --events_;
            events_dropped_.fetch_add(1, std::memory_order_relaxed);
        }
        ++events_;
        items_.push_back({{}, std::move(call), Kind::event});
        must_schedule = wake_locked();
    }
    if (must_schedule) schedule();
}

bool Callbacks::waiting() const {
    const std::scoped_lock lock(mutex_);
    return !items_.empty();
}

void Callbacks::loop() {
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            while (items_.empty() && (allowed() == Allowed::everything || allowed() == Allowed::ending)) {
                sleeping_ = true;
                wake_.wait(lock);
            }
            sleeping_ = false;
            if (items_.empty() || allowed() == Allowed::nothing) return;
        }
        run();
    }
}

std::size_t Callbacks::run() {
    if (on_callback_thread()) return 0;
    const std::scoped_lock running(run_mutex_);
    {
        const std::scoped_lock lock(mutex_);
        if (dispatch_ != Dispatch::executor && std::exchange(scheduled_, false) && descriptor_ >= 0) {
            std::uint64_t count = 0;
            [[maybe_unused]] const auto n = ::read(descriptor_, &count, sizeof count);
        }
        std::swap(items_, taken_);
        events_ = 0;
        oldest_event_ = 0;
    }
    runner_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    std::size_t handled = 0;
    for (auto& item : taken_) {
        if (item.kind == Kind::dropped || !may(item.kind)) continue;
        ++handled;
        if (item.kind == Kind::messages) {
            deliver(item.batch);
        } else {
            item.call();
        }
    }
    taken_.clear();  // what they captured goes as part of the callbacks
    runner_.store({}, std::memory_order_relaxed);
    return handled;
}

std::shared_ptr<ChannelHandler> Callbacks::handler_of(std::string_view channel) {
    const std::scoped_lock lock(handlers_mutex_);
    const auto it = handlers_.find(std::string{channel});
    return it == handlers_.end() ? nullptr : it->second;
}

void Callbacks::set_handler(std::string_view channel, ChannelHandler handler) {
    std::string name{channel};
    std::shared_ptr<ChannelHandler> former;  // what it captured goes outside the lock
    {
        const std::scoped_lock lock(handlers_mutex_);
        if (!handler) {
            if (const auto it = handlers_.find(name); it != handlers_.end()) {
                former = std::move(it->second);
                handlers_.erase(it);
            }
            return;
        }
        former = std::exchange(handlers_[name], std::make_shared<ChannelHandler>(std::move(handler)));
    }
    push([this, name = std::move(name)] { schedule_unpark(name); });
}

// Runs of messages of one row go to their handler together.
void Callbacks::deliver(delivery::Batch& batch) {
    const auto& all = batch.messages;
    gave_back_at_ = io::steady_now();
    since_give_back_ = 0;
    for (std::size_t from = 0; from < all.size();) {
        std::size_t to = from + 1;
        while (to < all.size() && all[to].origin == all[from].origin && all[to].row == all[from].row) ++to;
        deliver_run(std::span{all}.subspan(from, to - from));
        if (allowed() != Allowed::everything) break;
        from = to;
    }
    batch.clear();
    give_back(std::move(batch));
}

void Callbacks::deliver_run(std::span<const delivery::Delivered> run) {
    const auto channel = detail::origin_channel(*run.front().origin);
    const auto handler = handler_of(channel);
    const bool others_wait = !parked_.empty() && parked_.contains(std::string{channel});
    if (!handler || others_wait) {
        park(run);
        if (handler) schedule_unpark(std::string{channel});
        return;
    }
    begin_turn();
    const auto done = call(*handler, run);
    if (done == run.size() || ended()) return;
    park(run.subspan(done));
    schedule_unpark(std::string{channel});
}

// Slow: whoever takes a millisecond for a few hundred messages or less. A fast handler is never interrupted, as to set its
// messages aside would cost more than they do.
bool Callbacks::used_its_turn() const {
    const auto took = io::steady_now() - turn_began_;
    return took >= turn && took >= slow_message * static_cast<std::int64_t>(in_turn_);
}

void Callbacks::begin_turn() {
    turn_began_ = io::steady_now();
    in_turn_ = 0;
}

// Returns how many it called for: fewer, when the node was stopped or the turn is over.
std::size_t Callbacks::call(ChannelHandler& handler, std::span<const delivery::Delivered> run) {
    const auto message = [](const delivery::Delivered& m) { return Message::borrow(m.chunk, m.origin, m.bytes, m.seq, m.repeat, m.inbox); };
    const auto wanted = [&](const delivery::Delivered& m) { return m.inbox == 0 || m.inbox > handler.after; };
    if (handler.each) {
        for (std::size_t i = 0; i < run.size(); ++i) {
            if (wanted(run[i])) handler.each(message(run[i]));
            note(run[i]);
            ++in_turn_;
            if (ended()) return i + 1;  // stopped meanwhile: not one more
            if (pace() && used_its_turn()) return i + 1;
        }
        return run.size();
    }
    messages_.clear();
    for (const auto& m : run) {
        if (wanted(m)) messages_.push_back(message(m));
    }
    if (!messages_.empty()) handler.batch(messages_);
    messages_.clear();
    note(run.back());
    in_turn_ += run.size();
    pace();
    return run.size();
}

void Callbacks::park(std::span<const delivery::Delivered> run) {
    auto& list = parked_[std::string{detail::origin_channel(*run.front().origin)}].messages;
    for (const auto& m : run) {
        const auto borrowed = Message::borrow(m.chunk, m.origin, m.bytes, m.seq, m.repeat, m.inbox);
        list.emplace_back(Message{borrowed}, m);  // the copy keeps its memory
    }
}

// Behind what waits now: so every channel gets its turn, whatever the handler of another takes.
void Callbacks::schedule_unpark(const std::string& channel) {
    const auto it = parked_.find(channel);
    if (it == parked_.end() || std::exchange(it->second.scheduled, true)) return;
    push([this, channel] {
        if (const auto again = parked_.find(channel); again != parked_.end()) again->second.scheduled = false;
        unpark(channel);
    });
}

// One turn of the channel. A handler of batches gets what waits of one row together.
void Callbacks::unpark(const std::string& channel) {
    auto it = parked_.find(channel);
    const auto handler = handler_of(channel);
    if (it == parked_.end() || !handler) return;
    auto& list = it->second.messages;  // stays where it is: a handler adds nothing to it
    gave_back_at_ = io::steady_now();
    begin_turn();
    std::vector<delivery::Delivered> run;
    do {
        run.clear();
        for (const auto& [message, delivered] : list) {
            if (!run.empty() && (handler->each || run.front().origin != delivered.origin || run.front().row != delivered.row)) break;
            run.push_back(delivered);
        }
        call(*handler, run);
        list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(run.size()));
    } while (!list.empty() && !ended() && !used_its_turn());
    if (list.empty()) {
        parked_.erase(it);
    } else if (!ended()) {
        schedule_unpark(channel);
    }
    give_back({});
}

void Callbacks::note(const delivery::Delivered& m) {
    if (m.seq == 0) return;
    for (auto& row : consumed_) {
        if (row.source == m.source && row.row == m.row && row.generation == m.generation) {
            row.mark = m.mark();
            return;
        }
    }
    consumed_.push_back({m.source, m.row, m.generation, m.mark()});
}

// Looks at the clock for the first messages and then at every eighth: a fast handler pays nothing, a slow one waits for few.
// True: it did.
bool Callbacks::pace() {
    if (++since_give_back_ > 8 && (since_give_back_ & 7U) != 0) return false;
    const auto now = io::steady_now();
    if (now - gave_back_at_ < give_back_after) return true;
    gave_back_at_ = now;
    since_give_back_ = 0;
    give_back({});
    return true;
}

void Callbacks::give_back(delivery::Batch&& spent) {
    give_back_(consumed_, std::move(spent));
    consumed_.clear();
}

}  // namespace kith::node
