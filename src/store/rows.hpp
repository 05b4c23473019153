// SPDX-License-Identifier: Apache-2.0
// The rows of a database as values, and the statements that read and write them. docs/storage-format.md gives every column.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/storage.hpp"
#include "kith/bytes.hpp"
#include "kith/error.hpp"
#include "store/sql.hpp"

namespace kith::store {

// A message row's key: slot of its lane in the high 20 bits, number (seq, or inbox id) in the low 43. The messages of a lane
// lie side by side, in order, and end in one range.
inline constexpr unsigned number_bits = 43;
inline constexpr std::uint64_t max_number = (std::uint64_t{1} << number_bits) - 1;
inline constexpr std::uint32_t max_slot = (1U << 20) - 1;
constexpr std::uint64_t row_id(std::uint32_t slot, std::uint64_t number) noexcept { return (std::uint64_t{slot} << number_bits) | number; }
constexpr std::uint32_t slot_of(std::uint64_t id) noexcept { return static_cast<std::uint32_t>(id >> number_bits); }
constexpr std::uint64_t number_of(std::uint64_t id) noexcept { return id & max_number; }

struct State {  // the one row of `state`
    bool clean = true;
    std::uint64_t age = 0;  // nanoseconds that passed for every ttl
    std::uint64_t last_out = 0;
    std::uint64_t last_in = 0;
    std::uint64_t last_inbox = 0;
    std::uint64_t last_outcome = 0;
    std::uint64_t out_lanes = 0;  // rows there must be
    std::uint64_t in_lanes = 0;
    std::uint64_t outcomes = 0;
};

struct OutLaneRow {
    storage::LaneKey key = 0;
    std::uint32_t slot = 0;
    std::uint8_t priority = 1;
    bool attached = false;
    Bytes peer;
    std::string channel;
    std::uint64_t epoch = 0;
    std::uint64_t first = 1;
    std::uint64_t next = 1;
    std::uint64_t settled_mid = 0;
    std::uint64_t repeat_to = 0;
};

struct InLaneRow {
    storage::LaneKey key = 0;
    std::uint32_t slot = 0;
    std::uint8_t priority = 1;
    Bytes peer;
    std::string channel;
    std::uint64_t epoch = 0;
    std::uint64_t have = 0;
    std::uint64_t mid = 0;
    std::uint64_t waiting = 0;     // message rows there must be
    std::uint64_t last_inbox = 0;  // the highest id ever put here
};

struct OutMessageRow {  // views: of the statement, or of a request
    std::uint64_t id = 0;
    std::uint64_t mid = 0;
    std::uint64_t run = 0;  // of a tombstone: how many numbers end here; 0: a message
    std::uint64_t tag = 0;
    std::uint64_t ttl = 0;   // nanoseconds, when State::age was `born`
    std::uint64_t born = 0;  // 0 without ttl
    std::uint64_t expires = 0;
    ByteView bytes;

    std::uint64_t seq() const noexcept { return number_of(id); }
    std::uint64_t begin() const noexcept { return run > 0 ? seq() + 1 - run : seq(); }  // the first number it stands for
};

struct InMessageRow {
    std::uint64_t id = 0;
    std::uint64_t seq = 0;
    bool repeat = false;
    ByteView bytes;
};

struct OutcomeRow {
    std::uint64_t id = 0;
    std::uint64_t mid = 0;
    std::uint64_t tag = 0;
    std::uint64_t ended = 0;
    ByteView peer;
    std::string_view channel;
};

std::uint32_t checksum(const State& row) noexcept;
std::uint32_t checksum(const OutLaneRow& row) noexcept;
std::uint32_t checksum(const InLaneRow& row) noexcept;
std::uint32_t checksum(storage::LaneKey lane, const OutMessageRow& row) noexcept;
std::uint32_t checksum(storage::LaneKey lane, const InMessageRow& row) noexcept;
std::uint32_t checksum(const OutcomeRow& row) noexcept;

// The columns in the order of the table. Errc::damaged when the checksum differs or a value cannot be.
Result<State> state_of(const Statement& at);
Result<OutLaneRow> out_lane_of(const Statement& at);
Result<InLaneRow> in_lane_of(const Statement& at);
Result<OutMessageRow> out_message_of(storage::LaneKey lane, const Statement& at);
Result<InMessageRow> in_message_of(storage::LaneKey lane, const Statement& at);
Result<OutcomeRow> outcome_of(const Statement& at);

// The statements of one connection, prepared once.
class Tables {
public:
    static Result<Tables> prepare(const Connection& db);

    Status put(const State& row);
    Status put(const OutLaneRow& row);
    Status put(const InLaneRow& row);
    Status insert(storage::LaneKey lane, const OutMessageRow& row);
    Status replace(storage::LaneKey lane, const OutMessageRow& row);  // the row with this id, if any
    Status insert(storage::LaneKey lane, const InMessageRow& row);
    Status insert(const OutcomeRow& row);
    Status remove_out_lane(storage::LaneKey key);
    Status remove_in_lane(storage::LaneKey key);
    Status remove_outcome(std::uint64_t id);
    Status remove_out_messages(std::uint64_t from, std::uint64_t to);  // ids, both inclusive
    Status remove_in_messages(std::uint64_t from, std::uint64_t to);

    Result<State> state();
    Result<std::optional<OutLaneRow>> out_lane(storage::LaneKey key);
    Result<std::optional<InLaneRow>> in_lane(storage::LaneKey key);
    // Ranges of ids, both inclusive, ascending; to be stepped through a Scan.
    Statement& out_messages(std::uint64_t from, std::uint64_t to);
    Statement& ending(std::uint64_t from, std::uint64_t to, bool all);  // messages; only those with a tag unless `all`
    Statement& in_messages(std::uint64_t from, std::uint64_t to);
    Statement& outcomes(std::uint64_t after, std::uint64_t most);

private:
    Statement put_state_, put_out_lane_, put_in_lane_, insert_out_, replace_out_, insert_in_, insert_outcome_;
    Statement remove_out_lane_, remove_in_lane_, remove_outcome_, remove_out_, remove_in_;
    Statement state_, out_lane_, in_lane_, out_messages_, ending_, in_messages_, outcomes_;
};

}  // namespace kith::store
