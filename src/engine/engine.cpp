// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.hpp"

#include <algorithm>

#include "discovery/mdns.hpp"
#include "protocol/identify/identify.hpp"
#include "protocol/perf/perf.hpp"
#include "protocol/ping/ping.hpp"

namespace kith::engine {

Engine::Engine(Config config, const crypto::SigningKey& key, crypto::Secret32 seed, Instant now)
    : config_(std::move(config)),
      random_(std::move(seed)),
      noise_(handshake_identity(key, random_.secret())),
      book_(config_.max_peers_known, config_.max_addresses_per_peer),
      gate_(config_.gate),
      slots_({.limit = config_.max_outbound}),
      now_(now) {
    raw_ = std::make_shared<RawStreams>(outputs_.streams);
    identify_ = std::make_shared<protocol::Identify>(config_.identity_key, config_.agent);
    ping_ = std::make_shared<protocol::Ping>(random_.secret());
    perf_ = std::make_shared<protocol::Perf>();
    raw_tag_ = registry_.add(raw_);
    identify_tag_ = registry_.add(identify_);
    ping_tag_ = registry_.add(ping_);
    perf_tag_ = registry_.add(perf_);
    registry_.serve(protocol::Identify::id, identify_tag_, {.inbound_per_peer = 4});
    registry_.serve(protocol::Identify::push_id, identify_tag_, {.inbound_per_peer = 8});
    registry_.serve(protocol::Ping::id, ping_tag_, {.inbound_per_peer = 4});
    if (config_.serve_perf) registry_.serve(protocol::Perf::id, perf_tag_, {.inbound_per_peer = 4});
    registry_.serve(message_protocol, messages_tag, {.inbound_per_peer = 8});
    refresh_identify(now);
}

Engine::~Engine() = default;

connection::NoiseIdentity Engine::handshake_identity(const crypto::SigningKey& key, crypto::Secret32 secret) {
    return connection::make_identity(key, std::move(secret));
}

void Engine::set_listen_addresses(std::vector<Multiaddr> addresses, std::vector<std::uint16_t> any_v6_ports, Instant now) {
    now_ = now;
    const bool changed = !std::is_permutation(addresses.begin(), addresses.end(), listen_addresses_.begin(), listen_addresses_.end());
    listen_addresses_ = std::move(addresses);
    listen_ports_v6_ = std::move(any_v6_ports);
    refresh_identify(now);
    refresh_lan(now);
    if (changed) network_changed(now);
}

std::optional<Instant> Engine::next_deadline() const {
    auto next = timers_.next();
    for (const auto slot : ack_peers_) {
        const auto* peer = const_cast<PeerTable&>(peers_).at(slot);  // find only
        const auto at = peer->receiver->deadline();
        if (at && (!next || *at < *next)) next = at;
    }
    if (mdns_) {
        const auto at = mdns_->next_deadline();
        if (at && (!next || *at < *next)) next = at;
    }
    return next;
}

void Engine::tick(Instant now) {
    now_ = now;
    sweep();
    // A timer that sets itself again for `now` waits for the next tick, so that no handler can hold the loop.
    for (auto left = timers_.size(); left > 0; --left) {
        const auto key = timers_.pop(now);
        if (!key) break;
        on_timer(*key, now);
    }
    if (mdns_) {
        mdns_->tick(now);
        drain_lan(now);
    }
    // Told once: a link whose socket is full must not make the deadline of its acknowledgement due again and again.
    std::erase_if(ack_peers_, [&](std::uint32_t slot) {
        auto& peer = *peers_.at(slot);
        const auto at = peer.receiver->deadline();
        if (at && *at > now) return false;
        peer.ack_listed = false;
        if (!at) return true;
        const auto ref = peer.receiver->current();
        if (auto* link = links_.live(ref.link)) {
            link->connection->want_write(ref.stream);
            touch(*link);
        }
        return true;
    });
}

void Engine::on_timer(const TimerKey& key, Instant now) {
    auto* link = links_.live(LinkId{key.owner});
    switch (key.kind) {
        case TimerKind::link_setup:
            if (link != nullptr) {
                close(*link,
                      {Errc::timeout,
                       link->state == LinkState::dialing ? "the address did not answer in time" : "the handshake took too long"},
                      now);
            }
            return;
        case TimerKind::link_liveness:
            if (link != nullptr) liveness(*link, now);
            return;
        case TimerKind::link_spare: {
            if (link == nullptr || link->state != LinkState::open) return;
            const auto* peer = peers_.find(link->connection->peer());
            if (peer == nullptr || peer->links.size() < 2 || message_link(*peer) == link->id || peer->unsupported) return;
            // The other side's message stream does not hold it: when the two disagree on the better link, the smaller id decides.
            const bool used = std::any_of(link->streams.begin(), link->streams.end(), [](const auto& stream) {
                return stream.second.tag != messages_tag || stream.second.direction == Direction::outbound;
            });
            if (used) {
                timers_.set(key, now + config_.spare_link_after);
                return;
            }
            if (config_.self < peer->id) {
                link->connection->go_away(0);
                close(*link, {Errc::cancelled, "a better link with the peer is up"}, now);
            }
            return;
        }
        case TimerKind::negotiation: {
            if (link == nullptr) return;
            const StreamId stream{static_cast<std::uint32_t>(key.part)};
            protocol::StreamEnd end;
            end.kind = protocol::StreamEnd::Kind::reset;
            end.error = {Errc::timeout, "the peer did not answer the proposal of a protocol"};
            end_stream(*link, stream, end, now);  // nothing to end when the peer opened it and never proposed
            if (link->state != LinkState::closing) {
                link->connection->reset(stream);
                touch(*link);
            }
            return;
        }
        case TimerKind::dial_next:
            try_next(key.owner, now);
            return;
        case TimerKind::dial_deadline: {
            const auto it = dials_.find(key.owner);
            if (it == dials_.end()) return;
            Error error{Errc::timeout, "the peer could not be reached in time", it->second.report};
            finish_dial(key.owner, error, now);
            return;
        }
        case TimerKind::redial:
            if (auto* peer = peers_.at(static_cast<std::uint32_t>(key.owner))) {
                redial_due(*peer, now);
                note_idle(*peer);
            }
            return;
        case TimerKind::attach:
            if (auto* peer = peers_.at(static_cast<std::uint32_t>(key.owner))) {
                attach(*peer, now);
                note_idle(*peer);
            }
            return;
        case TimerKind::sender:
            if (auto* peer = peers_.at(static_cast<std::uint32_t>(key.owner))) watch_due(*peer, now);
            return;
        case TimerKind::push:
            push_identify(now);
            return;
        case TimerKind::slots:
            review_slots(now);
            return;
        case TimerKind::handler:
            call(key.owner, now, [&](auto& handler, auto& out) { handler.timer(key.part, now, out); });
            return;
    }
}

void Engine::stop(Instant now) {
    now_ = now;
    stopping_ = true;
    std::vector<std::uint64_t> dials;
    for (const auto& [id, dial] : dials_) dials.push_back(id);
    for (const auto id : dials) finish_dial(id, Errc::stopped, now);
    std::vector<LinkId> links;
    for (const auto& [id, link] : links_) links.push_back(id);
    std::sort(links.begin(), links.end());
    for (const auto id : links) {
        auto* link = links_.live(id);
        if (link == nullptr) continue;
        if (link->state == LinkState::open) link->connection->go_away(0);
        close(*link, Errc::stopped, now);
    }
    peers_.for_each([&](PeerState& peer) {
        timers_.clear({TimerKind::redial, peer.slot, 0});
        timers_.clear({TimerKind::attach, peer.slot, 0});
        timers_.clear({TimerKind::sender, peer.slot, 0});
        if (!peer.sender) return;
        peer.sender->abandon(now);
        drain_sender(peer);
    });
    timers_.clear({TimerKind::push, 0, 0});
    timers_.clear({TimerKind::slots, 0, 0});
}

}  // namespace kith::engine
