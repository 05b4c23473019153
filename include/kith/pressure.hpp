// SPDX-License-Identifier: Apache-2.0
// How full a send queue is, who gives way when it fills, and what is told about it. See docs/queues.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "kith/peer_id.hpp"

namespace kith {
inline namespace v0 {

// Pressure of the queue of one peer and channel: 0 to 100, the larger of what its messages and its bytes use of their limits.
enum class PressureLevel : std::uint8_t {
    none,      // room for all
    light,     // from PressurePolicy::light on: a hint to send less
    heavy,     // from ::heavy on
    blocking,  // from ::blocking on
};
std::string_view name(PressureLevel level) noexcept;  // "heavy"

// What each priority may still do. A priority is refused (queue_full) above its level, but only for the sake of a higher one
// that the channel has used: who sends with one priority has the whole queue.
struct PressurePolicy {
    int light = 50;  // percent; 1 <= light <= heavy <= blocking <= 100
    int heavy = 75;
    int blocking = 90;
    // The highest level at which a message of that priority is accepted. `blocking`: until the queue is full.
    PressureLevel low = PressureLevel::light;
    PressureLevel normal = PressureLevel::heavy;
    PressureLevel high = PressureLevel::blocking;
    PressureLevel critical = PressureLevel::blocking;
    bool always = false;  // also while no higher priority was used: room is kept for the first one
};

// A snapshot of the queue of one peer and channel: messages that wait or are not acknowledged.
struct QueueInfo {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
    int pressure = 0;
    PressureLevel level = PressureLevel::none;
    bool above = false;            // it reached the high watermark and has not fallen to the low one since
    std::size_t max_messages = 0;  // Config::max_queued_messages
    std::size_t max_bytes = 0;     // Config::max_queued_bytes
};

// The queue reached Config::high_watermark (`above`), or fell to Config::low_watermark after that. The two alternate.
struct PressureEvent {
    PeerId peer;
    std::string channel;
    int pressure = 0;  // at that moment
    PressureLevel level = PressureLevel::none;
    bool above = false;
};

}  // namespace v0
}  // namespace kith
