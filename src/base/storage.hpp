// SPDX-License-Identifier: Apache-2.0
// What durable delivery asks a disk to keep, as values: the engine fills a Request, a driver has it committed, and the answer
// comes back as an input. Between them lies no pointer and no lock. What the words mean: docs/delivery.md.
//
// Requests are committed in the order of their tickets, any number of them in one transaction. Nothing that depends on a ticket
// leaves the process before its answer. After a failure all later tickets fail too, until the store was reopened.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kith/bytes.hpp"
#include "kith/time.hpp"

namespace kith::storage {

using Ticket = std::uint64_t;   // from 1, rising by one
using LaneKey = std::uint32_t;  // of a row; from 1, never used twice in one database. Outgoing and incoming lanes count apart

// A piece of Request::bytes.
struct Piece {
    std::uint32_t at = 0;
    std::uint32_t size = 0;
};

// How a message ended, as it is stored until the application has read it.
enum class Ended : std::uint8_t { delivered, expired, cancelled, replaced, failed, unknown };

// ---- outgoing lanes: (peer, channel, priority)
struct OpenOut {  // a new lane: first = next = 1
    LaneKey lane = 0;
    Piece peer;
    Piece channel;
    std::uint8_t priority = 1;
    std::uint64_t epoch = 0;
};
struct Append {  // one message at the tail; `seq` is the lane's next, which rises in the same transaction
    LaneKey lane = 0;
    std::uint64_t seq = 0;
    std::uint64_t mid = 0;
    std::uint64_t tag = 0;  // the application's own number: every end of it is stored; with 0 only ends that are not `delivered`
    Duration ttl{};         // what is left of it; 0: none
    Duration expires{};     // wall clock; 0: never
    Piece bytes;
};
struct Replace {  // other content at the same place; the old one ends as `replaced`
    LaneKey lane = 0;
    std::uint64_t seq = 0;
    std::uint64_t mid = 0;
    std::uint64_t tag = 0;
    Duration ttl{};
    Duration expires{};
    Piece bytes;
};
// The message `seq` ends as `ended`. Its number stays as a tombstone: the numbers from `from` to `to`, all of them tombstones now,
// become one row, keyed `to`, with the mid that `to` has.
struct Bury {
    LaneKey lane = 0;
    std::uint64_t seq = 0;
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    Ended ended = Ended::cancelled;
};
struct Settle {  // everything up to `upto` is resolved: messages end as `delivered`, tombstones go; first = upto + 1
    LaneKey lane = 0;
    std::uint64_t upto = 0;
    std::uint64_t mid = 0;  // of `upto`
};
struct SetOut {  // what an attachment changes
    LaneKey lane = 0;
    std::uint64_t epoch = 0;
    std::uint64_t repeat_to = 0;
    bool attached = false;
};
struct DropOut {  // the lane goes; what waits in it ends as `ended`
    LaneKey lane = 0;
    Ended ended = Ended::failed;
};
struct Age {  // `elapsed` of the ttl of every waiting message has passed
    Duration elapsed{};
};
struct ReadOutcome {  // the application has seen it
    std::uint64_t id = 0;
};

// ---- incoming lanes
struct BeginIn {  // a lane is new, or goes on with another epoch: what waits for the application stays
    LaneKey lane = 0;
    Piece peer;
    Piece channel;
    std::uint8_t priority = 1;
    std::uint64_t epoch = 0;
    std::uint64_t have = 0;
};
// `have` rises to `to`, if and only if the row has this epoch and stands at `from`; otherwise the whole request fails. The messages
// that came (Put) follow; numbers without one were skipped.
struct Advance {
    LaneKey lane = 0;
    std::uint64_t epoch = 0;
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    std::uint64_t mid = 0;  // of `to`
};
struct Put {
    std::uint64_t inbox = 0;  // rising over all lanes, never used twice
    LaneKey lane = 0;
    std::uint64_t seq = 0;
    bool repeat = false;
    Piece bytes;
};
struct Processed {  // the application is done with what this lane put up to `inbox`
    LaneKey lane = 0;
    std::uint64_t inbox = 0;
};
struct DropIn {  // the lane and what waits in it
    LaneKey lane = 0;
};

using Operation =
    std::variant<OpenOut, Append, Replace, Bury, Settle, SetOut, DropOut, Age, ReadOutcome, BeginIn, Advance, Put, Processed, DropIn>;

struct Request {
    Ticket ticket = 0;
    Bytes bytes;
    std::vector<Operation> operations;

    Piece add(ByteView data) {
        const Piece piece{static_cast<std::uint32_t>(bytes.size()), static_cast<std::uint32_t>(data.size())};
        bytes.insert(bytes.end(), data.begin(), data.end());
        return piece;
    }
    Piece add(std::string_view text) { return add(as_bytes(text)); }
    ByteView view(Piece piece) const noexcept { return ByteView{bytes}.subspan(piece.at, piece.size); }
    std::string_view text(Piece piece) const noexcept { return as_text(view(piece)); }
};

// ---- what is read back
struct OutLane {
    LaneKey key = 0;
    Bytes peer;
    std::string channel;
    std::uint8_t priority = 1;
    std::uint64_t epoch = 0;
    std::uint64_t first = 1;
    std::uint64_t next = 1;
    std::uint64_t settled_mid = 0;  // of first - 1
    std::uint64_t repeat_to = 0;
    bool attached = false;       // a receiver has ever answered for it
    std::uint64_t messages = 0;  // waiting, tombstones not counted
    std::uint64_t bytes = 0;     // theirs
};
struct InLane {
    LaneKey key = 0;
    Bytes peer;
    std::string channel;
    std::uint8_t priority = 1;
    std::uint64_t epoch = 0;
    std::uint64_t have = 0;
    std::uint64_t mid = 0;
    std::uint64_t messages = 0;  // waiting for the application
    std::uint64_t bytes = 0;
};
struct OutMessage {
    std::uint64_t seq = 0;
    std::uint64_t mid = 0;
    std::uint64_t run = 0;  // a tombstone of so many numbers that ends at `seq`; 0: a message
    std::uint64_t tag = 0;
    Duration ttl{};
    Duration expires{};
    Bytes bytes;
};
struct InMessage {
    std::uint64_t inbox = 0;
    LaneKey lane = 0;
    std::uint64_t seq = 0;
    bool repeat = false;
    Bytes bytes;
};
struct OutcomeRow {
    std::uint64_t id = 0;
    std::uint64_t mid = 0;
    std::uint64_t tag = 0;
    Bytes peer;
    std::string channel;
    Ended ended = Ended::delivered;
};

// At start, and after a failure: rows, never messages.
struct Loaded {
    std::vector<OutLane> out;
    std::vector<InLane> in;
    std::vector<OutcomeRow> outcomes;  // not read yet, the oldest of them
    std::uint64_t last_inbox = 0;
    LaneKey last_out = 0;  // the highest keys ever used
    LaneKey last_in = 0;
    std::string note;   // for people: the database was new, repaired, moved aside; empty: as it was left
    bool clean = true;  // the last process said goodbye
};

// Reads that the engine asks for; answered in order with the commits, so that a fetch sees everything that was asked before.
struct FetchOut {
    LaneKey lane = 0;
    std::uint64_t from = 1;  // the first number wanted
    std::uint32_t messages = 1024;
    std::uint64_t bytes = 1u << 20;  // at least one message is given, however large
};
struct FetchIn {
    LaneKey lane = 0;
    std::uint64_t after = 0;  // inbox ids above this
    std::uint32_t messages = 1024;
    std::uint64_t bytes = 1u << 20;
};

}  // namespace kith::storage
