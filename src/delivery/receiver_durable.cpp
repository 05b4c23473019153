// SPDX-License-Identifier: Apache-2.0
// The receiver's side of the disk. The chain is: wire, disk, acknowledgement and application. What does not fit into memory between
// disk and application is read back, in order.
#include <algorithm>

#include "base/mutant.hpp"
#include "delivery/receiver.hpp"
#include "delivery/receiver_row.hpp"

namespace kith::delivery {

bool Receiver::owns(storage::LaneKey key) const noexcept {
    return std::any_of(rows_.begin(), rows_.end(), [&](const auto& row) { return row->key == key; });
}

void Receiver::restore(const storage::InLane& in, bool clean) {
    auto row = std::make_unique<Row>();
    row->channel = in.channel;
    row->strength = static_cast<std::uint8_t>(Strength::durable);
    row->priority = in.priority;
    row->index = static_cast<std::uint32_t>(rows_.size());
    row->generation = 1;
    row->key = in.key;
    row->known = true;
    row->epoch = in.epoch;
    row->have = row->committed = row->done_at_begin = in.have;
    row->mid = row->committed_mid = in.mid;
    row->processed = in.messages == 0 ? in.have : 0;
    row->inbox_messages = in.messages;
    row->inbox_bytes = in.bytes + in.messages * cost_per_message;
    row->restored_to = clean ? 0 : journal_.last_inbox();
    grant(*row);
    set_origin(*row);
    rows_.push_back(std::move(row));
    load_more(*rows_.back());
}

// ---- to the disk

// `have` rises to `to`: one step for all that came in one request.
void Receiver::persist(Row& row, std::uint64_t to, std::uint64_t mid) {
    auto& request = journal_.open();
    if (row.advance_ticket == request.ticket) {
        auto& step = std::get<storage::Advance>(request.operations[row.advance_at]);
        step.to = to;
        step.mid = mid;
        row.pending.back().have = to;
        row.pending.back().mid = mid;
        return;
    }
    const auto from = row.pending.empty() ? row.committed : row.pending.back().have;
    row.advance_ticket = request.ticket;
    row.advance_at = request.operations.size();
    if (planted(Mutant::row_in_memory)) {
        row.advance_ticket = 0;
    } else {
        journal_.add(storage::Advance{row.key, row.epoch, from, to, mid});
    }
    row.pending.push_back({request.ticket, to, mid});
}

// Where the message waits for its commit.
Batch& Receiver::to_disk(Row& row, Delivered& message, ByteView bytes) {
    persist(row, message.seq, row.mid);
    message.inbox = journal_.next_inbox();
    auto& request = journal_.open();
    const auto piece = request.add(bytes);
    journal_.add(storage::Put{message.inbox, row.key, message.seq, message.repeat, piece});
    if (!packer_) packer_ = std::make_unique<Packer>();
    if (uncommitted_.empty() || uncommitted_.back().ticket != request.ticket) {
        uncommitted_.push_back({request.ticket, {}});
        packer_->end_batch();
    }
    return uncommitted_.back().batch;
}

bool Receiver::settled_on_disk() const noexcept {
    if (planted(Mutant::resume_before_pending_commit)) return true;
    if (broken_ || !uncommitted_.empty()) return false;
    return std::all_of(rows_.begin(), rows_.end(), [](const auto& row) { return row->pending.empty(); });
}

void Receiver::committed(storage::Ticket ticket, Instant now, Batch& batch) {
    if (broken_) return;
    for (auto& entry : rows_) {
        auto& row = *entry;
        bool moved = false;
        for (; !row.pending.empty() && row.pending.front().ticket <= ticket; row.pending.pop_front()) {
            row.committed = row.pending.front().have;
            row.committed_mid = row.pending.front().mid;
            moved = true;
        }
        if (!moved) continue;
        row.settle(row.generation, row.committed);
        const bool asked = row.ack_now_from > row.acked && row.ack_now_from <= row.committed;
        answer_due(row, asked || row.since_ack * 4 >= row.window ? now : now + config_.ack_delay);
    }
    for (; !uncommitted_.empty() && uncommitted_.front().ticket <= ticket; uncommitted_.pop_front()) {
        hand_over(uncommitted_.front().batch, batch);
    }
    if (hello_ && settled_on_disk()) {
        const auto hello = std::move(*hello_);
        const auto added = std::move(added_);
        hello_.reset();
        added_.clear();
        if (!answer(hello)) return (void)refuse("the lanes of HELLO do not fit together");
        for (const auto& lane : added) {
            if (!answer(lane)) return (void)refuse("the lanes of ADD do not fit together");
        }
    }
}

// ---- to the application

void Receiver::hand_over(Batch& from, Batch& to) {
    to.take(from, [this](const Delivered& message) {
        auto& row = *rows_[message.row];
        const bool in_order = !row.backlog();
        ++row.inbox_messages;
        row.inbox_bytes += message.bytes.size() + cost_per_message;
        const bool room = row.at_application.size() < config_.memory_messages &&
                          (row.at_application_bytes + message.bytes.size() <= config_.memory_bytes || row.at_application.empty());
        if (!in_order || !room) {
            load_more(row);
            return false;
        }
        row.at_application.push_back({message.inbox, message.generation == row.generation ? message.seq : 0, message.bytes.size()});
        row.at_application_bytes += message.bytes.size();
        row.handed = message.inbox;
        return true;
    });
}

void Receiver::load_more(Row& row) {
    if (row.fetching || !row.backlog() || row.key == 0) return;
    if (row.at_application.size() > config_.memory_messages / 2 || row.at_application_bytes > config_.memory_bytes / 2) return;
    row.fetching = true;
    fetches_.push_back({row.key, row.handed, static_cast<std::uint32_t>(config_.memory_messages), config_.memory_bytes});
}

void Receiver::fetched(storage::LaneKey key, std::vector<storage::InMessage>& messages, Batch& batch) {
    const auto found = std::find_if(rows_.begin(), rows_.end(), [&](const auto& row) { return row->key == key; });
    if (found == rows_.end()) return;
    auto& row = **found;
    row.fetching = false;
    for (auto& in : messages) {
        if (in.inbox <= row.handed) continue;
        Delivered message{.origin = row.origin,
                          .seq = in.seq,
                          .inbox = in.inbox,
                          .source = config_.source,
                          .row = row.index,
                          .generation = row.generation,
                          .repeat = in.repeat || in.inbox <= row.restored_to};
        const bool of_epoch = in.inbox > row.epoch_from && in.seq <= row.committed;
        row.at_application.push_back({in.inbox, of_epoch ? in.seq : 0, in.bytes.size()});
        row.at_application_bytes += in.bytes.size();
        row.handed = in.inbox;
        Packer::adopt(batch, std::move(in.bytes), message);
    }
    if (!messages.empty()) load_more(row);
}

void Receiver::processed(Row& row, std::uint64_t inbox, Instant now) {
    bool any = false;
    for (; !row.at_application.empty() && row.at_application.front().inbox <= inbox; row.at_application.pop_front()) {
        const auto& message = row.at_application.front();
        row.at_application_bytes -= message.size;
        row.inbox_bytes -= std::min<std::uint64_t>(row.inbox_bytes, message.size + cost_per_message);
        --row.inbox_messages;
        row.processed = std::max(row.processed, message.seq);
        row.processed_inbox = message.inbox;
        any = true;
    }
    if (!any) return;
    if (row.inbox_messages == 0) row.processed = row.committed;
    if (!planted(Mutant::inbox_row_kept)) journal_.add(storage::Processed{row.key, row.processed_inbox});
    const bool wanted = row.wants_processed != 0 && row.processed >= row.wants_processed;
    if (wanted) {
        row.wants_processed = 0;
        row.answer = true;
    }
    if (wanted || row.credit(config_.inbox_bytes) > row.limit) answer_due(row, wanted ? now : now + config_.ack_delay);
    load_more(row);
}

// ---- failures

void Receiver::failed() {
    broken_ = true;
    hello_.reset();
    added_.clear();
}

void Receiver::reopened(const std::vector<storage::InLane>& rows, Batch& batch) {
    broken_ = false;
    for (auto& entry : rows_) {
        auto& row = *entry;
        if (!row.durable()) continue;
        const auto found = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.key == row.key; });
        row.pending.clear();
        row.advance_ticket = 0;
        row.fetching = false;
        row.drop_partial();
        if (found == rows.end()) {
            row.known = false;
            row.key = 0;
            row.have = row.committed = 0;
        } else {
            row.epoch = found->epoch;
            if (planted(Mutant::no_compare_and_set)) {
                row.committed = row.have;
                continue;
            }
            row.have = row.committed = found->have;
            row.mid = row.committed_mid = found->mid;
            if (row.processed_inbox != 0) journal_.add(storage::Processed{row.key, row.processed_inbox});
        }
        row.settle(row.generation, ~std::uint64_t{0});
    }
    // What the failed commit did bring to the disk is there, and goes on; the rest comes again.
    for (auto& waiting : uncommitted_) {
        std::erase_if(waiting.batch.messages, [this](const Delivered& message) {
            const auto& row = *rows_[message.row];
            return !row.known || message.generation != row.generation || message.seq > row.committed;
        });
        hand_over(waiting.batch, batch);
    }
    uncommitted_.clear();
    for (auto& row : rows_) load_more(*row);
}

}  // namespace kith::delivery
