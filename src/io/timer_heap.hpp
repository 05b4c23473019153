// SPDX-License-Identifier: Apache-2.0
// One-shot timers in a binary heap: add and cancel in O(log n), no allocation below the high-water mark.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "kith/function.hpp"
#include "kith/time.hpp"

namespace kith::io {

// An id is (generation << 32 | slot + 1). Equal deadlines fire in the order of add().
class TimerHeap {
public:
    std::uint64_t add(Duration deadline, Function<void()> callback) {
        std::uint32_t index;
        if (free_.empty()) {
            index = static_cast<std::uint32_t>(slots_.size());
            slots_.emplace_back();
        } else {
            index = free_.back();
            free_.pop_back();
        }
        Slot& slot = slots_[index];
        slot.callback = std::move(callback);
        heap_.push_back({deadline, ++sequence_, index});
        slot.position = static_cast<std::uint32_t>(heap_.size() - 1);
        up(heap_.size() - 1);
        return (static_cast<std::uint64_t>(slot.generation) << 32) | (index + 1U);
    }

    // The callback of a pending timer, which is one no more; empty for any other id.
    Function<void()> take(std::uint64_t id) noexcept {
        const auto low = static_cast<std::uint32_t>(id);
        if (low == 0 || low > slots_.size()) return {};
        const Slot& slot = slots_[low - 1];
        if (slot.generation != static_cast<std::uint32_t>(id >> 32) || slot.position == none) return {};
        return remove(slot.position);
    }

    // The earliest timer if it is due at `now` and was added before `limit` (see sequence()).
    Function<void()> take_due(Duration now, std::uint64_t limit) noexcept {
        if (heap_.empty() || heap_.front().deadline > now || heap_.front().sequence > limit) return {};
        return remove(0);
    }

    Duration next() const noexcept { return heap_.empty() ? Duration::max() : heap_.front().deadline; }
    std::uint64_t sequence() const noexcept { return sequence_; }
    std::size_t size() const noexcept { return heap_.size(); }

private:
    static constexpr std::uint32_t none = ~std::uint32_t{0};
    struct Slot {
        Function<void()> callback;
        std::uint32_t generation = 0;
        std::uint32_t position = none;
    };
    struct Entry {
        Duration deadline;
        std::uint64_t sequence;
        std::uint32_t slot;
        bool before(const Entry& other) const noexcept {
            return deadline != other.deadline ? deadline < other.deadline : sequence < other.sequence;
        }
    };

    void put(std::size_t position, Entry entry) noexcept {
        heap_[position] = entry;
        slots_[entry.slot].position = static_cast<std::uint32_t>(position);
    }
    void up(std::size_t position) noexcept {
        const Entry entry = heap_[position];
        while (position > 0) {
            const auto parent = (position - 1) / 2;
            if (!entry.before(heap_[parent])) break;
            put(position, heap_[parent]);
            position = parent;
        }
        put(position, entry);
    }
    void down(std::size_t position) noexcept {
        const Entry entry = heap_[position];
        for (;;) {
            auto child = 2 * position + 1;
            if (child >= heap_.size()) break;
            if (child + 1 < heap_.size() && heap_[child + 1].before(heap_[child])) ++child;
            if (!heap_[child].before(entry)) break;
            put(position, heap_[child]);
            position = child;
        }
        put(position, entry);
    }
    Function<void()> remove(std::size_t position) noexcept {
        const auto index = heap_[position].slot;
        const Entry last = heap_.back();
        heap_.pop_back();
        if (position < heap_.size()) {
            put(position, last);
            up(position);
            down(slots_[last.slot].position);
        }
        Slot& slot = slots_[index];
        slot.position = none;
        ++slot.generation;
        free_.push_back(index);
        return std::move(slot.callback);
    }

    std::vector<Slot> slots_;
    std::vector<Entry> heap_;
    std::vector<std::uint32_t> free_;
    std::uint64_t sequence_ = 0;
};

}  // namespace kith::io
