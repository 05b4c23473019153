// SPDX-License-Identifier: Apache-2.0
// The caller's side of send(): admission, then the hand-off. Runs on any thread.
#include <algorithm>

#include "node/impl.hpp"
#include "wire/kith_frames.hpp"

namespace kith {
inline namespace v0 {

namespace {

// Why there is no room, without allocation.
Error no_room(PressureLevel level) {
    switch (level) {
        case PressureLevel::none:
        case PressureLevel::light:
            return {Errc::queue_full, "at light pressure there is no room for this priority"};
        case PressureLevel::heavy:
            return {Errc::queue_full, "at heavy pressure there is no room for this priority"};
        case PressureLevel::blocking:
            return {Errc::queue_full, "at blocking pressure there is no room for this priority"};
    }
    return Errc::queue_full;
}

}  // namespace

// A refusal makes nothing: strangers' ids and misspelt channels leave no trace.
node::ChannelState* Node::Impl::channel(const PeerId& peer, std::string_view name, Error* why) {
    const auto refuse = [&](Error error) -> node::ChannelState* {
        refused_.fetch_add(1, std::memory_order_relaxed);
        *why = std::move(error);
        return nullptr;
    };
    if (!running()) return refuse(why_not());
    if (name.empty() || name.size() > wire::max_channel_name) return refuse({Errc::invalid_argument, "a channel name has 1 to 64 bytes"});
    const std::scoped_lock lock(table_mutex_);
    const auto record = records_.find(peer);
    if (record == records_.end()) return refuse(Errc::unknown_peer);
    auto& channels = channels_[peer];
    const auto it = channels.find(std::string{name});  // short names need no allocation
    if (it != channels.end()) return it->second.get();
    if (!record->second->known && !record->second->stored) return refuse(Errc::unknown_peer);
    if (record->second->channels >= config_.limits.max_channels_per_peer)
        return refuse({Errc::limit_exceeded, "too many channels to one peer"});
    return &make_channel(record->second, name);
}

// Under the table's lock.
node::ChannelState& Node::Impl::make_channel(const std::shared_ptr<node::PeerRecord>& record, std::string_view name) {
    ++record->channels;
    return *channels_[record->peer].emplace(name, std::make_unique<node::ChannelState>(record, std::string{name})).first->second;
}

// A channel takes a lane for each strength and priority that is used. Counted here, where it can still be refused.
bool Node::Impl::claim_lane(node::ChannelState& channel, Strength strength, Priority priority) {
    const auto bit = static_cast<std::uint8_t>(1U << node::ChannelState::lane_at(strength, priority));
    if ((channel.lanes_used.load(std::memory_order_relaxed) & bit) != 0) return true;
    const std::scoped_lock lock(table_mutex_);
    if ((channel.lanes_used.load(std::memory_order_relaxed) & bit) != 0) return true;
    if (channel.peer->lanes >= config_.limits.max_channels_per_peer) return false;
    ++channel.peer->lanes;
    channel.lanes_used.fetch_or(bit, std::memory_order_relaxed);
    return true;
}

Status Node::Impl::reserve(node::ChannelState& channel, std::uint64_t size, const SendOptions& options, const std::stop_token& stop) {
    using Answer = node::Queue::Answer;
    Answer answer{};
    node::Queue::Load at;
    const auto try_it = [&] {
        const auto& end = thresholds_.end_of(options.priority, channel.priorities());
        answer = channel.queue.reserve(thresholds_, end, size, at);
        return answer == Answer::taken || answer == Answer::taken_and_above;
    };
    const auto refused = [&]() -> Status {
        if (answer == Answer::full) return Errc::queue_full;
        return no_room(thresholds_.level(thresholds_.pressure(at.messages, at.bytes)));
    };
    bool ours = try_it();
    if (!ours) {
        if (options.wait <= Duration{}) return refused();
        if (!may_block()) return Errc::would_block_callback;
        channel.waiters.fetch_add(1, std::memory_order_seq_cst);
        const auto ended = [&] { return ours || !running() || (ours = try_it()); };
        await(
            [&](Duration limit) {
                std::unique_lock lock(channel.mutex);
                return channel.room.wait_for(lock, stop, limit, ended) || stop.stop_requested();
            },
            options.wait);
        channel.waiters.fetch_sub(1, std::memory_order_seq_cst);
        if (!ours) return !running() ? Status{Errc::stopped} : stop.stop_requested() ? Status{Errc::cancelled} : refused();
    }
    if (answer == Answer::taken_and_above) crossed(channel, at, true);
    return {};
}

Status Node::Impl::send(node::ChannelState& channel, ByteView bytes, Bytes* owned, const SendOptions& options, node::Waiting waiting,
                        const std::stop_token& stop, std::uint64_t* named) {
    const auto refuse = [this](Error why) {
        refused_.fetch_add(1, std::memory_order_relaxed);
        return Status{std::move(why)};
    };
    const auto size = bytes.size();
    if (!running()) return refuse(why_not());
    if (size > config_.max_message) return refuse(Errc::too_large);
    const bool durable = options.strength == Strength::durable;
    const bool unreliable = options.strength == Strength::unreliable;
    if (durable && !storage_) return refuse(Errc::no_store);
    if (options.ttl < Duration{}) return refuse({Errc::invalid_argument, "SendOptions::ttl is negative"});
    if (waiting.done) {
        if (waiting.until != Receipt::Outcome::stored && waiting.until != Receipt::Outcome::delivered &&
            waiting.until != Receipt::Outcome::processed) {
            return refuse({Errc::invalid_argument, "SendOptions::until is stored, delivered or processed"});
        }
        if (!durable) {
            if (waiting.until == Receipt::Outcome::stored) return refuse({Errc::invalid_argument, "only durable messages are stored"});
            waiting.until = Receipt::Outcome::delivered;  // the handler has returned then
        }
    }
    if (unreliable && size > wire::max_frame_body - wire::max_channel_name - 8) return refuse(Errc::too_large);
    if (!channel.peer->known.load(std::memory_order_relaxed) && !(durable && channel.peer->stored.load(std::memory_order_relaxed))) {
        return refuse(Errc::unknown_peer);
    }
    if (channel.peer->unsupported.load(std::memory_order_relaxed)) return refuse(Errc::not_supported);
    if (!unreliable && !claim_lane(channel, options.strength, options.priority))
        return refuse({Errc::limit_exceeded, "too many channels to one peer"});

    auto room = durable ? reserve_durable(channel, size, options, stop) : reserve(channel, size, options, stop);
    if (!room) return refuse(std::move(room.error()));

    const auto token = waiting.done ? last_token_.fetch_add(1, std::memory_order_relaxed) + 1 : 0;
    if (named != nullptr) *named = token;
    const bool processed = durable && waiting.done && waiting.until == Receipt::Outcome::processed;
    const bool extra = options.ttl != Duration{} || options.key != 0 || options.tag != 0 || processed;
    const bool first = handoff_.add([&](node::Arena& arena) {
        auto& entry = arena.entries.emplace_back();
        entry.channel = &channel;
        entry.token = token;
        entry.size = static_cast<std::uint32_t>(size);
        entry.strength = options.strength;
        entry.priority = options.priority;
        entry.extra = extra;
        if (extra) arena.extras.push_back({options.key, options.tag, options.ttl, processed});
        if (owned != nullptr && size >= delivery::owned_from) {
            entry.owned = std::move(*owned);
        } else if (size >= delivery::owned_from) {
            entry.owned.assign(bytes.begin(), bytes.end());
        } else {
            arena.bytes.insert(arena.bytes.end(), bytes.begin(), bytes.end());
        }
        if (token != 0) arena.waiting.emplace_back(token, std::move(waiting));
    });
    if (first) wake();
    return {};
}

Status Channel::Impl::send(ByteView bytes, Bytes* owned, const SendOptions& options, const std::stop_token& stop) {
    const auto impl = node.lock();
    if (!impl) return Errc::stopped;
    auto* at = state.load(std::memory_order_acquire);
    if (at == nullptr) {
        Error why;
        at = impl->channel(peer, name, &why);
        if (at == nullptr) return why;
        state.store(at, std::memory_order_release);
    }
    return impl->send(*at, bytes, owned, options, {}, stop);
}

void Node::Impl::set_peer_handler(Function<void(const PeerEvent&)> handler) {
    const std::scoped_lock lock(table_mutex_);
    peer_handler_ = std::make_shared<Function<void(const PeerEvent&)>>(std::move(handler));
}

void Node::Impl::handle_protocol(std::string_view protocol, Function<void(Stream)> handler) {
    {
        const std::scoped_lock lock(table_mutex_);
        protocols_[std::string{protocol}] = std::make_shared<Function<void(Stream)>>(std::move(handler));
    }
    post([id = std::string{protocol}](engine::Engine& engine, Instant now) { engine.serve_raw(id, now); });
}

Stats Node::Impl::stats() {
    Stats out;
    const bool alive = query([&](engine::Engine& engine, Instant) {
        out = engine.stats();
        out.send_calls = driver_->send_calls();
        out.receive_calls = driver_->receive_calls();
        const auto loop = loop_->stats();
        out.turns = loop.turns;
        out.engine_wakeups = loop.wakeups;
    });
    if (!alive) {
        const std::scoped_lock lock(table_mutex_);
        out = last_stats_;
    }
    out.messages_refused = refused_;
    out.callback_wakeups = callbacks_->wakeups();
    out.events_dropped = callbacks_->events_dropped();
    return out;
}

std::vector<Multiaddr> Node::Impl::addresses() {
    std::vector<Multiaddr> out;
    query([&](engine::Engine&, Instant) {
        for (const auto& address : driver_->addresses()) out.push_back(address.with_peer(id_));
    });
    return out;
}

}  // namespace v0
}  // namespace kith
