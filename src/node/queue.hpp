// SPDX-License-Identifier: Apache-2.0
// The admission counter of one peer and channel: reserved by senders on any thread, given back by the engine's thread. One atomic.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

#include "kith/config.hpp"
#include "kith/error.hpp"
#include "kith/message.hpp"

namespace kith::node {

// The percentages of a Config as counts of messages and bytes, so that the hot path compares and does not divide.
class Thresholds {
public:
    // Reached with so many messages, or with so many bytes.
    struct Mark {
        std::uint64_t messages = 0;
        std::uint64_t bytes = 0;
        bool reached(std::uint64_t m, std::uint64_t b) const noexcept { return m >= messages || b >= bytes; }
    };

    Thresholds() = default;
    explicit Thresholds(const Config& config);
    // A plain limit, without levels.
    Thresholds(std::size_t messages, std::size_t bytes);
    // invalid_argument: percentages out of order.
    static Status check(const Config& config);

    int pressure(std::uint64_t messages, std::uint64_t bytes) const noexcept;
    PressureLevel level(int pressure) const noexcept;
    // From here on the priority is refused, on a channel that has used the priorities of these bits.
    const Mark& end_of(Priority priority, std::uint8_t used) const noexcept {
        const auto p = static_cast<unsigned>(priority);
        return always_ || (used >> (p + 1U)) != 0 ? ends_[p] : full_;
    }
    const Mark& high() const noexcept { return high_; }
    const Mark& above_low() const noexcept { return above_low_; }
    std::uint64_t max_messages() const noexcept { return max_messages_; }
    std::uint64_t max_bytes() const noexcept { return max_bytes_; }

private:
    Mark at(int percent) const noexcept;

    std::uint64_t max_messages_ = 1;
    std::uint64_t max_bytes_ = 1;
    std::array<int, 3> levels_{};  // percent: light, heavy, blocking
    std::array<Mark, 4> ends_{};   // by priority
    Mark full_;
    Mark high_;
    Mark above_low_;
    bool always_ = false;
};

class Queue {
public:
    // Messages and bytes lie in one number, so that a refused sender leaves no trace for a moment, in which a waiting one would
    // not be woken. So does the side of the watermarks: crossings alternate, whatever the threads do.
    static constexpr unsigned bytes_bits = 40;
    static constexpr std::uint64_t max_bytes = (std::uint64_t{1} << bytes_bits) / 2;
    static constexpr std::uint64_t max_messages = (std::uint64_t{1} << (63 - bytes_bits)) - 1;

    struct Load {
        std::uint64_t messages = 0;
        std::uint64_t bytes = 0;
        bool above = false;  // reached the high watermark, and not the low one since
    };
    enum class Answer : std::uint8_t { taken, taken_and_above, pressed, full };

    Load load() const noexcept { return unpack(value_.load(std::memory_order_seq_cst)); }

    // Room for one message. A message of any legal size fits into an empty queue. `pressed`: others may still send. `now` is what
    // it decided by: with the message when it was taken, else without.
    Answer reserve(const Thresholds& limits, const Thresholds::Mark& end, std::uint64_t size, Load& now) noexcept {
        auto before = value_.load(std::memory_order_seq_cst);
        for (;;) {
            now = unpack(before);
            if (now.messages >= limits.max_messages() || (now.bytes != 0 && now.bytes + size > limits.max_bytes())) return Answer::full;
            if (end.reached(now.messages, now.bytes)) return Answer::pressed;
            ++now.messages;
            now.bytes += size;
            const bool crosses = !now.above && limits.high().reached(now.messages, now.bytes);
            now.above = now.above || crosses;
            if (value_.compare_exchange_weak(before, pack(now), std::memory_order_seq_cst)) {
                return crosses ? Answer::taken_and_above : Answer::taken;
            }
        }
    }
    // What is left; `fell`: to the low watermark just now. Saturating: after a failed disk a durable message can end twice.
    Load give_back(const Thresholds& limits, std::uint64_t messages, std::uint64_t bytes, bool& fell) noexcept {
        auto before = value_.load(std::memory_order_seq_cst);
        for (;;) {
            auto now = unpack(before);
            now.messages -= std::min(now.messages, messages);
            now.bytes -= std::min(now.bytes, bytes);
            fell = now.above && !limits.above_low().reached(now.messages, now.bytes);
            now.above = now.above && !fell;
            if (value_.compare_exchange_weak(before, pack(now), std::memory_order_seq_cst)) return now;
        }
    }

    // Counts what was there before, whatever the limits. While no other thread uses it.
    void restore(std::uint64_t messages, std::uint64_t bytes) noexcept {
        auto now = load();
        now.messages = std::min(max_messages, now.messages + messages);
        now.bytes = std::min(max_bytes, now.bytes + bytes);
        value_.store(pack(now), std::memory_order_seq_cst);
    }

private:
    static constexpr std::uint64_t above_bit = std::uint64_t{1} << 63U;
    static constexpr std::uint64_t bytes_mask = (std::uint64_t{1} << bytes_bits) - 1;
    static Load unpack(std::uint64_t value) noexcept {
        return {(value & ~above_bit) >> bytes_bits, value & bytes_mask, (value & above_bit) != 0};
    }
    static std::uint64_t pack(const Load& load) noexcept { return (load.above ? above_bit : 0) | load.messages << bytes_bits | load.bytes; }

    std::atomic<std::uint64_t> value_{0};
};

}  // namespace kith::node
