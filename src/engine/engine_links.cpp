// SPDX-License-Identifier: Apache-2.0
// Links: accepting, handshake, bytes in, records out, liveness, the end.
#include <algorithm>
#include <cstring>

#include "engine/engine.hpp"

namespace kith::engine {
namespace {

constexpr Duration good_link = std::chrono::seconds{10};
constexpr Duration own_pause = std::chrono::seconds{1};            // a timer that is so late was held up by ourselves
constexpr Duration time_to_read = std::chrono::milliseconds{100};  // for what lies in the socket when the time is over
constexpr std::uint8_t most_pardons = 3;

TimerKey timer(TimerKind kind, const Link& link) { return {kind, link.id.value, 0}; }

}  // namespace

connection::Config Engine::connection_config(connection::Role role, const PeerId& expected) const {
    connection::Config out;
    out.role = role;
    out.identity = &noise_;
    if (expected) out.expected = expected;
    out.early_muxer = config_.early_muxer;
    out.mux.max_inbound_streams = static_cast<std::uint32_t>(config_.max_streams_per_link);
    out.mux.max_total_window = config_.max_window_per_link;
    out.mux.max_early_opens = 8;
    return out;
}

LinkId Engine::accepted(const Endpoint& local, const Endpoint& remote, Instant now) {
    now_ = now;
    if (stopping_) return {};
    if (const auto ok = gate_.accepted(remote.ip, now); !ok) return {};
    auto& link = links_.add(LinkId{++last_link_});
    link.direction = Direction::inbound;
    link.gated = true;
    link.local = local;
    link.remote = remote;
    start_handshake(link, connection::Role::responder, {}, now);
    return link.id;
}

void Engine::start_handshake(Link& link, connection::Role role, const PeerId& expected, Instant now) {
    link.state = LinkState::handshaking;
    link.initiator = role == connection::Role::initiator;
    link.received_at = now;
    link.connection = std::make_unique<connection::Connection>(connection_config(role, expected), random_.secret());
    // One deadline for the whole handshake: a byte now and then does not extend it.
    timers_.set(timer(TimerKind::link_setup, link), now + config_.handshake_timeout);
    touch(link);
}

void Engine::link_up(LinkId id, const LinkUp& ends, Instant now) {
    now_ = now;
    auto* link = links_.live(id);
    if (link == nullptr) return;
    link->local = ends.local;
    link->remote = ends.remote;
    const auto dial = dials_.find(link->dial);
    start_handshake(*link, connection::Role::initiator, dial == dials_.end() ? PeerId{} : dial->second.peer, now);
}

void Engine::link_failed(LinkId id, const Error& error, Instant now) {
    now_ = now;
    auto* link = links_.find(id);
    if (link == nullptr) return;
    if (link->state != LinkState::closing) gone(*link, error, now);
    timers_.clear(timer(TimerKind::link_setup, *link));
    const auto slot = link->slot;
    links_.erase(id);
    if (slot != 0) free_slot(slot, now);
}

void Engine::link_closed(LinkId id, const Error& error, Instant now) { link_failed(id, error, now); }

// Tells the driver, once, that a link went from nothing to something to write.
void Engine::touch(Link& link) {
    if (link.write_told || !link.connection || !link.connection->wants_pull()) return;
    link.write_told = true;
    if (!link.carrier) {
        outputs_.wants_write.push_back(link.id);
        return;
    }
    if (auto* below = links_.live(link.carrier.link)) {
        below->connection->want_write(link.carrier.stream);
        touch(*below);
    }
}

// A carried link may end inside a call of its own, so it is kept until the next input.
void Engine::bury(LinkId carried) {
    if (auto link = links_.extract(carried)) buried_.push_back(std::move(link));
}

void Engine::close(Link& link, const Error& why, Instant now) {
    if (link.state == LinkState::closing) return;
    const auto carrier = link.carrier;
    gone(link, why, now);
    if (!carrier) {
        outputs_.close_links.push_back({link.id});
        return;
    }
    if (auto* below = links_.live(carrier.link)) {
        drop_stream(*below, carrier.stream);
        touch(*below);
    }
    bury(link.id);
}

// Everything that stood on the link learns of its end. The link stays as `closing` until its socket is gone.
void Engine::gone(Link& link, const Error& why, Instant now) {
    const bool was_open = link.state == LinkState::open;
    link.state = LinkState::closing;
    if (why.code == Errc::decrypt_failed) ++stats_.decrypt_failures;
    for (const auto kind : {TimerKind::link_setup, TimerKind::link_liveness, TimerKind::link_spare}) timers_.clear(timer(kind, link));
    if (link.gated) {
        gate_.closed(link.remote.ip, was_open, now);
    } else if (!link.carrier) {
        gate_.dial_closed();
    }
    // Streams first: their handlers still see the peer.
    std::vector<std::uint32_t> ids;
    ids.reserve(link.streams.size());
    for (const auto& [id, stream] : link.streams) ids.push_back(id);
    std::sort(ids.begin(), ids.end());
    protocol::StreamEnd end;
    end.kind = protocol::StreamEnd::Kind::lost;
    end.error = why;
    for (const auto id : ids) end_stream(link, StreamId{id}, end, now);
    link.streams.clear();
    link.head = Bytes{};
    link.sealed = Bytes{};
    if (!was_open) {
        ++stats_.links_failed;
        if (link.dial != 0) attempt_failed(link.dial, link.id, why, now);
        return;
    }
    --stats_.links_now;
    for (connection::Tag tag = first_handler; registry_.handler(tag) != nullptr; ++tag) {
        call(tag, now, [&](auto& handler, auto& out) { handler.link_down(info(link), now, out); });
    }
    auto* peer = peers_.find(link.connection->peer());
    if (peer == nullptr) return;
    std::erase(peer->links, link.id);
    if (peer->links.empty()) {
        peer->identified = false;
        // A link that lasted, like an acknowledged message, ends the back-off; that one came up does not, for a peer that
        // closes every link at once would be dialled without end.
        if (auto* known = book_.find(peer->id); known != nullptr && now - link.up_at >= good_link) known->backoff.reset();
        note_idle(*peer);
        event(peer->id, peer, kith::PeerState::disconnected, &link, &why);
        if (link.given_up) {
            if (has_work(*peer)) redial(*peer, now);  // behind all who wait
        } else {
            schedule_redial(*peer, why, link.direction == Direction::outbound, now);
        }
    } else if (peer->sender) {
        attach(*peer, now);
    }
    reachable(peer->id);
}

void Engine::established(Link& link, Instant now) {
    const auto id = link.connection->peer();
    timers_.clear(timer(TimerKind::link_setup, link));
    if (id == config_.self) {
        close(link, {Errc::refused, "this is our own node"}, now);
        return;
    }
    auto& peer = peers_.get(id);
    if (peer.links.size() >= config_.max_links_per_peer) {
        close(link, {Errc::limit_exceeded, "too many links with one peer"}, now);
        return;
    }
    link.state = LinkState::open;
    link.up_at = now;
    link.received_at = now;
    link.used_at = now;
    if (peer.sender) link.acknowledged_before = peer.sender->acknowledged();
    if (const auto slot = held_slots_.find(link.slot); slot != held_slots_.end()) slot->second.link = link.id;
    if (link.gated) gate_.authenticated(link.remote.ip);
    ++stats_.links_opened;
    ++stats_.links_now;
    const bool first = peer.links.empty();
    peer.links.push_back(link.id);
    if (auto* known = book_.get(id, now)) {
        known->pinned = true;
        if (link.direction == Direction::outbound && !link.carrier) {
            book_.add(id, wire::from_tcp(link.remote), peer::Source::link, std::nullopt, now);
        }
    }
    timers_.set(timer(TimerKind::link_liveness, link), now + config_.ping_after_idle);
    link.connection->ping(now, static_cast<std::uint32_t>(random_.u64()));  // the first round trip, for the windows
    timers_.clear({TimerKind::redial, peer.slot, 0});
    timers_.clear({TimerKind::attach, peer.slot, 0});  // a new link is a reason to try at once
    if (first) event(id, &peer, kith::PeerState::connected, &link, nullptr);
    for (connection::Tag tag = first_handler; registry_.handler(tag) != nullptr && link.state == LinkState::open; ++tag) {
        call(tag, now, [&](auto& handler, auto& out) { handler.link_up(info(link), now, out); });
    }
    reachable(id);
    if (link.dial != 0) finish_dial(std::exchange(link.dial, 0), id, now);
    if (slots_.waits(peer.dial)) finish_dial(peer.dial, id, now);  // the peer came by itself
    if (link.state != LinkState::open) return;
    attach(peer, now);
    spare_links(peer, now);
    touch(link);
}

std::size_t Engine::take_head(LinkId id, MutableBytes room) {
    auto* link = links_.find(id);
    if (link == nullptr || link->head.empty()) return 0;
    const auto n = link->head.size();
    std::memcpy(room.data(), link->head.data(), n);
    link->head.clear();
    return n;
}

void Engine::received(LinkId id, MutableBytes bytes, Instant now) {
    now_ = now;
    sweep();
    receive(id, bytes, now);
}

void Engine::receive(LinkId id, MutableBytes bytes, Instant now) {
    auto* link = links_.live(id);
    if (link == nullptr || !link->connection) return;
    stats_.bytes_received += bytes.size();
    link->received_at = now;
    for (;;) {
        auto event = link->connection->next(bytes, now);
        if (link->connection->take_established()) {
            established(*link, now);
            if (link->state == LinkState::closing) return;
        }
        if (event.kind == connection::Event::Kind::need_more) break;
        on_event(*link, event, now);
        link = links_.live(id);
        if (link == nullptr) return;
    }
    if (!bytes.empty()) {
        link->head.assign(bytes.begin(), bytes.end());
    } else if (link->head.capacity() != 0) {
        link->head = Bytes{};  // an idle link owns no buffer; `= {}` would keep it
    }
    touch(*link);
}

void Engine::on_event(Link& link, connection::Event& in, Instant now) {
    using Kind = connection::Event::Kind;
    switch (in.kind) {
        case Kind::opened:  // it does not hold a place for ever without saying what it wants
            timers_.set({TimerKind::negotiation, link.id.value, in.stream.value}, now + config_.negotiation_timeout);
            return;
        case Kind::proposal:
            on_proposal(link, in, now);
            return;
        case Kind::data: {
            if (in.tag == messages_tag) {
                link.connection->consumed(in.stream, in.data.size(), now);  // credit of lanes bounds memory, not this window
                message_bytes(link, in.stream, in.data, now);
                return;
            }
            if (in.tag == carrier_tag) {
                link.connection->consumed(in.stream, in.data.size(), now);
                const auto it = link.streams.find(in.stream.value);
                if (it != link.streams.end()) receive_carried(it->second.carries, in.data, now);
                return;
            }
            std::size_t used = 0;
            call(in.tag, now, [&](auto& handler, auto& out) {
                used = std::min(handler.received({link.id, in.stream}, in.data, now, out), in.data.size());
                if (used != 0) link.connection->consumed(in.stream, used, now);
            });
            if (used == in.data.size() || link.state == LinkState::closing) return;
            // The handler made the rest of the stream a link: what it left of these bytes belongs to that.
            if (const auto it = link.streams.find(in.stream.value); it != link.streams.end() && it->second.tag == carrier_tag) {
                link.connection->consumed(in.stream, in.data.size() - used, now);
                receive_carried(it->second.carries, in.data.subspan(used), now);
            }
            return;
        }
        case Kind::agreed: {
            const auto it = link.streams.find(in.stream.value);
            if (it == link.streams.end()) return;
            timers_.clear({TimerKind::negotiation, link.id.value, in.stream.value});
            if (it->second.told) return;
            it->second.told = true;
            call(it->second.tag, now, [&](auto& handler, auto& out) { handler.opened(info(link, in.stream, it->second), now, out); });
            return;
        }
        case Kind::refused: {
            protocol::StreamEnd end;
            end.kind = protocol::StreamEnd::Kind::refused;
            end.error = std::move(in.error);
            end_stream(link, in.stream, end, now);
            return;
        }
        case Kind::finished: {
            const auto it = link.streams.find(in.stream.value);
            if (it == link.streams.end()) return;
            it->second.remote_fin = true;
            const auto tag = it->second.tag;
            if (registry_.handler(tag) != nullptr) {
                call(tag, now, [&](auto& handler, auto& out) { handler.finished({link.id, in.stream}, now, out); });
                if (link.state != LinkState::closing) both_finished(link, in.stream, now);
            } else {  // a message stream or a carried link: it ends with either half
                const auto stream = in.stream;
                end_stream(link, stream, {}, now);
                if (link.state != LinkState::closing) link.connection->reset(stream);
            }
            return;
        }
        case Kind::reset: {
            protocol::StreamEnd end;
            end.kind = protocol::StreamEnd::Kind::reset;
            end.code = in.code;
            end.error = {Errc::stream_reset};
            end_stream(link, in.stream, end, now);
            return;
        }
        case Kind::pong:
        case Kind::need_more:
            return;
        case Kind::go_away:
            close(link, {Errc::going_away}, now);
            return;
        case Kind::failed:
            close(link, in.error, now);
            return;
    }
}

// A link on a stream: its records may be cut anywhere, so they are gathered with what was saved.
void Engine::receive_carried(LinkId id, ByteView bytes, Instant now) {
    Bytes room;
    if (auto* link = links_.live(id)) room = std::move(link->head);
    room.insert(room.end(), bytes.begin(), bytes.end());
    if (auto* link = links_.live(id)) link->head = Bytes{};
    receive(id, room, now);
}

std::size_t Engine::pull(LinkId id, MutableBytes out, Instant now) {
    now_ = now;
    auto* link = links_.find(id);
    if (link == nullptr || !link->connection) return 0;
    return pull_link(*link, out, now);
}

std::size_t Engine::pull_link(Link& link, MutableBytes out, Instant now) {
    auto& connection = *link.connection;
    std::size_t n = 0;
    if (!connection.is_open() && !connection.failed()) {
        n = connection.pull_setup(out);
        if (connection.take_established()) established(link, now);
    }
    if (connection.is_open() || connection.failed()) {
        while (out.size() - n >= connection::record_room && connection.wants_pull()) {
            connection.begin_record(out.subspan(n));
            const auto stalled = stalled_.size();  // a carried link's records are made inside ours
            while (link.state != LinkState::closing) {
                const auto grant = connection.next_grant();
                if (!grant) break;
                const auto pulled = pull_stream(link, *grant, now);
                // Its next piece does not fit into this record, or into its window: others go first, it joins again behind them.
                const bool waits = pulled.bytes == 0 && !pulled.fin && pulled.more;
                connection.commit(*grant, pulled.bytes, pulled.fin, pulled.more && !waits);
                if (waits) stalled_.push_back(grant->stream);
                if (pulled.fin) {
                    if (const auto it = link.streams.find(grant->stream.value); it != link.streams.end()) {
                        it->second.local_fin = true;
                        both_finished(link, grant->stream, now);
                    }
                }
            }
            for (auto i = stalled; i < stalled_.size(); ++i) connection.want_write(stalled_[i]);
            stalled_.resize(stalled);
            const auto size = connection.end_record();
            if (!size || *size == 0) break;
            ++stats_.records_sent;
            n += *size;
        }
    }
    // The driver stops at 0. What waits then (for a window) is told again after the next input of this link.
    if (n == 0 || !connection.wants_pull()) link.write_told = false;
    stats_.bytes_sent += n;
    return n;
}

protocol::Handler::Pulled Engine::pull_stream(Link& link, const connection::Connection::Grant& grant, Instant now) {
    if (grant.tag == messages_tag) {
        auto* peer = peers_.find(link.connection->peer());
        if (peer == nullptr) return {};
        const StreamRef ref{link.id, grant.stream};
        if (peer->out == ref && peer->sender) {
            const auto filled = peer->sender->fill(grant.room, now);
            if (filled.data) {
                link.used_at = now;
                link.carried = true;
            }
            watch(*peer);
            return {filled.bytes, false, filled.more};
        }
        if (peer->receiver && peer->receiver->current() == ref) {
            const auto filled = peer->receiver->fill(grant.room, now);
            note_ack(*peer);
            return {filled.bytes, false, filled.more};
        }
        return {};
    }
    if (grant.tag == carrier_tag) {
        const auto it = link.streams.find(grant.stream.value);
        auto* above = it == link.streams.end() ? nullptr : links_.live(it->second.carries);
        if (above == nullptr) return {};
        if (auto* handler = registry_.handler(it->second.leaving)) {  // what it still had to say comes before the link
            const auto last = handler->pull({link.id, grant.stream}, grant.room, now);
            if (!last.more) it->second.leaving = 0;
            if (last.more || last.bytes != 0) return {last.bytes, false, last.more || above->write_told};
        }
        // Whole records of the upper link: a grant holds less than one, so they pass through a buffer.
        Bytes& waiting = above->sealed;
        if (waiting.empty()) {
            Bytes room(pull_room);
            room.resize(pull_link(*above, room, now));
            waiting = std::move(room);
        }
        const auto n = std::min(waiting.size(), grant.room.size());
        std::memcpy(grant.room.data(), waiting.data(), n);
        waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(n));
        const bool more = !waiting.empty() || above->write_told;
        return {n, false, more};
    }
    auto* handler = registry_.handler(grant.tag);
    return handler == nullptr ? protocol::Handler::Pulled{} : handler->pull({link.id, grant.stream}, grant.room, now);
}

// Reading comes before judging: our own pause is not the peer's silence. When the time is over, what lies in the socket gets a
// moment to be read. A timer that comes late by more than that was held up by ourselves (the process was stopped, the machine
// slept): the peer may not even have been asked, so it is asked and gets the whole time for its answer. Not without end: a loop
// that is always late must lose its dead links too.
void Engine::liveness(Link& link, Instant now) {
    const auto silent = now - link.received_at;
    const auto again = [&](Duration wait) {
        link.judge_at = now + wait;
        timers_.set(timer(TimerKind::link_liveness, link), link.judge_at);
    };
    if (silent < config_.ping_after_idle) {
        link.pardons = 0;
        again(config_.ping_after_idle - silent);
        return;
    }
    const bool asked = link.pinged_at > link.received_at;
    if (asked) {
        const bool late = now - link.judge_at >= own_pause;
        if (!late && !link.looked_again) {
            link.looked_again = true;
            again(time_to_read);
            return;
        }
        if (!late || ++link.pardons > most_pardons) {
            close(link, {Errc::link_lost, "the peer was silent for too long"}, now);
            return;
        }
    }
    link.pinged_at = now;
    link.looked_again = false;
    link.connection->ping(now, static_cast<std::uint32_t>(random_.u64()));
    link.connection->trim();
    const Duration left = config_.dead_after_silence - (asked ? config_.ping_after_idle : silent);
    again(std::max(left, std::max(time_to_read, config_.dead_after_silence - config_.ping_after_idle)));
    touch(link);
}

}  // namespace kith::engine
