// SPDX-License-Identifier: Apache-2.0
// The sending half: owed control frames, and whose turn it is to send data.
#include <algorithm>
#include <limits>
#include <utility>

#include "mux/session.hpp"

namespace kith::mux {
namespace {

constexpr std::size_t kept_resets = 64;

bool owes(const Stream& stream) noexcept {
    return stream.window_due || stream.opening == Opening::syn_due || stream.opening == Opening::ack_due;
}

}  // namespace

void Session::want_write(StreamId id, bool fin_only) {
    Stream* stream = streams_.find(id);
    if (stream == nullptr || stream->closing == Closing::local_finished) return;
    stream->fin_only = stream->fin_only || fin_only;
    if (stream->turn == Turn::ready) return;
    if (stream->opening == Opening::held || (stream->send_window == 0 && !stream->fin_only)) {
        stream->turn = Turn::blocked;
    } else {
        join(*stream);
    }
}

bool Session::wants_pull() const noexcept {
    if (go_away_ == GoAway::due || ping_ == Ping::due || !pongs_.empty() || !resets_.empty() || !due_.empty()) return true;
    return next_level() != nullptr;
}

std::size_t Session::write_control(MutableBytes out) {
    std::size_t used = 0;
    const auto room = [&] { return out.size() - used >= header_size; };
    const auto put = [&](FrameType type, std::uint16_t flags, StreamId stream, std::uint32_t length) {
        encode_header(make_header(type, flags, stream, length), out.data() + used);
        used += header_size;
    };

    std::ptrdiff_t written = 0;
    for (const std::uint32_t opaque : pongs_) {
        if (!room()) break;
        put(FrameType::ping, flag::ack, {}, opaque);
        ++written;
    }
    pongs_.erase(pongs_.begin(), pongs_.begin() + written);

    if (ping_ == Ping::due && room()) {
        put(FrameType::ping, flag::syn, {}, ping_opaque_);
        ping_ = Ping::in_flight;
    }

    written = 0;
    for (const PendingReset& reset : resets_) {
        if (!room()) break;
        put(FrameType::window_update, flag::rst, reset.stream, reset.code);
        if (!ours(reset.stream)) --peer_resets_;
        ++written;
    }
    resets_.erase(resets_.begin(), resets_.begin() + written);
    if (resets_.empty() && resets_.capacity() > kept_resets) resets_ = std::vector<PendingReset>{};  // `= {}` would keep the memory

    while (!due_.empty() && room()) {
        Stream& stream = streams_.at(due_.front());
        due_.remove(streams_, due_.front());
        stream.due = false;
        // A stream whose turn will come carries SYN or ACK with its data.
        if (stream.turn == Turn::ready && !stream.window_due) continue;
        const std::uint32_t delta = stream.window_due ? stream.receive.announce() : 0;
        stream.window_due = false;
        put(FrameType::window_update, opening_flags(stream), stream.id, delta);
    }

    if (go_away_ == GoAway::due && room()) {
        put(FrameType::go_away, 0, {}, go_away_code_);
        go_away_ = GoAway::written;
    }
    return used;
}

std::optional<Session::Grant> Session::next_grant(std::size_t room) const noexcept {
    const TurnList* list = next_level();
    if (list == nullptr || room < header_size) return std::nullopt;
    const Stream& stream = streams_.at(list->front());
    const std::size_t most = std::min<std::size_t>({stream.send_window, config_.max_frame_payload, room - header_size});
    if (most == 0 && !stream.fin_only) return std::nullopt;
    return Grant{stream.id, static_cast<std::uint32_t>(most)};
}

std::size_t Session::commit(const Grant& grant, std::size_t n, bool fin, bool more, MutableBytes header) {
    Stream* stream = streams_.find(grant.stream);
    if (stream == nullptr || stream->turn != Turn::ready || header.size() < header_size) return 0;
    if (n > grant.max || n > stream->send_window) return 0;

    const bool frame = n != 0 || fin;
    if (frame) {
        const std::uint16_t flags = static_cast<std::uint16_t>(opening_flags(*stream) | (fin ? flag::fin : 0));
        encode_header(make_header(FrameType::data, flags, stream->id, static_cast<std::uint32_t>(n)), header.data());
        stream->send_window -= static_cast<std::uint32_t>(n);
        account_turn(stream->level);
        settle(*stream);
    }
    stream->fin_only = false;
    if (fin) {
        leave(*stream);
        if (stream->closing == Closing::remote_finished) {
            remove(*stream);
        } else {
            stream->closing = Closing::local_finished;
        }
        return header_size + n;
    }

    const auto share = static_cast<std::int32_t>(config_.max_frame_payload);
    if (!more || stream->send_window == 0) {
        leave(*stream);
        if (more) stream->turn = Turn::blocked;
        if (owes(*stream)) owe(*stream);
    } else {
        stream->deficit -= static_cast<std::int32_t>(n);
        // Only the end of the record cut the frame short: the turn goes on in the next one. Else a stream that always meets the end
        // of records would get less than its neighbours.
        const bool cut = n == grant.max && n < config_.max_frame_payload;
        if (!cut || stream->deficit <= share / 2) {
            const std::int32_t left = n == grant.max ? stream->deficit : std::min(stream->deficit, 0);
            leave(*stream);
            join(*stream);
            stream->deficit = left + share;
        }
    }
    return frame ? header_size + n : 0;
}

// The peer sent something on a stream: it takes more of them.
void Session::answered() {
    answered_ = true;
    for (const StreamId id : std::exchange(held_, std::vector<StreamId>{})) let_go(*streams_.find(id));
}

void Session::let_go(Stream& stream) {
    stream.opening = Opening::syn_due;
    if (stream.turn == Turn::blocked) join(stream);
    owe(stream);
}

// In the rotation, at its end, with a whole share.
void Session::join(Stream& stream) {
    stream.turn = Turn::ready;
    stream.deficit = static_cast<std::int32_t>(config_.max_frame_payload);
    turns_[stream.level].push_back(streams_, streams_.slot(stream));
}

void Session::leave(Stream& stream) {
    if (stream.turn == Turn::ready) turns_[stream.level].remove(streams_, streams_.slot(stream));
    stream.turn = Turn::idle;
}

void Session::owe(Stream& stream) {
    if (stream.due) return;
    stream.due = true;
    due_.push_back(streams_, streams_.slot(stream));
}

// After a data frame took over what was owed, or nothing is owed any more.
void Session::settle(Stream& stream) {
    if (!stream.due || owes(stream)) return;
    stream.due = false;
    due_.remove(streams_, streams_.slot(stream));
}

std::uint16_t Session::opening_flags(Stream& stream) {
    switch (stream.opening) {
        case Opening::syn_due:
            stream.opening = Opening::awaiting_ack;
            return flag::syn;
        case Opening::ack_due:
            stream.opening = Opening::done;
            return flag::ack;
        case Opening::held:
        case Opening::awaiting_ack:
        case Opening::done:
            break;
    }
    return 0;
}

// The highest level that wants to write, unless a lower one has been passed over too often.
const Session::TurnList* Session::next_level() const noexcept {
    const TurnList* best = nullptr;
    for (std::size_t level = levels; level-- > 0;) {
        if (turns_[level].empty()) continue;
        if (best != nullptr && passed_[level] >= patience) return &turns_[level];
        if (best == nullptr) best = &turns_[level];
    }
    return best;
}

void Session::account_turn(std::uint8_t level) noexcept {
    for (std::size_t lower = 0; lower < level; ++lower) {
        if (!turns_[lower].empty()) passed_[lower] = std::min(passed_[lower] + 1, patience);
    }
    passed_[level] = 0;
}

}  // namespace kith::mux
