// SPDX-License-Identifier: Apache-2.0
// The receiving half: header, then what the frame says about its stream (pending events), then its payload, then its FIN.
#include <algorithm>
#include <cstring>

#include "mux/session.hpp"

namespace kith::mux {
namespace {

using Kind = Event::Kind;

// Bits of Session::pending_, given in this order.
constexpr std::uint8_t pending_opened = 1;
constexpr std::uint8_t pending_acked = 2;
constexpr std::uint8_t pending_writable = 4;

constexpr bool is(const Header& header, FrameType type) noexcept { return header.type == static_cast<std::uint8_t>(type); }

}  // namespace

Event Session::next(ByteView& plain, Instant now) {
    Event event;
    for (;;) {
        if (failed()) {
            plain = plain.last(0);
            if (life_ == Life::failing) {
                life_ = Life::failed;
                event.kind = Kind::failed;
                event.error = Error{Errc::protocol_error, failure_};
            }
            return event;
        }
        if (pending_ != 0 && next_pending(event)) return event;
        if (payload_left_ != 0) {
            if (plain.empty()) return event;
            const std::size_t n = std::min<std::size_t>(payload_left_, plain.size());
            const ByteView piece = plain.first(n);
            plain = plain.subspan(n);
            payload_left_ -= static_cast<std::uint32_t>(n);
            if (!current_) continue;
            event.kind = Kind::data;
            event.stream = current_;
            event.data = piece;
            return event;
        }
        if (finish_) {
            finish_ = false;
            Stream& stream = *streams_.find(current_);
            event.kind = Kind::finished;
            event.stream = current_;
            if (stream.closing == Closing::local_finished) {
                remove(stream);
            } else {
                stream.closing = Closing::remote_finished;
                stream.window_due = false;
                settle(stream);
            }
            return event;
        }
        Header header;
        if (!take_header(plain, header)) return event;
        if (on_frame(header, now, event)) return event;
    }
}

bool Session::take_header(ByteView& plain, Header& header) noexcept {
    if (head_size_ == 0 && plain.size() >= header_size) {
        header = decode_header(plain.data());
        plain = plain.subspan(header_size);
        return true;
    }
    const std::size_t n = std::min(header_size - head_size_, plain.size());
    if (n != 0) std::memcpy(head_.data() + head_size_, plain.data(), n);
    plain = plain.subspan(n);
    head_size_ = static_cast<std::uint8_t>(head_size_ + n);
    if (head_size_ < header_size) return false;
    head_size_ = 0;
    header = decode_header(head_.data());
    return true;
}

bool Session::next_pending(Event& event) {
    const auto take = [&](std::uint8_t bit, Kind kind) {
        if ((pending_ & bit) == 0) return false;
        pending_ = static_cast<std::uint8_t>(pending_ & ~bit);
        event.kind = kind;
        event.stream = current_;
        return true;
    };
    return take(pending_opened, Kind::opened) || take(pending_acked, Kind::acked) || take(pending_writable, Kind::writable);
}

bool Session::on_frame(const Header& header, Instant now, Event& event) {
    if (header.version != protocol_version) return fail(event, {}, "yamux: unknown version");
    switch (header.type) {
        case static_cast<std::uint8_t>(FrameType::data):
        case static_cast<std::uint8_t>(FrameType::window_update):
            return on_stream_frame(header, now, event);
        case static_cast<std::uint8_t>(FrameType::ping):
            return on_ping(header, now, event);
        case static_cast<std::uint8_t>(FrameType::go_away):
            return on_go_away(header, event);
        default:
            return fail(event, {}, "yamux: unknown frame type");
    }
}

bool Session::on_stream_frame(const Header& header, Instant now, Event& event) {
    const StreamId id{header.stream};
    if (!id) return fail(event, id, "yamux: stream frame on id 0");
    // An ACK alone is no sign: js-libp2p sends it before anybody is there to take the stream.
    const bool speaks = header.has(flag::syn | flag::fin | flag::rst) || (is(header, FrameType::data) && header.length != 0);
    if (!answered_ && speaks) answered();
    if (header.has(flag::syn)) {
        if (on_syn(header, event)) return true;
    }
    Stream* stream = streams_.find(id);
    // A stream whose SYN has not left us cannot be meant by the peer: it guesses ids.
    if (stream == nullptr || stream->opening == Opening::syn_due || stream->opening == Opening::held) {
        // Late frames of a stream that one side has reset, and data of a refused one. No window ever given is larger than this.
        if (is(header, FrameType::data) && header.length > config_.max_window)
            return fail(event, id, "yamux: frame larger than any window");
        ++counters_.frames_ignored;
        skip_payload(header);
        return false;
    }
    if (header.has(flag::rst)) {
        event.kind = Kind::reset;
        event.stream = id;
        event.code = is(header, FrameType::window_update) ? header.length : 0;
        remove(*stream);
        skip_payload(header);
        return true;
    }
    current_ = id;
    if (stream->opening == Opening::awaiting_ack) {
        // Any frame back proves that the peer has the stream, with the ACK flag or without.
        stream->opening = Opening::done;
        --unacked_;
        pending_ |= pending_acked;
    }
    if (is(header, FrameType::window_update)) {
        // CVE-2026-31814: the sum of deltas must not wrap.
        if (header.length > 0xFFFFFFFFU - stream->send_window) return fail(event, id, "yamux: window larger than 32 bits");
        stream->send_window += header.length;
        if (stream->turn == Turn::blocked && stream->send_window != 0) {
            join(*stream);
            pending_ |= pending_writable;
        }
    } else {
        if (header.length != 0 && stream->closing == Closing::remote_finished) return fail(event, id, "yamux: data after FIN");
        // The window of a new stream is the initial one, so a first frame above it ends here as well (CVE-2026-32314).
        if (!stream->receive.receive(header.length, now)) return fail(event, id, "yamux: more data than the window allows");
        payload_left_ = header.length;
    }
    finish_ = header.has(flag::fin) && stream->closing != Closing::remote_finished;
    return false;
}

// True: the event ends the frame. False: the stream exists now, or was refused and is unknown.
bool Session::on_syn(const Header& header, Event& event) {
    const StreamId id{header.stream};
    if (streams_.find(id) != nullptr) return fail(event, id, "yamux: stream opened twice");
    if (ours(id)) return fail(event, id, "yamux: stream id of the wrong parity");
    if (is(header, FrameType::data) && header.length > config_.initial_window) {
        return fail(event, id, "yamux: first frame larger than the initial window");
    }
    if (header.has(flag::rst)) return false;
    if (inbound_ >= config_.max_inbound_streams || go_away_ != GoAway::none) {
        ++counters_.streams_refused;
        if (!queue_reset(id, 0)) return fail(event, id, "yamux: too many resets wait: the peer opens streams and does not read");
        return false;
    }
    owe(add(id, Opening::ack_due));
    pending_ = pending_opened;
    return false;
}

bool Session::on_ping(const Header& header, Instant now, Event& event) {
    if (header.has(flag::ack)) {
        // go-yamux ignores a pong nobody asked for, rust and js end the session; a late one is no reason to lose the link.
        if (ping_ != Ping::in_flight || header.length != ping_opaque_) {
            ++counters_.frames_ignored;
            return false;
        }
        ping_ = Ping::idle;
        event.kind = Kind::pong;
        event.rtt = now.steady - ping_began_;
        rtt_ = rtt_ ? *rtt_ / 2 + event.rtt / 2 : event.rtt;
        return true;
    }
    if (!header.has(flag::syn)) {
        ++counters_.frames_ignored;
    } else if (pongs_.size() >= config_.max_pending_pongs) {
        ++counters_.pings_dropped;
    } else {
        pongs_.push_back(header.length);
    }
    return false;
}

bool Session::on_go_away(const Header& header, Event& event) {
    if (peer_gone_) {
        ++counters_.frames_ignored;
        return false;
    }
    peer_gone_ = true;
    event.kind = Kind::go_away;
    event.code = header.length;
    return true;
}

bool Session::fail(Event& event, StreamId stream, std::string_view what) {
    collapse(what);
    life_ = Life::failed;
    event.kind = Kind::failed;
    event.stream = stream;
    event.error = Error{Errc::protocol_error, what};
    return true;
}

void Session::skip_payload(const Header& header) noexcept {
    current_ = {};
    payload_left_ = is(header, FrameType::data) ? header.length : 0;
}

void Session::consumed(StreamId id, std::size_t n, Instant now) {
    Stream* stream = streams_.find(id);
    if (stream == nullptr || stream->opening == Opening::held) return;
    stream->receive.consume(n);
    if (stream->window_due || stream->closing == Closing::remote_finished || !stream->receive.update_due()) return;
    const std::uint64_t budget = config_.max_total_window - std::min(config_.max_total_window, total_window_);
    total_window_ += stream->receive.tune(now, rtt_, config_.max_window, budget);
    stream->window_due = true;
    owe(*stream);
}

}  // namespace kith::mux
