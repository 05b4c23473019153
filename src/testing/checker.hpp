// SPDX-License-Identifier: Apache-2.0
// Judges a history of messages at the application's boundary: what was accepted, handed over, receipted. One function for the
// simulator, network tests and soak runs. A violation is a sentence; none is the only good result.
//
// Promise: docs/delivery.md. Here no process dies, so every accepted message is handed over exactly once and unchanged, in
// order within (sender, receiver, channel, priority).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kith/bytes.hpp"
#include "kith/message.hpp"

namespace kith::testing {

class Checker {
public:
    static constexpr std::size_t head = 9;  // bytes of a message that name it: number, priority

    // A message of `size` bytes that the checker will know again, and whose acceptance it notes. Messages shorter than `head`
    // cannot name their lane: send them on a channel that is used with one priority.
    Bytes make(std::size_t from, std::size_t to, std::string_view channel, Priority priority, std::size_t size, std::uint64_t token);

    void delivered(std::size_t from, std::size_t to, std::string_view channel, ByteView bytes, bool repeat);
    // The sender's queue gave back room for so many messages.
    void released(std::size_t from, std::uint64_t messages);
    void receipt(std::uint64_t token, Receipt::Outcome outcome);

    bool all_delivered() const noexcept { return delivered_ == accepted_; }
    bool all_released() const noexcept { return released_ == accepted_; }
    std::uint64_t accepted() const noexcept { return accepted_; }
    std::uint64_t marked() const noexcept { return marked_; }

    void violation(std::string what);
    // After heal and drain: adds what is missing.
    std::vector<std::string> verdict();

private:
    struct Key {
        std::size_t from = 0;
        std::size_t to = 0;
        std::string channel;
        Priority priority = Priority::normal;
        friend auto operator<=>(const Key&, const Key&) = default;
    };
    struct Expected {
        std::uint64_t number = 0;
        std::uint64_t hash = 0;
        std::size_t size = 0;
        std::uint64_t token = 0;
    };
    struct Lane {
        std::deque<Expected> waiting;
        std::uint64_t next = 1;
        std::uint64_t taken = 0;
    };
    enum class Token : std::uint8_t { waiting, delivered, receipted };

    std::map<Key, Lane> lanes_;
    std::map<std::uint64_t, Token> tokens_;
    std::vector<std::string> violations_;
    std::uint64_t accepted_ = 0;
    std::uint64_t delivered_ = 0;
    std::uint64_t released_ = 0;
    std::uint64_t marked_ = 0;
};

std::uint64_t hash_of(ByteView bytes) noexcept;  // FNV-1a, 64 bits

}  // namespace kith::testing
