// SPDX-License-Identifier: Apache-2.0
// Dialling: several addresses one after another, joined by peer; dialling again after a loss.
#include <algorithm>
#include <chrono>

#include "engine/engine.hpp"
#include "protocol/perf/perf.hpp"
#include "protocol/ping/ping.hpp"

namespace kith::engine {
namespace {

constexpr Duration longest_dial = std::chrono::seconds{30};  // whatever the configuration says: it may hold a slot
constexpr std::size_t max_addresses_of_a_dial = 32;
constexpr std::size_t max_report = 600;

int rank(const Multiaddr& address) {
    const auto endpoint = wire::tcp_endpoint(address);
    if (!endpoint) return 3;
    if (endpoint->ip.is_loopback()) return 0;
    return endpoint->ip.is_private() ? 1 : 2;
}

}  // namespace

void Engine::connect(OpId op, const ConnectTarget& target, Instant now) { dial(op, target, peer::Slots::Need::use, now); }

void Engine::dial(OpId op, const ConnectTarget& target, peer::Slots::Need need, Instant now) {
    now_ = now;
    const auto fail = [&](Error error) {
        if (op) outputs_.completions.push_back({op, std::move(error)});
    };
    if (stopping_) return fail(Errc::stopped);
    if (target.peer == config_.self) return fail({Errc::invalid_argument, "that is this node's own id"});
    auto* state = target.peer ? peers_.find(target.peer) : nullptr;
    if (state != nullptr && !state->links.empty()) {
        if (op) outputs_.completions.push_back({op, target.peer});
        return;
    }
    std::vector<Multiaddr> addresses = target.addresses;
    if (target.peer) {
        if (const auto* known = book_.find(target.peer)) {
            for (const auto& entry : known->addresses) {
                if (std::find(addresses.begin(), addresses.end(), entry.address) == addresses.end()) addresses.push_back(entry.address);
            }
        }
    }
    for (auto& address : addresses) address = address.without_peer();
    std::stable_sort(addresses.begin(), addresses.end(), [](const auto& a, const auto& b) { return rank(a) < rank(b); });
    if (addresses.size() > max_addresses_of_a_dial) addresses.resize(max_addresses_of_a_dial);
    if (addresses.empty()) return fail(Errc::unknown_peer);

    if (state != nullptr && state->dial != 0) {  // join the dial that runs
        auto& running = dials_[state->dial];
        if (op) running.waiters.push_back(op);
        const auto tried = [&](const Multiaddr& address) {
            return std::find(running.waiting.begin(), running.waiting.end(), address) != running.waiting.end() ||
                   std::any_of(running.attempts.begin(), running.attempts.end(), [&](LinkId attempt) {
                       const auto* link = links_.find(attempt);
                       return link != nullptr && wire::from_tcp(link->remote) == address;
                   });
        };
        for (const auto& address : addresses) {
            if (running.waiting.size() < max_addresses_of_a_dial && !tried(address)) running.waiting.push_back(address);
        }
        if (!running.started) {
            want_slot(state->dial, need, now);
        } else if (const TimerKey next{TimerKind::dial_next, state->dial, 0}; !running.waiting.empty() && !timers_.armed(next)) {
            timers_.set(next, now);  // all that were known are being tried
        }
        return;
    }
    const auto id = ++last_dial_;
    auto& dial = dials_[id];
    dial.peer = target.peer;
    dial.waiting.assign(addresses.begin(), addresses.end());
    if (op) dial.waiters.push_back(op);
    if (target.peer) {
        auto& peer = peers_.get(target.peer);
        peer.dial = id;
        peer.paced = false;
        timers_.clear({TimerKind::redial, peer.slot, 0});
    }
    if (slots_.limited()) {
        want_slot(id, need, now);
    } else {
        start_dial(id, now);
    }
}

void Engine::start_dial(std::uint64_t id, Instant now) {
    auto& dial = dials_[id];
    dial.started = true;
    if (dial.peer) event(dial.peer, peers_.find(dial.peer), kith::PeerState::connecting, nullptr, nullptr);
    timers_.set({TimerKind::dial_deadline, id, 0}, now + std::min(config_.dial_timeout, longest_dial));
    try_next(id, now);
}

// Starts the next address; ends the dial when none is left and nothing runs.
void Engine::try_next(std::uint64_t id, Instant now) {
    for (;;) {
        const auto it = dials_.find(id);
        if (it == dials_.end()) return;
        auto& dial = it->second;
        if (dial.waiting.empty()) {
            if (dial.attempts.empty() && dial.queries.empty()) {
                auto error = dial.last;
                if (!dial.report.empty() && error.code != Errc::wrong_peer) {
                    error = {Errc::dial_failed, {}, dial.report};
                }
                finish_dial(id, error, now);
            }
            return;
        }
        const auto address = dial.waiting.front();
        dial.waiting.pop_front();
        if (const auto name = wire::dns_tcp(address)) {
            const auto query = ++last_query_;
            queries_[query] = {id, name->port};
            dial.queries.push_back(query);
            outputs_.resolve.push_back({query, *name});
            continue;
        }
        const auto endpoint = wire::tcp_endpoint(address);
        if (!endpoint) {
            dial.last = {Errc::unsupported_address, {}, address.text()};
            dial.report += (dial.report.empty() ? "" : "; ") + address.text() + ": not a TCP address";
            continue;
        }
        if (const auto ok = gate_.dialled(); !ok) {
            dial.last = ok.error();
            dial.report += (dial.report.empty() ? "" : "; ") + ok.error().message();
            continue;
        }
        auto& link = links_.add(LinkId{++last_link_});
        link.dial = id;
        if (slots_.limited()) {
            link.slot = id;
            hold_slot(id);
        }
        link.remote = *endpoint;
        dial.attempts.push_back(link.id);
        timers_.set({TimerKind::link_setup, link.id.value, 0}, now + config_.dial_timeout);
        outputs_.open_links.push_back({link.id, *endpoint});
        if (!dial.waiting.empty()) timers_.set({TimerKind::dial_next, id, 0}, now + dial_stagger);
        return;
    }
}

void Engine::attempt_failed(std::uint64_t id, LinkId link, const Error& error, Instant now) {
    const auto it = dials_.find(id);
    if (it == dials_.end()) return;
    auto& dial = it->second;
    std::erase(dial.attempts, link);
    // "Another peer lives there" is the more telling of two failures.
    if (dial.last.code != Errc::wrong_peer) dial.last = error;
    if (const auto* failed = links_.find(link); failed != nullptr && dial.report.size() < max_report) {
        dial.report += (dial.report.empty() ? "" : "; ") + wire::from_tcp(failed->remote).text() + ": " + error.message();
    }
    try_next(id, now);
}

void Engine::finish_dial(std::uint64_t id, const Result<PeerId>& result, Instant now) {
    const auto it = dials_.find(id);
    if (it == dials_.end()) return;
    auto dial = std::move(it->second);
    dials_.erase(it);
    timers_.clear({TimerKind::dial_next, id, 0});
    timers_.clear({TimerKind::dial_deadline, id, 0});
    for (const auto query : dial.queries) queries_.erase(query);
    for (const auto attempt : dial.attempts) {
        auto* link = links_.live(attempt);
        if (link == nullptr || link->state == LinkState::open) continue;
        link->dial = 0;
        close(*link, Errc::cancelled, now);
    }
    free_slot(id, now);
    const auto target = dial.peer ? dial.peer : (result ? *result : PeerId{});
    if (auto* peer = target ? peers_.find(target) : nullptr) {
        if (peer->dial == id) peer->dial = 0;
        note_idle(*peer);
        if (!result && peer->links.empty()) {
            const auto& error = result.error();
            if (dial.started) event(peer->id, peer, kith::PeerState::disconnected, nullptr, &error);
            schedule_redial(*peer, error, true, now);
        }
    }
    if (result && !dial.waiters.empty()) {
        if (auto* known = book_.get(*result, now)) known->keep = true;
        review_durable(*result);
    }
    for (const auto op : dial.waiters) {
        if (result) {
            outputs_.completions.push_back({op, *result});
        } else {
            outputs_.completions.push_back({op, result.error()});
        }
    }
    if (target) reachable(target);
}

void Engine::resolved(std::uint64_t query, std::span<const IpAddress> addresses, const Error* error, Instant now) {
    now_ = now;
    const auto found = queries_.find(query);
    if (found == queries_.end()) return;
    const auto [id, port] = found->second;
    queries_.erase(found);
    const auto it = dials_.find(id);
    if (it == dials_.end()) return;
    auto& dial = it->second;
    std::erase(dial.queries, query);
    if (error != nullptr) {
        dial.last = *error;
        dial.report += (dial.report.empty() ? "" : "; ") + error->message();
    }
    for (const auto& ip : addresses) {
        if (dial.waiting.size() >= max_addresses_of_a_dial) break;
        dial.waiting.push_back(wire::from_tcp({ip, port}));
    }
    try_next(id, now);
}

void Engine::cancel(OpId op, const Error& why, Instant now) {
    now_ = now;
    for (auto& [id, dial] : dials_) {
        const auto it = std::find(dial.waiters.begin(), dial.waiters.end(), op);
        if (it == dial.waiters.end()) continue;
        dial.waiters.erase(it);
        outputs_.completions.push_back({op, why});
        if (!dial.waiters.empty()) return;
        // Others than its callers may want the link: messages that wait, or that the peer is to be kept.
        if (config_.keep_connected && dial.peer && wanted(dial.peer)) return;
        finish_dial(id, Errc::cancelled, now);  // whatever the caller's reason, the peer did not fail
        return;
    }
    // Of the other protocols: what was begun for this operation alone ends.
    call(ping_tag_, now, [&](auto&, auto& out) { ping_->cancel(op, out); });
    call(perf_tag_, now, [&](auto&, auto& out) { perf_->cancel(op, out); });
    raw_->cancel(op);
}

void Engine::disconnect(const PeerId& id, Instant now) {
    now_ = now;
    if (auto* known = book_.find(id)) known->keep = false;
    auto* peer = peers_.find(id);
    if (peer == nullptr) return;
    if (peer->dial != 0) finish_dial(peer->dial, Errc::cancelled, now);
    const auto links = peer->links;
    for (const auto link : links) {
        if (auto* open = links_.live(link)) {
            open->connection->go_away(0);
            close(*open, {Errc::cancelled, "disconnected by this node"}, now);
        }
    }
    timers_.clear({TimerKind::redial, peer->slot, 0});  // until the user, a message or a fresh announcement asks again
    timers_.clear({TimerKind::attach, peer->slot, 0});
    note_idle(*peer);
}

void Engine::add_address(const PeerId& id, const Multiaddr& address, peer::Source source, std::optional<Instant> expires, Instant now) {
    now_ = now;
    if (id == config_.self) return;
    const bool fresh = book_.add(id, address, source, expires, now);
    auto* known = book_.find(id);
    if (known == nullptr) return;
    if (source == peer::Source::lan) {
        const bool appeared = !known->on_lan;
        known->on_lan = true;
        auto* state = peers_.find(id);
        if (appeared) event(id, state, kith::PeerState::found, nullptr, nullptr);
        heard_on_lan(id, address.without_peer(), appeared || fresh, now);
    }
    if (fresh) reachable(id);
    if (source == peer::Source::user) review_durable(id);
}

void Engine::lan_lost(const PeerId& id, Instant now) {
    now_ = now;
    book_.expire_lan(id);
    auto* state = peers_.find(id);
    if (state == nullptr || state->links.empty()) event(id, state, kith::PeerState::lost, nullptr, nullptr);
    reachable(id);
}

}  // namespace kith::engine
