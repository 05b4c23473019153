// SPDX-License-Identifier: Apache-2.0
#include "mux/session.hpp"

#include <algorithm>

namespace kith::mux {
namespace {

constexpr std::uint32_t largest_frame = 64 * 1024;

}  // namespace

Session::Session(Role role, const Config& config) : role_(role), config_(config), next_id_(role == Role::client ? 1 : 2) {
    config_.initial_window = std::max(config_.initial_window, 1U);
    config_.max_window = std::max(config_.max_window, config_.initial_window);
    config_.max_frame_payload = std::clamp(config_.max_frame_payload, 1U, largest_frame);
}

Result<StreamId> Session::open() {
    if (failed() || peer_gone_ || go_away_ != GoAway::none) return Error{Errc::going_away, "the yamux session ends"};
    if (outbound_streams() >= config_.max_outbound_streams) return Error{Errc::limit_exceeded, "too many open streams"};
    if (unacked_ >= config_.max_unacked_opens) return Error{Errc::limit_exceeded, "too many streams wait for the peer's first answer"};
    // Ids are never used twice: a late frame of an old stream must not reach a new one.
    if (next_id_ > 0xFFFFFFFFU) return Error{Errc::going_away, "the stream ids of the session are used up"};
    const StreamId id{static_cast<std::uint32_t>(next_id_)};
    next_id_ += 2;
    if (!answered_ && !early_room()) {
        add(id, Opening::held);
        held_.push_back(id);
    } else {
        if (!answered_) ++early_;
        owe(add(id, Opening::syn_due));
    }
    return id;
}

void Session::reset(StreamId id, std::uint32_t code) {
    Stream* stream = streams_.find(id);
    if (stream == nullptr) return;
    const auto opening = stream->opening;
    const bool known_to_peer = opening != Opening::syn_due && opening != Opening::held;
    remove(*stream);
    if (known_to_peer && !queue_reset(id, code)) collapse("too many resets wait: the peer opens streams and does not read");
    if (answered_) return;
    if (opening == Opening::held) std::erase(held_, id);
    if (opening == Opening::syn_due) --early_;
    while (!held_.empty() && early_room()) {
        Stream& next = *streams_.find(held_.front());
        held_.erase(held_.begin());
        ++early_;
        let_go(next);
    }
}

Stream& Session::add(StreamId id, Opening opening) {
    Stream& stream = streams_.insert(id);
    stream.send_window = config_.initial_window;
    stream.receive = ReceiveWindow{config_.initial_window};
    stream.opening = opening;
    stream.level = default_level;
    total_window_ += config_.initial_window;
    if (ours(id)) {
        ++unacked_;
    } else {
        ++inbound_;
    }
    return stream;
}

void Session::remove(Stream& stream) {
    const StreamId id = stream.id;
    leave(stream);
    if (stream.due) due_.remove(streams_, streams_.slot(stream));
    if (ours(id) && stream.opening != Opening::done) --unacked_;
    if (!ours(id)) --inbound_;
    total_window_ -= stream.receive.size();
    if (current_ == id) {
        // The frame being read belongs to it: its rest is skipped without a word.
        current_ = {};
        pending_ = 0;
        finish_ = false;
    }
    streams_.erase(id);
}

// Everything else that waits to be written is one entry per stream, or one per session. Resets outlive their streams, so only they
// can pile up: by a peer that opens streams to have them refused, and reads nothing (CVE-2024-32984). Those of our own streams are
// bounded by max_outbound_streams, because no SYN is written while a reset waits.
bool Session::queue_reset(StreamId id, std::uint32_t code) {
    if (!ours(id)) {
        if (peer_resets_ >= config_.max_queued_control) return false;
        ++peer_resets_;
    }
    resets_.push_back({id, code});
    return true;
}

void Session::collapse(std::string_view what) {
    life_ = Life::failing;
    failure_ = what;
    streams_ = {};
    turns_ = {};
    due_ = {};
    held_ = std::vector<StreamId>{};
    resets_ = std::vector<PendingReset>{};  // `= {}` would keep the memory
    pongs_ = std::vector<std::uint32_t>{};
    peer_resets_ = inbound_ = unacked_ = 0;
    total_window_ = 0;
    current_ = {};
    pending_ = 0;
    finish_ = false;
    payload_left_ = 0;
    ping_ = Ping::idle;
    go_away_ = GoAway::due;
    go_away_code_ = go_away_code::protocol_error;
}

bool Session::ping(Instant now, std::uint32_t opaque) {
    if (failed() || ping_ != Ping::idle) return false;
    ping_ = Ping::due;
    ping_opaque_ = opaque;
    ping_began_ = now.steady;
    return true;
}

void Session::go_away(std::uint32_t code) {
    if (failed() || go_away_ != GoAway::none) return;
    go_away_ = GoAway::due;
    go_away_code_ = code;
}

void Session::set_priority(StreamId id, std::uint8_t level) {
    Stream* stream = streams_.find(id);
    const std::uint8_t wanted = std::min<std::uint8_t>(level, levels - 1);
    if (stream == nullptr || stream->level == wanted) return;
    const bool ready = stream->turn == Turn::ready;
    if (ready) leave(*stream);
    stream->level = wanted;
    if (ready) join(*stream);
}

std::uint32_t Session::send_window(StreamId id) const noexcept {
    const Stream* stream = streams_.find(id);
    return stream == nullptr ? 0 : stream->send_window;
}

std::uint32_t Session::receive_window(StreamId id) const noexcept {
    const Stream* stream = streams_.find(id);
    return stream == nullptr ? 0 : stream->receive.size();
}

std::size_t Session::memory() const noexcept {
    return sizeof(Session) + streams_.memory() + resets_.capacity() * sizeof(PendingReset) + pongs_.capacity() * sizeof(std::uint32_t) +
           held_.capacity() * sizeof(StreamId);
}

}  // namespace kith::mux
