// SPDX-License-Identifier: Apache-2.0
#include "store/schema.hpp"

#include <array>
#include <string_view>

namespace kith::store {
namespace {

struct Table {
    std::string_view name;
    const char* sql;
};

// Integers that are 64 bits wide without a sign are stored as the signed number of the same bits.
constexpr std::array all_tables{
    Table{"state",
          "CREATE TABLE state(one INTEGER PRIMARY KEY,clean INTEGER,age INTEGER,last_out INTEGER,last_in INTEGER,"
          "last_inbox INTEGER,last_outcome INTEGER,out_lanes INTEGER,in_lanes INTEGER,outcomes INTEGER,crc INTEGER)"},
    Table{"out_lane",
          "CREATE TABLE out_lane(key INTEGER PRIMARY KEY,slot INTEGER,peer BLOB,channel BLOB,priority INTEGER,epoch INTEGER,"
          "first INTEGER,next INTEGER,settled_mid INTEGER,repeat_to INTEGER,attached INTEGER,crc INTEGER)"},
    Table{"in_lane",
          "CREATE TABLE in_lane(key INTEGER PRIMARY KEY,slot INTEGER,peer BLOB,channel BLOB,priority INTEGER,epoch INTEGER,"
          "have INTEGER,mid INTEGER,waiting INTEGER,last_inbox INTEGER,crc INTEGER)"},
    Table{"out_message",
          "CREATE TABLE out_message(id INTEGER PRIMARY KEY,mid INTEGER,run INTEGER,tag INTEGER,ttl INTEGER,"
          "born INTEGER,expires INTEGER,crc INTEGER,bytes BLOB)"},
    Table{"in_message", "CREATE TABLE in_message(id INTEGER PRIMARY KEY,seq INTEGER,again INTEGER,crc INTEGER,bytes BLOB)"},
    Table{"outcome",
          "CREATE TABLE outcome(id INTEGER PRIMARY KEY,mid INTEGER,tag INTEGER,ended INTEGER,crc INTEGER,"
          "peer BLOB,channel BLOB)"},
};

Error damaged(std::string_view what, std::string detail) { return {Errc::damaged, what, std::move(detail)}; }

struct Found {
    std::size_t ours = 0;  // tables exactly as above
    std::size_t all = 0;
    bool known = false;  // at least one has the name of ours
};

Result<Found> find_tables(Connection& db) {
    auto statement = Statement::prepare(db, "SELECT name,sql FROM sqlite_schema");
    if (!statement) return statement.error();
    Found out;
    Scan scan(*statement);
    for (;;) {
        const auto row = scan.next();
        if (!row) return row.error();
        if (!*row) return out;
        ++out.all;
        for (const auto& table : all_tables) {
            if (statement->text(0) != table.name) continue;
            out.known = true;
            if (statement->text(1) == table.sql) ++out.ours;
        }
    }
}

// Adds up the rows of a message table, lane by lane. `each` is given every row that lies in a lane.
template <class Lane, class Each>
Status count(Statement& statement, const std::vector<Lane>& lanes, std::map<std::uint32_t, Waiting>& out, Each each) {
    std::map<std::uint32_t, const Lane*> by_slot;
    for (const auto& lane : lanes) {
        if (lane.slot == 0 || lane.slot > max_slot || !by_slot.emplace(lane.slot, &lane).second) {
            return damaged("lanes", "two of them have slot " + std::to_string(lane.slot));
        }
        out[lane.slot];
    }
    const Lane* lane = nullptr;
    Waiting* waiting = nullptr;
    Scan scan(statement);
    for (;;) {
        const auto row = scan.next();
        if (!row) return row.error();
        if (!*row) return {};
        const auto slot = slot_of(statement.number(0));
        if (lane == nullptr || lane->slot != slot) {
            const auto at = by_slot.find(slot);
            if (at == by_slot.end()) return damaged("messages", "one belongs to no lane");
            lane = at->second;
            waiting = &out[slot];
        }
        if (auto ok = each(*lane, *waiting); !ok) return ok;
    }
}

constexpr const char* out_brief = "SELECT id,mid,run,length(bytes) FROM out_message ORDER BY id";
constexpr const char* out_whole = "SELECT * FROM out_message ORDER BY id";
constexpr const char* in_brief = "SELECT id,length(bytes) FROM in_message ORDER BY id";
constexpr const char* in_whole = "SELECT * FROM in_message ORDER BY id";

Status count_out(Connection& db, Content& content, bool every_byte) {
    auto s = Statement::prepare(db, every_byte ? out_whole : out_brief);
    if (!s) return s.error();
    std::map<std::uint32_t, std::uint64_t> expected;
    for (const auto& lane : content.out) expected[lane.slot] = lane.first;
    auto counted = count(*s, content.out, content.out_waiting, [&](const OutLaneRow& lane, Waiting& waiting) -> Status {
        OutMessageRow row;
        row.id = s->number(0);
        row.run = s->number(2);
        auto size = s->number(3);
        if (every_byte) {
            const auto whole = out_message_of(lane.key, *s);
            if (!whole) return whole.error();
            size = whole->bytes.size();
        }
        auto& next = expected[lane.slot];
        if (row.run > row.seq() || row.begin() != next) return damaged("outgoing messages", "a number is not there");
        next = row.seq() + 1;
        if (row.run > 0) return {};
        ++waiting.messages;
        waiting.bytes += size;
        return {};
    });
    if (!counted) return counted;
    for (const auto& lane : content.out) {
        if (expected[lane.slot] != lane.next) return damaged("outgoing messages", "the last ones of a lane are not there");
    }
    return {};
}

Status count_in(Connection& db, Content& content, bool every_byte) {
    auto s = Statement::prepare(db, every_byte ? in_whole : in_brief);
    if (!s) return s.error();
    auto counted = count(*s, content.in, content.in_waiting, [&](const InLaneRow& lane, Waiting& waiting) -> Status {
        if (number_of(s->number(0)) > lane.last_inbox) return damaged("incoming messages", "one is newer than its lane");
        auto size = s->number(1);
        if (every_byte) {
            const auto row = in_message_of(lane.key, *s);
            if (!row) return row.error();
            size = row->bytes.size();
        }
        ++waiting.messages;
        waiting.bytes += size;
        return {};
    });
    if (!counted) return counted;
    for (const auto& lane : content.in) {
        if (content.in_waiting[lane.slot].messages != lane.waiting) return damaged("incoming messages", "their count is not the lane's");
    }
    return {};
}

template <class Row>
Status read_all(Connection& db, const char* sql, Result<Row> (*decode)(const Statement&), std::vector<Row>& out) {
    auto s = Statement::prepare(db, sql);
    if (!s) return s.error();
    Scan scan(*s);
    for (;;) {
        const auto there = scan.next();
        if (!there) return there.error();
        if (!*there) return {};
        auto row = decode(*s);
        if (!row) return row.error();
        out.push_back(std::move(*row));
    }
}

Status check_outcomes(Connection& db, const State& state) {
    auto s = Statement::prepare(db, "SELECT * FROM outcome ORDER BY id");
    if (!s) return s.error();
    Scan scan(*s);
    for (std::uint64_t seen = 0;; ++seen) {
        const auto there = scan.next();
        if (!there) return there.error();
        if (!*there) return seen == state.outcomes ? Status{} : Status{damaged("outcomes", "their count is not as stored")};
        const auto row = outcome_of(*s);
        if (!row) return row.error();
        if (row->id > state.last_outcome) return damaged("outcomes", "one is newer than the last");
    }
}

}  // namespace

Result<Form> form_of(Connection& db) {
    const auto version = db.number("PRAGMA user_version");
    if (!version) return version.error();
    const auto application = db.number("PRAGMA application_id");
    if (!application) return application.error();
    const auto pages = db.number("PRAGMA page_count");
    if (!pages) return pages.error();
    const auto found = find_tables(db);
    if (!found) return found.error();
    if (found->all == 0 && *version == 0 && *application == 0 && *pages <= 1) return Form::empty;
    const bool exact = found->ours == all_tables.size() && found->all == all_tables.size();
    if (exact && *version == schema_version && *application == application_id) return Form::ours;
    if (*application == application_id && *version > schema_version) {
        return Error{Errc::newer_version, "database",
                     "version " + std::to_string(*version) + ", this kith knows " + std::to_string(schema_version)};
    }
    if (!found->known && *application != application_id && found->all > 0) {
        return Error{Errc::invalid_argument, "this is not a database of kith"};
    }
    return damaged("the tables", "they are not those of version " + std::to_string(schema_version));
}

Status make_tables(Connection& db) {
    for (const auto& table : all_tables) {
        if (auto ok = db.run(table.sql); !ok) return ok;
    }
    const auto marks = "PRAGMA application_id=" + std::to_string(application_id) + ";PRAGMA user_version=" + std::to_string(schema_version);
    return db.run(marks.c_str());
}

Result<Content> inspect(Connection& db, Tables& tables, bool every_byte) {
    Content out;
    auto state = tables.state();
    if (!state) return state.error();
    out.state = *state;
    if (auto ok = read_all(db, "SELECT * FROM out_lane ORDER BY key", out_lane_of, out.out); !ok) return ok.error();
    if (auto ok = read_all(db, "SELECT * FROM in_lane ORDER BY key", in_lane_of, out.in); !ok) return ok.error();
    if (out.out.size() != out.state.out_lanes || out.in.size() != out.state.in_lanes) {
        return damaged("lanes", "their count is not as stored");
    }
    for (const auto& lane : out.out) {
        if (lane.key > out.state.last_out || lane.first > lane.next) return damaged("lanes", "an outgoing one cannot be");
    }
    for (const auto& lane : out.in) {
        if (lane.key > out.state.last_in || lane.last_inbox > out.state.last_inbox) return damaged("lanes", "an incoming one cannot be");
    }
    if (auto ok = count_out(db, out, every_byte); !ok) return ok.error();
    if (auto ok = count_in(db, out, every_byte); !ok) return ok.error();
    if (auto ok = check_outcomes(db, out.state); !ok) return ok.error();
    return out;
}

}  // namespace kith::store
