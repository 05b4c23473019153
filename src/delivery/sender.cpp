// SPDX-License-Identifier: Apache-2.0
// Attachment and acknowledgement: what the answering side says, and what follows for the queues.
#include "delivery/sender.hpp"

#include <algorithm>

#include "base/mutant.hpp"

namespace kith::delivery {

Sender::Sender(const SenderConfig& config, Journal& journal, ByteView peer)
    : config_(config), journal_(journal), peer_(peer.begin(), peer.end()) {}
Sender::~Sender() = default;

wire::HelloLane Sender::describe(const Lane& lane) const {
    return {.id = lane.index,
            .channel = lane.channel,
            .strength = static_cast<std::uint8_t>(lane.strength),
            .priority = static_cast<std::uint8_t>(lane.priority),
            .epoch = lane.epoch,
            .first = lane.first,
            .settled = lane.durable() ? std::min(lane.settled, lane.first - 1) : lane.first - 1,
            .next = lane.next};
}

void Sender::announce(Lane& lane) {
    lane.announced = true;
    lane.answered = Answered::no;
    lane.resume.reset();
    lane.early = state_ == State::attached && lane.highest == 0 && !lane.durable();
    lane.limit = lane.early ? early_bytes : planted(Mutant::limit_kept_over_attach) ? lane.limit : 0;
    lane.spent = 0;
    if (state_ != State::detached) wire::append_add(control_, describe(lane));
}

void Sender::attach(std::uint64_t random) {
    detach();
    wire::Hello hello;
    hello.max_message = config_.max_message;
    peer_instance_ = 0;
    random_ = random;
    for (auto& lane : lanes_) {
        if (hello.lanes.size() == wire::max_lanes_in_hello) break;  // max_lanes keeps this from happening
        if (lane->durable() && lane->key == 0) continue;            // nothing was ever sent on it
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
    reattach_ = false;
    for (auto& lane : lanes_) {
        // What was written may be lost: everything unacknowledged counts as unsent until RESUME says what arrived.
        lane->cursor = lane->first;
        lane->written = 0;
        lane->charged = false;
        lane->announced = false;
        lane->answered = Answered::no;
        lane->early = false;
        lane->resume.reset();
        lane->asked_at.reset();
        lane->unanswered = 0;
        lane->busy = 0;
    }
}

// Everything up to `done` is resolved: messages were delivered, tombstones are known to the receiver.
void Sender::resolve_to(Lane& lane, std::uint64_t done, Instant now) {
    if (done < lane.first) return;
    lane.resolved = std::max(lane.resolved, done);
    done = std::min(done, lane.loaded());  // what is on disk follows when it has been read
    if (done < lane.first) return load_more(lane);
    Released sum{lane.index, 0, 0};
    auto mid = lane.settled_mid;
    storage::Ticket ticket = 0;
    if (lane.durable()) ticket = journal_.open().ticket;
    while (!lane.entries.empty() && lane.entries.front().begin() <= done) {
        auto& entry = lane.entries.front();
        if (entry.seq > done) {  // the receiver stands inside a run
            entry.run = entry.seq - done;
            mid = 0;
            break;
        }
        if (entry.run == 0) {
            ++sum.messages;
            sum.bytes += entry.size;
            leave(lane, entry.size);
            if (const auto* extra = entry.extra.get()) {
                const auto after = now.steady - entry.since;
                if (extra->token != 0) {
                    say(extra->token, Receipt::Outcome::delivered, after, ticket);
                    if (extra->processed && lane.durable()) {
                        if (lane.awaited.size() >= config_.max_awaited) {  // a peer may acknowledge and never say more
                            say(lane.awaited.front().token, Receipt::Outcome::unknown, now.steady - lane.awaited.front().since, ticket);
                            lane.awaited.pop_front();
                        }
                        lane.awaited.push_back({entry.seq, extra->token, entry.since});
                    } else if (extra->processed) {
                        say(extra->token, Receipt::Outcome::processed, after, ticket);
                    }
                    tokens_.erase(extra->token);
                }
                if (extra->key != 0) forget_key(lane, extra->key, entry.seq);
            }
            lane.held_bytes -= entry.size;
        } else {
            --lane.tombs;
        }
        if (lane.cursor <= entry.seq) {
            lane.cursor = entry.seq + 1;
            lane.written = 0;
            lane.charged = false;
        }
        if (entry.extra) mid = entry.extra->mid;
        if (entry.in_ring) lane.bytes.release(entry.position + entry.size);
        lane.entries.pop();
    }
    if (lane.entries.empty()) lane.bytes.release(lane.bytes.end());
    lane.first = done + 1;
    lane.settled_mid = mid;
    lane.moved_at = now;
    if (lane.first == lane.next) watch(now + config_.ask_when_empty);
    if (lane.durable()) lane.settle_ticket = journal_.add(storage::Settle{lane.key, done, mid});
    if (sum.messages != 0) {
        acknowledged_ += sum.messages;
        released_.push_back(sum);
    }
    load_more(lane);
}

Status Sender::on_ack(Lane& lane, std::uint64_t done, std::uint64_t processed, Instant now) {
    if (lane.answered == Answered::checking) return {};  // acknowledgements are cumulative: the next one says it again
    if (lane.answered == Answered::no && !lane.early) return Error{Errc::protocol_error, "ACK before RESUME"};
    if (done >= lane.first && done >= lane.cursor) return Error{Errc::protocol_error, "ACK of a message that was not sent on this stream"};
    if (processed > done) return Error{Errc::protocol_error, "ACK: more is processed than done"};
    if (lane.asked_at) {  // it lives: ask again when it has been silent as long again
        lane.moved_at = now;
        if (lane.first != lane.next) watch(now + config_.ask_after);
    }
    lane.asked_at.reset();
    lane.unanswered = 0;
    lane.busy = 0;
    resolve_to(lane, done, now);
    while (!lane.awaited.empty() && lane.awaited.front().seq <= processed) {
        const auto& waiting = lane.awaited.front();
        say(waiting.token, Receipt::Outcome::processed, now.steady - waiting.since,
            lane.settle_ticket > committed_ ? lane.settle_ticket : 0);
        lane.awaited.pop_front();
    }
    return {};
}

// ---- RESUME

Status Sender::resume_lane(Lane& lane, const wire::ResumeLane& row, Instant now) {
    const bool knows = row.state == wire::ResumeState::known || row.state == wire::ResumeState::gap;
    lane.limit = std::max(lane.limit, row.limit);
    lane.moved_at = now;
    if (lane.durable()) return resume_durable(lane, row, now);
    lane.answered = Answered::yes;
    if (lane.early) return {};
    if (knows && row.have > std::max(lane.highest, lane.first - 1)) {
        return Error{Errc::protocol_error, "RESUME claims messages that were never sent"};
    }
    if (row.state == wire::ResumeState::gap) return Error{Errc::protocol_error, "RESUME lacks messages that were acknowledged"};
    // Nothing of the lane came to this receiver. What was written to an earlier one may have been handed over there.
    if (!knows && !planted(Mutant::mark_not_set))
        lane.repeat_to = std::max(lane.repeat_to, lane.instance == peer_instance_ ? lane.foreign : lane.highest);
    if (knows) {
        resolve_to(lane, row.done, now);
        lane.cursor = std::max(lane.cursor, row.have + (planted(Mutant::resume_at_have_plus_two) && lane.has(row.have + 2)
                                                            ? 2
                                                            : 1));  // arrived, not yet handed over: wait for the ACK
        if (auto ok = continue_partial(lane, row); !ok) return ok;
    }
    decide(lane, now);
    return {};
}

// The receiver holds the beginning of the next message: go on behind it.
Status Sender::continue_partial(Lane& lane, const wire::ResumeLane& row) {
    if (row.partial == 0 || row.state != wire::ResumeState::known || lane.cursor != row.have + 1 || !lane.has(lane.cursor)) return {};
    const auto& entry = lane.at(lane.cursor);
    if (entry.run != 0) return {};
    if (lane.cursor > lane.highest || row.partial >= entry.size) {
        return Error{Errc::protocol_error, "RESUME holds more of a message than was sent"};
    }
    lane.written = static_cast<std::size_t>(row.partial) / (planted(Mutant::partial_of_another_message) ? 2 : 1);
    return {};
}

Status Sender::on_resume(const wire::Resume& resume, Instant now) {
    if (state_ != State::attaching && resume.lanes.size() != 1) return Error{Errc::protocol_error, "RESUME came twice"};
    if (state_ == State::attached && resume.instance != peer_instance_) {
        return Error{Errc::protocol_error, "RESUME of another receiver on the same stream"};
    }
    peer_max_message_ = resume.max_message;
    peer_instance_ = resume.instance;
    state_ = State::attached;
    for (const auto& row : resume.lanes) {
        if (row.id >= lanes_.size() || !lanes_[row.id]->announced)
            return Error{Errc::protocol_error, "RESUME names a lane that was not announced"};
        auto& lane = *lanes_[row.id];
        if (lane.answered != Answered::no) return Error{Errc::protocol_error, "RESUME names a lane twice"};
        if (auto ok = resume_lane(lane, row, now); !ok) return ok;
    }
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
        if (type == wire::FrameType::ack || type == wire::FrameType::limit || type == wire::FrameType::busy) {
            if (frame.lane >= lanes_.size() || !lanes_[frame.lane]->announced) {
                return Error{Errc::protocol_error, "an answer for a lane that was not announced"};
            }
            auto& lane = *lanes_[frame.lane];
            if (type == wire::FrameType::limit) {
                const auto limit = wire::decode_one(frame.body);
                if (!limit) return limit.error();
                if (*limit > lane.limit) lane.busy = 0;
                lane.limit = std::max(lane.limit, *limit);  // absolute: an old one changes nothing
                continue;
            }
            const auto numbers = wire::decode_two(frame.body);
            if (!numbers) return numbers.error();
            if (type == wire::FrameType::busy) {
                lane.busy = numbers->first;
                lane.asked_at.reset();
                lane.unanswered = 0;
            } else if (auto ok = on_ack(lane, numbers->first, numbers->second, now); !ok) {
                return ok;
            }
            continue;
        }
        if ((frame.type & 1) == 0) return Error{Errc::not_supported, "the peer sent an unknown critical frame"};
    }
}

// ---- the watchdog

Instant Sender::deadline() const noexcept {
    auto at = watch_at_;
    if (!due_.empty() && due_.front().at < at.steady) at.steady = due_.front().at;
    return at;
}

// A receiver answers MARK at once, whatever its application does. Twice no answer: it is not there, or it lost count.
Status Sender::tick(Instant now) {
    // The simulator's clocks begin an hour and fifty years from zero.
    if (planted(Mutant::wall_clock_ttl)) expire({std::max(now.steady, now.wall - std::chrono::hours{24 * 365 * 50 - 1}), now.wall});
    expire(now);
    if (watch_at_ > now) return {};
    watch_at_ = {Duration::max(), Duration::max()};
    if (state_ != State::attached) return {};
    for (auto& entry : lanes_) {
        auto& lane = *entry;
        if (!lane.announced || lane.answered != Answered::yes) continue;
        const bool empty = lane.first == lane.next;
        if (empty && lane.told_settled + 1 >= lane.first && !lane.asked_at) continue;
        if (!empty && lane.cursor == lane.first && !lane.charged) continue;  // nothing is on the way: the limit holds it, or the disk
        const auto since = lane.asked_at ? *lane.asked_at : lane.moved_at;
        const auto patience = empty && !lane.asked_at ? config_.ask_when_empty : config_.ask_after;
        if (now - since < patience) {
            watch(since + patience);
            continue;
        }
        if (lane.asked_at && ++lane.unanswered >= 2) return Error{Errc::timeout, "the peer does not answer for its messages"};
        wire::append_mark(control_, lane.index, lane.cursor, describe(lane).settled);
        if (empty) lane.told_settled = lane.first - 1;
        lane.asked_at = now;
        watch(now + config_.ask_after);
    }
    return {};
}

std::size_t Sender::memory() const noexcept {
    std::size_t sum = control_.capacity() + datagram_bytes_ + due_.capacity() * sizeof(Due);
    for (const auto& lane : lanes_) {
        sum += sizeof(Lane) + lane->bytes.capacity() + lane->entries.size() * sizeof(Entry) + lane->parked.size() * sizeof(Parked);
        for (std::size_t i = 0; i < lane->entries.size(); ++i) {
            if (const auto* extra = lane->entries[i].extra.get()) sum += sizeof(Extra) + extra->owned.capacity();
        }
    }
    return sum;
}

}  // namespace kith::delivery
