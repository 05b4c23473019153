// SPDX-License-Identifier: Apache-2.0
// Which dial may go now and when the next one is due: back-off, outgoing slots, the pace, a changed network. docs/connections.md.
//
// A slot belongs to a dial, and after it to the link that it made. It is free again when the last socket of either is gone, so
// that not even for a moment more sockets are open than there are slots.
#include <algorithm>
#include <chrono>

#include "engine/engine.hpp"

namespace kith::engine {
namespace {

constexpr Duration most_on_lan = std::chrono::seconds{30};
constexpr Duration most_elsewhere = std::chrono::minutes{5};
constexpr Duration network_spread = std::chrono::milliseconds{250};  // a changed network: redials go within this, as far as the pace allows
constexpr TimerKey slots_timer{TimerKind::slots, 0, 0};

}  // namespace

bool Engine::has_work(const PeerState& peer) { return peer.sender && peer.sender->has_work(); }

bool Engine::wanted(const PeerId& id) {
    const auto* known = book_.find(id);
    const auto* peer = peers_.find(id);
    return (known != nullptr && (known->keep || (known->on_lan && config_.lan_auto_connect))) || (peer != nullptr && has_work(*peer));
}

// ---- when to dial again

void Engine::redial(PeerState& peer, Instant now) {
    if (!peer.links.empty() || stopping_) return;
    const auto need = has_work(peer) ? peer::Slots::Need::use : peer::Slots::Need::keep;
    if (peer.dial != 0) {
        const auto& running = dials_[peer.dial];
        if (!running.started && need != running.need) want_slot(peer.dial, need, now);
        return;
    }
    if (const auto* known = book_.find(peer.id); known != nullptr && known->backoff.until() > now) {
        timers_.set({TimerKind::redial, peer.slot, 0}, known->backoff.until());
        return;
    }
    dial({}, {peer.id, {}}, need, now);
}

// The timer of a redial: the back-off is over, now the pace.
void Engine::redial_due(PeerState& peer, Instant now) {
    if (!peer.paced && peer.links.empty() && peer.dial == 0) {
        if (const auto wait = pace_.reserve(now); wait > Duration{}) {
            ++stats_.dials_deferred;
            peer.paced = true;
            timers_.set({TimerKind::redial, peer.slot, 0}, now + wait);
            return;
        }
    }
    peer.paced = false;
    redial(peer, now);
}

// A dial failed or the last link is gone. `ours`: we dialled. What our user ended on purpose is no failure of the peer.
void Engine::schedule_redial(PeerState& peer, const Error& why, bool ours, Instant now) {
    if (stopping_ || why.code == Errc::cancelled) return;
    auto* known = book_.find(peer.id);
    if (known == nullptr || known->addresses.empty()) return;
    const bool wanted = this->wanted(peer.id);
    if (!wanted && !ours) return;
    // Counted even if nobody wants the peer now: the next message must not dial at once again and again.
    known->backoff.failed(now, known->on_lan ? most_on_lan : most_elsewhere, random_.u64());
    if (wanted && config_.keep_connected) timers_.set({TimerKind::redial, peer.slot, 0}, known->backoff.until());
}

// A new network may reach who was unreachable in the old one.
void Engine::network_changed(Instant now) {
    peers_.for_each([&](PeerState& peer) {
        const TimerKey key{TimerKind::redial, peer.slot, 0};
        const bool waits = timers_.armed(key);
        if (!waits && peer.dial == 0) return;
        if (auto* known = book_.find(peer.id)) known->backoff.reset();  // also of a dial that will fail yet
        if (!waits) return;
        peer.paced = false;
        timers_.set(key, now + Duration{static_cast<std::int64_t>(random_.u64() % static_cast<std::uint64_t>(network_spread.count()))});
    });
}

// The LAN told of the peer: it is there, so nothing is waited for.
void Engine::heard_on_lan(const PeerId& id, const Multiaddr& address, bool news, Instant now) {
    auto* known = book_.find(id);
    auto* state = peers_.find(id);
    if (known == nullptr || !config_.lan_auto_connect || (state != nullptr && !state->links.empty())) return;
    known->backoff.reset();
    if (state != nullptr && state->dial != 0) {
        dial({}, {id, {address}}, peer::Slots::Need::keep, now);  // joins the one that runs, perhaps against an old address
        return;
    }
    if (!news && (state == nullptr || !timers_.armed({TimerKind::redial, state->slot, 0}))) return;
    // Both sides hear each other at once: the larger id waits a moment, so that usually one link is made and not two.
    auto& peer = peers_.get(id);
    peer.paced = false;
    timers_.set({TimerKind::redial, peer.slot, 0}, config_.self < id ? now : now + dial_stagger);
}

// ---- slots

void Engine::want_slot(std::uint64_t dial, peer::Slots::Need need, Instant now) {
    const bool first = !slots_.waits(dial);
    slots_.want(dial, need);
    if (first || need == peer::Slots::Need::use) dials_[dial].need = need;
    if (first) held_slots_[dial].uses = 1;
    timers_.set(slots_timer, now);
}

// Another socket of the dial, or one less.
void Engine::hold_slot(std::uint64_t dial) {
    if (const auto it = held_slots_.find(dial); it != held_slots_.end()) ++it->second.uses;
}

void Engine::free_slot(std::uint64_t dial, Instant now) {
    const auto it = held_slots_.find(dial);
    if (it == held_slots_.end() || --it->second.uses != 0) return;
    held_slots_.erase(it);
    slots_.drop(dial);
    if (!stopping_ && slots_.waiting() != 0) timers_.set(slots_timer, now);
}

void Engine::review_slots(Instant now) {
    if (stopping_) return;
    while (const auto id = slots_.next(now)) start_dial(*id, now);
    const auto review = slots_.review(now, [this](std::uint64_t dial) { return slot_use(dial); });
    for (const auto id : review.leave) {
        const auto held = held_slots_.find(id);
        auto* link = held == held_slots_.end() ? nullptr : links_.live(held->second.link);
        if (link == nullptr) continue;
        link->given_up = true;
        link->connection->go_away(0);
        close(*link, {Errc::going_away, "its slot was needed"}, now);
    }
    if (review.again && !timers_.armed(slots_timer)) timers_.set(slots_timer, *review.again);
}

peer::Slots::Use Engine::slot_use(std::uint64_t dial) {
    peer::Slots::Use use;
    const auto it = held_slots_.find(dial);
    const auto* link = it == held_slots_.end() ? nullptr : links_.live(it->second.link);
    const auto* peer = link == nullptr || link->state != LinkState::open ? nullptr : peers_.find(link->connection->peer());
    if (peer == nullptr) {
        use.fixed = true;
        return use;
    }
    use.used = link->used_at;
    // Messages survive the link; a stream of the user, a ping or a perf run would be cut.
    use.fixed = std::any_of(link->streams.begin(), link->streams.end(),
                            [this](const auto& stream) { return stream.second.tag != messages_tag && stream.second.tag != identify_tag_; });
    if (peer->links.size() > 1 || (link->carried && !has_work(*peer))) {
        use.state = peer::Slots::State::done;
    } else if (has_work(*peer)) {
        const auto& sender = *peer->sender;
        const bool no_credit = sender.state() == delivery::Sender::State::attached && sender.has_unsent() && !sender.wants_fill();
        use.state = no_credit ? peer::Slots::State::idle : peer::Slots::State::sending;
    }
    use.whole = !has_work(*peer) || peer->sender->acknowledged() != link->acknowledged_before;
    return use;
}

}  // namespace kith::engine
