// SPDX-License-Identifier: Apache-2.0
// What send() reads and writes without asking the engine: whether the peer can be reached, and how much is queued.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "engine/types.hpp"
#include "kith/node.hpp"
#include "kith/peer_id.hpp"
#include "node/queue.hpp"

namespace kith::node {

// Written by the engine's thread, read by all.
struct PeerRecord {
    explicit PeerRecord(const PeerId& id) : peer(id) {}
    const PeerId peer;
    std::atomic<bool> known{false};
    std::atomic<bool> unsupported{false};
    std::atomic<bool> connected{false};
    std::atomic<bool> stored{false};  // durable messages for it lie on disk: more may be added while it is unknown
    Queue outbox;                     // of all durable messages for it
    std::size_t channels = 0;         // under the table's lock
    std::size_t lanes = 0;            // likewise: (channel, priority) in use
};

struct ChannelState {
    ChannelState(std::shared_ptr<PeerRecord> p, std::string n) : peer(std::move(p)), name(std::move(n)) {}

    const std::shared_ptr<PeerRecord> peer;
    const std::string name;

    Queue queue;
    std::atomic<std::uint8_t> lanes_used{0};  // bits: a lane of the peer's limit is taken; set under the table's lock

    // Crossings of the watermarks, the odd ones upwards; `noticed`: the callback thread will look.
    std::atomic<std::uint32_t> crossings{0};
    std::atomic<bool> noticed{false};
    std::atomic<std::uint8_t> rose_to{0};  // pressure at the latest crossing in that direction
    std::atomic<std::uint8_t> fell_to{0};
    std::uint32_t told = 0;  // callback thread: of `crossings`

    // Senders that wait for room.
    std::atomic<std::uint32_t> waiters{0};
    std::mutex mutex;
    std::condition_variable_any room;

    // Engine's thread: lanes, made at first use.
    std::array<std::optional<engine::LaneHandle>, 8> lanes;

    // The place of a lane there, and its bit: reliable ones by priority, then the durable ones.
    static unsigned lane_at(Strength strength, Priority priority) noexcept {
        return static_cast<unsigned>(priority) + (strength == Strength::durable ? 4U : 0U);
    }
    // Of the reliable ones, whose priorities compete for room.
    std::uint8_t priorities() const noexcept { return lanes_used.load(std::memory_order_relaxed) & 0x0FU; }
};

}  // namespace kith::node
