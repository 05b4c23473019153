// SPDX-License-Identifier: Apache-2.0
// Whose turn it is, and the bytes of frames straight into a record.
#include <algorithm>
#include <cstring>

#include "delivery/sender.hpp"

#include "base/mutant.hpp"

namespace kith::delivery {
namespace {

constexpr std::size_t data_head = 3 + 3 + 1 + 9;  // frame head, flags, number
constexpr std::size_t mid_size = 8;               // of durable messages
constexpr std::size_t fragment_more = 2 * 9;      // total and offset
constexpr std::size_t smallest_fragment = 1024;   // less room than this waits for the next record
constexpr std::size_t skip_frame = 3 + 3 + 9 + 9 + 8;

}  // namespace

// The next number lies in memory, and on disk if it must.
bool Sender::ready(const Lane& lane) const noexcept {
    if (lane.cursor >= lane.next || !lane.has(lane.cursor)) return false;
    if (!lane.durable()) return true;
    return planted(Mutant::pull_before_commit) || (lane.hold <= committed_ && lane.at(lane.cursor).extra->ticket <= committed_);
}

bool Sender::can_send(const Lane& lane) const noexcept {
    if (!lane.announced || !(lane.answered == Answered::yes || lane.early) || !ready(lane)) return false;
    const auto& entry = lane.at(lane.cursor);
    // Credit is taken for the whole message when its first byte goes.
    if (planted(Mutant::one_credit_for_all)) {
        std::uint64_t spent = 0;
        for (const auto& other : lanes_) spent += other->spent;
        return entry.run != 0 || lane.charged || spent + entry.size + cost_per_message <= lane.limit;
    }
    return entry.run != 0 || lane.charged || lane.spent + entry.size + cost_per_message <= lane.limit;
}

bool Sender::has_unsent() const noexcept {
    return std::any_of(lanes_.begin(), lanes_.end(), [](const auto& lane) { return lane->cursor < lane->next && lane->live != 0; });
}

bool Sender::wants_fill() const noexcept {
    if (state_ == State::detached) return false;
    if (control_sent_ < control_.size() || (state_ == State::attached && !datagrams_.empty())) return true;
    return std::any_of(lanes_.begin(), lanes_.end(), [this](const auto& lane) { return can_send(*lane); });
}

// Strict priority, rotation inside one; a waiting lower lane gets a turn after `lower_turn_after` bytes of higher traffic.
Lane* Sender::pick() noexcept {
    Lane* best = nullptr;
    Lane* lower = nullptr;
    const auto count = lanes_.size();
    for (std::size_t i = 0; i < count; ++i) {
        auto& lane = *lanes_[(turn_ + i) % count];
        if (!can_send(lane)) continue;
        if (best == nullptr || lane.priority > best->priority) {
            if (best != nullptr) lower = best;
            best = &lane;
        } else if (lane.priority < best->priority && (lower == nullptr || lane.priority > lower->priority)) {
            lower = &lane;
        }
    }
    if (planted(Mutant::no_turn_for_low)) return best;
    if (best != nullptr && lower != nullptr && higher_bytes_ >= config_.lower_turn_after) {
        return lower;  // until it has written something: the end of a record may have no room for it
    }
    return best;
}

void Sender::note_written(Lane& lane, std::uint64_t seq) noexcept {
    if (lane.instance != peer_instance_) {
        lane.foreign = lane.highest;
        lane.instance = peer_instance_;
    }
    lane.highest = std::max(lane.highest, seq);
}

// The numbers of a tombstone that the receiver does not have yet.
std::size_t Sender::put_skip(Lane& lane, MutableBytes out) {
    if (out.size() < skip_frame) return 0;
    const auto& entry = lane.at(lane.cursor);
    std::uint8_t body[9 + 9 + 8];
    auto n = wire::put_varint(body, lane.cursor);
    n += wire::put_varint(body + n, entry.seq - lane.cursor + (planted(Mutant::skip_one_too_many) ? 2 : 1));
    if (lane.durable()) {
        for (int shift = 56; shift >= 0; shift -= 8)
            body[n++] = static_cast<std::uint8_t>((planted(Mutant::skip_without_mid) ? 0 : entry.extra->mid) >> shift);
    }
    auto at = wire::put_frame_head(out.data(), wire::FrameType::skip, lane.index, n);
    std::memcpy(out.data() + at, body, n);
    note_written(lane, entry.seq);
    lane.cursor = entry.seq + 1;
    if (planted(Mutant::tombstone_not_sent)) return ready(lane) ? put_data(lane, out, {}) : 0;
    return at + n;
}

// One frame of the lane's next message, or 0 when `out` has no room for it.
std::size_t Sender::put_data(Lane& lane, MutableBytes out, Instant now) {
    auto& entry = lane.at(lane.cursor);
    if (entry.run != 0) return put_skip(lane, out);
    const auto* extra = entry.extra.get();
    const std::size_t rest = entry.size - lane.written;
    const auto head = data_head + (lane.durable() ? mid_size : 0);
    const bool whole = lane.written == 0 && entry.size <= fragment_limit && entry.size + head <= out.size();
    std::size_t n = rest;
    if (!whole) {
        const bool must_fit = lane.written == 0 && entry.size <= fragment_limit / 2;  // a small message is not worth cutting
        if (must_fit || out.size() < head + fragment_more + std::min(rest, smallest_fragment)) return 0;
        n = std::min({rest, fragment_limit, out.size() - head - fragment_more});
    }
    const bool last = lane.written + n == entry.size;

    const auto cost = entry.size + cost_per_message;
    if (!lane.charged) {
        if (lane.cursor == lane.first) {  // the first after silence
            lane.moved_at = now;
            watch(now + config_.ask_after);
        }
        lane.spent += cost;
        lane.charged = true;
    }
    std::uint8_t flags = 0;
    if (!whole) flags |= wire::data_flag::fragment;
    if (lane.cursor <= lane.repeat_to) flags |= wire::data_flag::repeat;
    if (lane.durable()) flags |= wire::data_flag::mid;
    if (extra != nullptr && extra->processed) flags |= wire::data_flag::want_processed;
    const auto following = lane.cursor + 1;
    const bool empties = last && !lane.has(following);
    // Credit at its end: the receiver must answer at once, or both would wait for its timer.
    const bool starves = last && !empties && lane.spent + lane.at(following).size + cost_per_message > lane.limit;
    if (empties || starves || (extra != nullptr && extra->token != 0)) flags |= wire::data_flag::ack_now;

    std::uint8_t prefix[1 + 27 + 8];
    prefix[0] = flags;
    std::size_t prefix_size = 1 + wire::put_varint(prefix + 1, lane.cursor);
    if (lane.durable()) {
        for (int shift = 56; shift >= 0; shift -= 8) prefix[prefix_size++] = static_cast<std::uint8_t>(extra->mid >> shift);
    }
    if (!whole) {
        prefix_size += wire::put_varint(prefix + prefix_size, entry.size);
        prefix_size += wire::put_varint(prefix + prefix_size, lane.written);
    }
    auto at = wire::put_frame_head(out.data(), wire::FrameType::data, lane.index, prefix_size + n);
    std::memcpy(out.data() + at, prefix, prefix_size);
    at += prefix_size;
    if (entry.in_ring) {
        lane.bytes.copy(entry.position + lane.written, out.subspan(at, n));
    } else if (n != 0) {
        std::memcpy(out.data() + at, extra->owned.data() + lane.written, n);
    }

    note_written(lane, lane.cursor);
    lane.written += n;
    if (last) {
        lane.written = 0;
        lane.charged = false;
        ++lane.cursor;
        ++sent_;
        if (planted(Mutant::delete_on_write)) resolve_to(lane, lane.cursor - 1, now);
    }
    return at + n;
}

Sender::Filled Sender::fill(MutableBytes out, Instant now) {
    Filled filled;
    if (state_ == State::detached) return filled;
    if (state_ == State::attached && control_sent_ == control_.size() && !datagrams_.empty()) {
        control_ = std::move(datagrams_.front());
        control_sent_ = 0;
        datagrams_.pop();
        datagram_bytes_ -= control_.size();
    }
    if (control_sent_ < control_.size()) {
        filled.bytes = std::min(out.size(), control_.size() - control_sent_);
        std::memcpy(out.data(), control_.data() + control_sent_, filled.bytes);
        control_sent_ += filled.bytes;
        if (control_sent_ < control_.size()) {
            filled.more = true;
            return filled;
        }
        control_.clear();
        if (control_.capacity() > kept_control) control_ = Bytes{};
        control_sent_ = 0;
    }
    for (Lane* lane = pick(); lane != nullptr; lane = pick()) {
        // One lane writes until its priority's turn ends, so that the search is paid per turn and not per message.
        std::size_t budget = std::max<std::size_t>(4096, lane->priority == Priority::low ? 4096 : 16 * 1024);
        bool stuck = false;
        const auto before = filled.bytes;
        const bool its_turn = higher_bytes_ >= config_.lower_turn_after;
        while (can_send(*lane)) {
            const auto n = put_data(*lane, out.subspan(filled.bytes), now);
            if (n == 0) {
                stuck = true;
                break;
            }
            filled.bytes += n;
            filled.data = true;
            higher_bytes_ += n;
            if (n >= budget) break;
            budget -= n;
        }
        turn_ = lane->index + 1;
        if (its_turn && filled.bytes != before) higher_bytes_ = 0;
        if (stuck) {
            filled.more = true;
            return filled;
        }
    }
    filled.more = !datagrams_.empty() && state_ == State::attached;
    return filled;
}

}  // namespace kith::delivery
