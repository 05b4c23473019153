// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <utility>

#include "store/impl.hpp"

namespace kith::store {
namespace {

constexpr std::size_t outcomes_loaded = 1024;

// Never more than what was given, never 0, which means "none".
Duration left(const OutMessageRow& row, std::uint64_t age) noexcept {
    if (row.ttl == 0) return {};
    const auto passed = age > row.born ? age - row.born : 0;
    return Duration{static_cast<std::int64_t>(passed < row.ttl ? row.ttl - passed : 1)};
}

Bytes copy(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

storage::OutcomeRow value_of(const OutcomeRow& row) {
    return {row.id, row.mid, row.tag, copy(row.peer), std::string{row.channel}, static_cast<storage::Ended>(row.ended)};
}

// Whether a fetch is full before this one: at least one is given, however large.
template <class Message>
bool full(const std::vector<Message>& out, std::uint64_t& taken, std::uint64_t size, std::uint32_t messages, std::uint64_t bytes) {
    if (!out.empty() && (out.size() >= messages || taken + size > bytes)) return true;
    taken += size;
    return false;
}

}  // namespace

Result<storage::Loaded> Database::Impl::load() {
    if (auto ok = flush(); !ok) return ok.error();
    if (!content) {
        auto inspected = inspect(db, tables, false);
        if (!inspected) return inspected.error();
        content = std::move(*inspected);
    }
    storage::Loaded loaded;
    for (const auto& row : content->out) {
        const auto waiting = content->out_waiting[row.slot];
        loaded.out.push_back({row.key, row.peer, row.channel, row.priority, row.epoch, row.first, row.next, row.settled_mid, row.repeat_to,
                              row.attached, waiting.messages, waiting.bytes});
    }
    for (const auto& row : content->in) {
        const auto waiting = content->in_waiting[row.slot];
        loaded.in.push_back({row.key, row.peer, row.channel, row.priority, row.epoch, row.have, row.mid, waiting.messages, waiting.bytes});
    }
    auto read = outcomes(0, outcomes_loaded);
    if (!read) return read.error();
    loaded.outcomes = std::move(*read);
    loaded.last_inbox = state.last_inbox;
    loaded.last_out = static_cast<storage::LaneKey>(state.last_out);
    loaded.last_in = static_cast<storage::LaneKey>(state.last_in);
    loaded.note = note;
    loaded.clean = was_clean;
    // While requests are applied it would soon be wrong.
    if (in_transaction) content.reset();
    return loaded;
}

Result<std::vector<storage::OutMessage>> Database::Impl::fetch(const storage::FetchOut& wanted) {
    std::vector<storage::OutMessage> messages;
    if (!out.contains(wanted.lane)) {
        const auto there = tables.out_lane(wanted.lane);
        if (!there) return there.error();
        if (!*there) return messages;  // dropped by what was asked before
    }
    const auto found = out_lane(wanted.lane);
    if (!found) return found.error();
    const auto& lane = (*found)->row;
    auto seq = std::max(wanted.from, lane.first);
    if (seq >= lane.next) return messages;
    auto& statement = tables.out_messages(row_id(lane.slot, seq), row_id(lane.slot, lane.next - 1));
    Scan scan(statement);
    for (std::uint64_t taken = 0; seq < lane.next;) {
        const auto there = scan.next();
        if (!there) return there.error();
        if (!*there) return Error{Errc::damaged, "outgoing messages", "a number is not there"};
        const auto row = out_message_of(lane.key, statement);
        if (!row) return row.error();
        // A run may have begun before what was wanted.
        const bool joins = messages.empty() ? row->begin() <= seq : row->begin() == seq;
        if (!joins) return Error{Errc::damaged, "outgoing messages", "a number is not there"};
        if (full(messages, taken, row->bytes.size(), wanted.messages, wanted.bytes)) break;
        storage::OutMessage message;
        message.seq = row->seq();
        message.mid = row->mid;
        message.run = row->run > 0 ? row->seq() + 1 - seq : 0;
        message.tag = row->tag;
        message.ttl = left(*row, state.age);
        message.expires = Duration{static_cast<std::int64_t>(row->expires)};
        message.bytes = copy(row->bytes);
        messages.push_back(std::move(message));
        seq = row->seq() + 1;
    }
    return messages;
}

Result<std::vector<storage::InMessage>> Database::Impl::fetch(const storage::FetchIn& wanted) {
    std::vector<storage::InMessage> messages;
    if (!in.contains(wanted.lane)) {
        const auto there = tables.in_lane(wanted.lane);
        if (!there) return there.error();
        if (!*there) return messages;
    }
    const auto found = in_lane(wanted.lane);
    if (!found) return found.error();
    const auto& lane = (*found)->row;
    if (wanted.after >= max_number) return messages;
    auto& statement = tables.in_messages(row_id(lane.slot, wanted.after + 1), row_id(lane.slot, max_number));
    Scan scan(statement);
    for (std::uint64_t taken = 0;;) {
        const auto there = scan.next();
        if (!there) return there.error();
        if (!*there) return messages;
        const auto row = in_message_of(lane.key, statement);
        if (!row) return row.error();
        if (full(messages, taken, row->bytes.size(), wanted.messages, wanted.bytes)) return messages;
        messages.push_back({number_of(row->id), lane.key, row->seq, row->repeat, copy(row->bytes)});
    }
}

Result<std::vector<storage::OutcomeRow>> Database::Impl::outcomes(std::uint64_t after, std::size_t most) {
    std::vector<storage::OutcomeRow> rows;
    constexpr auto top = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    auto& statement = tables.outcomes(std::min(after, top), std::min<std::uint64_t>(most, top));
    Scan scan(statement);
    for (;;) {
        const auto there = scan.next();
        if (!there) return there.error();
        if (!*there) return rows;
        const auto row = outcome_of(statement);
        if (!row) return row.error();
        rows.push_back(value_of(*row));
    }
}

}  // namespace kith::store
