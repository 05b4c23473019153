// SPDX-License-Identifier: Apache-2.0
// What is told and shown of peers: events, identify, snapshots.
#include <algorithm>

#include "engine/engine.hpp"
#include "protocol/identify/identify.hpp"
#include "protocol/perf/perf.hpp"
#include "protocol/ping/ping.hpp"

namespace kith::engine {
namespace {

constexpr std::string_view agent_prefix = "kith/";
constexpr Duration push_spacing = std::chrono::seconds{1};

// A kith peer's agent is "kith/<version> <name>".
std::string name_of(std::string_view agent) {
    if (!agent.starts_with(agent_prefix)) return {};
    const auto space = agent.find(' ');
    return space == std::string_view::npos ? std::string{} : std::string{agent.substr(space + 1)};
}

}  // namespace

void Engine::event(const PeerId& id, PeerState* state, kith::PeerState what, const Link* link, const Error* error) {
    PeerEvent out;
    out.peer = id;
    out.state = what;
    if (link != nullptr) {
        out.path = link->path();
        out.address = wire::from_tcp(link->remote);
        out.direction = link->direction;
    }
    if (error != nullptr) out.error = *error;
    outputs_.events.push_back(std::move(out));
    (void)state;
}

void Engine::reachable(const PeerId& id) {
    const auto* known = book_.find(id);
    const auto* state = peers_.find(id);
    Reachability out;
    out.peer = id;
    out.known = (known != nullptr && !known->addresses.empty()) || (state != nullptr && (!state->links.empty() || state->dial != 0));
    out.connected = state != nullptr && !state->links.empty();
    out.unsupported = state != nullptr && state->unsupported;
    outputs_.reachability.push_back(std::move(out));
}

void Engine::identified(LinkId id, const wire::Identify& info, Instant now) {
    auto* link = links_.live(id);
    if (link == nullptr || link->state != LinkState::open) return;
    const auto peer_id = link->connection->peer();
    auto* known = book_.get(peer_id, now);
    if (known == nullptr) return;
    known->identified = true;
    // A push may hold only what changed (identify/README.md): what is absent stays as it was.
    bool news = false;
    if (!info.protocols.empty() && known->protocols != info.protocols) {
        known->protocols = info.protocols;
        news = true;
    }
    if (!info.agent_version.empty() && known->agent != info.agent_version) {
        known->agent = info.agent_version;
        news = true;
    }
    if (info.observed) known->observed = info.observed;
    const bool remote_is_near = link->remote.ip.is_private();
    for (const auto& address : info.listen_addrs) {
        if (const auto peer = address.peer(); peer && *peer != peer_id) continue;
        const auto endpoint = wire::tcp_endpoint(address);
        // A peer out there cannot know what our own network looks like.
        if (endpoint && endpoint->ip.is_private() && !remote_is_near) continue;
        if (endpoint && endpoint->ip.is_loopback() && !link->remote.ip.is_loopback()) continue;
        if (endpoint && endpoint->ip.is_unspecified()) continue;
        if (book_.add(peer_id, address, peer::Source::identify, std::nullopt, now)) news = true;
    }
    auto& state = peers_.get(peer_id);
    const bool speaks = std::find(info.protocols.begin(), info.protocols.end(), message_protocol) != info.protocols.end();
    if (speaks && state.unsupported) {
        state.unsupported = false;
        reachable(peer_id);
    } else if (!speaks && !info.protocols.empty() && !state.unsupported) {
        unsupported(state, now);
    }
    if (!state.identified || news) {
        state.identified = true;
        event(peer_id, &state, kith::PeerState::identified, link, nullptr);
    }
}

void Engine::refresh_identify(Instant now) {
    if (!identify_) return;
    if (!identify_->set(listen_addresses_, registry_.advertised()) || links_.size() == 0) return;
    // Peers listen to few pushes: several changes within a second are told at once.
    if (!pushed_at_ || now - *pushed_at_ >= push_spacing) {
        push_identify(now);
    } else {
        timers_.set({TimerKind::push, 0, 0}, *pushed_at_ + push_spacing);
    }
}

void Engine::push_identify(Instant now) {
    pushed_at_ = now;
    call(identify_tag_, now, [&](auto&, auto& out) { identify_->push(out); });
}

// ---- peers that are not needed any more

void Engine::note_idle(PeerState& peer) {
    if (peer.idle_listed) return;
    peer.idle_listed = true;
    idle_peers_.push_back(peer.slot);
}

bool Engine::is_idle(const PeerState& peer) const {
    return peer.links.empty() && peer.dial == 0 && !timers_.armed({TimerKind::redial, peer.slot, 0}) &&
           !timers_.armed({TimerKind::attach, peer.slot, 0}) && (!peer.sender || !peer.sender->has_work());
}

void Engine::forget(PeerState& peer) {
    if (peer.rested != 0) --resting_count_;
    if (peer.sender) {
        stats_.messages_sent += peer.sender->sent();
        stats_.messages_delivered += peer.sender->acknowledged();
    }
    if (peer.receiver) {
        stats_.resyncs += peer.receiver->resyncs();
        stats_.hellos_refused += peer.receiver->hellos_refused();
    }
    timers_.clear({TimerKind::sender, peer.slot, 0});
    std::erase(ack_peers_, peer.slot);
    peers_.erase(peer.slot);
}

// Frees what strangers left behind. Between inputs only: while one is worked on, references to peers and links are in use.
void Engine::sweep() {
    buried_.clear();
    for (const auto slot : idle_peers_) {
        auto* peer = peers_.at(slot);
        if (peer == nullptr || !peer->idle_listed) continue;
        peer->idle_listed = false;
        if (!is_idle(*peer)) continue;
        note_partials(*peer);
        if (auto* known = book_.find(peer->id)) known->pinned = false;
        if (peer->sender && peer->sender->lanes() != 0) continue;       // handles of its lanes are out
        if (peer->receiver && peer->receiver->has_durable()) continue;  // the disk knows it
        if (!peer->receiver || peer->receiver->rows() == 0) {
            forget(*peer);
            continue;
        }
        if (peer->rested == 0) ++resting_count_;
        peer->rested = ++rest_counter_;
        resting_.push_back({slot, peer->rested});
    }
    idle_peers_.clear();
    const auto stale = [&](const Resting& entry) {
        const auto* peer = peers_.at(entry.slot);
        return peer == nullptr || peer->rested != entry.rested;
    };
    while (!resting_.empty() && (stale(resting_.front()) || resting_count_ > config_.max_peers_remembered)) {
        auto* peer = stale(resting_.front()) ? nullptr : peers_.at(resting_.front().slot);
        resting_.pop_front();
        if (peer == nullptr) continue;
        if (is_idle(*peer)) {
            forget(*peer);
        } else {  // it came back
            peer->rested = 0;
            --resting_count_;
        }
    }
    if (resting_.size() > 2 * config_.max_peers_remembered + 64) std::erase_if(resting_, stale);
}

PeerInfo Engine::describe(const PeerId& id, const peer::Known* known, const PeerState* state) const {
    PeerInfo out;
    out.peer = id;
    out.state = kith::PeerState::found;
    if (known != nullptr) {
        for (const auto& entry : known->addresses) out.addresses.push_back(entry.address);
        out.protocols = known->protocols;
        out.agent = known->agent;
        out.name = name_of(known->agent);
        out.observed = known->observed;
        out.on_lan = known->on_lan;
    }
    if (state == nullptr) return out;
    out.links = state->links.size();
    if (const auto dial = dials_.find(state->dial); dial != dials_.end() && dial->second.started) out.state = kith::PeerState::connecting;
    if (!state->links.empty()) {
        out.state = state->identified ? kith::PeerState::identified : kith::PeerState::connected;
        if (auto* link = const_cast<LinkTable&>(links_).live(state->links.back())) {  // find only
            out.path = link->path();
            out.rtt = link->connection->rtt();
        }
    }
    return out;
}

std::vector<PeerInfo> Engine::peers() const {
    std::vector<PeerInfo> out;
    auto& table = const_cast<PeerTable&>(peers_);  // find only
    for (const auto& [id, known] : book_.all()) out.push_back(describe(id, &known, table.find(id)));
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.peer < b.peer; });
    return out;
}

std::optional<PeerInfo> Engine::peer(const PeerId& id) const {
    const auto* known = book_.find(id);
    const auto* state = const_cast<PeerTable&>(peers_).find(id);  // find only
    if (known == nullptr && state == nullptr) return std::nullopt;
    return describe(id, known, state);
}

Stats Engine::stats() const {
    Stats out = stats_;
    out.links_refused = gate_.refused();
    auto& table = const_cast<PeerTable&>(peers_);  // iteration only
    table.for_each([&](const PeerState& peer) {
        if (peer.sender) {
            out.messages_sent += peer.sender->sent();
            out.messages_delivered += peer.sender->acknowledged();
        }
        if (!peer.receiver) return;
        out.resyncs += peer.receiver->resyncs();
        out.hellos_refused += peer.receiver->hellos_refused();
    });
    out.slots_given_up = slots_.given_up();
    out.dials_deferred += slots_.deferred();
    return out;
}

Load Engine::load() const {
    Load out;
    auto& links = const_cast<LinkTable&>(links_);  // iteration only
    out.links = links_.size();
    for (const auto& [id, link] : links) {
        if (link->direction == Direction::outbound && !link->carrier) ++out.dialled;
        out.streams += link->streams.size();
        if (link->connection) out.connection_streams += link->connection->streams();
    }
    out.timers = timers_.size();
    out.peers = peers_.size();
    out.peer_slots = peers_.slots();
    out.dials_waiting =
        static_cast<std::size_t>(std::count_if(dials_.begin(), dials_.end(), [](const auto& dial) { return !dial.second.started; }));
    out.dials = dials_.size() - out.dials_waiting;
    out.queries = queries_.size();
    out.known = book_.size();
    const_cast<PeerTable&>(peers_).for_each([&](const PeerState& peer) {
        if (peer.sender) {
            out.unacknowledged += peer.sender->queued();
            out.sender_bytes += peer.sender->memory();
        }
        if (peer.receiver) out.receiver_bytes += peer.receiver->memory();
    });
    out.handler_streams = identify_->streams() + ping_->streams() + perf_->streams() + raw_->size();
    return out;
}

}  // namespace kith::engine
