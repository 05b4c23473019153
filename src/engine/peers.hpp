// SPDX-License-Identifier: Apache-2.0
// What the engine keeps for a peer it has links to or messages for.
#pragma once

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
    std::vector<LinkId> links;  // open ones, oldest first
    std::uint64_t dial = 0;     // being dialled
    bool identified = false;
    bool unsupported = false;  // refused /kith/msg

    std::unique_ptr<delivery::Sender> sender;
    StreamRef out{};  // our message stream
    Instant attached_at{};
    std::uint32_t attach_failures = 0;

    std::unique_ptr<delivery::Receiver> receiver;
    bool ack_listed = false;
};

// Slots are never reused: a handle stays valid. Bounded by the book and by the links.
class PeerTable {
public:
    PeerState& get(const PeerId& id) {
        if (auto* found = find(id)) return *found;
        auto made = std::make_unique<PeerState>();
        made->id = id;
        made->slot = static_cast<std::uint32_t>(slots_.size());
        index_[id] = made->slot;
        slots_.push_back(std::move(made));
        return *slots_.back();
    }
    PeerState* find(const PeerId& id) noexcept {
        const auto it = index_.find(id);
        return it == index_.end() ? nullptr : slots_[it->second].get();
    }
    PeerState* at(std::uint32_t slot) noexcept { return slot < slots_.size() ? slots_[slot].get() : nullptr; }
    std::size_t size() const noexcept { return slots_.size(); }
    auto begin() { return slots_.begin(); }
    auto end() { return slots_.end(); }

private:
    std::vector<std::unique_ptr<PeerState>> slots_;
    std::unordered_map<PeerId, std::uint32_t> index_;
};

}  // namespace kith::engine
