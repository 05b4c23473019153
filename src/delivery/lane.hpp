// SPDX-License-Identifier: Apache-2.0
// One outgoing lane: its messages in order, and where an attachment stands in them. Plain data of Sender; no other module.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_ring.hpp"
#include "base/ring.hpp"
#include "base/storage.hpp"
#include "kith/bytes.hpp"
#include "kith/message.hpp"
#include "kith/time.hpp"
#include "wire/kith_frames.hpp"

namespace kith::delivery {

using LaneIndex = std::uint32_t;

// What few messages have. Everything that a plain message needs is in Entry.
struct Extra {
    Bytes owned;                 // the bytes, when they are not in the lane's ring
    std::uint64_t token = 0;     // who wants to know how it ends
    std::uint64_t key = 0;       // coalescing; 0: none
    std::uint64_t mid = 0;       // durable: its name on both sides
    Duration expires{};          // steady clock; 0: never
    Duration due{};              // when the sender looks at it next because of that; 0: not
    storage::Ticket ticket = 0;  // durable: not written before this is committed
    bool cancel = false;         // wanted, and not decided yet
    bool processed = false;      // the second receipt is wanted
};

// A message, or a tombstone: a run of numbers whose messages ended otherwise, sent as SKIP.
struct Entry {
    std::uint64_t seq = 0;       // of a run: its last
    std::uint64_t position = 0;  // in the ring
    Duration since{};            // accepted, steady clock
    std::unique_ptr<Extra> extra;
    std::uint32_t size = 0;
    bool in_ring = false;
    std::uint64_t run = 0;  // 0: a message

    std::uint64_t begin() const noexcept { return run == 0 ? seq : seq - run + 1; }
    Extra& more() {
        if (!extra) extra = std::make_unique<Extra>();
        return *extra;
    }
};

// Of a durable message that is on disk and not in memory: what the disk does not have.
struct Parked {
    std::uint64_t token = 0;
    std::uint64_t mid = 0;
    std::uint64_t key = 0;
    storage::Ticket ticket = 0;
    Duration since{};
    Duration expires{};
    std::uint32_t size = 0;
    bool cancel = false;
    bool processed = false;
};

// The disk failed while messages of one number were to replace each other, or to end: it has one of these, and says which when it
// is read.
struct Doubt {
    std::vector<Parked> versions;           // oldest first; the newest may be in `parked`
    std::optional<Receipt::Outcome> ended;  // the last of `versions` was to end so
    std::vector<std::uint64_t> untold;      // tokens that were not told `stored`
    bool counted = false;                   // among the live ones again, though it was to end
};

// Who waits for the second receipt.
struct Awaited {
    std::uint64_t seq = 0;
    std::uint64_t token = 0;
    Duration since{};
};

inline Parked as_parked(const Entry& entry) {
    Parked out{.since = entry.since, .size = entry.size};
    if (const auto* extra = entry.extra.get()) {
        out.token = extra->token;
        out.mid = extra->mid;
        out.key = extra->key;
        out.expires = extra->expires;
        out.cancel = extra->cancel;
        out.processed = extra->processed;
    }
    return out;
}

// An announced lane waits for RESUME; a durable one that cannot judge the answer yet (the message it names is on disk) checks.
enum class Answered : std::uint8_t { no, checking, yes };

struct Lane {
    explicit Lane(LaneIndex i) : index(i) {}

    LaneIndex index;
    std::string channel;
    Strength strength = Strength::reliable;
    Priority priority = Priority::normal;
    std::uint64_t epoch = 0;

    Ring<Entry> entries;  // from `first` on, without gaps; of a durable lane perhaps not to the end
    ByteRing bytes;
    std::uint64_t first = 1;      // lowest unresolved
    std::uint64_t next = 1;       // the next number to be given
    std::uint64_t cursor = 1;     // the next number to be written on this attachment
    std::uint64_t highest = 0;    // highest number of which a byte was ever written: `pulled`
    std::uint64_t repeat_to = 0;  // numbers up to here may have been handed over before: marked when written
    std::uint64_t instance = 0;   // of the receiver to which bytes were last written
    std::uint64_t foreign = 0;    // numbers up to here were written to an earlier one
    std::size_t written = 0;      // bytes of the message at `cursor` that the receiver has or will have
    std::size_t tombs = 0;        // entries that are tombstones
    std::size_t compact_at = 64;  // so many of them: join those that lie together

    std::size_t live = 0;  // messages that are not resolved, wherever they lie
    std::uint64_t live_bytes = 0;

    std::uint64_t limit = 0;  // credit since attach
    std::uint64_t spent = 0;
    bool announced = false;  // in HELLO or ADD of this attachment
    Answered answered = Answered::no;
    bool early = false;    // it sends before RESUME, being new
    bool charged = false;  // the message at `cursor` has been paid for on this attachment

    // Watchdog.
    Instant moved_at{};               // the last acknowledgement, or the first write after silence
    std::optional<Instant> asked_at;  // MARK that was not answered
    std::uint32_t unanswered = 0;
    std::uint64_t told_settled = 0;  // last MARK of an empty lane
    std::uint64_t busy = 0;          // why the receiver takes nothing, as it said last; 0: it did not

    // Durable.
    storage::LaneKey key = 0;
    std::uint64_t settled = 0;  // committed as resolved
    storage::Ticket settle_ticket = 0;
    std::uint64_t settled_mid = 0;  // of first - 1
    std::uint64_t resolved = 0;     // acknowledged, though perhaps not in memory yet
    bool attached_ever = false;     // a receiver has answered for it
    bool fetching = false;
    storage::Ticket hold = 0;  // nothing is written before this is committed
    std::map<std::uint64_t, Parked> parked;
    std::map<std::uint64_t, Doubt> doubts;
    std::optional<wire::ResumeLane> resume;  // while checking
    std::size_t held_bytes = 0;              // of the messages in memory

    std::deque<Awaited> awaited;

    bool durable() const noexcept { return strength == Strength::durable; }
    // The last number that is in memory, or first - 1.
    std::uint64_t loaded() const noexcept { return entries.empty() ? first - 1 : entries[entries.size() - 1].seq; }
    bool has(std::uint64_t number) const noexcept { return number >= first && number <= loaded(); }

    // The entry that holds `number`, which must be in memory.
    std::size_t find(std::uint64_t number) const noexcept {
        const auto guess = static_cast<std::size_t>(number - first);
        if (tombs == 0) return guess;
        if (guess < entries.size() && entries[guess].seq == number) return guess;
        std::size_t low = 0;
        std::size_t high = entries.size() - 1;
        while (low < high) {
            const auto middle = (low + high) / 2;
            if (entries[middle].seq < number) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }
    Entry& at(std::uint64_t number) noexcept { return entries[find(number)]; }
    const Entry& at(std::uint64_t number) const noexcept { return entries[find(number)]; }
};

}  // namespace kith::delivery
