// SPDX-License-Identifier: Apache-2.0
#include "testing/checker.hpp"

#include <algorithm>
#include <cstring>

#include "testing/random.hpp"

namespace kith::testing {
namespace {

std::string lane_text(std::size_t from, std::size_t to, std::string_view channel, Priority priority) {
    return std::to_string(from) + " -> " + std::to_string(to) + " " + std::string{channel} + "/" +
           std::to_string(static_cast<int>(priority));
}

}  // namespace

std::uint64_t hash_of(ByteView bytes) noexcept {
    std::uint64_t h = 0xcbf29ce484222325ULL ^ bytes.size();
    while (bytes.size() >= 8) {  // eight at a time: megabytes are hashed for every seed
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data(), 8);
        h = (h ^ word) * 0x100000001b3ULL;
        h ^= h >> 29;
        bytes = bytes.subspan(8);
    }
    for (const auto byte : bytes) h = (h ^ byte) * 0x100000001b3ULL;
    return h;
}

Bytes Checker::make(std::size_t from, std::size_t to, std::string_view channel, Priority priority, std::size_t size, std::uint64_t token) {
    auto& lane = lanes_[{from, to, std::string{channel}, priority}];
    const auto number = lane.next++;
    Bytes bytes(size);
    Random random(number * 1'000'003 + from * 101 + to * 11 + static_cast<std::uint64_t>(priority) + channel.size());
    std::size_t at = 0;
    for (; at + 8 <= size; at += 8) {
        const auto word = random.u64();
        std::memcpy(bytes.data() + at, &word, 8);
    }
    for (; at < size; ++at) bytes[at] = static_cast<std::uint8_t>(random.u64());
    if (size >= head) {
        for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
        bytes[8] = static_cast<std::uint8_t>(priority);
    }
    lane.waiting.push_back({number, hash_of(bytes), size, token});
    ++accepted_;
    if (token != 0) tokens_[token] = Token::waiting;
    return bytes;
}

void Checker::delivered(std::size_t from, std::size_t to, std::string_view channel, ByteView bytes, bool repeat) {
    auto priority = Priority::normal;
    std::uint64_t number = 0;
    if (bytes.size() >= head) {
        priority = static_cast<Priority>(bytes[8]);
        for (std::size_t i = 0; i < 8; ++i) number |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
    }
    const auto name = lane_text(from, to, channel, priority);
    const auto it = lanes_.find({from, to, std::string{channel}, priority});
    if (it == lanes_.end()) return violation("a message that nobody sent came on " + name);
    auto& lane = it->second;
    if (lane.waiting.empty()) return violation("a message more than was sent came on " + name);
    const auto& expected = lane.waiting.front();
    if (number != 0 && number != expected.number) {
        return violation("on " + name + " number " + std::to_string(number) + " came instead of " + std::to_string(expected.number));
    }
    if (expected.size != bytes.size() || expected.hash != hash_of(bytes)) {
        return violation("on " + name + " number " + std::to_string(expected.number) + " came with other bytes");
    }
    if (repeat) {
        ++marked_;
        violation("a mark, though no process died, on " + name);
    }
    if (expected.token != 0) {
        auto& token = tokens_[expected.token];
        if (token != Token::waiting) violation("a receipt came before its message on " + name);
        token = Token::delivered;
    }
    ++delivered_;
    ++lane.taken;
    lane.waiting.pop_front();
}

void Checker::released(std::size_t from, std::uint64_t messages) {
    released_ += messages;
    if (released_ > delivered_) violation("node " + std::to_string(from) + " released a message that was not handed over");
}

void Checker::receipt(std::uint64_t token, Receipt::Outcome outcome) {
    const auto it = tokens_.find(token);
    if (it == tokens_.end()) return violation("a receipt for no message");
    if (outcome != Receipt::Outcome::delivered) return violation("a receipt that says something else than delivered");
    if (it->second == Token::waiting) violation("a receipt of a message that was not handed over");
    if (it->second == Token::receipted) violation("two receipts for one message");
    it->second = Token::receipted;
}

void Checker::violation(std::string what) {
    if (violations_.size() < 20) violations_.push_back(std::move(what));
}

std::vector<std::string> Checker::verdict() {
    for (const auto& [key, lane] : lanes_) {
        if (lane.waiting.empty()) continue;
        violation(std::to_string(lane.waiting.size()) + " messages were lost on " + lane_text(key.from, key.to, key.channel, key.priority) +
                  ", the first is number " + std::to_string(lane.waiting.front().number));
    }
    if (released_ != accepted_) {
        violation(std::to_string(accepted_) + " messages were accepted and " + std::to_string(released_) + " released");
    }
    const auto open = std::count_if(tokens_.begin(), tokens_.end(), [](const auto& t) { return t.second != Token::receipted; });
    if (open != 0) violation(std::to_string(open) + " messages never got their receipt");
    return violations_;
}

}  // namespace kith::testing
