// SPDX-License-Identifier: Apache-2.0
// Operations on outgoing lanes.
#include <algorithm>
#include <utility>

#include "store/impl.hpp"

#include "base/mutant.hpp"

namespace kith::store {

using storage::Ended;

namespace {

// A duration as a column: what is negative counts as over.
std::uint64_t column(Duration time) noexcept { return static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0)); }

}  // namespace

Result<Touched<OutLaneRow>*> Database::Impl::out_lane(storage::LaneKey key) {
    if (const auto at = out.find(key); at != out.end()) return &at->second;
    auto row = tables.out_lane(key);
    if (!row) return row.error();
    if (!*row) return misfit("there is no such outgoing lane");
    return &out.emplace(key, Touched<OutLaneRow>{std::move(**row), false}).first->second;
}

// `message` may be a view of a statement that is being stepped through.
Status Database::Impl::end(const OutLaneRow& lane, const OutMessageRow& message, Ended ended) {
    if (ended == Ended::delivered && message.tag == 0) return {};
    if (planted(Mutant::outcome_row_missing)) return {};
    ++state.last_outcome;
    ++state.outcomes;
    state_dirty = true;
    const auto how = static_cast<std::uint64_t>(ended);
    return tables.insert(OutcomeRow{state.last_outcome, message.mid, message.tag, how, lane.peer, lane.channel});
}

// The outcomes of what waits in [from, to]; the rows stay.
Status Database::Impl::end_range(const OutLaneRow& lane, std::uint64_t from, std::uint64_t to, Ended ended) {
    auto& statement = tables.ending(row_id(lane.slot, from), row_id(lane.slot, to), ended != Ended::delivered);
    Scan scan(statement);
    for (;;) {
        const auto there = scan.next();
        if (!there) return there.error();
        if (!*there) return {};
        const auto row = out_message_of(lane.key, statement);
        if (!row) return row.error();
        if (auto ok = end(lane, *row, ended); !ok) return ok;
    }
}

Status Database::Impl::take_range(const OutLaneRow& lane, std::uint64_t from, std::uint64_t to) {
    if (auto ok = tables.remove_out_messages(row_id(lane.slot, from), row_id(lane.slot, to)); !ok) return ok;
    const auto rows = db.changed();
    if (rows > to - from + 1) return Error{Errc::damaged, "outgoing messages", "there are too many"};
    return {};
}

// Behind `upto`, which is settled, a run of tombstones may go on: its row loses the numbers that are gone.
Status Database::Impl::cut_run(const OutLaneRow& lane, std::uint64_t upto) {
    if (upto + 1 >= lane.next) return {};
    OutMessageRow rest;
    {
        auto& statement = tables.out_messages(row_id(lane.slot, upto + 1), row_id(lane.slot, lane.next - 1));
        Scan scan(statement);
        const auto there = scan.next();
        if (!there) return there.error();
        if (!*there) return Error{Errc::damaged, "outgoing messages", "a number is not there"};
        const auto row = out_message_of(lane.key, statement);
        if (!row) return row.error();
        if (row->begin() > upto) return {};
        rest = *row;
    }
    rest.bytes = {};
    rest.run = rest.seq() - upto;
    return tables.replace(lane.key, rest);
}

Status Database::Impl::run(const storage::Request& request, const storage::OpenOut& op) {
    if (op.lane <= state.last_out) return misfit("OpenOut: the key was used before");
    const auto slot = out_slots.take();
    if (!slot) return slot.error();
    Touched<OutLaneRow> lane;
    lane.dirty = true;
    lane.row.key = op.lane;
    lane.row.slot = *slot;
    const auto peer = request.view(op.peer);
    lane.row.peer.assign(peer.begin(), peer.end());
    lane.row.channel = request.text(op.channel);
    lane.row.priority = op.priority;
    lane.row.epoch = op.epoch;
    out.emplace(op.lane, std::move(lane));
    state.last_out = op.lane;
    ++state.out_lanes;
    state_dirty = true;
    return {};
}

Status Database::Impl::run(const storage::Request& request, const storage::Append& op) {
    const auto found = out_lane(op.lane);
    if (!found) return found.error();
    auto& lane = **found;
    if (op.seq != lane.row.next) return misfit("Append: not the lane's next number");
    if (op.seq >= max_number) return Error{Errc::limit_exceeded, "a lane has no more numbers"};
    OutMessageRow row;
    row.id = row_id(lane.row.slot, op.seq);
    row.mid = op.mid;
    row.tag = op.tag;
    row.ttl = column(op.ttl);
    row.born = row.ttl != 0 ? state.age : 0;
    row.expires = column(op.expires);
    row.bytes = request.view(op.bytes);
    if (auto ok = tables.insert(op.lane, row); !ok) return ok;
    ++lane.row.next;
    lane.dirty = true;
    return {};
}

Status Database::Impl::run(const storage::Request& request, const storage::Replace& op) {
    const auto found = out_lane(op.lane);
    if (!found) return found.error();
    const auto& lane = (*found)->row;
    if (op.seq < lane.first || op.seq >= lane.next) return misfit("Replace: no such number");
    OutMessageRow row;
    row.id = row_id(lane.slot, op.seq);
    {
        auto& statement = tables.out_messages(row.id, row.id);
        Scan scan(statement);
        const auto there = scan.next();
        if (!there) return there.error();
        if (!*there) return misfit("Replace: it ended before");
        const auto old = out_message_of(lane.key, statement);
        if (!old) return old.error();
        if (old->run > 0) return misfit("Replace: it ended before");
        if (auto ok = end(lane, *old, Ended::replaced); !ok) return ok;
    }
    row.mid = op.mid;
    row.tag = op.tag;
    row.ttl = column(op.ttl);
    row.born = row.ttl != 0 ? state.age : 0;
    row.expires = column(op.expires);
    row.bytes = request.view(op.bytes);
    return tables.replace(lane.key, row);
}

Status Database::Impl::run(const storage::Request& /*request*/, const storage::Bury& op) {
    const auto found = out_lane(op.lane);
    if (!found) return found.error();
    const auto& lane = (*found)->row;
    if (op.from < lane.first || op.seq < op.from || op.to < op.seq || op.to >= lane.next) return misfit("Bury: no such numbers");
    OutMessageRow tomb;
    tomb.id = row_id(lane.slot, op.to);
    tomb.run = op.to - op.from + 1;
    // Nothing else than `seq` may end here, and the new run must not cut an old one in two.
    auto expected = op.from;
    {
        auto& statement = tables.out_messages(row_id(lane.slot, op.from), tomb.id);
        Scan scan(statement);
        for (; expected <= op.to;) {
            const auto there = scan.next();
            if (!there) return there.error();
            if (!*there) return misfit("Bury: a run ends elsewhere");
            const auto row = out_message_of(lane.key, statement);
            if (!row) return row.error();
            if (row->begin() != expected || (row->run == 0) != (row->seq() == op.seq)) return misfit("Bury: not all of it has ended");
            if (row->run == 0) {
                if (auto ok = end(lane, *row, op.ended); !ok) return ok;
            }
            tomb.mid = row->mid;
            expected = row->seq() + 1;
        }
    }
    if (auto ok = take_range(lane, op.from, op.to); !ok) return ok;
    return tables.insert(lane.key, tomb);
}

Status Database::Impl::run(const storage::Request& /*request*/, const storage::Settle& op) {
    const auto found = out_lane(op.lane);
    if (!found) return found.error();
    auto& lane = **found;
    if (op.upto >= lane.row.next || op.upto + 1 < lane.row.first) return misfit("Settle: no such number");
    if (op.upto >= lane.row.first) {
        if (auto ok = end_range(lane.row, lane.row.first, op.upto, Ended::delivered); !ok) return ok;
        if (auto ok = take_range(lane.row, lane.row.first, op.upto); !ok) return ok;
        if (auto ok = cut_run(lane.row, op.upto); !ok) return ok;
    }
    lane.row.first = op.upto + 1;
    lane.row.settled_mid = op.mid;
    lane.dirty = true;
    return {};
}

Status Database::Impl::run(const storage::Request& /*request*/, const storage::SetOut& op) {
    const auto found = out_lane(op.lane);
    if (!found) return found.error();
    auto& lane = **found;
    lane.row.epoch = op.epoch;
    lane.row.repeat_to = op.repeat_to;
    lane.row.attached = op.attached;
    lane.dirty = true;
    return {};
}

Status Database::Impl::run(const storage::Request& /*request*/, const storage::DropOut& op) {
    const auto found = out_lane(op.lane);
    if (!found) return found.error();
    const auto& lane = (*found)->row;
    if (lane.first < lane.next) {
        if (auto ok = end_range(lane, lane.first, lane.next - 1, op.ended); !ok) return ok;
        if (auto ok = take_range(lane, lane.first, lane.next - 1); !ok) return ok;
    }
    if (auto ok = tables.remove_out_lane(op.lane); !ok) return ok;
    out_slots.free(lane.slot);
    out.erase(op.lane);
    --state.out_lanes;
    state_dirty = true;
    return {};
}

// One number instead of every row: what is left of a ttl is counted from the age at which its message came.
Status Database::Impl::run(const storage::Request& /*request*/, const storage::Age& op) {
    const auto most = static_cast<std::uint64_t>(Duration::max().count());
    state.age = std::min(most, state.age + column(op.elapsed));
    state_dirty = true;
    return {};
}

// Told twice is told.
Status Database::Impl::run(const storage::Request& /*request*/, const storage::ReadOutcome& op) {
    if (auto ok = tables.remove_outcome(op.id); !ok) return ok;
    if (db.changed() == 0) return {};
    --state.outcomes;
    state_dirty = true;
    return {};
}

}  // namespace kith::store
