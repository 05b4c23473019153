// SPDX-License-Identifier: Apache-2.0
#include "connection/connection.hpp"

#include <algorithm>
#include <utility>

#include "connection/parts.hpp"

namespace kith::connection {
namespace {

mux::Role mux_role(Role role) { return role == Role::initiator ? mux::Role::client : mux::Role::server; }

}  // namespace

Connection::Connection(const Config& config, crypto::Secret32 ephemeral)
    : config_(config), setup_(std::make_unique<Setup>()), mux_(mux_role(config.role), config.mux) {
    setup_->ephemeral = std::move(ephemeral);
    if (config_.role == Role::initiator) {
        // Lazy: the first Noise message travels with the proposal.
        setup_->negotiation.emplace<handshake::MssDialer>(handshake::noise_protocol, true);
        setup_->start_noise(config_);
    } else {
        setup_->negotiation.emplace<handshake::MssListener>();
    }
}

Connection::~Connection() = default;

Event Connection::fail(Error error) {
    state_ = State::failed;
    setup_.reset();
    Event event;
    event.kind = Event::Kind::failed;
    event.error = std::move(error);
    return event;
}

void Connection::opened() {
    state_ = State::open;
    established_ = true;
    setup_.reset();
}

// The keys are there and the peer is proved.
void Connection::noise_done() {
    auto outcome = setup_->noise->take_outcome();
    session_.emplace(std::move(outcome.session));
    peer_ = outcome.peer;
    remote_key_ = std::move(outcome.remote_key);
    setup_->noise.reset();
    if (!outcome.muxer.empty()) {
        opened();
        return;
    }
    state_ = State::muxer;
    if (config_.role == Role::initiator) {
        setup_->negotiation.emplace<handshake::MssDialer>(yamux_protocol, false);
    } else {
        setup_->negotiation.emplace<handshake::MssListener>();
    }
}

Event Connection::setup_next(MutableBytes& in) {
    while (!in.empty()) {
        if (state_ == State::security) {
            auto used = setup_->negotiate(in, handshake::noise_protocol);
            if (!used) return fail(std::move(used.error()));
            in = in.subspan(*used);
            if (!setup_->agreed()) {
                if (*used == 0) return {};
                continue;
            }
            state_ = State::noise;
            if (!setup_->noise) setup_->start_noise(config_);
            continue;
        }
        if (state_ != State::noise) break;
        auto used = setup_->noise->received(in);
        if (!used) return fail(std::move(used.error()));
        in = in.subspan(*used);
        if (setup_->noise->done()) {
            noise_done();
            break;
        }
        if (*used == 0) {
            if (setup_->noise->wants_pull()) return fail({Errc::protocol_error, "the peer sent data before its turn in the handshake"});
            return {};
        }
    }
    return {};
}

// multistream-select inside the secured link. Leaves what follows it in `plain`.
std::optional<Event> Connection::muxer_next(ByteView& plain) {
    auto used = setup_->negotiate(plain, yamux_protocol);
    if (!used) return fail(std::move(used.error()));
    plain = plain.subspan(*used);
    if (setup_->agreed()) {
        // A listener's echo goes out in front of its first yamux frame; what follows the proposal here is yamux already.
        lead_.resize(256);
        lead_.resize(setup_->pull(lead_));
        opened();
    }
    return std::nullopt;
}

Event Connection::next(MutableBytes& in, Instant now) {
    if (state_ == State::failed) {
        in = in.subspan(in.size());
        return {};
    }
    if (state_ == State::security || state_ == State::noise) {
        auto event = setup_next(in);
        if (event.kind == Event::Kind::failed || state_ == State::security || state_ == State::noise) return event;
    }
    for (;;) {
        if (!negotiating_.empty()) {
            const auto it = streams_.find(negotiating_stream_.value);
            if (it == streams_.end()) {
                mux_.consumed(negotiating_stream_, negotiating_.size(), now);
                negotiating_ = {};
            } else if (auto event = negotiate(negotiating_stream_, it->second, now)) {
                return std::move(*event);
            }
            continue;
        }
        if (!plain_.empty()) {
            if (state_ == State::muxer) {
                if (auto event = muxer_next(plain_)) return std::move(*event);
                continue;
            }
            const auto event = mux_.next(plain_, now);
            if (event.kind == mux::Event::Kind::need_more) continue;
            if (auto out = stream_event(event, now)) return std::move(*out);
            continue;
        }
        if (const auto event = mux_.next(plain_, now); event.kind != mux::Event::Kind::need_more) {  // events that need no input
            if (auto out = stream_event(event, now)) return std::move(*out);
            continue;
        }
        auto record = session_->open(in);
        if (!record) return fail(std::move(record.error()));
        if (!*record) return {};
        plain_ = **record;
    }
}

std::optional<Event> Connection::stream_event(const mux::Event& in, Instant now) {
    Event out;
    out.stream = in.stream;
    const auto it = streams_.find(in.stream.value);
    if (it != streams_.end()) out.tag = it->second.tag;
    switch (in.kind) {
        case mux::Event::Kind::opened: {
            auto& stream = streams_[in.stream.value];
            stream.negotiation = std::make_unique<Negotiation>();
            stream.negotiation->side.emplace<handshake::MssListener>();
            stream.negotiation->inbound = true;
            out.kind = Event::Kind::opened;
            return out;
        }
        case mux::Event::Kind::data:
            if (it == streams_.end()) {
                mux_.consumed(in.stream, in.data.size(), now);
                return std::nullopt;
            }
            if (it->second.negotiation && !it->second.negotiation->heard()) {
                negotiating_ = in.data;
                negotiating_stream_ = in.stream;
                return std::nullopt;
            }
            out.kind = Event::Kind::data;
            out.data = in.data;
            return out;
        case mux::Event::Kind::finished:
            if (it == streams_.end()) return std::nullopt;
            if (it->second.negotiation && !it->second.negotiation->heard()) {  // ended before a protocol was agreed
                const bool inbound = it->second.negotiation->inbound;
                mux_.reset(in.stream);
                streams_.erase(it);
                if (inbound) return std::nullopt;
                out.kind = Event::Kind::refused;
                out.error = {Errc::not_supported, "the peer closed the stream before it agreed on the protocol"};
                return out;
            }
            if (!mux_.exists(in.stream)) streams_.erase(it);  // we had finished before
            out.kind = Event::Kind::finished;
            return out;
        case mux::Event::Kind::reset: {
            if (it == streams_.end()) return std::nullopt;
            const bool unheard = it->second.negotiation && !it->second.negotiation->heard();
            const bool inbound = unheard && it->second.negotiation->inbound;
            streams_.erase(it);
            if (inbound) return std::nullopt;
            out.kind = Event::Kind::reset;
            out.code = in.code;
            return out;
        }
        case mux::Event::Kind::pong:
            out.kind = Event::Kind::pong;
            out.rtt = in.rtt;
            return out;
        case mux::Event::Kind::go_away:
            out.kind = Event::Kind::go_away;
            out.code = in.code;
            return out;
        case mux::Event::Kind::failed:
            out.kind = Event::Kind::failed;
            out.error = in.error;
            return out;
        case mux::Event::Kind::need_more:
        case mux::Event::Kind::writable:
        case mux::Event::Kind::acked:
            break;
    }
    return std::nullopt;
}

// Feeds `negotiating_` to the stream's negotiation; what is left when it ends is application data.
std::optional<Event> Connection::negotiate(StreamId id, Stream& stream, Instant now) {
    Event out;
    out.stream = id;
    out.tag = stream.tag;
    if (!stream.negotiation || stream.negotiation->heard()) {
        out.kind = Event::Kind::data;
        out.data = std::exchange(negotiating_, {});
        return out;
    }
    auto& side = *stream.negotiation;
    auto used = side.received(negotiating_);
    if (!used) {
        const bool inbound = side.inbound;
        mux_.consumed(id, negotiating_.size(), now);
        negotiating_ = {};
        mux_.reset(id);
        streams_.erase(id.value);
        if (inbound) return std::nullopt;
        out.kind = Event::Kind::refused;
        out.error = std::move(used.error());
        return out;
    }
    if (*used != 0) mux_.consumed(id, *used, now);
    negotiating_ = negotiating_.subspan(*used);
    if (side.wants_pull()) mux_.want_write(id);
    if (const auto proposal = side.proposal()) {
        out.kind = Event::Kind::proposal;
        out.protocol = *proposal;
        return out;
    }
    if (!side.heard()) return std::nullopt;
    if (side.inbound) return std::nullopt;
    if (!side.wants_pull()) stream.negotiation.reset();
    if (stream.wants_write) mux_.want_write(id);
    out.kind = Event::Kind::agreed;
    return out;
}

Result<StreamId> Connection::open(std::string_view protocol, bool lazy, Tag tag) {
    if (state_ != State::open) return Error{Errc::not_connected, "the link is not open"};
    auto id = mux_.open();
    if (!id) return id;
    auto& stream = streams_[id->value];
    stream.tag = tag;
    stream.negotiation = std::make_unique<Negotiation>();
    stream.negotiation->side.emplace<handshake::MssDialer>(protocol, lazy);
    mux_.want_write(*id);
    return id;
}

void Connection::accept(StreamId id, Tag tag) {
    const auto it = streams_.find(id.value);
    if (it == streams_.end() || !it->second.negotiation) return;
    it->second.tag = tag;
    it->second.negotiation->accept();
    mux_.want_write(id);
}

void Connection::reject(StreamId id) {
    const auto it = streams_.find(id.value);
    if (it == streams_.end() || !it->second.negotiation) return;
    it->second.negotiation->reject();
    mux_.want_write(id);
}

void Connection::reset(StreamId id, std::uint32_t code) {
    streams_.erase(id.value);
    mux_.reset(id, code);
}

void Connection::want_write(StreamId id) {
    const auto it = streams_.find(id.value);
    if (it == streams_.end()) return;
    it->second.wants_write = true;
    if (it->second.negotiation && !it->second.negotiation->may_write_after()) return;  // joins when the protocol is agreed
    mux_.want_write(id);
}

void Connection::set_tag(StreamId id, Tag tag) {
    if (const auto it = streams_.find(id.value); it != streams_.end()) it->second.tag = tag;
}

bool Connection::wants_pull() const noexcept {
    switch (state_) {
        case State::security:
        case State::noise:
            return setup_->wants_pull();
        case State::muxer:
            return setup_->wants_pull();
        case State::open:
            return !lead_.empty() || mux_.wants_pull();
        case State::failed:
            return session_.has_value() && mux_.wants_pull();  // a GoAway
    }
    return false;
}

std::size_t Connection::pull_setup(MutableBytes out) {
    std::size_t n = 0;
    if (state_ == State::security || state_ == State::noise) {
        n = setup_->pull(out);
        if (setup_->noise && setup_->noise->done()) noise_done();
    }
    if (state_ == State::muxer && setup_->wants_pull() && out.size() - n >= 256) {
        const auto record = out.subspan(n);
        const auto plain = setup_->pull(record.subspan(2, record.size() - record_overhead));
        if (auto sealed = session_->seal(record, plain)) n += *sealed;
    }
    return n;
}

void Connection::begin_record(MutableBytes out) {
    record_ = out.first(std::min(out.size(), record_room));
    used_ = 0;
    if (!lead_.empty()) {
        std::copy(lead_.begin(), lead_.end(), record_.begin() + 2);
        used_ = lead_.size();
        lead_ = Bytes{};
    }
    used_ += mux_.write_control(record_.subspan(2 + used_, record_.size() - record_overhead - used_));
}

std::optional<Connection::Grant> Connection::next_grant() {
    const auto end = record_.size() - record_overhead;
    for (;;) {
        // Room for the frame of a FIN stays free: see commit().
        if (end - used_ < 2 * mux::header_size) return std::nullopt;
        const auto grant = mux_.next_grant(end - used_ - mux::header_size);
        if (!grant) return std::nullopt;
        const auto it = streams_.find(grant->stream.value);
        auto room = record_.subspan(2 + used_ + mux::header_size, grant->max);
        if (it == streams_.end()) {  // cannot be: both tables change together
            mux_.reset(grant->stream);
            continue;
        }
        auto& stream = it->second;
        prefix_ = 0;
        grant_ = *grant;
        if (stream.negotiation) {
            auto& side = *stream.negotiation;
            prefix_ = side.pull(room);
            const bool may_write = side.may_write();
            if (side.heard() && !side.wants_pull()) stream.negotiation.reset();
            if (!stream.wants_write || !may_write) {
                const bool more = stream.negotiation && stream.negotiation->wants_pull();
                used_ += mux_.commit(grant_, prefix_, false, more, record_.subspan(2 + used_, mux::header_size));
                if (more) return std::nullopt;  // the record is full
                continue;
            }
        } else if (!stream.wants_write) {
            used_ += mux_.commit(grant_, 0, false, false, record_.subspan(2 + used_, mux::header_size));
            continue;
        }
        return Grant{grant->stream, stream.tag, room.subspan(prefix_)};
    }
}

void Connection::commit(const Grant& grant, std::size_t n, bool fin, bool more) {
    const auto it = streams_.find(grant.stream.value);
    if (it == streams_.end()) return;
    it->second.wants_write = more && !fin;
    const auto bytes = prefix_ + n;
    const auto header = [&] { return record_.subspan(2 + used_, mux::header_size); };
    // A FIN has a frame of its own: js-libp2p (yamux 8) ends the stream first and then drops the data that came in the frame.
    used_ += mux_.commit(grant_, bytes, fin && bytes == 0, it->second.wants_write, header());
    if (fin && bytes != 0) {
        mux_.want_write(grant.stream, true);
        used_ += mux_.commit({grant.stream, 0}, 0, true, false, header());
    }
    prefix_ = 0;
    if (!mux_.exists(grant.stream)) streams_.erase(grant.stream.value);
}

Result<std::size_t> Connection::end_record() {
    if (used_ == 0) return std::size_t{0};
    auto sealed = session_->seal(record_, std::exchange(used_, 0));
    if (!sealed) state_ = State::failed;
    return sealed;
}

std::size_t Connection::memory() const noexcept {
    return sizeof(*this) + mux_.memory() + remote_key_.capacity() + streams_.size() * (sizeof(Stream) + 48) +
           streams_.bucket_count() * sizeof(void*) + (setup_ ? sizeof(Setup) : 0);
}

void Connection::trim() noexcept {
    if (session_) session_->trim();
}

}  // namespace kith::connection
