// SPDX-License-Identifier: Apache-2.0
#include "testing/checker.hpp"

#include <algorithm>
#include <cstring>

#include "testing/random.hpp"

namespace kith::testing {
namespace {

std::string text(Receipt::Outcome outcome) {
    constexpr const char* names[] = {"stored", "sent", "delivered", "processed", "expired", "cancelled", "replaced", "failed", "unknown"};
    return names[static_cast<std::size_t>(outcome)];
}

bool otherwise(Receipt::Outcome outcome) {
    return outcome == Receipt::Outcome::expired || outcome == Receipt::Outcome::cancelled || outcome == Receipt::Outcome::replaced ||
           outcome == Receipt::Outcome::failed;
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

// What is still to come for a message: an end that its sender sees, and for what ended as delivered the delivery.
bool Checker::owed(const Lane&, const Key& key, const Entry& entry) const {
    if (entry.excused) return false;
    if (entry.end && *entry.end != Receipt::Outcome::delivered) return false;
    if (entry.deliveries == 0) return true;
    if (entry.stored && !entry.end) return true;  // its end is kept until somebody reads it
    return entry.token != 0 && !entry.end && entry.life == life(key.from);
}

template <class F>
void Checker::change(Lane& lane, const Key& key, Entry& entry, F&& what) {
    const bool before = owed(lane, key, entry);
    what();
    const bool after = owed(lane, key, entry);
    if (before && !after) --open_;
    if (!before && after) ++open_;
}

Bytes Checker::make(std::size_t from, std::size_t to, std::string_view channel, Priority priority, std::size_t size, std::uint64_t token,
                    Strength strength, bool keyed) {
    const Key key{from, to, std::string{channel}, strength, priority};
    auto& lane = lanes_[key];
    const auto number = lane.entries.size() + 1;
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
        bytes[8] = static_cast<std::uint8_t>(static_cast<unsigned>(priority) | static_cast<unsigned>(strength) << 4U);
    }
    Entry entry;
    entry.hash = hash_of(bytes);
    entry.size = size;
    entry.token = token;
    entry.life = life(from);
    entry.durable = strength == Strength::durable;
    entry.keyed = keyed;
    lane.entries.push_back(entry);
    ++accepted_;
    ++open_;
    if (token != 0) tokens_[token] = {key, number};
    return bytes;
}

void Checker::delivered(std::size_t from, std::size_t to, std::string_view channel, ByteView bytes, bool repeat) {
    Key key{from, to, std::string{channel}, Strength::reliable, Priority::normal};
    std::uint64_t number = 0;
    if (bytes.size() >= head) {
        key.priority = static_cast<Priority>(bytes[8] & 15U);
        key.strength = static_cast<Strength>(bytes[8] >> 4U);
        for (std::size_t i = 0; i < 8; ++i) number |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
    }
    const auto it = lanes_.find(key);
    const auto name = std::to_string(from) + " -> " + std::to_string(to) + " " + key.channel + "/" +
                      std::to_string(static_cast<int>(key.priority)) + (key.strength == Strength::durable ? " durable" : "");
    if (it == lanes_.end()) return violation("a message that nobody sent came on " + name);
    auto& lane = it->second;
    if (number == 0) number = lane.last + 1;
    if (number > lane.entries.size()) return violation("a message more than was sent came on " + name);
    auto& entry = lane.entries[number - 1];
    const auto which = "number " + std::to_string(number) + " on " + name;
    if (entry.size != bytes.size() || entry.hash != hash_of(bytes)) return violation(which + " came with other bytes");
    if (entry.end && otherwise(*entry.end)) violation(which + " ended as " + text(*entry.end) + " and was handed over");
    // A durable sender that begins again takes everything for sent.
    const bool cause = life(to) != 0 || restores_[from] != 0 || restores_[to] != 0 || (entry.durable && life(from) != 0);
    if (repeat) {
        ++marked_;
        if (!cause) violation("a mark, though no process died: " + which);
    }
    if (entry.deliveries != 0) {
        if (entry.delivered_life == life(to) && restores_[from] == 0) violation(which + " came twice to one process");
        if (!repeat && restores_[to] == 0) violation(which + " came again without a mark");
    }
    if (!entry.keyed) {
        if (number <= lane.last && restores_[from] == 0) violation(which + " came behind number " + std::to_string(lane.last));
        lane.last = number;
    }
    change(lane, key, entry, [&] {
        if (entry.deliveries++ == 0) ++delivered_;
        entry.delivered_life = life(to);
    });
}

void Checker::released(std::size_t from, std::uint64_t messages) {
    released_ += messages;
    if (only_reliable && released_ > delivered_) {
        violation("node " + std::to_string(from) + " released a message that was not handed over");
    }
    if (deaths_ == 0 && released_ > accepted_) violation("node " + std::to_string(from) + " released more than was accepted");
}

void Checker::receipt(std::uint64_t token, Receipt::Outcome outcome) {
    const auto it = tokens_.find(token);
    if (it == tokens_.end()) return violation("a receipt for no message");
    const auto& [key, number] = it->second;
    auto& lane = lanes_[key];
    auto& entry = lane.entries[number - 1];
    const auto which = "the message with token " + std::to_string(token) + ", number " + std::to_string(number) + ",";
    if (entry.life != life(key.from)) return violation(which + " got a receipt from a process that is dead");
    if (outcome == Receipt::Outcome::stored) {
        if (!entry.durable || entry.stored || entry.end) violation(which + " was stored at the wrong time");
        entry.stored = true;
        return;
    }
    if (outcome == Receipt::Outcome::processed) {
        if (entry.end != Receipt::Outcome::delivered || entry.deliveries == 0)
            violation(which + " was processed before it was handed over");
        return;
    }
    if (entry.end) return violation(which + " ended as " + text(*entry.end) + " and as " + text(outcome));
    if (outcome == Receipt::Outcome::delivered && !entry.durable && entry.deliveries == 0) {
        violation(which + " is said to be delivered and was not handed over");
    }
    if (otherwise(outcome) && entry.deliveries != 0) violation(which + " was handed over and ended as " + text(outcome));
    if (outcome != Receipt::Outcome::delivered) ++ended_;
    change(lane, key, entry, [&] { entry.end = outcome; });
}

void Checker::stored_receipt(std::uint64_t token, Receipt::Outcome outcome) {
    const auto it = tokens_.find(token);
    if (it == tokens_.end()) return violation("a stored receipt for no message");
    const auto& [key, number] = it->second;
    auto& lane = lanes_[key];
    auto& entry = lane.entries[number - 1];
    const auto which = "the message with token " + std::to_string(token) + ", number " + std::to_string(number) + ",";
    if (entry.end == outcome || entry.end == Receipt::Outcome::unknown) return;
    if (entry.end) return violation(which + " ended as " + text(*entry.end) + " and on the disk as " + text(outcome));
    if (otherwise(outcome) && entry.deliveries != 0) violation(which + " was handed over and ended on the disk as " + text(outcome));
    if (entry.life == life(key.from)) return;  // its own receipt is still to come
    if (outcome != Receipt::Outcome::delivered) ++ended_;
    change(lane, key, entry, [&] { entry.end = outcome; });
}

void Checker::died(std::size_t node) {
    ++deaths_;
    for (auto& [key, lane] : lanes_) {
        if (key.to == node) lane.last = 0;
        if (key.from != node) continue;
        for (auto& entry : lane.entries) {
            if (entry.life != life(node) || entry.end || entry.stored) continue;
            change(lane, key, entry, [&] { entry.excused = true; });
        }
    }
    ++lives_[node];
}

void Checker::wiped(std::size_t node) {
    for (auto& [key, lane] : lanes_) {
        for (auto& entry : lane.entries) {
            // What it had queued is gone; what it had committed and not handed over as well.
            const bool gone =
                (key.from == node && !entry.end) || (key.to == node && entry.deliveries == 0 && entry.end == Receipt::Outcome::delivered);
            if (entry.durable && gone) change(lane, key, entry, [&] { entry.excused = true; });
        }
    }
}

void Checker::restored(std::size_t node) {
    ++restores_[node];
    for (auto& [key, lane] : lanes_) {
        if (key.from != node && key.to != node) continue;
        for (auto& entry : lane.entries) {
            if (entry.durable && (key.to == node || !entry.end)) change(lane, key, entry, [&] { entry.excused = true; });
        }
    }
}

void Checker::violation(std::string what) {
    if (violations_.size() < 20) violations_.push_back(std::move(what));
}

std::vector<std::string> Checker::verdict() {
    for (const auto& [key, lane] : lanes_) {
        std::uint64_t lost = 0;
        std::uint64_t open = 0;
        std::uint64_t first = 0;
        for (std::size_t i = 0; i < lane.entries.size(); ++i) {
            const auto& entry = lane.entries[i];
            if (!owed(lane, key, entry)) continue;
            ++(entry.deliveries == 0 ? lost : open);
            if (first == 0) first = i + 1;
        }
        const auto name = std::to_string(key.from) + " -> " + std::to_string(key.to) + " " + key.channel + "/" +
                          std::to_string(static_cast<int>(key.priority)) + (key.strength == Strength::durable ? " durable" : "");
        const auto suffix = " on " + name + ", the first is number " + std::to_string(first);
        if (lost != 0) violation(std::to_string(lost) + " messages were lost" + suffix);
        if (open != 0) violation(std::to_string(open) + " messages never got their receipt" + suffix);
    }
    if (deaths_ == 0 && released_ != accepted_) {
        violation(std::to_string(accepted_) + " messages were accepted and " + std::to_string(released_) + " released");
    }
    return violations_;
}

}  // namespace kith::testing
