// SPDX-License-Identifier: Apache-2.0
// The tables of a database, and whether a database holds what they promise.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "store/rows.hpp"
#include "store/sql.hpp"

namespace kith::store {

inline constexpr std::uint64_t schema_version = 1;
inline constexpr std::uint64_t application_id = 0x6B697468;  // "kith"

enum class Form : std::uint8_t { empty, ours };

// empty: there is nothing yet. newer_version: of a later kith. invalid_argument: somebody else's database. damaged: neither.
Result<Form> form_of(Connection& db);

// Tables in an empty database; `state` gets its row from the caller, in the same transaction.
Status make_tables(Connection& db);

// What waits in the lanes, as counted.
struct Waiting {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
};
struct Content {
    State state;
    std::vector<OutLaneRow> out;
    std::vector<InLaneRow> in;
    std::map<std::uint32_t, Waiting> out_waiting;  // by slot
    std::map<std::uint32_t, Waiting> in_waiting;
};

// Reads all lanes, counts all messages and compares the two; with `every_byte` also the checksum of every message.
// Errc::damaged says what does not fit.
Result<Content> inspect(Connection& db, Tables& tables, bool every_byte);

}  // namespace kith::store
