// SPDX-License-Identifier: Apache-2.0
// Durable messages: what the disk holds at the start, what it has committed, what it could not.
#include <algorithm>

#include "engine/engine.hpp"

namespace kith::engine {

// The list of peers that answers of the disk concern.
void Engine::note_durable(const PeerState& peer) {
    if (std::find(durable_peers_.begin(), durable_peers_.end(), peer.slot) == durable_peers_.end()) durable_peers_.push_back(peer.slot);
}

void Engine::storage_loaded(const storage::Loaded& loaded, Instant now) {
    now_ = now;
    journal_.start_from(loaded.last_out, loaded.last_in, loaded.last_inbox);
    const auto peer_of = [&](const Bytes& bytes) -> PeerState* {
        const auto id = PeerId::from_multihash(bytes);
        if (!id) return nullptr;  // a peer of another kind: nothing here can reach it
        auto& peer = peers_.get(*id);
        note_durable(peer);
        return &peer;
    };
    for (const auto& row : loaded.out) {
        auto* peer = peer_of(row.peer);
        if (peer == nullptr) continue;
        sender_of(*peer).restore(row);
        if (auto* known = book_.get(peer->id, now)) known->pinned = true;
        drain_sender(*peer);
    }
    for (const auto& row : loaded.in) {
        auto* peer = peer_of(row.peer);
        if (peer == nullptr) continue;
        receiver_of(*peer).restore(row, loaded.clean);
        drain_receiver(*peer);
    }
}

void Engine::storage_done(storage::Ticket up_to, Instant now) {
    now_ = now;
    for (const auto slot : durable_peers_) {
        auto* peer = peers_.at(slot);
        if (peer == nullptr) continue;
        if (peer->sender) {
            peer->sender->committed(up_to);
            drain_sender(*peer);
        }
        if (peer->receiver) {
            const auto before = outputs_.messages.messages.size();
            peer->receiver->committed(up_to, now, outputs_.messages);
            stats_.messages_received += outputs_.messages.messages.size() - before;
            drain_receiver(*peer);
        }
        tell_writers(*peer);
    }
}

// Whose messages were taken once, or who got some of ours, is known; strangers are not to fill the disk.
bool Engine::durable_allowed(const PeerState& peer) const {
    if (!config_.durable || config_.durable_from_all) return config_.durable;
    if (!config_.durable_from_known) return false;
    if ((peer.receiver && peer.receiver->has_durable()) || (peer.sender && peer.sender->lanes() != 0)) return true;
    const auto* known = book_.find(peer.id);
    if (known == nullptr) return false;
    return known->keep || std::any_of(known->addresses.begin(), known->addresses.end(),
                                      [](const auto& address) { return address.source == peer::Source::user; });
}

// Whoever becomes known while he is connected need not connect again.
void Engine::review_durable(const PeerId& id) {
    auto* peer = peers_.find(id);
    if (peer == nullptr || !peer->receiver || peer->receiver->config().durable || !durable_allowed(*peer)) return;
    peer->receiver->allow_durable(true);
    tell_writers(*peer);
}

// Nothing that waits for the disk may leave, and what came and was not committed has not come.
void Engine::storage_failed(Instant now) {
    now_ = now;
    ++stats_.storage_failures;
    for (const auto slot : durable_peers_) {
        auto* peer = peers_.at(slot);
        if (peer == nullptr) continue;
        if (peer->out) {
            if (auto* link = links_.live(peer->out.link)) {
                drop_stream(*link, peer->out.stream);
                touch(*link);
            }
            peer->out = {};
            peer->sender->detach();
            reattach_later(*peer, now);
        }
        if (!peer->receiver) continue;
        peer->receiver->failed();
        if (const auto ref = peer->receiver->current()) {
            peer->receiver->closed(ref);
            if (auto* link = links_.live(ref.link)) {
                drop_stream(*link, ref.stream);
                touch(*link);
            }
        }
    }
}

void Engine::storage_reopened(const storage::Loaded& loaded, Instant now) {
    now_ = now;
    journal_.take();  // what was gathered meanwhile counts as failed
    for (const auto slot : durable_peers_) {
        auto* peer = peers_.at(slot);
        if (peer == nullptr) continue;
        if (peer->sender) {
            if (peer->out) {
                if (auto* link = links_.live(peer->out.link)) {
                    drop_stream(*link, peer->out.stream);
                    touch(*link);
                }
                peer->out = {};
                reattach_later(*peer, now);
            }
            peer->sender->detach();
            peer->sender->reopened(loaded.out, now);
            drain_sender(*peer);
        }
        if (peer->receiver) {
            if (const auto ref = peer->receiver->current()) {  // its HELLO came between the failure and now
                peer->receiver->closed(ref);
                if (auto* link = links_.live(ref.link)) {
                    drop_stream(*link, ref.stream);
                    touch(*link);
                }
            }
            peer->receiver->reopened(loaded.in, outputs_.messages);
            drain_receiver(*peer);
        }
        note_idle(*peer);
    }
}

void Engine::fetched_out(storage::LaneKey lane, const std::vector<storage::OutMessage>& messages, Instant now) {
    now_ = now;
    for (const auto slot : durable_peers_) {
        auto* peer = peers_.at(slot);
        if (peer == nullptr || !peer->sender || !peer->sender->owns(lane)) continue;
        peer->sender->fetched(lane, messages, now);
        drain_sender(*peer);
        tell_writers(*peer);
        watch(*peer);
        return;
    }
}

void Engine::fetched_in(storage::LaneKey lane, std::vector<storage::InMessage> messages, Instant now) {
    now_ = now;
    for (const auto slot : durable_peers_) {
        auto* peer = peers_.at(slot);
        if (peer == nullptr || !peer->receiver || !peer->receiver->owns(lane)) continue;
        const auto before = outputs_.messages.messages.size();
        peer->receiver->fetched(lane, messages, outputs_.messages);
        stats_.messages_received += outputs_.messages.messages.size() - before;
        drain_receiver(*peer);
        return;
    }
}

}  // namespace kith::engine
