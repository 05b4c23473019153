// SPDX-License-Identifier: Apache-2.0
// A turn of the node on its loop: the hand-off into the engine, the engine's outputs to whom they concern.
#include "node/impl.hpp"

#include <algorithm>
#include <chrono>
#include <string>

#include "io/clock.hpp"

namespace kith {
inline namespace v0 {
namespace {

constexpr Duration linger_limit = std::chrono::minutes{1};

// `stored` and `delivered` may be followed by another outcome of the same message.
bool is_end(Receipt::Outcome outcome, Receipt::Outcome until) noexcept {
    using Outcome = Receipt::Outcome;
    if (outcome == Outcome::stored) return until == Outcome::stored;
    if (outcome == Outcome::delivered) return until != Outcome::processed;
    return true;
}

}  // namespace

bool Node::Impl::turn() {
    if (!engine_) return false;
    const auto now = io::now();
    take_handoff(now);
    in_driver_ = true;
    if (storage_) take_storage();
    const bool more = driver_->turn(now);
    if (storage_) put_storage();
    in_driver_ = false;
    if (dispatch() != node::Dispatch::loop || quiet_.load(std::memory_order_relaxed) == std::this_thread::get_id()) return more;
    callbacks_run_ += callbacks_->run();
    return more || callbacks_->waiting();  // what they sent has posted a wake-up
}

// ---- hand-off in

void Node::Impl::take_handoff(Instant now) {
    handoff_.swap(arena_);
    if (arena_.empty()) return;
    for (auto& [token, waiting] : arena_.waiting) receipts_[token] = std::move(waiting);
    const ByteView bytes{arena_.bytes};
    std::size_t at = 0;
    std::size_t extras = 0;
    for (auto& entry : arena_.entries) {
        const auto size = entry.owned.empty() ? entry.size : 0;
        admit(entry, entry.extra ? &arena_.extras[extras++] : nullptr, bytes.subspan(at, size), now);
        at += size;
    }
    if (!arena_.entries.empty()) engine_->flush_sends(now);
    for (const auto& row : arena_.consumed) engine_->consumed(row.source, row.row, row.generation, row.mark, now);
    for (auto& batch : arena_.spent) {
        if (spare_batches_.size() < 8) spare_batches_.push_back(std::move(batch));
    }
    arena_.spent.clear();
    arena_.clear();
}

void Node::Impl::tell(std::uint64_t token, Result<Receipt> result) {
    const auto it = receipts_.find(token);
    if (it == receipts_.end()) return;
    if (result && !is_end(result->outcome, it->second.until)) return;
    auto waiting = std::move(it->second);
    receipts_.erase(it);
    if (waiting.direct) {
        waiting.done(std::move(result));
    } else {
        callbacks_->push_answer([done = std::move(waiting.done), result = std::move(result)]() mutable { done(std::move(result)); });
    }
}

void Node::Impl::admit(node::SendEntry& entry, const node::SendExtra* extra, ByteView bytes, Instant now) {
    auto& channel = *entry.channel;
    const auto size = entry.owned.empty() ? bytes.size() : entry.owned.size();
    if (entry.strength == Strength::unreliable) {
        const auto data = entry.owned.empty() ? bytes : ByteView{entry.owned};
        const bool sent = engine_->send_unreliable(channel.peer->peer, channel.name, data, now);
        give_back(channel, 1, size);
        if (entry.token != 0) tell(entry.token, sent ? Result<Receipt>{Receipt{Receipt::Outcome::sent, {}}} : Errc::not_connected);
        return;
    }
    auto& lane = channel.lanes[node::ChannelState::lane_at(entry.strength, entry.priority)];
    if (!lane) {
        auto made = engine_->lane(channel.peer->peer, channel.name, entry.strength, entry.priority, now);
        if (!made) {
            if (entry.strength == Strength::durable) {
                give_back_durable(*channel.peer, 1, size);
            } else {
                give_back(channel, 1, size);
            }
            if (entry.token != 0) tell(entry.token, made.error());
            return;
        }
        lane = *made;
        note_lane(*lane, channel, entry.strength);
    }
    delivery::Outgoing out{.bytes = bytes, .owned = entry.owned.empty() ? nullptr : &entry.owned, .token = entry.token};
    if (extra != nullptr) {
        out.key = extra->key;
        out.ttl = extra->ttl;
        out.tag = extra->tag;
        out.processed = extra->processed;
    }
    engine_->send(*lane, std::move(out), now);
}

// ---- outputs out

void Node::Impl::give_back(node::ChannelState& channel, std::uint64_t messages, std::uint64_t bytes) {
    bool fell = false;
    const auto left = channel.queue.give_back(thresholds_, messages, bytes, fell);
    if (fell) crossed(channel, left, false);
    // Waiting senders are woken in groups: when a quarter of the room is free again.
    if (channel.waiters.load(std::memory_order_seq_cst) != 0 && left.bytes <= thresholds_.max_bytes() / 4 * 3 &&
        left.messages <= thresholds_.max_messages() / 4 * 3) {
        const std::scoped_lock lock(channel.mutex);
        channel.room.notify_all();
    }
}

void Node::Impl::release(const engine::Released& released) {
    if (released.lane.peer >= by_lane_.size() || released.lane.lane >= by_lane_[released.lane.peer].size()) return;
    const auto& owner = by_lane_[released.lane.peer][released.lane.lane];
    if (owner.channel == nullptr) return;
    if (owner.durable) {
        give_back_durable(*owner.channel->peer, released.messages, released.bytes);
    } else {
        give_back(*owner.channel, released.messages, released.bytes);
    }
}

// First of all outputs: who was told that a peer is connected may send to it at once.
void Node::Impl::take_reachability(engine::Outputs& out) {
    if (out.reachability.empty()) return;
    const std::scoped_lock lock(table_mutex_);
    for (const auto& entry : out.reachability) {
        auto it = records_.find(entry.peer);
        if (it == records_.end()) {
            if (!entry.known || records_.size() >= 2 * config_.limits.max_peers_known) continue;
            it = records_.emplace(entry.peer, std::make_shared<node::PeerRecord>(entry.peer)).first;
        } else if (!entry.known && it->second->channels == 0) {
            records_.erase(it);  // strangers come and go
            continue;
        }
        it->second->known = entry.known;
        it->second->unsupported = entry.unsupported;
        it->second->connected = entry.connected;
    }
    out.reachability.clear();
}

void Node::Impl::take(engine::Outputs& out) {
    take_reachability(out);
    for (const auto& released : out.released) release(released);
    out.released.clear();
    for (const auto& outcome : out.outcomes) tell(outcome.token, Receipt{outcome.outcome, outcome.after});
    out.outcomes.clear();
    for (auto& entry : out.notices) {
        using Kind = delivery::Notice::Kind;
        const auto kind = entry.notice.kind;
        tell_notice({.kind = kind == Kind::receiver_restored ? Notice::Kind::receiver_restored
                             : kind == Kind::sender_restored ? Notice::Kind::sender_restored
                                                             : Notice::Kind::receiver_lost,
                     .peer = entry.peer,
                     .channel = std::move(entry.notice.channel),
                     .text = {}});
    }
    out.notices.clear();
    for (auto& output : std::exchange(out.streams, {})) on_stream(output);
    for (auto& completion : std::exchange(out.completions, {})) {
        std::visit([&](auto& value) { finish(completion.op, OpValue{std::move(value)}); }, completion.result);
    }
    if (!out.events.empty()) {
        std::shared_ptr<Function<void(const PeerEvent&)>> handler;
        {
            const std::scoped_lock lock(table_mutex_);
            handler = peer_handler_;
        }
        for (auto& event : out.events) {
            if (handler && *handler) callbacks_->push_event([handler, event = std::move(event)] { (*handler)(event); });
        }
        out.events.clear();
    }
    if (!out.messages.empty()) {
        engine_->end_batch();
        delivery::Batch batch = std::move(out.messages);
        if (!spare_batches_.empty()) {
            out.messages = std::move(spare_batches_.back());
            spare_batches_.pop_back();
        }
        callbacks_->push(std::move(batch));
    }
}

// ---- streams

void Node::Impl::on_stream(engine::StreamOutput& output) {
    if (auto* opened = std::get_if<engine::StreamOpened>(&output)) {
        const auto direction = opened->op ? Direction::outbound : Direction::inbound;
        auto stream = std::make_shared<Stream::Impl>(weak_from_this(), opened->stream, opened->peer, opened->protocol, direction);
        streams_[opened->stream] = stream;
        if (opened->op) {
            finish(opened->op, Stream{std::move(stream)});
            return;
        }
        std::shared_ptr<Function<void(Stream)>> handler;
        {
            const std::scoped_lock lock(table_mutex_);
            const auto it = protocols_.find(opened->protocol);
            if (it != protocols_.end()) handler = it->second;
        }
        if (handler && *handler) callbacks_->push([handler, stream = Stream{std::move(stream)}] { (*handler)(stream); });
        return;
    }
    const auto ref = std::visit([](const auto& o) { return o.stream; }, output);
    const auto it = streams_.find(ref);
    if (it == streams_.end()) return;
    const auto stream = it->second.lock();
    if (std::holds_alternative<engine::StreamClosed>(output)) streams_.erase(it);
    if (!stream) {
        // The user is gone; what still comes is thrown away, so that the peer can finish.
        if (auto* data = std::get_if<engine::StreamData>(&output)) engine_->consumed_raw(ref, data->bytes.size(), io::now());
        return;
    }
    if (auto* data = std::get_if<engine::StreamData>(&output)) {
        stream->on_data(std::move(data->bytes));
    } else if (std::holds_alternative<engine::StreamFinished>(output)) {
        stream->on_finished();
    } else if (auto* drained = std::get_if<engine::StreamDrained>(&output)) {
        stream->on_drained(drained->bytes);
    } else if (auto* closed = std::get_if<engine::StreamClosed>(&output)) {
        stream->on_closed(closed->error);
    }
}

void Node::Impl::forget_stream(StreamRef stream, bool linger) {
    post_to_loop([weak = weak_from_this(), stream, linger] {
        const auto self = weak.lock();
        if (!self || !self->engine_ || !self->streams_.contains(stream)) return;
        const auto reset = [weak, stream] {
            const auto node = weak.lock();
            if (!node || !node->engine_ || node->streams_.erase(stream) == 0) return;
            node->engine_->reset_raw(stream, io::now());
        };
        if (linger) {
            self->loop_->after(linger_limit, reset);
        } else {
            reset();
        }
    });
}

}  // namespace v0
}  // namespace kith
