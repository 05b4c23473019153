// SPDX-License-Identifier: Apache-2.0
// Judges a history of messages at the application's boundary: what was accepted, handed over, receipted, and which processes died.
// One function for the simulator, network tests and soak runs. A violation is a sentence; none is the only good result.
//
// Promise: docs/delivery.md. What it checks: every accepted message gets one end; `delivered` only for what the other application
// gets; never handed over what ended as expired, cancelled, replaced or failed; unchanged and in order within (sender, receiver,
// channel, strength, priority); twice only after the receiving process died, and then marked; no mark without such a cause.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kith/bytes.hpp"
#include "kith/message.hpp"

namespace kith::testing {

class Checker {
public:
    static constexpr std::size_t head = 9;  // bytes of a message that name it: number, priority and strength

    // Every message is reliable and none ends otherwise: room is given back only for what was handed over.
    bool only_reliable = false;

    // A message of `size` bytes that the checker will know again, and whose acceptance it notes. Messages shorter than `head`
    // cannot name their lane: send them on a channel that is used with one priority, in runs where nobody dies. `keyed`: it may take
    // the place of an older one, so its place says nothing.
    Bytes make(std::size_t from, std::size_t to, std::string_view channel, Priority priority, std::size_t size, std::uint64_t token,
               Strength strength = Strength::reliable, bool keyed = false);

    void delivered(std::size_t from, std::size_t to, std::string_view channel, ByteView bytes, bool repeat);
    // The sender's queue gave back room for so many messages.
    void released(std::size_t from, std::uint64_t messages);
    void receipt(std::uint64_t token, Receipt::Outcome outcome);
    // What the sender's disk says: told to whoever asks later.
    void stored_receipt(std::uint64_t token, Receipt::Outcome outcome);
    // The process ended without goodbye: what was accepted and not stored may be gone.
    void died(std::size_t node);
    // The disk of the node, whose process is dead, was lost: what it had taken may come again, marked.
    void wiped(std::size_t node);
    // The disk of the node became an older copy of itself: what came after the copy may be gone on its side, and come again.
    void restored(std::size_t node);

    bool all_done() const noexcept { return open_ == 0; }  // nothing is owed any more
    bool all_released() const noexcept { return deaths_ != 0 || released_ == accepted_; }
    std::uint64_t accepted() const noexcept { return accepted_; }
    std::uint64_t marked() const noexcept { return marked_; }
    std::uint64_t ended_otherwise() const noexcept { return ended_; }

    void violation(std::string what);
    // After heal and drain: adds what is missing.
    std::vector<std::string> verdict();

private:
    struct Key {
        std::size_t from = 0;
        std::size_t to = 0;
        std::string channel;
        Strength strength = Strength::reliable;
        Priority priority = Priority::normal;
        friend auto operator<=>(const Key&, const Key&) = default;
    };
    struct Entry {
        std::uint64_t hash = 0;
        std::size_t size = 0;
        std::uint64_t token = 0;
        std::uint64_t life = 0;  // of the sender when it was accepted
        bool durable = false;
        bool keyed = false;
        bool stored = false;
        bool excused = false;  // nothing is promised for it: its sender died before it was stored, or a disk was restored
        std::optional<Receipt::Outcome> end;
        std::uint64_t deliveries = 0;
        std::uint64_t delivered_life = 0;  // of the receiver, the last time
    };
    struct Lane {
        std::vector<Entry> entries;  // number n is entries[n - 1]
        std::uint64_t last = 0;      // handed over last by the receiving process that lives
    };

    bool owed(const Lane& lane, const Key& key, const Entry& entry) const;
    template <class F>
    void change(Lane& lane, const Key& key, Entry& entry, F&& what);
    std::uint64_t life(std::size_t node) const {
        const auto it = lives_.find(node);
        return it == lives_.end() ? 0 : it->second;
    }

    std::map<Key, Lane> lanes_;
    std::map<std::uint64_t, std::pair<Key, std::uint64_t>> tokens_;  // number
    std::map<std::size_t, std::uint64_t> lives_;                     // deaths of each
    std::map<std::size_t, std::uint64_t> restores_;
    std::vector<std::string> violations_;
    std::uint64_t accepted_ = 0;
    std::uint64_t delivered_ = 0;  // for the first time
    std::uint64_t released_ = 0;
    std::uint64_t marked_ = 0;
    std::uint64_t ended_ = 0;
    std::uint64_t deaths_ = 0;
    std::uint64_t open_ = 0;
};

std::uint64_t hash_of(ByteView bytes) noexcept;  // 64 bits, in the manner of FNV-1a

}  // namespace kith::testing
