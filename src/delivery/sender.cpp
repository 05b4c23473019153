// SPDX-License-Identifier: Apache-2.0
#include "delivery/sender.hpp"

#include <algorithm>
#include <cstring>

namespace kith::delivery {
namespace {

constexpr std::size_t data_head = 3 + 3 + 1 + 9;          // frame head, flags, number
constexpr std::size_t fragment_head = data_head + 2 * 9;  // and total and offset
constexpr std::size_t smallest_fragment = 1024;           // less room than this waits for the next record

struct Entry {
    std::uint64_t position = 0;  // in the lane's byte ring, when not owned
    Bytes owned;
    std::uint64_t token = 0;
    Instant since{};
    std::uint32_t size = 0;
};

}  // namespace

struct Sender::Lane {
    explicit Lane(LaneIndex i) : index(i) {}

    LaneIndex index;
    std::string channel;
    Strength strength = Strength::reliable;
    Priority priority = Priority::normal;
    std::uint64_t epoch = 0;

    Ring<Entry> entries;  // entries[0] has number `first`
    ByteRing bytes;
    std::uint64_t first = 1;      // lowest unacknowledged
    std::uint64_t cursor = 1;     // the next number to be written on this attachment
    std::uint64_t highest = 0;    // highest number of which a byte was ever written
    std::uint64_t repeat_to = 0;  // numbers up to here may have been handed over before: marked when written
    std::uint64_t instance = 0;   // of the receiver to which bytes were last written
    std::uint64_t foreign = 0;    // numbers up to here were written to an earlier one
    std::size_t written = 0;      // bytes of the message at `cursor` written as fragments on this attachment

    std::uint64_t limit = 0;  // credit since attach
    std::uint64_t spent = 0;
    bool announced = false;  // in HELLO or ADD of this attachment
    bool resumed = false;    // RESUME answered for it
    bool early = false;      // it sends before RESUME, being new

    std::uint64_t next() const noexcept { return first + entries.size(); }
    bool waiting() const noexcept { return cursor < next(); }
    Entry& at(std::uint64_t number) noexcept { return entries[static_cast<std::size_t>(number - first)]; }
    const Entry& at(std::uint64_t number) const noexcept { return entries[static_cast<std::size_t>(number - first)]; }
};

Sender::Sender(const SenderConfig& config) : config_(config) {}
Sender::~Sender() = default;

Result<LaneIndex> Sender::lane(std::string_view channel, Strength strength, Priority priority, std::uint64_t random) {
    for (const auto& lane : lanes_) {
        if (lane->channel == channel && lane->strength == strength && lane->priority == priority) return lane->index;
    }
    if (lanes_.size() >= config_.max_lanes) return Error{Errc::limit_exceeded, "too many channels to one peer"};
    auto made = std::make_unique<Lane>(static_cast<LaneIndex>(lanes_.size()));
    made->channel = channel;
    made->strength = strength;
    made->priority = priority;
    made->epoch = random;
    if (state_ != State::detached) announce(*made);
    lanes_.push_back(std::move(made));
    return static_cast<LaneIndex>(lanes_.size() - 1);
}

void Sender::enqueue(LaneIndex index, ByteView bytes, Bytes* owned, std::uint64_t token, Instant now) {
    auto& lane = *lanes_[index];
    Entry entry;
    entry.token = token;
    entry.since = now;
    if (owned != nullptr) {
        entry.size = static_cast<std::uint32_t>(owned->size());
        entry.owned = std::move(*owned);
    } else {
        entry.size = static_cast<std::uint32_t>(bytes.size());
        entry.position = lane.bytes.append(bytes);
    }
    if (!lane.entries.push(std::move(entry))) return;  // unbounded ring: admission is the limit
    ++unsent_;
    ++queued_;
}

bool Sender::enqueue_datagram(std::string_view channel, ByteView bytes) {
    Bytes frame;
    frame.reserve(bytes.size() + channel.size() + 16);
    wire::append_datagram(frame, channel, bytes);
    if (frame.size() > wire::max_frame_body || datagram_bytes_ + frame.size() > config_.max_datagram_bytes) return false;
    datagram_bytes_ += frame.size();
    return datagrams_.push(std::move(frame));
}

wire::HelloLane Sender::describe(const Lane& lane) const {
    return {.id = lane.index,
            .channel = lane.channel,
            .strength = static_cast<std::uint8_t>(lane.strength),
            .priority = static_cast<std::uint8_t>(lane.priority),
            .epoch = lane.epoch,
            .first = lane.first,
            .settled = lane.first - 1,
            .next = lane.next()};
}

void Sender::announce(Lane& lane) {
    lane.announced = true;
    lane.resumed = false;
    lane.early = state_ == State::attached && lane.highest == 0;
    lane.limit = lane.early ? early_bytes : 0;
    lane.spent = 0;
    if (state_ != State::detached) wire::append_add(control_, describe(lane));
}

void Sender::attach() {
    detach();
    wire::Hello hello;
    hello.max_message = config_.max_message;
    peer_instance_ = 0;
    for (auto& lane : lanes_) {
        if (hello.lanes.size() == wire::max_lanes_in_hello) break;  // max_lanes keeps this from happening
        announce(*lane);
        hello.lanes.push_back(describe(*lane));
    }
    wire::append_hello(control_, hello);
    state_ = State::attaching;
}

void Sender::detach() {
    state_ = State::detached;
    control_.clear();
    control_sent_ = 0;
    reader_ = {};
    unsent_ = 0;
    for (auto& lane : lanes_) {
        // What was written may be lost: everything unacknowledged counts as unsent until RESUME says what arrived.
        lane->cursor = lane->first;
        lane->written = 0;
        lane->announced = false;
        lane->resumed = false;
        unsent_ += lane->entries.size();
    }
}

void Sender::pop(Lane& lane, Receipt::Outcome outcome, Instant now, Released& sum) {
    auto& entry = lane.entries.front();
    if (entry.token != 0) outcomes_.push_back({entry.token, outcome, now - entry.since});
    if (lane.cursor <= lane.first) {  // it was never written on this attachment
        lane.cursor = lane.first + 1;
        lane.written = 0;
        --unsent_;
    }
    ++sum.messages;
    sum.bytes += entry.size;
    if (entry.owned.empty()) lane.bytes.release(entry.position + entry.size);
    lane.entries.pop();
    ++lane.first;
    --queued_;
}

void Sender::abandon(Instant now) {
    for (auto& lane : lanes_) {
        Released sum{lane->index, 0, 0};
        while (!lane->entries.empty()) {
            pop(*lane, lane->first <= lane->highest ? Receipt::Outcome::unknown : Receipt::Outcome::failed, now, sum);
        }
        if (sum.messages != 0) released_.push_back(sum);
    }
    datagrams_.clear();
    datagram_bytes_ = 0;
}

Status Sender::on_ack(Lane& lane, std::uint64_t done, Instant now) {
    if (done >= lane.first && done >= lane.cursor) return Error{Errc::protocol_error, "ACK of a message that was not sent on this stream"};
    Released sum{lane.index, 0, 0};
    while (lane.first <= done) pop(lane, Receipt::Outcome::delivered, now, sum);
    if (sum.messages == 0) return {};
    acknowledged_ += sum.messages;
    released_.push_back(sum);
    return {};
}

Status Sender::on_resume(const wire::Resume& resume, Instant now) {
    if (state_ != State::attaching && resume.lanes.size() != 1) return Error{Errc::protocol_error, "RESUME came twice"};
    if (state_ == State::attached && resume.instance != peer_instance_) {
        return Error{Errc::protocol_error, "RESUME of another receiver on the same stream"};
    }
    for (const auto& row : resume.lanes) {
        if (row.id >= lanes_.size() || !lanes_[row.id]->announced)
            return Error{Errc::protocol_error, "RESUME names a lane that was not announced"};
        auto& lane = *lanes_[row.id];
        if (lane.resumed) return Error{Errc::protocol_error, "RESUME names a lane twice"};
        lane.resumed = true;
        lane.limit = std::max(lane.limit, row.limit);
        const bool knows = row.state == wire::ResumeState::known || row.state == wire::ResumeState::gap;
        if (!lane.early) {
            if (knows && row.have > std::max(lane.highest, lane.first - 1)) {
                return Error{Errc::protocol_error, "RESUME claims messages that were never sent"};
            }
            // Nothing of the lane came to this receiver. What was written to an earlier one may have been handed over there.
            if (!knows) lane.repeat_to = std::max(lane.repeat_to, lane.instance == resume.instance ? lane.foreign : lane.highest);
            Released sum{lane.index, 0, 0};
            if (knows) {
                while (lane.first <= row.done) pop(lane, Receipt::Outcome::delivered, now, sum);
                if (row.have >= lane.cursor) {  // arrived, not yet handed over: wait for the ACK
                    unsent_ -= static_cast<std::size_t>(row.have + 1 - lane.cursor);
                    lane.cursor = row.have + 1;
                }
            }
            if (sum.messages != 0) {
                acknowledged_ += sum.messages;
                released_.push_back(sum);
            }
        }
    }
    peer_max_message_ = resume.max_message;
    peer_instance_ = resume.instance;
    state_ = State::attached;
    return {};
}

Status Sender::received(ByteView bytes, Instant now) {
    wire::Frame frame;
    for (;;) {
        switch (reader_.next(bytes, frame)) {
            case wire::FrameReader::State::need_more:
                return {};
            case wire::FrameReader::State::bad:
                return reader_.error();
            case wire::FrameReader::State::frame:
                break;
        }
        const auto type = static_cast<wire::FrameType>(frame.type);
        if (type == wire::FrameType::resume) {
            auto resume = wire::decode_resume(frame.body);
            if (!resume) return resume.error();
            if (auto ok = on_resume(*resume, now); !ok) return ok;
            continue;
        }
        if (type == wire::FrameType::close) {
            auto close = wire::decode_close(frame.body);
            if (!close) return close.error();
            closed_ = std::make_unique<wire::CloseFrame>(std::move(*close));
            return Error{Errc::going_away, "the peer closed the message stream", closed_->text};
        }
        if (type == wire::FrameType::ack || type == wire::FrameType::limit) {
            if (frame.lane >= lanes_.size() || !lanes_[frame.lane]->announced) {
                return Error{Errc::protocol_error, "ACK or LIMIT of a lane that was not announced"};
            }
            auto& lane = *lanes_[frame.lane];
            if (type == wire::FrameType::limit) {
                const auto limit = wire::decode_one(frame.body);
                if (!limit) return limit.error();
                lane.limit = std::max(lane.limit, *limit);  // absolute: an old one changes nothing
            } else {
                const auto ack = wire::decode_two(frame.body);
                if (!ack) return ack.error();
                if (auto ok = on_ack(lane, ack->first, now); !ok) return ok;
            }
            continue;
        }
        if ((frame.type & 1) == 0) return Error{Errc::not_supported, "the peer sent an unknown critical frame"};
    }
}

bool Sender::can_send(const Lane& lane) const noexcept {
    if (!lane.waiting() || !lane.announced || !(lane.resumed || lane.early)) return false;
    const auto& entry = lane.at(lane.cursor);
    // Credit is taken for the whole message when its first byte goes.
    return lane.written != 0 || lane.spent + entry.size + cost_per_message <= lane.limit;
}

bool Sender::wants_fill() const noexcept {
    if (state_ == State::detached) return false;
    if (control_sent_ < control_.size() || (state_ == State::attached && !datagrams_.empty())) return true;
    return std::any_of(lanes_.begin(), lanes_.end(), [this](const auto& lane) { return can_send(*lane); });
}

// Strict priority, rotation inside one; a waiting lower lane gets a turn after `lower_turn_after` bytes of higher traffic.
Sender::Lane* Sender::pick() noexcept {
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
    if (best != nullptr && lower != nullptr && higher_bytes_ >= config_.lower_turn_after) {
        higher_bytes_ = 0;
        return lower;
    }
    return best;
}

// One frame of the lane's next message, or 0 when `out` has no room for it.
std::size_t Sender::put_data(Lane& lane, MutableBytes out, Instant) {
    auto& entry = lane.at(lane.cursor);
    const std::size_t rest = entry.size - lane.written;
    const bool whole = lane.written == 0 && entry.size <= fragment_limit && entry.size + data_head <= out.size();
    std::size_t n = rest;
    if (!whole) {
        const bool must_fit = lane.written == 0 && entry.size <= fragment_limit / 2;  // a small message is not worth cutting
        if (must_fit || out.size() < fragment_head + std::min(rest, smallest_fragment)) return 0;
        n = std::min({rest, fragment_limit, out.size() - fragment_head});
    }
    const bool last = lane.written + n == entry.size;

    std::uint8_t flags = 0;
    if (!whole) flags |= wire::data_flag::fragment;
    if (lane.cursor <= lane.repeat_to) flags |= wire::data_flag::repeat;
    const auto cost = entry.size + cost_per_message;
    const bool empties = last && lane.cursor + 1 == lane.next();
    // Credit at its end: the receiver must answer at once, or both would wait for its timer.
    const bool starves = last && !empties && lane.spent + cost + lane.at(lane.cursor + 1).size + cost_per_message > lane.limit;
    if (empties || starves || entry.token != 0) flags |= wire::data_flag::ack_now;

    std::uint8_t prefix[1 + 27];
    prefix[0] = flags;
    std::size_t prefix_size = 1 + wire::put_varint(prefix + 1, lane.cursor);
    if (!whole) {
        prefix_size += wire::put_varint(prefix + prefix_size, entry.size);
        prefix_size += wire::put_varint(prefix + prefix_size, lane.written);
    }
    auto at = wire::put_frame_head(out.data(), wire::FrameType::data, lane.index, prefix_size + n);
    std::memcpy(out.data() + at, prefix, prefix_size);
    at += prefix_size;
    if (!entry.owned.empty()) {
        std::memcpy(out.data() + at, entry.owned.data() + lane.written, n);
    } else {
        lane.bytes.copy(entry.position + lane.written, out.subspan(at, n));
    }

    if (lane.written == 0) lane.spent += cost;
    if (lane.instance != peer_instance_) {
        lane.foreign = lane.highest;
        lane.instance = peer_instance_;
    }
    lane.highest = std::max(lane.highest, lane.cursor);
    lane.written += n;
    if (last) {
        lane.written = 0;
        ++lane.cursor;
        --unsent_;
        ++sent_;
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
        while (can_send(*lane)) {
            const auto n = put_data(*lane, out.subspan(filled.bytes), now);
            if (n == 0) {
                stuck = true;
                break;
            }
            filled.bytes += n;
            higher_bytes_ += n;
            if (n >= budget) break;
            budget -= n;
        }
        turn_ = lane->index + 1;
        if (stuck) {
            filled.more = true;
            return filled;
        }
    }
    filled.more = !datagrams_.empty() && state_ == State::attached;
    return filled;
}

std::size_t Sender::memory() const noexcept {
    std::size_t sum = control_.capacity() + datagram_bytes_;
    for (const auto& lane : lanes_) {
        sum += sizeof(Lane) + lane->bytes.capacity() + lane->entries.size() * sizeof(Entry);
        for (std::size_t i = 0; i < lane->entries.size(); ++i) sum += lane->entries[i].owned.capacity();
    }
    return sum;
}

}  // namespace kith::delivery
