// SPDX-License-Identifier: Apache-2.0
// What is told about full queues, and the send to all.
#include <algorithm>

#include "io/clock.hpp"
#include "node/impl.hpp"

namespace kith {
inline namespace v0 {

// ---- watermarks

// At most one look of the callback thread is on its way per channel, however fast the queue rises and falls; what happened until
// then is in the count. So nothing here has to be dropped, and the last state is always told.
void Node::Impl::crossed(node::ChannelState& channel, const node::Queue::Load& at, bool above) {
    const auto pressure = static_cast<std::uint8_t>(thresholds_.pressure(at.messages, at.bytes));
    (above ? channel.rose_to : channel.fell_to).store(pressure, std::memory_order_relaxed);
    channel.crossings.fetch_add(1, std::memory_order_seq_cst);
    if (!pressure_heard_.load(std::memory_order_seq_cst)) return;
    if (channel.noticed.exchange(true, std::memory_order_seq_cst)) return;
    callbacks_->push([weak = weak_from_this(), &channel] {
        channel.noticed.store(false, std::memory_order_seq_cst);
        if (const auto self = weak.lock()) self->tell_pressure(channel, false);
    });
}

void Node::Impl::tell_pressure(node::ChannelState& channel, bool first) {
    const auto crossings = channel.crossings.load(std::memory_order_seq_cst);
    const auto former = std::exchange(channel.told, crossings);
    const auto news = crossings - former;
    const bool is_above = (crossings & 1U) != 0;
    if (first ? !is_above : news == 0) return;  // what was over before somebody listened is not news
    std::shared_ptr<Function<void(const PressureEvent&)>> handler;
    {
        const std::scoped_lock lock(table_mutex_);
        handler = pressure_handler_;
    }
    if (!handler || !*handler) return;
    const auto tell = [&](bool above) {
        PressureEvent event;
        event.peer = channel.peer->peer;
        event.channel = channel.name;
        event.pressure = (above ? channel.rose_to : channel.fell_to).load(std::memory_order_relaxed);
        event.level = thresholds_.level(event.pressure);
        event.above = above;
        (*handler)(event);
    };
    if (!first && (news & 1U) == 0) {
        tell(!is_above);
        if (callbacks_->ended()) return;
    }
    tell(is_above);
    if (!first) callbacks_->count_dropped_events((news - 1) / 2 * 2);
}

void Node::Impl::set_pressure_handler(Function<void(const PressureEvent&)> handler) {
    const bool heard = static_cast<bool>(handler);
    std::vector<node::ChannelState*> crossed;
    std::shared_ptr<Function<void(const PressureEvent&)>> former;  // what it captured goes outside the lock
    {
        const std::scoped_lock lock(table_mutex_);
        former = std::exchange(pressure_handler_, std::make_shared<Function<void(const PressureEvent&)>>(std::move(handler)));
        pressure_heard_.store(heard, std::memory_order_seq_cst);
        for (const auto& [peer, channels] : channels_) {
            for (const auto& [name, channel] : channels) {
                if (channel->crossings.load(std::memory_order_seq_cst) != 0) crossed.push_back(channel.get());
            }
        }
    }
    if (!heard) return;
    for (auto* channel : crossed) {
        callbacks_->push([weak = weak_from_this(), channel] {
            if (const auto self = weak.lock()) self->tell_pressure(*channel, true);
        });
    }
}

// ---- looking

Result<QueueInfo> Node::Impl::queue(const PeerId& peer, std::string_view channel) const {
    QueueInfo out;
    out.max_messages = thresholds_.max_messages();
    out.max_bytes = thresholds_.max_bytes();
    const std::scoped_lock lock(table_mutex_);
    const auto record = records_.find(peer);
    if (record == records_.end()) return Errc::unknown_peer;
    const auto channels = channels_.find(peer);
    if (channels == channels_.end()) return out;
    const auto found = channels->second.find(std::string{channel});
    if (found == channels->second.end()) return out;
    const auto load = found->second->queue.load();
    out.messages = load.messages;
    out.bytes = load.bytes;
    out.above = load.above;
    out.pressure = thresholds_.pressure(load.messages, load.bytes);
    out.level = thresholds_.level(out.pressure);
    return out;
}

int Channel::Impl::pressure() const noexcept {
    const auto impl = node.lock();
    const auto* at = state.load(std::memory_order_acquire);
    if (!impl || at == nullptr) return 0;
    const auto load = at->queue.load();
    return impl->thresholds().pressure(load.messages, load.bytes);
}

// ---- to all

std::vector<BroadcastResult> Node::Impl::broadcast(std::string_view name, ByteView bytes, const SendOptions& options) {
    std::vector<BroadcastResult> out;
    {
        const std::scoped_lock lock(table_mutex_);
        for (const auto& [peer, record] : records_) {
            if (record->connected && !record->unsupported) out.push_back({peer, {}});
        }
    }
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.peer < b.peer; });
    const auto send_to = [&](BroadcastResult& to, Duration wait) {
        auto with_wait = options;
        with_wait.wait = wait;
        Error why;
        auto* state = channel(to.peer, name, &why);
        to.status = state == nullptr ? Status{std::move(why)} : send(*state, bytes, nullptr, with_wait, {});
    };
    for (auto& to : out) send_to(to, {});
    if (options.wait <= Duration{}) return out;
    const auto end = saturating_add(io::steady_now(), options.wait);
    for (auto& to : out) {
        if (to.status || to.status.error() != Errc::queue_full) continue;
        refused_.fetch_sub(1, std::memory_order_relaxed);  // not for good
        send_to(to, std::max<Duration>(end - io::steady_now(), Duration{1}));
    }
    return out;
}

}  // namespace v0
}  // namespace kith
