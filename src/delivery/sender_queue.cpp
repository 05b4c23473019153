// SPDX-License-Identifier: Apache-2.0
// What the application does to the queues: messages in, newer ones in place of older ones, cancelling, times to live.
//
// A message that was ever pulled (a byte of it was given to a link) is immutable: the receiver may have it. What certainly is not
// there can still end otherwise; its number stays as a tombstone, for the receiver counts.
#include <algorithm>

#include "delivery/sender.hpp"

#include "base/mutant.hpp"

namespace kith::delivery {
namespace {

bool later(const auto& a, const auto& b) noexcept { return a.at > b.at; }

}  // namespace

Result<LaneIndex> Sender::lane(std::string_view channel, Strength strength, Priority priority, std::uint64_t random) {
    for (const auto& lane : lanes_) {
        if (lane->channel == channel && lane->strength == strength && lane->priority == priority) return lane->index;
    }
    if (lanes_.size() >= config_.max_lanes) return Error{Errc::limit_exceeded, "too many channels to one peer"};
    auto made = std::make_unique<Lane>(static_cast<LaneIndex>(lanes_.size()));
    made->channel = channel;
    made->strength = strength;
    made->priority = priority;
    made->epoch = planted(Mutant::same_epoch_after_restart) ? 1 : random;
    if (state_ != State::detached && !made->durable()) announce(*made);  // a durable one with its row
    lanes_.push_back(std::move(made));
    return static_cast<LaneIndex>(lanes_.size() - 1);
}

std::uint64_t Sender::channel_of(const Lane& lane) const noexcept {
    for (const auto& other : lanes_) {  // the first lane of the channel and strength names both
        if (other->strength == lane.strength && other->channel == lane.channel) return other->index;
    }
    return lane.index;
}

void Sender::say(std::uint64_t token, Receipt::Outcome outcome, Duration after, storage::Ticket ticket, Place place) {
    if (token == 0) return;
    if (ticket == 0) {
        outcomes_.push_back({token, outcome, after});
    } else {
        pending_.push_back({ticket, {token, outcome, after}, place, std::nullopt, false});
    }
}

bool Sender::is_due(const Due& due) const noexcept {
    const auto& lane = *lanes_[due.lane];
    if (!lane.has(due.seq)) return false;
    const auto& entry = lane.at(due.seq);
    return entry.run == 0 && entry.seq == due.seq && entry.extra && entry.extra->due == due.at;
}

// One that is looked at earlier anyway is armed again then.
void Sender::push_due(Duration at, LaneIndex lane, std::uint64_t seq, Extra& extra) {
    if (extra.due != Duration{} && extra.due <= at) return;
    // Messages that were delivered or replaced leave their entry behind: when these are most, they go.
    if (due_.size() > 64 && due_.size() > 4 * queued_) {
        std::erase_if(due_, [this](const Due& d) { return !is_due(d); });
        std::make_heap(due_.begin(), due_.end(), later<Due, Due>);
    }
    extra.due = at;
    due_.push_back({at, lane, seq});
    std::push_heap(due_.begin(), due_.end(), later<Due, Due>);
}

void Sender::enqueue(LaneIndex index, const Outgoing& message, Instant now) {
    auto& lane = *lanes_[index];
    if (message.key != 0 && coalesce(lane, message, now)) return;
    const auto size = message.owned != nullptr ? message.owned->size() : message.bytes.size();
    storage::Ticket ticket = 0;
    if (lane.durable() && lane.key == 0) open_row(lane, message.mid);
    const auto seq = lane.next;
    if (lane.durable()) {
        ticket = append(lane, message, seq, now);
        say(message.token, Receipt::Outcome::stored, {}, ticket, {index, seq});
    }
    ++lane.next;
    ++queued_;
    ++lane.live;
    lane.live_bytes += size;
    if (message.token != 0) tokens_[message.token] = {index, seq};
    if (message.key != 0) keys_[{channel_of(lane), message.key}] = {index, seq};
    const auto expires = message.ttl == Duration{} ? Duration{} : saturating_add(now.steady, message.ttl);
    const bool room = lane.entries.size() < config_.memory_messages && lane.held_bytes + size <= config_.memory_bytes;
    const bool in_memory = !lane.durable() || (lane.loaded() + 1 == seq && (room || lane.entries.empty()));
    if (!in_memory) {
        lane.parked[seq] = {.token = message.token,
                            .mid = message.mid,
                            .key = message.key,
                            .ticket = ticket,
                            .since = now.steady,
                            .expires = expires,
                            .size = static_cast<std::uint32_t>(size),
                            .processed = message.processed};
        return;
    }
    Entry entry;
    entry.seq = seq;
    entry.since = now.steady;
    entry.size = static_cast<std::uint32_t>(size);
    if (message.owned != nullptr) {
        entry.more().owned = std::move(*message.owned);
    } else {
        entry.position = lane.bytes.append(message.bytes);
        entry.in_ring = true;
    }
    if (message.token != 0 || message.key != 0 || expires != Duration{} || lane.durable()) {
        auto& extra = entry.more();
        extra.token = message.token;
        extra.key = message.key;
        extra.mid = message.mid;
        extra.expires = expires;
        extra.ticket = ticket;
        extra.processed = message.processed;
    }
    lane.held_bytes += size;
    if (expires != Duration{}) push_due(expires, index, seq, *entry.extra);
    if (!lane.entries.push(std::move(entry))) return;  // unbounded ring: admission is the limit
}

void Sender::leave(Lane& lane, std::size_t size) noexcept {
    --lane.live;
    --queued_;
    lane.live_bytes -= size;
}

// A message ends otherwise than by an acknowledgement: at once, or when the disk knows it.
void Sender::end_with(storage::Ticket ticket, Place place, Parked version, Receipt::Outcome outcome, bool buried, Instant now) {
    tokens_.erase(version.token);
    const Outcome end{version.token, outcome, now.steady - version.since};
    if (ticket != 0) {
        pending_.push_back({ticket, end, place, version, buried});
        return;
    }
    released_.push_back({place.lane, 1, version.size});
    if (end.token != 0) outcomes_.push_back(end);
}

void Sender::forget_key(const Lane& lane, std::uint64_t key, std::uint64_t seq) {
    const auto it = keys_.find({channel_of(lane), key});
    if (it != keys_.end() && it->second.lane == lane.index && it->second.seq == seq) keys_.erase(it);
}

// A message with the same key that was never pulled gives its place and priority to the new one.
bool Sender::coalesce(Lane& asked, const Outgoing& message, Instant now) {
    const auto it = keys_.find({channel_of(asked), message.key});
    if (it == keys_.end()) return false;
    const auto place = it->second;
    auto& lane = *lanes_[place.lane];
    if ((place.seq <= lane.highest && !planted(Mutant::coalesce_pulled)) || place.seq < lane.first) return false;
    const auto parked = lane.has(place.seq) ? lane.parked.end() : lane.parked.find(place.seq);
    if (!lane.has(place.seq)) {
        if (parked == lane.parked.end()) return false;
    } else {
        const auto& entry = lane.at(place.seq);
        if (entry.run != 0 || !entry.extra || entry.extra->key != message.key) return false;
    }
    const auto size = message.owned != nullptr ? message.owned->size() : message.bytes.size();
    const auto expires = message.ttl == Duration{} ? Duration{} : saturating_add(now.steady, message.ttl);
    storage::Ticket ticket = 0;
    if (lane.durable()) {
        auto& request = journal_.open();
        const auto bytes = request.add(message.owned != nullptr ? ByteView{*message.owned} : message.bytes);
        ticket = journal_.add(storage::Replace{lane.key, place.seq, message.mid, message.tag, message.ttl,
                                               message.ttl == Duration{} ? Duration{} : saturating_add(now.wall, message.ttl), bytes});
    }
    if (parked != lane.parked.end()) {
        auto& old = parked->second;
        end_with(ticket, place, old, Receipt::Outcome::replaced, false, now);
        lane.live_bytes += size;
        lane.live_bytes -= old.size;
        old = {.token = message.token,
               .mid = message.mid,
               .key = message.key,
               .ticket = ticket,
               .since = now.steady,
               .expires = expires,
               .size = static_cast<std::uint32_t>(size),
               .processed = message.processed};
    } else {
        auto& entry = lane.at(place.seq);
        auto& extra = *entry.extra;
        end_with(ticket, place, as_parked(entry), Receipt::Outcome::replaced, false, now);
        lane.held_bytes += size;
        lane.held_bytes -= entry.size;
        lane.live_bytes += size;
        lane.live_bytes -= entry.size;
        // Behind its neighbours the ring has no room for another size; what lay there goes with them.
        extra.owned = message.owned != nullptr ? std::move(*message.owned) : Bytes(message.bytes.begin(), message.bytes.end());
        extra.token = message.token;
        extra.mid = message.mid;
        extra.expires = expires;
        extra.ticket = ticket;
        extra.cancel = false;
        extra.processed = message.processed;
        entry.in_ring = false;
        entry.size = static_cast<std::uint32_t>(size);
        entry.since = now.steady;
        if (expires != Duration{}) push_due(expires, lane.index, place.seq, extra);
    }
    if (lane.durable()) say(message.token, Receipt::Outcome::stored, {}, ticket, place);
    if (message.token != 0) tokens_[message.token] = place;
    return true;
}

bool Sender::enqueue_datagram(std::string_view channel, ByteView bytes) {
    Bytes frame;
    frame.reserve(bytes.size() + channel.size() + 16);
    wire::append_datagram(frame, channel, bytes);
    if (frame.size() > wire::max_frame_body || datagram_bytes_ + frame.size() > config_.max_datagram_bytes) return false;
    datagram_bytes_ += frame.size();
    return datagrams_.push(std::move(frame));
}

// ---- ends that the application or the clock wants

// The receiver certainly has not and will not get it: it was never pulled, or RESUME of this attachment showed that it is not there
// and no byte went since. Of what an earlier receiver may have handed over nothing is certain.
bool Sender::certain(const Lane& lane, std::uint64_t seq) const noexcept {
    if (seq > lane.highest || planted(Mutant::cancel_pulled)) return true;
    if (state_ != State::attached || lane.answered != Answered::yes || seq <= lane.repeat_to) return false;
    return seq > lane.cursor || (seq == lane.cursor && !lane.charged);
}

void Sender::bury(Lane& lane, std::size_t index, Receipt::Outcome outcome, Instant now) {
    auto& entry = lane.entries[index];
    const auto seq = entry.seq;
    storage::Ticket ticket = 0;
    if (lane.durable()) {
        const auto ended = outcome == Receipt::Outcome::expired     ? storage::Ended::expired
                           : outcome == Receipt::Outcome::cancelled ? storage::Ended::cancelled
                                                                    : storage::Ended::unknown;
        ticket = journal_.add(storage::Bury{lane.key, seq, seq, seq, ended});
    }
    end_with(ticket, {lane.index, seq}, as_parked(entry), outcome, true, now);
    leave(lane, entry.size);
    lane.held_bytes -= entry.size;
    if (auto* extra = entry.extra.get()) {
        if (extra->key != 0) forget_key(lane, extra->key, seq);
        const auto mid = extra->mid;
        *extra = {};
        extra->mid = mid;
        extra->ticket = ticket;
        if (!lane.durable()) entry.extra.reset();
    }
    entry.run = 1;
    entry.size = 0;
    if (seq == lane.cursor) {
        lane.written = 0;
        lane.charged = false;
    }
    if (++lane.tombs >= lane.compact_at) compact(lane);
}

// Joins tombstones that lie together and were never written, and gives their bytes back. What was written keeps its borders: the
// receiver may stand at one of them.
void Sender::compact(Lane& lane) {
    Ring<Entry> entries;
    ByteRing bytes;
    Bytes copy;
    lane.tombs = 0;
    for (; !lane.entries.empty(); lane.entries.pop()) {
        auto entry = std::move(lane.entries.front());
        if (entry.in_ring) {
            copy.resize(entry.size);
            lane.bytes.copy(entry.position, copy);
            entry.position = bytes.append(copy);
            if (entry.run != 0) entry.in_ring = false;
        }
        auto* former = entries.empty() ? nullptr : &entries.back();
        if (entry.run != 0 && former != nullptr && former->run != 0 && former->begin() > lane.highest) {
            entry.run += former->run;
            if (lane.durable()) entry.more().ticket = journal_.add(storage::Bury{lane.key, 0, entry.begin(), entry.seq, {}});
            *former = std::move(entry);
            continue;
        }
        if (entry.run != 0) ++lane.tombs;
        if (!entries.push(std::move(entry))) return;  // unbounded
    }
    lane.entries = std::move(entries);
    lane.bytes = std::move(bytes);
    lane.compact_at = 64 + 2 * lane.tombs;
}

// After RESUME, and for messages that come from the disk: what was wanted meanwhile.
void Sender::decide(Lane& lane, Instant now) {
    for (auto seq = std::max(lane.cursor, lane.first); lane.has(seq);) {
        const auto index = lane.find(seq);
        const auto& entry = lane.entries[index];
        seq = entry.seq + 1;
        if (entry.run != 0 || !entry.extra || !certain(lane, entry.seq)) continue;
        if (entry.extra->cancel) {
            bury(lane, index, Receipt::Outcome::cancelled, now);
        } else if (entry.extra->expires != Duration{} && entry.extra->expires <= now.steady) {
            bury(lane, index, Receipt::Outcome::expired, now);
        }
    }
}

void Sender::cancel(std::uint64_t token, Instant now) {
    const auto it = tokens_.find(token);
    if (it == tokens_.end()) return;
    const auto place = it->second;
    auto& lane = *lanes_[place.lane];
    if (!lane.has(place.seq)) {
        if (const auto parked = lane.parked.find(place.seq); parked != lane.parked.end()) parked->second.cancel = true;
        return;
    }
    const auto index = lane.find(place.seq);
    if (lane.entries[index].run != 0) return;
    if (certain(lane, place.seq)) {
        bury(lane, index, Receipt::Outcome::cancelled, now);
    } else {
        lane.entries[index].more().cancel = true;  // decided at the next RESUME, or acknowledged before
    }
}

void Sender::expire(Instant now) {
    while (!due_.empty() && due_.front().at <= now.steady) {
        const auto due = due_.front();
        std::pop_heap(due_.begin(), due_.end(), later<Due, Due>);
        due_.pop_back();
        if (!is_due(due)) continue;
        auto& lane = *lanes_[due.lane];
        const auto index = lane.find(due.seq);
        auto& extra = *lane.entries[index].extra;
        extra.due = {};
        const auto expires = extra.expires;
        if (expires == Duration{}) continue;
        if (expires > now.steady) {  // replaced by one that lives longer
            push_due(expires, due.lane, due.seq, extra);
            continue;
        }
        if (certain(lane, due.seq)) {
            bury(lane, index, Receipt::Outcome::expired, now);
            continue;
        }
        const auto last = saturating_add(expires, config_.unknown_after);
        const bool linked = state_ == State::attached && lane.answered == Answered::yes;
        if (!linked && last <= now.steady) {
            bury(lane, index, Receipt::Outcome::unknown, now);
        } else {
            push_due(std::max(last, saturating_add(now.steady, config_.ask_after)), due.lane, due.seq, extra);
        }
    }
}

void Sender::abandon(Instant now, bool durable_too) {
    for (auto& entry : lanes_) {
        auto& lane = *entry;
        if (lane.durable() && !durable_too) continue;
        const Released sum{lane.index, lane.live, lane.live_bytes};
        const auto outcome = [&](std::uint64_t seq) { return seq <= lane.highest ? Receipt::Outcome::unknown : Receipt::Outcome::failed; };
        storage::Ticket ticket = 0;
        if (lane.durable() && lane.first != lane.next) {
            ticket =
                journal_.add(storage::DropOut{lane.key, lane.highest >= lane.first ? storage::Ended::unknown : storage::Ended::failed});
        }
        for (; !lane.entries.empty(); lane.entries.pop()) {
            auto& message = lane.entries.front();
            if (message.run != 0) continue;
            if (message.extra) say(message.extra->token, outcome(message.seq), now.steady - message.since, ticket);
        }
        for (const auto& [seq, parked] : lane.parked) say(parked.token, outcome(seq), now.steady - parked.since, ticket);
        for (auto& [seq, doubt] : lane.doubts) {
            for (std::size_t i = 0; i < doubt.versions.size(); ++i) {
                const auto& version = doubt.versions[i];
                say(version.token, Receipt::Outcome::unknown, now.steady - version.since, ticket);
                if (doubt.counted && i + 1 == doubt.versions.size()) break;  // in the sums of the lane
                released_.push_back({lane.index, 1, version.size});
            }
        }
        lane.doubts.clear();
        if (ticket != 0) {  // the next row counts from 1 again: its receipts are not theirs
            for (const auto& waiting : lane.awaited) say(waiting.token, Receipt::Outcome::unknown, now.steady - waiting.since, ticket);
            lane.awaited.clear();
        }
        lane.parked.clear();
        lane.bytes.release(lane.bytes.end());
        lane.tombs = 0;
        queued_ -= lane.live;
        lane.live = 0;
        lane.live_bytes = 0;
        lane.held_bytes = 0;
        // The receiver will miss the numbers that were given up: what follows is another epoch.
        if (!lane.durable() && lane.first != lane.next) lane.epoch += 0x9E3779B97F4A7C15ULL;
        lane.first = lane.next;
        lane.cursor = lane.next;
        lane.written = 0;
        lane.charged = false;
        if (ticket != 0) lane.key = 0;  // the next message makes a new row
        if (sum.messages != 0) released_.push_back(sum);
    }
    std::erase_if(tokens_, [this, durable_too](const auto& t) { return durable_too || !lanes_[t.second.lane]->durable(); });
    std::erase_if(keys_, [this, durable_too](const auto& k) { return durable_too || !lanes_[k.second.lane]->durable(); });
    std::erase_if(due_, [this](const Due& d) { return !is_due(d); });
    std::make_heap(due_.begin(), due_.end(), later<Due, Due>);
    datagrams_.clear();
    datagram_bytes_ = 0;
}

}  // namespace kith::delivery
