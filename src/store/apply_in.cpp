// SPDX-License-Identifier: Apache-2.0
// Operations on incoming lanes.
#include <algorithm>
#include <utility>

#include "store/impl.hpp"

#include "base/mutant.hpp"

namespace kith::store {

Result<Touched<InLaneRow>*> Database::Impl::in_lane(storage::LaneKey key) {
    if (const auto at = in.find(key); at != in.end()) return &at->second;
    auto row = tables.in_lane(key);
    if (!row) return row.error();
    if (!*row) return misfit("there is no such incoming lane");
    return &in.emplace(key, Touched<InLaneRow>{std::move(**row), false}).first->second;
}

Status Database::Impl::run(const storage::Request& request, const storage::BeginIn& op) {
    const auto peer = request.view(op.peer);
    const auto channel = request.text(op.channel);
    if (op.lane > state.last_in) {
        const auto slot = in_slots.take();
        if (!slot) return slot.error();
        Touched<InLaneRow> fresh;
        fresh.row.key = op.lane;
        fresh.row.slot = *slot;
        fresh.row.peer.assign(peer.begin(), peer.end());
        fresh.row.channel = channel;
        fresh.row.priority = op.priority;
        in.emplace(op.lane, std::move(fresh));
        state.last_in = op.lane;
        ++state.in_lanes;
        state_dirty = true;
    }
    const auto found = in_lane(op.lane);
    if (!found) return found.error();
    auto& lane = **found;
    const bool same = std::ranges::equal(lane.row.peer, peer) && lane.row.channel == channel && lane.row.priority == op.priority;
    if (!same) return misfit("BeginIn: the key belongs to another lane");
    lane.row.epoch = op.epoch;
    lane.row.have = op.have;
    lane.row.mid = 0;
    lane.dirty = true;
    return {};
}

Status Database::Impl::run(const storage::Request& /*request*/, const storage::Advance& op) {
    const auto found = in_lane(op.lane);
    if (!found) return found.error();
    auto& lane = **found;
    if (!planted(Mutant::no_compare_and_set) && (lane.row.epoch != op.epoch || lane.row.have != op.from || op.to < op.from))
        return misfit("Advance: the lane stands elsewhere");
    lane.row.have = op.to;
    lane.row.mid = op.mid;
    lane.dirty = true;
    return {};
}

Status Database::Impl::run(const storage::Request& request, const storage::Put& op) {
    const auto found = in_lane(op.lane);
    if (!found) return found.error();
    auto& lane = **found;
    if (op.inbox <= state.last_inbox) return misfit("Put: the inbox id was used before");
    if (op.inbox > max_number) return Error{Errc::limit_exceeded, "there are no more inbox ids"};
    const InMessageRow row{row_id(lane.row.slot, op.inbox), op.seq, op.repeat, request.view(op.bytes)};
    if (auto ok = tables.insert(op.lane, row); !ok) return ok;
    ++lane.row.waiting;
    lane.row.last_inbox = op.inbox;
    lane.dirty = true;
    state.last_inbox = op.inbox;
    state_dirty = true;
    return {};
}

Status Database::Impl::run(const storage::Request& /*request*/, const storage::Processed& op) {
    const auto found = in_lane(op.lane);
    if (!found) return found.error();
    auto& lane = **found;
    const auto upto = std::min(op.inbox, max_number);
    if (auto ok = tables.remove_in_messages(row_id(lane.row.slot, 0), row_id(lane.row.slot, upto)); !ok) return ok;
    const auto gone = db.changed();
    if (gone == 0) return {};
    if (gone > lane.row.waiting) return Error{Errc::damaged, "incoming messages", "their count is not the lane's"};
    lane.row.waiting -= gone;
    lane.dirty = true;
    return {};
}

Status Database::Impl::run(const storage::Request& /*request*/, const storage::DropIn& op) {
    const auto found = in_lane(op.lane);
    if (!found) return found.error();
    const auto& lane = (*found)->row;
    if (auto ok = tables.remove_in_messages(row_id(lane.slot, 0), row_id(lane.slot, max_number)); !ok) return ok;
    if (db.changed() != lane.waiting) return Error{Errc::damaged, "incoming messages", "their count is not the lane's"};
    if (auto ok = tables.remove_in_lane(op.lane); !ok) return ok;
    in_slots.free(lane.slot);
    in.erase(op.lane);
    --state.in_lanes;
    state_dirty = true;
    return {};
}

}  // namespace kith::store
