// SPDX-License-Identifier: Apache-2.0
// Streams: proposals, the registry, what handlers ask for.
#include <algorithm>
#include <utility>

#include "engine/engine.hpp"
#include "protocol/identify/identify.hpp"
#include "protocol/perf/perf.hpp"
#include "protocol/ping/ping.hpp"

namespace kith::engine {

protocol::StreamInfo Engine::info(const Link& link, StreamId id, const StreamState& stream) const {
    return {.ref = {link.id, id},
            .peer = link.connection->peer(),
            .protocol = stream.protocol,
            .direction = stream.direction,
            .caps = link.caps,
            .cookie = stream.cookie};
}

protocol::LinkInfo Engine::info(const Link& link) const {
    return {.link = link.id,
            .peer = link.connection->peer(),
            .direction = link.direction,
            .caps = link.caps,
            .remote = wire::from_tcp(link.remote),
            .remote_key = link.connection->remote_key()};
}

void Engine::on_proposal(Link& link, const connection::Event& event, Instant now) {
    const auto* entry = registry_.find(event.protocol);
    const auto id = event.stream;
    if (entry == nullptr || link.state != LinkState::open) {
        link.connection->reject(id);
        return;
    }
    const auto tag = entry->tag;
    if (tag != messages_tag) {
        std::size_t same = 0;
        for (const auto& [other, stream] : link.streams) {
            if (stream.tag == tag && stream.direction == Direction::inbound) ++same;
        }
        if (same >= entry->limits.inbound_per_peer) {
            ++stats_.streams_refused;
            link.connection->reset(id);
            return;
        }
    }
    auto& stream = link.streams[id.value];
    stream.tag = tag;
    stream.direction = Direction::inbound;
    stream.protocol = event.protocol;
    stream.told = true;
    link.connection->accept(id, tag);
    timers_.clear({TimerKind::negotiation, link.id.value, id.value});
    ++stats_.streams_now;
    if (tag == messages_tag) {
        message_stream_opened(link, id, now);
        return;
    }
    call(tag, now, [&](auto& handler, auto& out) { handler.opened(info(link, id, stream), now, out); });
}

// Forgets a stream without telling its handler, and resets it on the wire.
void Engine::drop_stream(Link& link, StreamId id) {
    timers_.clear({TimerKind::negotiation, link.id.value, id.value});
    if (link.streams.erase(id.value) != 0) --stats_.streams_now;
    link.connection->reset(id);
}

void Engine::end_stream(Link& link, StreamId id, const protocol::StreamEnd& end, Instant now) {
    const auto it = link.streams.find(id.value);
    if (it == link.streams.end()) return;
    const auto stream = std::move(it->second);
    link.streams.erase(it);
    --stats_.streams_now;
    timers_.clear({TimerKind::negotiation, link.id.value, id.value});
    if (stream.tag == messages_tag) {
        message_stream_ended(link, id, end, now);
        return;
    }
    if (stream.tag == carrier_tag) {
        if (auto* above = links_.find(stream.carries)) {
            if (above->state != LinkState::closing) {
                gone(*above, end.kind == protocol::StreamEnd::Kind::finished ? Error{Errc::link_lost} : end.error, now);
            }
            bury(stream.carries);
        }
        return;
    }
    call(stream.tag, now, [&](auto& handler, auto& out) {
        if (stream.told) {
            handler.closed({link.id, id}, end, now, out);
        } else {
            handler.open_failed(link.connection->peer(), stream.cookie, end.error, now, out);
        }
    });
}

void Engine::both_finished(Link& link, StreamId id, Instant now) {
    const auto it = link.streams.find(id.value);
    if (it == link.streams.end() || !it->second.local_fin || !it->second.remote_fin) return;
    end_stream(link, id, {}, now);
}

void Engine::open_stream(connection::Tag tag, const protocol::OpenStream& open, Instant now) {
    const auto failed = [&](const Error& error) {
        call(tag, now, [&](auto& handler, auto& out) { handler.open_failed(open.peer, open.cookie, error, now, out); });
    };
    auto* peer = peers_.find(open.peer);
    Link* link = open.link ? links_.live(open.link) : nullptr;
    if (!open.link && peer != nullptr && !peer->links.empty()) link = links_.live(peer->links.back());
    if (link == nullptr || link->state != LinkState::open) {
        failed(Errc::not_connected);
        return;
    }
    const auto id = link->connection->open(open.protocol, open.lazy, tag);
    if (!id) {
        failed(id.error());
        return;
    }
    auto& stream = link->streams[id->value];
    stream.tag = tag;
    stream.direction = Direction::outbound;
    stream.cookie = open.cookie;
    stream.protocol = open.protocol;
    stream.told = open.lazy;
    ++stats_.streams_now;
    timers_.set({TimerKind::negotiation, link->id.value, id->value}, now + config_.negotiation_timeout);
    touch(*link);
    if (open.lazy) call(tag, now, [&](auto& handler, auto& out) { handler.opened(info(*link, *id, stream), now, out); });
}

void Engine::adopt(const protocol::AdoptAsLink& request, Instant now) {
    auto* below = links_.live(request.stream.link);
    const auto it = below == nullptr ? decltype(below->streams.end()){} : below->streams.find(request.stream.stream.value);
    if (below == nullptr || it == below->streams.end()) return;
    auto& link = links_.add(LinkId{++last_link_});
    link.direction = request.initiator ? Direction::outbound : Direction::inbound;
    link.carrier = request.stream;
    link.local = below->local;
    link.remote = below->remote;
    link.caps.limited = true;
    it->second.leaving = it->second.tag;
    it->second.tag = carrier_tag;
    it->second.carries = link.id;
    below->connection->set_tag(request.stream.stream, carrier_tag);
    start_handshake(link, request.initiator ? connection::Role::initiator : connection::Role::responder,
                    request.expected.value_or(PeerId{}), now);
}

// Calls a handler and carries out what it asked for, in order. Each call has a list of its own, since an action may cause calls
// of other handlers.
void Engine::call(connection::Tag tag, Instant now, HandlerCall what) {
    auto* handler = registry_.handler(tag);
    if (handler == nullptr) return;
    protocol::Actions actions;
    if (!spare_actions_.empty()) {
        actions = std::move(spare_actions_.back());
        spare_actions_.pop_back();
    }
    what(*handler, actions);
    act(tag, actions, now);
    spare_actions_.push_back(std::move(actions));
}

void Engine::act(connection::Tag tag, protocol::Actions& actions, Instant now) {
    now_ = now;
    for (auto& action : actions) {
        if (auto* open = std::get_if<protocol::OpenStream>(&action)) {
            open_stream(tag, *open, now);
        } else if (auto* want = std::get_if<protocol::WantWrite>(&action)) {
            if (auto* link = links_.live(want->stream.link)) {
                link->connection->want_write(want->stream.stream);
                touch(*link);
            }
        } else if (auto* used = std::get_if<protocol::Consumed>(&action)) {
            if (auto* link = links_.live(used->stream.link)) {
                link->connection->consumed(used->stream.stream, used->bytes, now);
                touch(*link);
            }
        } else if (auto* reset = std::get_if<protocol::ResetStream>(&action)) {
            if (auto* link = links_.live(reset->stream.link)) {
                drop_stream(*link, reset->stream.stream);
                touch(*link);
            }
        } else if (auto* set = std::get_if<protocol::SetTimer>(&action)) {
            timers_.set({TimerKind::handler, tag, set->key}, set->at);
        } else if (auto* clear = std::get_if<protocol::ClearTimer>(&action)) {
            timers_.clear({TimerKind::handler, tag, clear->key});
        } else if (auto* dial = std::get_if<protocol::Dial>(&action)) {
            connect({}, {dial->peer, std::move(dial->addresses)}, now);
        } else if (auto* known = std::get_if<protocol::Identified>(&action)) {
            identified(known->link, known->info, now);
        } else if (auto* leave = std::get_if<protocol::Disconnect>(&action)) {
            if (auto* link = links_.live(leave->link)) close(*link, leave->reason, now);
        } else if (auto* complete = std::get_if<protocol::Complete>(&action)) {
            outputs_.completions.push_back(std::move(*complete));
        } else if (auto* request = std::get_if<protocol::AdoptAsLink>(&action)) {
            adopt(*request, now);
        }
    }
    actions.clear();
}

void Engine::serve(std::string_view protocol, connection::Tag handler, ProtocolLimits limits, Instant now) {
    registry_.serve(protocol, handler, limits);
    refresh_identify(now);
}

void Engine::serve_raw(std::string_view protocol, Instant now) { serve(protocol, raw_tag_, {.inbound_per_peer = 256}, now); }

void Engine::open_raw(OpId op, const PeerId& peer, std::string_view protocol, Instant now) {
    call(raw_tag_, now, [&](auto&, auto& out) { raw_->open(peer, protocol, op, out); });
}
void Engine::write_raw(StreamRef stream, ByteView bytes, Instant now) {
    call(raw_tag_, now, [&](auto&, auto& out) { raw_->write(stream, bytes, out); });
}
void Engine::close_raw(StreamRef stream, Instant now) {
    call(raw_tag_, now, [&](auto&, auto& out) { raw_->close_write(stream, out); });
}
void Engine::reset_raw(StreamRef stream, Instant now) {
    call(raw_tag_, now, [&](auto&, auto& out) { raw_->reset(stream, out); });
}
void Engine::consumed_raw(StreamRef stream, std::size_t bytes, Instant now) {
    call(raw_tag_, now, [&](auto&, auto& out) { raw_->consumed(stream, bytes, out); });
}

void Engine::ping(OpId op, const PeerId& peer, Instant now) {
    call(ping_tag_, now, [&](auto&, auto& out) { ping_->ping(peer, op, now, out); });
}

void Engine::perf(OpId op, const PeerId& peer, std::uint64_t upload, std::uint64_t download, Instant now) {
    call(perf_tag_, now, [&](auto&, auto& out) { perf_->run(peer, upload, download, op, now, out); });
}

}  // namespace kith::engine
