// SPDX-License-Identifier: Apache-2.0
#include "mux/stream.hpp"

namespace kith::mux {
namespace {

// What a quiet session may keep allocated; a burst of streams beyond is given back when the last of them ends.
constexpr std::size_t kept_slots = 16;

}  // namespace

Stream& StreamTable::insert(StreamId id) {
    if (2 * (used_ + 1) > index_.size()) grow_index();
    std::uint32_t slot = free_;
    if (slot != no_slot) {
        free_ = slots_[slot].turn_links.next;
        slots_[slot] = Stream{};
    } else {
        slot = static_cast<std::uint32_t>(slots_.size());
        slots_.emplace_back();
    }
    slots_[slot].id = id;
    place({id.value, slot});
    ++used_;
    return slots_[slot];
}

void StreamTable::erase(StreamId id) {
    if (index_.empty()) return;
    const std::size_t mask = index_.size() - 1;
    std::size_t hole = home(id.value);
    while (index_[hole].id != id.value) {
        if (index_[hole].id == 0) return;
        hole = (hole + 1) & mask;
    }
    const std::uint32_t slot = index_[hole].slot;
    // No tombstones, which a peer could pile up: what was pushed past the hole moves back into it.
    for (std::size_t i = (hole + 1) & mask; index_[i].id != 0; i = (i + 1) & mask) {
        const std::size_t distance = (i - home(index_[i].id)) & mask;
        if (distance >= ((i - hole) & mask)) {
            index_[hole] = index_[i];
            hole = i;
        }
    }
    index_[hole] = {};
    slots_[slot] = Stream{};
    slots_[slot].turn_links.next = free_;
    free_ = slot;
    if (--used_ != 0) return;
    free_ = no_slot;
    if (slots_.capacity() > kept_slots) {
        *this = {};
    } else {
        slots_.clear();
    }
}

void StreamTable::place(Entry entry) noexcept {
    std::size_t i = home(entry.id);
    while (index_[i].id != 0) i = (i + 1) & (index_.size() - 1);
    index_[i] = entry;
}

void StreamTable::grow_index() {
    std::vector<Entry> old(index_.empty() ? 4 : 2 * index_.size());
    old.swap(index_);
    shift_ = 32 - static_cast<std::uint32_t>(std::countr_zero(index_.size()));
    for (const Entry& entry : old) {
        if (entry.id != 0) place(entry);
    }
}

}  // namespace kith::mux
