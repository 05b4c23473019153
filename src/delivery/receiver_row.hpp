// SPDX-License-Identifier: Apache-2.0
// One incoming row: where it stands, what the application still holds of it, and its credit. Plain data of Receiver.
#pragma once

#include <deque>
#include <string>
#include "base/mutant.hpp"
#include "delivery/receiver.hpp"
#include "delivery/sender.hpp"

namespace kith::delivery {

struct Receiver::Row {
    std::string channel;
    std::uint8_t strength = 1;
    std::uint8_t priority = 1;
    std::uint64_t epoch = 0;
    std::uint32_t index = 0;
    std::uint32_t generation = 0;  // counts epochs and owners of the index: an answer of the application to an older one is void
    std::uint64_t have = 0;
    bool known = false;    // something of `epoch` was taken
    bool settled = false;  // the sender will never ask for what is here: it may be forgotten
    std::uint64_t used = 0;

    detail::Origin* origin = nullptr;
    Bytes partial;  // of message have + 1
    std::uint64_t partial_total = 0;
    bool partial_paid = false;  // its cost was taken on this attachment

    std::size_t window = 0;
    std::uint64_t taken = 0;         // cost of what came on this attachment
    std::uint64_t limit = 0;         // what the sender was told
    std::uint64_t held = 0;          // cost of what is not done
    std::uint64_t acked = 0;         // last `done` that was told
    std::uint64_t since_ack = 0;     // cost that was done since then
    std::uint64_t ack_now_from = 0;  // the number of the last message that asked for an answer at once
    bool answer = false;             // an acknowledgement is owed, though nothing new is done
    bool due = false;                // listed in due_
    std::uint32_t lane = 0;
    bool attached = false;
    bool begun = false;            // on this attachment the row is of the lane's epoch: what it says concerns the sender
    std::uint64_t lane_first = 1;  // of this attachment
    std::uint8_t busy = 0;         // told last

    // Messages that are not done, of this epoch and of earlier ones: these keep counting, or a peer that begins one epoch after the
    // other could fill the memory.
    struct Cost {
        std::uint32_t generation = 0;
        std::uint32_t cost = 0;
        std::uint64_t seq = 0;
    };
    Ring<Cost> costs;

    // ---- durable
    storage::LaneKey key = 0;
    std::uint64_t mid = 0;  // of `have`
    struct Pending {
        storage::Ticket ticket = 0;
        std::uint64_t have = 0;
        std::uint64_t mid = 0;
    };
    std::deque<Pending> pending;
    std::uint64_t committed = 0;
    std::uint64_t committed_mid = 0;
    storage::Ticket advance_ticket = 0;  // the request that holds our Advance
    std::size_t advance_at = 0;          // and where
    struct Handed {
        std::uint64_t inbox = 0;
        std::uint64_t seq = 0;  // 0: of an earlier epoch
        std::size_t size = 0;
    };
    std::deque<Handed> at_application;
    std::size_t at_application_bytes = 0;
    std::uint64_t handed = 0;  // inbox number of the last
    std::uint64_t inbox_messages = 0;
    std::uint64_t inbox_bytes = 0;      // with the cost of each
    std::uint64_t epoch_from = 0;       // messages up to this inbox number are of earlier epochs
    std::uint64_t processed = 0;        // number of the last message that the application is done with
    std::uint64_t processed_inbox = 0;  // likewise, its inbox number
    std::uint64_t restored_to = 0;      // messages up to this may have been handed over by an earlier process
    std::uint64_t wants_processed = 0;  // number of the last message that asked for the second receipt
    bool fetching = false;

    bool durable() const noexcept { return strength == static_cast<std::uint8_t>(Strength::durable); }
    // Some lie on disk alone: all that follow have to come from there.
    bool backlog() const noexcept { return inbox_messages > at_application.size(); }

    std::uint64_t done() const noexcept {
        if (durable() && !planted(Mutant::ack_before_commit)) return committed;
        if (planted(Mutant::ack_before_commit)) return have;
        return costs.empty() ? have : costs[0].generation == generation ? costs[0].seq - 1 : done_at_begin;
    }
    std::uint64_t done_at_begin = 0;  // first - 1 of this epoch

    void settle(std::uint32_t of, std::uint64_t seq) {
        while (!costs.empty() && (costs[0].generation < of || (costs[0].generation == of && costs[0].seq <= seq))) {
            held -= costs[0].cost;
            since_ack += costs[0].cost;
            costs.pop();
        }
    }
    std::uint64_t credit(std::size_t inbox_limit) const noexcept {
        std::uint64_t room = window;
        // An empty inbox takes a message of any legal size.
        if (durable() && inbox_messages != 0)
            room = std::min<std::uint64_t>(room, inbox_limit > inbox_bytes ? inbox_limit - inbox_bytes : 0);
        return taken + room > held ? taken + room - held : 0;
    }

    void drop_partial() {
        partial = Bytes{};  // `= {}` would keep the memory
        partial_total = 0;
    }

    Row() = default;
    Row(const Row&) = delete;
    Row& operator=(const Row&) = delete;
    ~Row() {
        if (origin != nullptr) origin->release();
    }
};

}  // namespace kith::delivery
