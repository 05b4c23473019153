// SPDX-License-Identifier: Apache-2.0
// Messages: which link carries them, attaching, bytes of /kith/msg in both directions, acknowledgements.
#include <algorithm>
#include <chrono>

#include "engine/engine.hpp"

namespace kith::engine {
namespace {

constexpr Duration same_time = std::chrono::seconds{2};       // links that came up within this were dialled at once
constexpr Duration settled_after = std::chrono::seconds{10};  // an attachment that lived so long was a good one
constexpr Duration attach_first = std::chrono::milliseconds{100};
constexpr Duration attach_most = std::chrono::seconds{5};
constexpr std::uint8_t message_level = 2;  // above raw streams

}  // namespace

// The newest link; of two that came up at about the same time, the one that the smaller id dialled. Both sides come to the same
// answer, but nothing depends on it: a HELLO on any link is valid.
LinkId Engine::message_link(const PeerState& peer) {
    const bool we_are_smaller = config_.self < peer.id;
    const Link* best = nullptr;
    for (const auto id : peer.links) {
        const auto* link = links_.live(id);
        if (link == nullptr || link->state != LinkState::open) continue;
        if (best == nullptr || link->up_at - best->up_at >= same_time) {
            best = link;
            continue;
        }
        const bool by_smaller = (link->direction == Direction::outbound) == we_are_smaller;
        const bool best_by_smaller = (best->direction == Direction::outbound) == we_are_smaller;
        if (by_smaller || !best_by_smaller) best = link;
    }
    return best == nullptr ? LinkId{} : best->id;
}

Result<LaneHandle> Engine::lane(const PeerId& id, std::string_view channel, Strength strength, Priority priority, Instant now) {
    now_ = now;
    if (channel.empty() || channel.size() > wire::max_channel_name)
        return Error{Errc::invalid_argument, "a channel name has 1 to 64 bytes"};
    if (strength == Strength::unreliable) return Error{Errc::invalid_argument, "unreliable messages have no lane"};
    if (strength == Strength::durable && !config_.durable) return Error{Errc::no_store};
    auto& peer = peers_.get(id);
    const auto index = sender_of(peer).lane(channel, strength, priority, random_.u64());
    if (!index) return index.error();
    if (strength == Strength::durable) note_durable(peer);
    review_durable(id);  // whom we send to may send to us
    return LaneHandle{peer.slot, *index};
}

delivery::Sender& Engine::sender_of(PeerState& peer) {
    if (!peer.sender) {
        delivery::SenderConfig config;
        config.max_message = config_.max_message;
        config.max_lanes = config_.max_channels_per_peer;
        peer.sender = std::make_unique<delivery::Sender>(config, journal_, peer.id.bytes());
    }
    return *peer.sender;
}

delivery::Receiver& Engine::receiver_of(PeerState& peer) {
    if (!peer.receiver) {
        delivery::ReceiverConfig config;
        config.max_message = config_.max_message;
        config.max_rows = config_.max_channels_per_peer;
        config.source = peer.source;
        config.instance = random_.u64();
        config.durable = config_.durable;  // until a stream says who it is
        config.inbox_bytes = config_.inbox_bytes;
        config.lane_window = config_.lane_window;
        config.peer_window = config_.peer_window;
        peer.receiver = std::make_unique<delivery::Receiver>(config, journal_, peer.id, peer.id.bytes());
    }
    return *peer.receiver;
}

void Engine::send(LaneHandle handle, delivery::Outgoing message, Instant now) {
    auto* peer = peers_.at(handle.peer);
    if (peer == nullptr || !peer->sender) return;
    if (message.mid == 0 && peer->sender->view(handle.lane).durable()) message.mid = random_.u64();
    peer->sender->enqueue(handle.lane, message, now);
    if (dirty_peers_.empty() || dirty_peers_.back() != peer->slot) dirty_peers_.push_back(peer->slot);
}

void Engine::cancel_send(const PeerId& id, std::uint64_t token, Instant now) {
    now_ = now;
    auto* peer = peers_.find(id);
    if (peer == nullptr || !peer->sender) return;
    peer->sender->cancel(token, now);
    tell_writers(*peer);
    drain_sender(*peer);
    note_idle(*peer);
}

void Engine::forget_messages(const PeerId& id, Instant now) {
    now_ = now;
    auto* peer = peers_.find(id);
    if (peer == nullptr || !peer->sender) return;
    if (peer->out) {
        if (auto* link = links_.live(peer->out.link)) {
            drop_stream(*link, peer->out.stream);
            touch(*link);
        }
        peer->out = {};
    }
    peer->sender->detach();
    peer->sender->abandon(now, true);
    drain_sender(*peer);
    note_idle(*peer);
}

bool Engine::send_unreliable(const PeerId& id, std::string_view channel, ByteView bytes, Instant now) {
    now_ = now;
    auto* peer = peers_.find(id);
    if (peer == nullptr || peer->links.empty() || peer->unsupported) return false;
    if (!sender_of(*peer).enqueue_datagram(channel, bytes)) return false;
    dirty_peers_.push_back(peer->slot);
    return true;
}

void Engine::flush_sends(Instant now) {
    now_ = now;
    for (const auto slot : dirty_peers_) {
        auto* found = peers_.at(slot);
        if (found == nullptr || !found->sender) continue;
        auto& peer = *found;
        drain_sender(peer);
        watch(peer);  // a ttl ends without any link, too
        if (peer.unsupported) {
            unsupported(peer, now);
        } else if (peer.out) {
            if (auto* link = links_.live(peer.out.link); link != nullptr && peer.sender->wants_fill()) {
                link->connection->want_write(peer.out.stream);
                touch(*link);
            }
        } else if (!peer.links.empty()) {
            attach(peer, now);
        } else if (!timers_.armed({TimerKind::redial, slot, 0})) {
            redial(peer, now);  // also raises a dial that waits for a slot
        }
    }
    dirty_peers_.clear();
}

// Puts our message stream on the best link, if there is something to send and it is not there already.
void Engine::attach(PeerState& peer, Instant now) {
    if (!peer.sender || peer.unsupported || stopping_) return;
    const auto best = message_link(peer);
    if (peer.out && peer.out.link == best) return;
    if (peer.out) {
        if (auto* old = links_.live(peer.out.link)) {
            drop_stream(*old, peer.out.stream);
            touch(*old);
        }
        peer.out = {};
        peer.sender->detach();
    }
    if (!best || !peer.sender->has_work()) return;
    if (timers_.armed({TimerKind::attach, peer.slot, 0})) return;
    auto& link = *links_.live(best);
    // Lazy: a refusal means that nothing was read, and the messages stay queued.
    const auto stream = link.connection->open(message_protocol, true, messages_tag);
    if (!stream) {
        reattach_later(peer, now);
        return;
    }
    auto& state = link.streams[stream->value];
    state.tag = messages_tag;
    state.direction = Direction::outbound;
    state.protocol = message_protocol;
    state.told = true;
    ++stats_.streams_now;
    timers_.set({TimerKind::negotiation, link.id.value, stream->value}, now + config_.negotiation_timeout);
    link.connection->set_priority(*stream, message_level);
    peer.out = {link.id, *stream};
    peer.attached_at = now;
    peer.sender->attach(random_.u64());
    link.connection->want_write(*stream);
    touch(link);
}

void Engine::reattach_later(PeerState& peer, Instant now) {
    if (now - peer.attached_at >= settled_after) peer.attach_failures = 0;
    const auto wait =
        std::min<Duration>(attach_most, attach_first * (std::int64_t{1} << std::min<std::uint32_t>(peer.attach_failures, 10)));
    ++peer.attach_failures;
    timers_.set({TimerKind::attach, peer.slot, 0}, now + wait);
}

void Engine::message_stream_opened(Link& link, StreamId id, Instant now) {
    auto& peer = peers_.get(link.connection->peer());
    receiver_of(peer).allow_durable(durable_allowed(peer));
    link.connection->set_priority(id, message_level);
    if (const auto ok = peer.receiver->opened({link.id, id}, link.path()); !ok) {
        ++stats_.streams_refused;
        drop_stream(link, id);
    }
    (void)now;
}

void Engine::message_stream_ended(Link& link, StreamId id, const protocol::StreamEnd& end, Instant now) {
    auto* peer = peers_.find(link.connection->peer());
    if (peer == nullptr) return;
    const StreamRef ref{link.id, id};
    if (peer->out == ref) {
        peer->out = {};
        peer->sender->detach();
        if (end.kind == protocol::StreamEnd::Kind::refused) {
            unsupported(*peer, now);
        } else if (link.state != LinkState::closing) {
            reattach_later(*peer, now);
        }
        return;
    }
    if (peer->receiver) peer->receiver->closed(ref);
}

void Engine::message_bytes(Link& link, StreamId id, ByteView bytes, Instant now) {
    auto* peer = peers_.find(link.connection->peer());
    if (peer == nullptr) return;
    const StreamRef ref{link.id, id};
    if (peer->out == ref) {
        const auto before = peer->sender->acknowledged();
        const auto ok = peer->sender->received(bytes, now);
        if (peer->sender->acknowledged() != before) link.used_at = now;  // an answer to a question alone is no use of the link
        drain_sender(*peer);
        if (!ok && ok.error() == Errc::protocol_error) ++stats_.message_errors;
        if (!ok) {
            peer->out = {};
            peer->sender->detach();
            drop_stream(link, id);
            reattach_later(*peer, now);
        } else {
            if (peer->out == ref && peer->sender->wants_fill()) link.connection->want_write(id);
            watch(*peer);
        }
        touch(link);
        return;
    }
    if (!peer->receiver) return;
    const auto before = outputs_.messages.messages.size();
    const auto pieces = peer->receiver->pieces();
    const auto ok = peer->receiver->received(ref, bytes, now, packer_, outputs_.messages);
    stats_.messages_received += outputs_.messages.messages.size() - before;
    if (peer->receiver->pieces() != pieces) link.used_at = now;
    if (const auto fenced = peer->receiver->take_fenced()) {
        if (auto* old = links_.live(fenced->link)) {
            drop_stream(*old, fenced->stream);
            touch(*old);
        }
    }
    if (!ok) {
        if (ok.error() == Errc::protocol_error) ++stats_.message_errors;
        peer->receiver->closed(ref);
        drop_stream(link, id);
        touch(link);
        return;
    }
    drain_receiver(*peer);
    if (peer->receiver->current() == ref && peer->receiver->wants_fill(now)) link.connection->want_write(id);
    touch(link);
}

void Engine::drain_sender(PeerState& peer) {
    auto& sender = *peer.sender;
    if (sender.acknowledged() != peer.acknowledged) {
        peer.acknowledged = sender.acknowledged();
        if (auto* known = book_.find(peer.id)) known->backoff.reset();
    }
    for (const auto& released : sender.released()) {
        outputs_.released.push_back({{peer.slot, released.lane}, released.messages, released.bytes});
    }
    sender.released().clear();
    auto& outcomes = sender.outcomes();
    outputs_.outcomes.insert(outputs_.outcomes.end(), outcomes.begin(), outcomes.end());
    outcomes.clear();
    for (const auto& fetch : sender.fetches()) outputs_.fetches.emplace_back(fetch);
    sender.fetches().clear();
    for (auto& notice : sender.notices()) outputs_.notices.push_back({peer.id, std::move(notice)});
    sender.notices().clear();
    if (!sender.take_reattach()) return;
    if (auto* link = links_.live(peer.out.link)) {
        drop_stream(*link, peer.out.stream);
        touch(*link);
    }
    peer.out = {};
    sender.detach();
    reattach_later(peer, now_);
}

void Engine::drain_receiver(PeerState& peer) {
    for (const auto& fetch : peer.receiver->fetches()) outputs_.fetches.emplace_back(fetch);
    peer.receiver->fetches().clear();
    if (peer.receiver->has_durable()) note_durable(peer);
}

// Both directions: whoever has something to write now is told to the link.
void Engine::tell_writers(PeerState& peer) {
    if (peer.sender && peer.out && peer.sender->wants_fill()) {
        if (auto* link = links_.live(peer.out.link)) {
            link->connection->want_write(peer.out.stream);
            touch(*link);
        }
    }
    if (!peer.receiver) return;
    const auto ref = peer.receiver->current();
    if (ref && peer.receiver->wants_fill(now_)) {
        if (auto* link = links_.live(ref.link)) {
            link->connection->want_write(ref.stream);
            touch(*link);
        }
    }
    note_ack(peer);
}

// The sender's clock: set when it is earlier than what is set, looked at again when it fires.
void Engine::watch(PeerState& peer) {
    const auto at = peer.sender->deadline();
    if (at.steady == Duration::max() || (peer.watched && *peer.watched <= at)) return;
    peer.watched = at;
    timers_.set({TimerKind::sender, peer.slot, 0}, at);
}

void Engine::watch_due(PeerState& peer, Instant now) {
    peer.watched.reset();
    if (!peer.sender || stopping_) return;
    const auto alive = peer.sender->tick(now);
    drain_sender(peer);
    if (!alive) {
        if (auto* link = links_.live(peer.out.link)) close(*link, alive.error(), now);
        return;
    }
    tell_writers(peer);
    watch(peer);
    note_idle(peer);
}

// Unfinished messages of peers that are gone: the oldest give way.
void Engine::note_partials(PeerState& peer) {
    if (!peer.receiver || peer.receiver->partials() == 0) return;
    partial_peers_.push_back(peer.slot);
    std::size_t sum = 0;
    for (auto slot = partial_peers_.rbegin(); slot != partial_peers_.rend(); ++slot) {
        const auto* other = peers_.at(*slot);
        if (other == nullptr || !other->receiver) continue;
        sum += other->receiver->partials();
        if (sum > config_.max_partials) other->receiver->drop_partials();
    }
    while (partial_peers_.size() > 1024) partial_peers_.pop_front();
    std::erase_if(partial_peers_, [this](std::uint32_t slot) {
        const auto* other = peers_.at(slot);
        return other == nullptr || !other->receiver || other->receiver->partials() == 0;
    });
}

void Engine::consumed(std::uint32_t source, std::uint32_t row, std::uint32_t generation, std::uint64_t mark, Instant now) {
    now_ = now;
    auto* peer = peers_.by_source(source);
    if (peer == nullptr || !peer->receiver) return;
    peer->receiver->consumed(row, generation, mark, now);
    drain_receiver(*peer);
    if (peer->receiver->wants_fill(now)) {
        const auto ref = peer->receiver->current();
        if (auto* link = links_.live(ref.link)) {
            link->connection->want_write(ref.stream);
            touch(*link);
        }
    }
    note_ack(*peer);
}

void Engine::busy(std::uint32_t source, std::uint32_t row, delivery::Busy why, Instant now) {
    now_ = now;
    auto* peer = peers_.by_source(source);
    if (peer == nullptr || !peer->receiver) return;
    peer->receiver->busy(row, why, now);
    tell_writers(*peer);
}

// Keeps the short list of peers to whom an acknowledgement is owed later.
void Engine::note_ack(PeerState& peer) {
    const bool owed = peer.receiver && peer.receiver->deadline().has_value();
    if (owed == peer.ack_listed) return;
    peer.ack_listed = owed;
    if (owed) {
        ack_peers_.push_back(peer.slot);
    } else {
        std::erase(ack_peers_, peer.slot);
    }
}

// The peer does not speak /kith/msg: what is queued for it can never be delivered.
void Engine::unsupported(PeerState& peer, Instant now) {
    peer.unsupported = true;
    if (peer.sender) {
        peer.sender->detach();
        peer.sender->abandon(now, true);
        drain_sender(peer);
    }
    reachable(peer.id);
}

// A second link that carries nothing is closed after a while, by the side with the smaller id, so that two sides do not close
// two different ones.
void Engine::spare_links(PeerState& peer, Instant now) {
    if (peer.links.size() < 2) return;
    for (const auto id : peer.links) {
        const TimerKey key{TimerKind::link_spare, id.value, 0};
        if (!timers_.armed(key)) timers_.set(key, now + config_.spare_link_after);
    }
}

}  // namespace kith::engine
