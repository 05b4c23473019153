// SPDX-License-Identifier: Apache-2.0
#include "store/rows.hpp"

#include "store/checksum.hpp"

namespace kith::store {
namespace {

// The kind of a row is part of its checksum: one table's row is not valid in another.
enum class Kind : std::uint64_t { state = 1, out_lane, in_lane, out_message, in_message, outcome };
Checksum begin(Kind kind) noexcept { return Checksum{static_cast<std::uint64_t>(kind)}; }

Error wrong(std::string_view what) { return {Errc::damaged, what, "its checksum does not fit"}; }

bool fits(const Statement& at, int column, std::uint32_t expected) noexcept { return at.number(column) == expected; }

// The checksum is of the narrow value: what was cut off must be seen too.
template <class T>
bool narrow(const Statement& at, int column, T& out) noexcept {
    const auto value = at.number(column);
    out = static_cast<T>(value);
    return static_cast<std::uint64_t>(out) == value;
}

}  // namespace

std::uint32_t checksum(const State& row) noexcept {
    return begin(Kind::state)
        .number(row.clean ? 1 : 0)
        .number(row.age)
        .number(row.last_out)
        .number(row.last_in)
        .number(row.last_inbox)
        .number(row.last_outcome)
        .number(row.out_lanes)
        .number(row.in_lanes)
        .number(row.outcomes)
        .value();
}

std::uint32_t checksum(const OutLaneRow& row) noexcept {
    return begin(Kind::out_lane)
        .number(row.key)
        .number(row.slot)
        .bytes(row.peer)
        .bytes(as_bytes(row.channel))
        .number(row.priority)
        .number(row.epoch)
        .number(row.first)
        .number(row.next)
        .number(row.settled_mid)
        .number(row.repeat_to)
        .number(row.attached ? 1 : 0)
        .value();
}

std::uint32_t checksum(const InLaneRow& row) noexcept {
    return begin(Kind::in_lane)
        .number(row.key)
        .number(row.slot)
        .bytes(row.peer)
        .bytes(as_bytes(row.channel))
        .number(row.priority)
        .number(row.epoch)
        .number(row.have)
        .number(row.mid)
        .number(row.waiting)
        .number(row.last_inbox)
        .value();
}

std::uint32_t checksum(storage::LaneKey lane, const OutMessageRow& row) noexcept {
    return begin(Kind::out_message)
        .number(lane)
        .number(row.id)
        .number(row.mid)
        .number(row.run)
        .number(row.tag)
        .number(row.ttl)
        .number(row.born)
        .number(row.expires)
        .bytes(row.bytes)
        .value();
}

std::uint32_t checksum(storage::LaneKey lane, const InMessageRow& row) noexcept {
    return begin(Kind::in_message).number(lane).number(row.id).number(row.seq).number(row.repeat ? 1 : 0).bytes(row.bytes).value();
}

std::uint32_t checksum(const OutcomeRow& row) noexcept {
    return begin(Kind::outcome)
        .number(row.id)
        .number(row.mid)
        .number(row.tag)
        .number(row.ended)
        .bytes(row.peer)
        .bytes(as_bytes(row.channel))
        .value();
}

Result<State> state_of(const Statement& at) {
    State row;
    row.clean = at.number(1) == 1;
    row.age = at.number(2);
    row.last_out = at.number(3);
    row.last_in = at.number(4);
    row.last_inbox = at.number(5);
    row.last_outcome = at.number(6);
    row.out_lanes = at.number(7);
    row.in_lanes = at.number(8);
    row.outcomes = at.number(9);
    if (!fits(at, 10, checksum(row))) return wrong("the row of `state`");
    return row;
}

Result<OutLaneRow> out_lane_of(const Statement& at) {
    OutLaneRow row;
    bool whole = narrow(at, 0, row.key) && narrow(at, 1, row.slot);
    const auto peer = at.bytes(2);
    row.peer.assign(peer.begin(), peer.end());
    row.channel = at.text(3);
    whole = narrow(at, 4, row.priority) && whole;
    row.epoch = at.number(5);
    row.first = at.number(6);
    row.next = at.number(7);
    row.settled_mid = at.number(8);
    row.repeat_to = at.number(9);
    row.attached = at.number(10) == 1;
    if (!whole || !fits(at, 11, checksum(row))) return wrong("a row of `out_lane`");
    return row;
}

Result<InLaneRow> in_lane_of(const Statement& at) {
    InLaneRow row;
    bool whole = narrow(at, 0, row.key) && narrow(at, 1, row.slot);
    const auto peer = at.bytes(2);
    row.peer.assign(peer.begin(), peer.end());
    row.channel = at.text(3);
    whole = narrow(at, 4, row.priority) && whole;
    row.epoch = at.number(5);
    row.have = at.number(6);
    row.mid = at.number(7);
    row.waiting = at.number(8);
    row.last_inbox = at.number(9);
    if (!whole || !fits(at, 10, checksum(row))) return wrong("a row of `in_lane`");
    return row;
}

Result<OutMessageRow> out_message_of(storage::LaneKey lane, const Statement& at) {
    const OutMessageRow row{at.number(0), at.number(1), at.number(2), at.number(3), at.number(4), at.number(5), at.number(6), at.bytes(8)};
    if (!fits(at, 7, checksum(lane, row)) || row.run > row.seq()) return wrong("a row of `out_message`");
    return row;
}

Result<InMessageRow> in_message_of(storage::LaneKey lane, const Statement& at) {
    const InMessageRow row{at.number(0), at.number(1), at.number(2) == 1, at.bytes(4)};
    if (!fits(at, 3, checksum(lane, row))) return wrong("a row of `in_message`");
    return row;
}

Result<OutcomeRow> outcome_of(const Statement& at) {
    const OutcomeRow row{at.number(0), at.number(1), at.number(2), at.number(3), at.bytes(5), at.text(6)};
    if (!fits(at, 4, checksum(row))) return wrong("a row of `outcome`");
    if (row.ended > static_cast<std::uint64_t>(storage::Ended::unknown)) return wrong("a row of `outcome`");
    return row;
}

Result<Tables> Tables::prepare(const Connection& db) {
    Tables out;
    struct Entry {
        Statement* statement;
        std::string_view sql;
    };
    const Entry entries[] = {
        {&out.put_state_, "INSERT OR REPLACE INTO state VALUES(1,?,?,?,?,?,?,?,?,?,?)"},
        {&out.put_out_lane_, "INSERT OR REPLACE INTO out_lane VALUES(?,?,?,?,?,?,?,?,?,?,?,?)"},
        {&out.put_in_lane_, "INSERT OR REPLACE INTO in_lane VALUES(?,?,?,?,?,?,?,?,?,?,?)"},
        {&out.insert_out_, "INSERT INTO out_message VALUES(?,?,?,?,?,?,?,?,?)"},
        {&out.replace_out_, "REPLACE INTO out_message VALUES(?,?,?,?,?,?,?,?,?)"},
        {&out.insert_in_, "INSERT INTO in_message VALUES(?,?,?,?,?)"},
        {&out.insert_outcome_, "INSERT INTO outcome VALUES(?,?,?,?,?,?,?)"},
        {&out.remove_out_lane_, "DELETE FROM out_lane WHERE key=?"},
        {&out.remove_in_lane_, "DELETE FROM in_lane WHERE key=?"},
        {&out.remove_outcome_, "DELETE FROM outcome WHERE id=?"},
        {&out.remove_out_, "DELETE FROM out_message WHERE id BETWEEN ? AND ?"},
        {&out.remove_in_, "DELETE FROM in_message WHERE id BETWEEN ? AND ?"},
        {&out.state_, "SELECT * FROM state WHERE one=1"},
        {&out.out_lane_, "SELECT * FROM out_lane WHERE key=?"},
        {&out.in_lane_, "SELECT * FROM in_lane WHERE key=?"},
        {&out.out_messages_, "SELECT * FROM out_message WHERE id BETWEEN ? AND ? ORDER BY id"},
        {&out.ending_, "SELECT * FROM out_message WHERE id BETWEEN ? AND ? AND run=0 AND (tag<>0 OR ?) ORDER BY id"},
        {&out.in_messages_, "SELECT * FROM in_message WHERE id BETWEEN ? AND ? ORDER BY id"},
        {&out.outcomes_, "SELECT * FROM outcome WHERE id>? ORDER BY id LIMIT ?"},
    };
    for (const auto& entry : entries) {
        auto statement = Statement::prepare(db, entry.sql);
        if (!statement) return statement.error();
        *entry.statement = std::move(*statement);
    }
    return out;
}

Status Tables::put(const State& row) {
    put_state_.bind(1, row.clean ? 1U : 0U).bind(2, row.age).bind(3, row.last_out).bind(4, row.last_in).bind(5, row.last_inbox);
    put_state_.bind(6, row.last_outcome).bind(7, row.out_lanes).bind(8, row.in_lanes).bind(9, row.outcomes);
    return put_state_.bind(10, checksum(row)).run();
}

Status Tables::put(const OutLaneRow& row) {
    auto& s = put_out_lane_;
    s.bind(1, row.key).bind(2, row.slot).bind(3, row.peer).bind(4, as_bytes(row.channel)).bind(5, row.priority).bind(6, row.epoch);
    s.bind(7, row.first).bind(8, row.next).bind(9, row.settled_mid).bind(10, row.repeat_to).bind(11, row.attached ? 1U : 0U);
    return s.bind(12, checksum(row)).run();
}

Status Tables::put(const InLaneRow& row) {
    auto& s = put_in_lane_;
    s.bind(1, row.key).bind(2, row.slot).bind(3, row.peer).bind(4, as_bytes(row.channel)).bind(5, row.priority).bind(6, row.epoch);
    return s.bind(7, row.have).bind(8, row.mid).bind(9, row.waiting).bind(10, row.last_inbox).bind(11, checksum(row)).run();
}

namespace {

Status write(Statement& s, storage::LaneKey lane, const OutMessageRow& row) {
    s.bind(1, row.id).bind(2, row.mid).bind(3, row.run).bind(4, row.tag).bind(5, row.ttl).bind(6, row.born).bind(7, row.expires);
    return s.bind(8, checksum(lane, row)).bind(9, row.bytes).run();
}

}  // namespace

Status Tables::insert(storage::LaneKey lane, const OutMessageRow& row) { return write(insert_out_, lane, row); }
Status Tables::replace(storage::LaneKey lane, const OutMessageRow& row) { return write(replace_out_, lane, row); }

Status Tables::insert(storage::LaneKey lane, const InMessageRow& row) {
    insert_in_.bind(1, row.id).bind(2, row.seq).bind(3, row.repeat ? 1U : 0U).bind(4, checksum(lane, row)).bind(5, row.bytes);
    return insert_in_.run();
}

Status Tables::insert(const OutcomeRow& row) {
    insert_outcome_.bind(1, row.id).bind(2, row.mid).bind(3, row.tag).bind(4, row.ended).bind(5, checksum(row));
    return insert_outcome_.bind(6, row.peer).bind(7, as_bytes(row.channel)).run();
}

Status Tables::remove_out_lane(storage::LaneKey key) { return remove_out_lane_.bind(1, key).run(); }
Status Tables::remove_in_lane(storage::LaneKey key) { return remove_in_lane_.bind(1, key).run(); }
Status Tables::remove_outcome(std::uint64_t id) { return remove_outcome_.bind(1, id).run(); }
Status Tables::remove_out_messages(std::uint64_t from, std::uint64_t to) { return remove_out_.bind(1, from).bind(2, to).run(); }
Status Tables::remove_in_messages(std::uint64_t from, std::uint64_t to) { return remove_in_.bind(1, from).bind(2, to).run(); }

Result<State> Tables::state() {
    Scan scan(state_);
    const auto row = scan.next();
    if (!row) return row.error();
    if (!*row) return Error{Errc::damaged, "the row of `state`", "it is not there"};
    return state_of(state_);
}

Result<std::optional<OutLaneRow>> Tables::out_lane(storage::LaneKey key) {
    Scan scan(out_lane_.bind(1, key));
    const auto there = scan.next();
    if (!there) return there.error();
    if (!*there) return std::optional<OutLaneRow>{};
    auto row = out_lane_of(out_lane_);
    if (!row) return row.error();
    return std::optional<OutLaneRow>{std::move(*row)};
}

Result<std::optional<InLaneRow>> Tables::in_lane(storage::LaneKey key) {
    Scan scan(in_lane_.bind(1, key));
    const auto there = scan.next();
    if (!there) return there.error();
    if (!*there) return std::optional<InLaneRow>{};
    auto row = in_lane_of(in_lane_);
    if (!row) return row.error();
    return std::optional<InLaneRow>{std::move(*row)};
}

Statement& Tables::out_messages(std::uint64_t from, std::uint64_t to) { return out_messages_.bind(1, from).bind(2, to); }
Statement& Tables::ending(std::uint64_t from, std::uint64_t to, bool all) {
    return ending_.bind(1, from).bind(2, to).bind(3, all ? 1U : 0U);
}
Statement& Tables::in_messages(std::uint64_t from, std::uint64_t to) { return in_messages_.bind(1, from).bind(2, to); }
Statement& Tables::outcomes(std::uint64_t after, std::uint64_t most) { return outcomes_.bind(1, after).bind(2, most); }

}  // namespace kith::store
