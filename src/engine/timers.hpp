// SPDX-License-Identifier: Apache-2.0
// All timers of an engine in one table, keyed by (kind, owner, part). Setting replaces; nothing fires early.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "kith/time.hpp"

namespace kith::engine {

enum class TimerKind : std::uint8_t {
    link_setup,     // owner: link
    link_liveness,  // owner: link
    link_spare,     // owner: link
    negotiation,    // owner: link, part: stream
    dial_next,      // owner: dial
    dial_deadline,  // owner: dial
    redial,         // owner: peer slot
    attach,         // owner: peer slot
    sender,         // owner: peer slot: times to live and the watchdog
    push,           // identify to all links
    slots,          // outgoing slots: somebody waits for one
    handler,        // owner: handler, part: its key
};

struct TimerKey {
    TimerKind kind{};
    std::uint64_t owner = 0;
    std::uint64_t part = 0;
    friend auto operator<=>(const TimerKey&, const TimerKey&) noexcept = default;
};

// A heap with lazy deletion; memory is kept, so a steady rate of timers allocates nothing.
class Timers {
public:
    void set(TimerKey key, Instant at) {
        auto& slot = slots_[key];
        slot.armed = true;
        slot.at = at;
        slot.number = ++counter_;
        heap_.push_back({at, key, slot.number});
        std::push_heap(heap_.begin(), heap_.end(), later);
        if (heap_.size() > 64 && heap_.size() > 4 * slots_.size()) compact();
        drop_stale();
    }
    void clear(TimerKey key) {
        slots_.erase(key);
        drop_stale();
    }
    bool armed(TimerKey key) const { return slots_.contains(key); }
    std::optional<Instant> next() const { return heap_.empty() ? std::nullopt : std::optional{heap_.front().at}; }

    // One timer that is due, removed.
    std::optional<TimerKey> pop(Instant now) {
        if (heap_.empty() || heap_.front().at > now) return std::nullopt;
        const auto key = heap_.front().key;
        remove_front();
        slots_.erase(key);
        drop_stale();
        return key;
    }
    std::size_t size() const noexcept { return slots_.size(); }

private:
    struct Slot {
        Instant at{};
        std::uint64_t number = 0;
        bool armed = false;
    };
    struct Item {
        Instant at;
        TimerKey key;
        std::uint64_t number;
    };
    struct Hash {
        std::size_t operator()(const TimerKey& k) const noexcept {
            return static_cast<std::size_t>((k.owner * 0x9E3779B97F4A7C15ULL) ^ (k.part * 0xC2B2AE3D27D4EB4FULL) ^
                                            (static_cast<std::uint64_t>(k.kind) << 56));
        }
    };
    static bool later(const Item& a, const Item& b) noexcept { return a.at > b.at || (a.at == b.at && a.number > b.number); }
    bool stale(const Item& item) const {
        const auto it = slots_.find(item.key);
        return it == slots_.end() || it->second.number != item.number;
    }
    void remove_front() {
        std::pop_heap(heap_.begin(), heap_.end(), later);
        heap_.pop_back();
    }
    void drop_stale() {
        while (!heap_.empty() && stale(heap_.front())) remove_front();
    }
    void compact() {
        std::erase_if(heap_, [this](const Item& item) { return stale(item); });
        std::make_heap(heap_.begin(), heap_.end(), later);
    }

    std::unordered_map<TimerKey, Slot, Hash> slots_;
    std::vector<Item> heap_;
    std::uint64_t counter_ = 0;
};

}  // namespace kith::engine
