// SPDX-License-Identifier: Apache-2.0
// The caller's side of send(): admission, then the hand-off. Runs on any thread.
#include <algorithm>

#include "node/impl.hpp"
#include "wire/kith_frames.hpp"

namespace kith {
inline namespace v0 {

// A refusal makes nothing: strangers' ids and misspelt channels leave no trace.
node::ChannelState* Node::Impl::channel(const PeerId& peer, std::string_view name, Error* why) {
    const std::scoped_lock lock(table_mutex_);
    const auto record = records_.find(peer);
    if (record == records_.end()) {
        refused_.fetch_add(1, std::memory_order_relaxed);
        *why = running_ ? Errc::unknown_peer : Errc::stopped;
        return nullptr;
    }
    auto& channels = channels_[peer];
    const auto it = channels.find(std::string{name});  // short names need no allocation
    if (it != channels.end()) return it->second.get();
    if (name.empty() || name.size() > wire::max_channel_name) {
        *why = {Errc::invalid_argument, "a channel name has 1 to 64 bytes"};
        return nullptr;
    }
    if (record->second->channels >= config_.limits.max_channels_per_peer) {
        *why = {Errc::limit_exceeded, "too many channels to one peer"};
        return nullptr;
    }
    ++record->second->channels;
    auto made = std::make_unique<node::ChannelState>(record->second, std::string{name});
    auto* out = made.get();
    channels.emplace(std::string{name}, std::move(made));
    return out;
}

Status Node::Impl::send(node::ChannelState& channel, ByteView bytes, Bytes* owned, const SendOptions& options, node::DoneFunction done) {
    const auto refuse = [this](Error why) {
        refused_.fetch_add(1, std::memory_order_relaxed);
        return Status{std::move(why)};
    };
    const auto size = bytes.size();
    if (!running_.load(std::memory_order_relaxed)) return refuse(id_ ? Errc::stopped : Errc::not_started);
    if (size > config_.max_message) return refuse(Errc::too_large);
    if (options.strength == Strength::durable) return refuse({Errc::not_supported, "durable messages come with a later version"});
    if (options.strength == Strength::unreliable && size > wire::max_frame_body - wire::max_channel_name - 8) return refuse(Errc::too_large);
    if (!channel.peer->known.load(std::memory_order_relaxed)) return refuse(Errc::unknown_peer);
    if (channel.peer->unsupported.load(std::memory_order_relaxed)) return refuse(Errc::not_supported);

    const auto reserve = [&] {
        const auto bytes_before = channel.queued_bytes.fetch_add(size, std::memory_order_seq_cst);
        const auto messages_before = channel.queued_messages.fetch_add(1, std::memory_order_relaxed);
        // A message of any legal size fits into an empty queue.
        if ((bytes_before == 0 || bytes_before + size <= config_.max_queued_bytes) && messages_before < config_.max_queued_messages) return true;
        channel.queued_bytes.fetch_sub(size, std::memory_order_relaxed);
        channel.queued_messages.fetch_sub(1, std::memory_order_relaxed);
        return false;
    };
    if (!reserve()) {
        if (options.wait <= Duration{}) return refuse(Errc::queue_full);
        if (!may_block()) return refuse({Errc::queue_full, "a callback cannot wait for room"});
        std::unique_lock lock(channel.mutex);
        channel.waiters.fetch_add(1, std::memory_order_seq_cst);
        const auto limit = std::min<Duration>(options.wait, std::chrono::hours{24 * 365});
        const bool room = channel.room.wait_for(lock, limit, [&] { return !running_ || reserve(); });
        channel.waiters.fetch_sub(1, std::memory_order_seq_cst);
        if (!room) return refuse(Errc::queue_full);
        if (!running_) return refuse(Errc::stopped);
    }

    const auto token = done ? last_token_.fetch_add(1, std::memory_order_relaxed) + 1 : 0;
    const bool first = handoff_.add([&](node::Arena& arena) {
        auto& entry = arena.entries.emplace_back();
        entry.channel = &channel;
        entry.token = token;
        entry.size = static_cast<std::uint32_t>(size);
        entry.strength = options.strength;
        entry.priority = options.priority;
        if (owned != nullptr && size >= delivery::owned_from) {
            entry.owned = std::move(*owned);
        } else if (size >= delivery::owned_from) {
            entry.owned.assign(bytes.begin(), bytes.end());
        } else {
            arena.bytes.insert(arena.bytes.end(), bytes.begin(), bytes.end());
        }
        if (token != 0) arena.waiting.emplace_back(token, std::move(done));
    });
    if (first) wake();
    return {};
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

Stats Node::Impl::stats() const {
    Stats out;
    query([&](engine::Engine& engine, Instant) {
        out = engine.stats();
        out.send_calls = driver_->send_calls();
        out.receive_calls = driver_->receive_calls();
        const auto loop = loop_->stats();
        out.turns = loop.turns;
        out.engine_wakeups = loop.wakeups;
    });
    out.messages_refused = refused_;
    out.callback_wakeups = callbacks_->wakeups();
    out.events_dropped = callbacks_->events_dropped();
    return out;
}

std::vector<Multiaddr> Node::Impl::addresses() const {
    std::vector<Multiaddr> out;
    query([&](engine::Engine&, Instant) {
        for (const auto& address : driver_->addresses()) out.push_back(address.with_peer(id_));
    });
    return out;
}

}  // namespace v0
}  // namespace kith
