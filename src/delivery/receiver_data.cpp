// SPDX-License-Identifier: Apache-2.0
// Messages as they come, what the application is done with, credit, and the answers.
#include <algorithm>
#include <cstring>

#include "base/mutant.hpp"
#include "delivery/receiver.hpp"
#include "delivery/receiver_row.hpp"

namespace kith::delivery {

// The next frame begins an epoch, or goes on behind numbers that this side has lost.
bool Receiver::fresh(const Row& row, const Lane& lane) const noexcept {
    return !row.known || row.epoch != lane.epoch || (lane.gap && row.have + 1 < lane.first);
}

Status Receiver::miscounted() {
    ++resyncs_;
    return Error{Errc::protocol_error, "a message is missing or came twice on one stream"};
}

// The first message of an epoch makes the row.
void Receiver::begin(Row& row, const Lane& lane) {
    row.known = true;
    row.begun = true;
    row.settled = false;
    row.epoch = lane.epoch;
    ++row.generation;
    row.have = lane.first - 1;
    row.done_at_begin = row.have;
    row.acked = row.have;
    row.ack_now_from = 0;
    row.wants_processed = 0;
    if (!row.durable()) return;
    row.committed = row.have;
    row.mid = row.committed_mid = 0;
    row.processed = row.have;
    row.epoch_from = journal_.last_inbox();
    for (auto& handed : row.at_application) handed.seq = 0;
    if (row.key == 0) row.key = journal_.next_in();
    auto& request = journal_.open();
    const auto peer = request.add(ByteView{peer_bytes_});
    const auto name = request.add(row.channel);
    const auto ticket = journal_.add(storage::BeginIn{row.key, peer, name, row.priority, row.epoch, row.have});
    row.advance_ticket = 0;
    row.pending.push_back({ticket, row.have, 0});
}

Status Receiver::on_data(const Lane& lane, const wire::Data& data, Instant, Packer& packer, Batch& batch) {
    auto& row = *rows_[lane.row];
    ++pieces_;
    const bool first = fresh(row, lane);
    const auto start = planted(Mutant::start_at_one_without_row) ? 1 : lane.first;
    if (data.seq != (first ? start : row.have + 1) && !planted(Mutant::number_not_checked)) return miscounted();
    if ((planted(Mutant::last_message_dropped) || planted(Mutant::watchdog_off)) && data.seq % 7 == 0 &&
        (data.flags & wire::data_flag::ack_now) != 0 && !first)
        return {};
    if (data.total > config_.max_message) return Error{Errc::protocol_error, "a message is larger than the limit that RESUME told"};
    const bool has_mid = (data.flags & wire::data_flag::mid) != 0;
    if (has_mid != row.durable()) return Error{Errc::protocol_error, "only messages of durable lanes have a name"};
    const bool is_fragment = (data.flags & wire::data_flag::fragment) != 0;
    const auto cost = data.total + cost_per_message;
    if (data.offset == 0 || (is_fragment && !row.partial_paid && data.offset == row.partial.size())) {
        row.taken += cost;
        row.partial_paid = true;
        // A new lane may send a little before it knows its credit; once, not with each of many streams.
        const bool early = lane.added && row.taken <= early_bytes && row.held + cost <= row.window + early_bytes;
        if (row.taken > row.limit && !early) return Error{Errc::protocol_error, "the peer sent more than its credit"};
    }
    if (first) begin(row, lane);
    Bytes whole;
    if (is_fragment) {
        if (data.offset != row.partial.size() || (data.offset != 0 && data.total != row.partial_total)) {
            return Error{Errc::protocol_error, "a fragment does not continue its message"};
        }
        row.partial_total = data.total;
        // Grows with what came, never with what was announced alone: by four, so that a message of some records is moved once or twice.
        const auto needed = row.partial.size() + data.bytes.size();
        if (row.partial.capacity() < needed)
            row.partial.reserve(std::max<std::size_t>(needed, std::min<std::size_t>(data.total, 4 * needed)));
        row.partial.insert(row.partial.end(), data.bytes.begin(), data.bytes.end());
        if (row.partial.size() < data.total) return {};
        whole = std::exchange(row.partial, {});
        row.partial_total = 0;
    } else if (row.partial_total != 0) {
        return Error{Errc::protocol_error, "a message began inside another one"};
    }
    row.partial_paid = false;
    row.have = data.seq;
    row.mid = data.mid;
    row.settled = false;
    if (planted(Mutant::credit_at_parse)) row.taken -= cost;
    row.held += cost;
    if (!row.costs.push({row.generation, static_cast<std::uint32_t>(cost), data.seq})) return Errc::internal;  // bounded by credit
    if ((data.flags & wire::data_flag::ack_now) != 0) row.ack_now_from = data.seq;
    if ((data.flags & wire::data_flag::want_processed) != 0) row.wants_processed = data.seq;

    Delivered message{.origin = row.origin,
                      .seq = data.seq,
                      .source = config_.source,
                      .row = lane.row,
                      .generation = row.generation,
                      .repeat = (data.flags & wire::data_flag::repeat) != 0};
    if (planted(Mutant::callback_before_commit) && row.durable() && !is_fragment) {
        (void)to_disk(row, message, data.bytes);
        row.at_application.push_back({message.inbox, message.seq, data.bytes.size()});
        row.at_application_bytes += data.bytes.size();
        row.inbox_bytes += data.bytes.size();
        ++row.inbox_messages;
        row.handed = message.inbox;
        packer.add(batch, data.bytes, message);
        return {};
    }
    auto& to = row.durable() ? to_disk(row, message, is_fragment ? ByteView{whole} : data.bytes) : batch;
    if (is_fragment) {
        Packer::adopt(to, std::move(whole), message);
    } else {
        (row.durable() ? *packer_ : packer).add(to, data.bytes, message);
    }
    return {};
}

// Numbers whose messages ended otherwise at the sender.
Status Receiver::on_skip(const Lane& lane, const wire::Skip& skip, Instant now) {
    auto& row = *rows_[lane.row];
    const bool first = fresh(row, lane);
    if (skip.from != (first ? lane.first : row.have + 1)) return miscounted();
    if (first) begin(row, lane);
    row.drop_partial();
    row.partial_paid = false;
    row.have += skip.count;
    row.mid = skip.mid;
    row.settled = false;
    if (row.durable()) {
        persist(row, row.have, skip.mid);
    } else {
        answer_due(row, now + config_.ack_delay);
    }
    return {};
}

// The sender believes that everything before `next` came. Answered at once, whatever the application does.
Status Receiver::on_mark(const Lane& lane, const wire::Numbers& mark, Instant now) {
    auto& row = *rows_[lane.row];
    if (mark.first != (fresh(row, lane) ? lane.first : row.have + 1)) return miscounted();
    if (mark.second >= mark.first) return Error{Errc::protocol_error, "MARK: more is settled than was sent"};
    if (row.known && row.epoch == lane.epoch && mark.second >= row.have) row.settled = true;
    row.answer = true;
    answer_due(row, now);
    return {};
}

void Receiver::consumed(std::uint32_t index, std::uint32_t generation, std::uint64_t mark, Instant now) {
    if (index >= rows_.size()) return;
    auto& row = *rows_[index];
    if (row.durable()) return processed(row, mark, now);
    if (generation > row.generation || (generation == row.generation && mark > row.have)) return;
    const auto before = row.held;
    row.settle(generation, mark);
    if (row.held == before || !row.attached) return;
    const auto done = row.done();
    const bool asked = row.ack_now_from > row.acked && row.ack_now_from <= done;
    answer_due(row, asked || row.since_ack * 4 >= row.window ? now : now + config_.ack_delay);
}

void Receiver::busy(std::uint32_t index, Busy why, Instant now) {
    if (index >= rows_.size()) return;
    auto& row = *rows_[index];
    if (!row.attached || row.busy == static_cast<std::uint8_t>(why)) return;
    row.busy = static_cast<std::uint8_t>(why);
    wire::append_busy(control_, row.lane, row.busy, 1000);
    answer_due(row, now);
}

void Receiver::answer_due(Row& row, Instant at) {
    if (!row.attached) return;
    if (!row.due) {
        row.due = true;
        due_.push_back(row.index);
    }
    if (!ack_at_ || at < *ack_at_) ack_at_ = at;
}

bool Receiver::wants_fill(Instant now) const noexcept {
    if (!current_) return false;
    return control_sent_ < control_.size() || (ack_at_ && *ack_at_ <= now);
}

Receiver::Filled Receiver::fill(MutableBytes out, Instant now) {
    if (!current_) return {};
    if (ack_at_ && *ack_at_ <= now) {
        for (const auto index : due_) {
            auto& row = *rows_[index];
            row.due = false;
            if (!row.attached) continue;
            // What is consumed of an earlier epoch gives credit back and acknowledges nothing.
            const auto done = row.begun ? row.done() : row.lane_first - 1;
            const auto processed = row.durable() && row.begun ? std::min(row.processed, done) : done;
            if ((row.begun && done > row.acked) || row.answer) wire::append_ack(control_, row.lane, done, processed);
            row.answer = false;
            if (row.begun) row.acked = std::max(row.acked, done);
            row.since_ack = 0;
            const auto limit = row.credit(config_.inbox_bytes);
            if (limit > row.limit) wire::append_limit(control_, row.lane, limit);
            row.limit = std::max(row.limit, limit);
        }
        due_.clear();
        ack_at_.reset();
    }
    Filled filled;
    filled.bytes = std::min(out.size(), control_.size() - control_sent_);
    if (filled.bytes != 0) std::memcpy(out.data(), control_.data() + control_sent_, filled.bytes);
    control_sent_ += filled.bytes;
    filled.more = control_sent_ < control_.size();
    if (!filled.more) {
        control_.clear();
        if (control_.capacity() > kept_control) control_ = Bytes{};
        control_sent_ = 0;
    }
    return filled;
}

}  // namespace kith::delivery
