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

namespace kith::node {

// Written by the engine's thread, read by all.
struct PeerRecord {
    explicit PeerRecord(const PeerId& id) : peer(id) {}
    const PeerId peer;
    std::atomic<bool> known{false};
    std::atomic<bool> unsupported{false};
    std::size_t channels = 0;  // under the table's lock
    std::size_t lanes = 0;     // likewise: (channel, priority) in use
};

struct ChannelState {
    ChannelState(std::shared_ptr<PeerRecord> p, std::string n) : peer(std::move(p)), name(std::move(n)) {}

    const std::shared_ptr<PeerRecord> peer;
    const std::string name;

    // Admission: reserved by senders, given back by the engine. Messages and bytes in one number, so that a refused sender
    // leaves no trace for a moment, in which a waiting one would not be woken.
    static constexpr unsigned bytes_bits = 40;
    static constexpr std::uint64_t bytes_mask = (std::uint64_t{1} << bytes_bits) - 1;
    static constexpr std::uint64_t max_messages = (std::uint64_t{1} << (64 - bytes_bits)) - 1;
    std::atomic<std::uint64_t> queued{0};
    static constexpr std::uint64_t load_of(std::uint64_t messages, std::uint64_t bytes) noexcept { return messages << bytes_bits | bytes; }
    std::atomic<std::uint8_t> priorities{0};  // bits: a lane of the peer's limit is taken; set under the table's lock
    // Senders that wait for room.
    std::atomic<std::uint32_t> waiters{0};
    std::mutex mutex;
    std::condition_variable_any room;

    // Engine's thread: lanes by priority, made at first use.
    std::array<std::optional<engine::LaneHandle>, 4> lanes;
};

}  // namespace kith::node
