// SPDX-License-Identifier: Apache-2.0
#include "node/callbacks.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace kith::node {

Callbacks::Callbacks(Dispatch dispatch, Executor executor, std::size_t max_events,
                     Function<void(std::vector<ConsumedRow>&, delivery::Batch&&)> give_back)
    : dispatch_(dispatch), executor_(std::move(executor)), max_events_(max_events), give_back_(std::move(give_back)) {
    if (dispatch_ == Dispatch::manual) descriptor_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

Callbacks::~Callbacks() {
    stop();
    if (thread_.joinable()) thread_.detach();  // destroyed from its own callback: it ends by itself
    if (descriptor_ >= 0) ::close(descriptor_);
}

void Callbacks::start(std::shared_ptr<void> keep_alive) {
    if (dispatch_ != Dispatch::thread) return;
    thread_ = std::thread([this, keep = std::move(keep_alive)] { loop(); });
}

void Callbacks::stop() {
    {
        const std::scoped_lock lock(mutex_);
        stopping_ = true;
        wake_.notify_all();
    }
    if (on_callback_thread()) return;
    if (thread_.joinable()) thread_.join();
    const std::scoped_lock lock(run_mutex_);  // waits for a running callback of the other modes
}

void Callbacks::wake_locked() {
    switch (dispatch_) {
        case Dispatch::thread:
            if (!std::exchange(sleeping_, false)) return;
            wakeups_.fetch_add(1, std::memory_order_relaxed);
            wake_.notify_one();
            return;
        case Dispatch::executor:
            if (std::exchange(scheduled_, true)) return;
            wakeups_.fetch_add(1, std::memory_order_relaxed);
            executor_([this, keep = keep_alive_] { run(); });
            return;
        case Dispatch::manual: {
            if (std::exchange(scheduled_, true)) return;
            wakeups_.fetch_add(1, std::memory_order_relaxed);
            const std::uint64_t one = 1;
            [[maybe_unused]] const auto n = ::write(descriptor_, &one, sizeof one);  // fails only when it is readable already
            return;
        }
        case Dispatch::loop: return;
    }
}

void Callbacks::put(Item&& item) {
    const std::scoped_lock lock(mutex_);
    if (stopping_) return;
    items_.push_back(std::move(item));
    wake_locked();
}

void Callbacks::push(delivery::Batch&& batch) { put({std::move(batch), {}, false}); }
void Callbacks::push(Function<void()> call) { put({{}, std::move(call), false}); }

void Callbacks::push_event(Function<void()> call) {
    {
        const std::scoped_lock lock(mutex_);
        if (events_ >= max_events_) {
            events_dropped_.fetch_add(1, std::memory_order_relaxed);
            return;
        }
        ++events_;
    }
    put({{}, std::move(call), true});
}

void Callbacks::loop() {
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            while (items_.empty() && !stopping_) {
                sleeping_ = true;
                wake_.wait(lock);
            }
            sleeping_ = false;
            if (stopping_) return;
        }
        run();
    }
}

std::size_t Callbacks::run() {
    if (on_callback_thread()) return 0;
    const std::scoped_lock running(run_mutex_);
    runner_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    {
        const std::scoped_lock lock(mutex_);
        if (std::exchange(scheduled_, false) && descriptor_ >= 0) {
            std::uint64_t count = 0;
            [[maybe_unused]] const auto n = ::read(descriptor_, &count, sizeof count);
        }
        if (!stopping_) std::swap(items_, taken_);
        for (const auto& item : taken_) events_ -= item.event ? 1U : 0U;
    }
    const auto handled = taken_.size();
    for (auto& item : taken_) {
        {
            const std::scoped_lock lock(mutex_);
            if (stopping_) break;
        }
        if (item.call) {
            item.call();
        } else {
            deliver(item.batch);
        }
    }
    taken_.clear();
    runner_.store({}, std::memory_order_relaxed);
    return handled;
}

std::shared_ptr<Callbacks::Channel> Callbacks::handler_of(std::string_view channel) {
    const std::scoped_lock lock(handlers_mutex_);
    const auto it = handlers_.find(std::string{channel});
    return it == handlers_.end() ? nullptr : it->second;
}

void Callbacks::set_handler(std::string_view channel, MessagesHandler handler) {
    std::string name{channel};
    {
        const std::scoped_lock lock(handlers_mutex_);
        auto& slot = handlers_[name];
        slot = std::make_shared<Channel>();
        slot->handler = std::move(handler);
    }
    push([this, name = std::move(name)] { unpark(name); });
}

// Runs of messages of one row go to their handler together.
void Callbacks::deliver(delivery::Batch& batch) {
    const auto& all = batch.messages;
    for (std::size_t from = 0; from < all.size();) {
        std::size_t to = from + 1;
        while (to < all.size() && all[to].origin == all[from].origin && all[to].row == all[from].row) ++to;
        deliver_run(std::span{all}.subspan(from, to - from));
        from = to;
    }
    batch.clear();
    give_back(std::move(batch));
}

void Callbacks::deliver_run(std::span<const delivery::Delivered> run) {
    const auto channel = detail::origin_channel(*run.front().origin);
    const auto handler = handler_of(channel);
    const auto waiting = parked_.empty() ? parked_.end() : parked_.find(std::string{channel});
    if (!handler || waiting != parked_.end()) {
        park(run);
        if (handler) unpark(std::string{channel});
        return;
    }
    messages_.clear();
    for (const auto& m : run) messages_.push_back(Message::borrow(m.chunk, m.origin, m.bytes, m.seq, m.repeat));
    handler->handler(messages_);
    messages_.clear();
    note(run.back());
}

void Callbacks::park(std::span<const delivery::Delivered> run) {
    auto& list = parked_[std::string{detail::origin_channel(*run.front().origin)}];
    for (const auto& m : run) {
        const auto borrowed = Message::borrow(m.chunk, m.origin, m.bytes, m.seq, m.repeat);
        list.emplace_back(Message{borrowed}, m);  // the copy keeps its memory
    }
}

void Callbacks::unpark(const std::string& channel) {
    const auto it = parked_.find(channel);
    const auto handler = handler_of(channel);
    if (it == parked_.end() || !handler) return;
    const auto list = std::move(it->second);
    parked_.erase(it);
    for (const auto& [message, origin] : list) {
        handler->handler({&message, 1});
        note(origin);
    }
    give_back({});
}

void Callbacks::note(const delivery::Delivered& m) {
    if (m.seq == 0) return;
    for (auto& row : consumed_) {
        if (row.source == m.source && row.row == m.row && row.generation == m.generation) {
            row.seq = m.seq;
            return;
        }
    }
    consumed_.push_back({m.source, m.row, m.generation, m.seq});
}

void Callbacks::give_back(delivery::Batch&& spent) {
    give_back_(consumed_, std::move(spent));
    consumed_.clear();
}

}  // namespace kith::node
