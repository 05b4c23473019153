// SPDX-License-Identifier: Apache-2.0
// What the engine keeps for a peer it has links to or messages for.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/strong_id.hpp"
#include "delivery/receiver.hpp"
#include "delivery/sender.hpp"
#include "kith/peer_id.hpp"

namespace kith::engine {

struct PeerState {
    PeerId id;
    std::uint32_t slot = 0;
    std::uint32_t source = 0;   // slot and its use: what messages and consumed() carry
    std::vector<LinkId> links;  // open ones, oldest first
    std::uint64_t dial = 0;     // being dialled, or waiting for a slot
    bool paced = false;         // its redial has its turn in the pace of dials
    bool identified = false;
    bool unsupported = false;  // refused /kith/msg

    std::unique_ptr<delivery::Sender> sender;
    StreamRef out{};                 // our message stream
    std::optional<Instant> watched;  // when the sender's timer fires
    Instant attached_at{};
    std::uint32_t attach_failures = 0;
    std::uint64_t acknowledged = 0;  // messages, when the back-off was reset last

    std::unique_ptr<delivery::Receiver> receiver;
    bool ack_listed = false;

    bool idle_listed = false;
    std::uint64_t rested = 0;  // when it was set aside, as a count; 0: it was not
};

// Slots are small numbers; a freed one is used again by another peer. What can outlive a peer (messages that the application
// still holds) carries `source`, which also counts the uses of the slot, so that a late answer does not reach the wrong peer.
// Lane handles name the slot alone: a peer that has lanes is never erased.
class PeerTable {
public:
    PeerState& get(const PeerId& id) {
        if (auto* found = find(id)) return *found;
        std::uint32_t slot = 0;
        if (free_.size() > kept_free || (!free_.empty() && slots_.size() >= max_slots)) {
            slot = free_.front();  // the one that has been free longest
            free_.pop_front();
        } else {
            slot = static_cast<std::uint32_t>(slots_.size());
            slots_.emplace_back();
            uses_.push_back(0);
        }
        auto made = std::make_unique<PeerState>();
        made->id = id;
        made->slot = slot;
        made->source = slot | static_cast<std::uint32_t>(uses_[slot]++) << slot_bits;
        index_[id] = slot;
        slots_[slot] = std::move(made);
        return *slots_[slot];
    }
    PeerState* find(const PeerId& id) noexcept {
        const auto it = index_.find(id);
        return it == index_.end() ? nullptr : slots_[it->second].get();
    }
    PeerState* at(std::uint32_t slot) noexcept { return slot < slots_.size() ? slots_[slot].get() : nullptr; }
    PeerState* by_source(std::uint32_t source) noexcept {
        auto* found = at(source & (max_slots - 1));
        return found != nullptr && found->source == source ? found : nullptr;
    }
    void erase(std::uint32_t slot) {
        index_.erase(slots_[slot]->id);
        slots_[slot].reset();
        free_.push_back(slot);
    }
    std::size_t size() const noexcept { return index_.size(); }
    std::size_t slots() const noexcept { return slots_.size(); }
    template <class F>
    void for_each(F&& what) {
        for (const auto& peer : slots_) {
            if (peer) what(*peer);
        }
    }

private:
    static constexpr std::uint32_t slot_bits = 20;
    static constexpr std::uint32_t max_slots = 1U << slot_bits;
    static constexpr std::size_t kept_free = 256;  // a use number (12 bits) comes again only after so many other slots

    std::vector<std::unique_ptr<PeerState>> slots_;
    std::vector<std::uint16_t> uses_;
    std::deque<std::uint32_t> free_;
    std::unordered_map<PeerId, std::uint32_t> index_;
};

}  // namespace kith::engine
