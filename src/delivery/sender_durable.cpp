// SPDX-License-Identifier: Apache-2.0
// The sender's side of the disk: what is written, what was committed, what is read back, and what a receiver's answer means for a
// lane that outlives this process.
#include <algorithm>

#include "delivery/sender.hpp"

#include "base/mutant.hpp"

namespace kith::delivery {

bool Sender::owns(storage::LaneKey key) const noexcept {
    return std::any_of(lanes_.begin(), lanes_.end(), [&](const auto& lane) { return lane->durable() && lane->key == key; });
}

storage::Ticket Sender::append(Lane& lane, const Outgoing& message, std::uint64_t seq, Instant now) {
    auto& request = journal_.open();
    const auto bytes = request.add(message.owned != nullptr ? ByteView{*message.owned} : message.bytes);
    const auto expires = message.ttl == Duration{} ? Duration{} : saturating_add(now.wall, message.ttl);
    return journal_.add(storage::Append{lane.key, seq, message.mid, message.tag, message.ttl, expires, bytes});
}

// At the first message: a lane that nobody used leaves no row. After forget() the same, with another epoch.
void Sender::open_row(Lane& lane, std::uint64_t epoch) {
    lane.key = journal_.next_out();
    lane.epoch = epoch;
    lane.first = lane.next = lane.cursor = 1;
    lane.highest = lane.repeat_to = lane.settled = lane.settled_mid = lane.resolved = 0;
    lane.attached_ever = false;
    auto& request = journal_.open();
    const auto peer = request.add(ByteView{peer_});
    const auto name = request.add(lane.channel);
    lane.hold = journal_.add(storage::OpenOut{lane.key, peer, name, static_cast<std::uint8_t>(lane.priority), epoch});
    if (state_ == State::detached) return;
    if (lane.announced) {
        reattach_ = true;  // it was announced with the former epoch
    } else {
        announce(lane);
    }
}

void Sender::set_row(Lane& lane) {
    const auto repeat_to = planted(Mutant::mark_not_stored) ? 0 : lane.repeat_to;
    lane.hold = journal_.add(storage::SetOut{lane.key, lane.epoch, repeat_to, lane.attached_ever});
}

// A lane of an earlier process. Everything in it may have been on the wire.
void Sender::restore(const storage::OutLane& row) {
    auto lane = std::make_unique<Lane>(static_cast<LaneIndex>(lanes_.size()));
    lane->channel = row.channel;
    lane->strength = Strength::durable;
    lane->priority = static_cast<Priority>(row.priority);
    lane->epoch = row.epoch;
    lane->key = row.key;
    lane->first = row.first;
    lane->next = planted(Mutant::next_is_highest_row_plus_one) && row.messages == 0 ? row.first : row.next;
    lane->cursor = row.first;
    lane->highest = row.next - 1;
    lane->repeat_to = row.repeat_to;
    lane->settled = row.first - 1;
    lane->settled_mid = row.settled_mid;
    lane->attached_ever = row.attached;
    lane->live = row.messages;
    lane->live_bytes = row.bytes;
    queued_ += row.messages;
    lanes_.push_back(std::move(lane));
    load_more(*lanes_.back());
}

// Keeps the memory of a lane filled from the disk: asked for when half of it is free.
void Sender::load_more(Lane& lane) {
    if (!lane.durable() || lane.fetching || lane.key == 0 || lane.loaded() + 1 >= lane.next) return;
    if (lane.entries.size() > config_.memory_messages / 2 || lane.held_bytes > config_.memory_bytes / 2) return;
    lane.fetching = true;
    fetches_.push_back({lane.key, lane.loaded() + 1, static_cast<std::uint32_t>(config_.memory_messages), config_.memory_bytes});
}

void Sender::load(Lane& lane, const storage::OutMessage& message, Instant now) {
    Entry entry;
    entry.seq = message.seq;
    entry.run = message.run;
    auto& extra = entry.more();
    extra.mid = message.mid;
    entry.since = now.steady;
    if (message.run == 0) {
        entry.size = static_cast<std::uint32_t>(message.bytes.size());
        if (message.expires != Duration{}) {  // the smaller of what was left when it was last noted and what the wall clock says
            const auto left = std::clamp(message.expires - now.wall, Duration{}, message.ttl);
            extra.expires = saturating_add(now.steady, std::max(left, Duration{1}));
        }
        if (const auto parked = lane.parked.find(message.seq); parked != lane.parked.end()) {
            const auto& kept = parked->second;
            entry.since = kept.since;
            extra.token = kept.token;
            extra.key = kept.key;
            extra.ticket = kept.ticket;
            extra.expires = kept.expires;
            extra.cancel = kept.cancel;
            extra.processed = kept.processed;
        }
        if (extra.expires != Duration{}) push_due(extra.expires, lane.index, message.seq, extra);
        if (entry.size >= owned_from) {
            extra.owned = message.bytes;
        } else {
            entry.position = lane.bytes.append(message.bytes);
            entry.in_ring = true;
        }
        lane.held_bytes += entry.size;
    } else {
        ++lane.tombs;
    }
    lane.parked.erase(message.seq);
    if (!lane.entries.push(std::move(entry))) return;  // unbounded; the window bounds what is asked for
}

void Sender::fetched(storage::LaneKey key, const std::vector<storage::OutMessage>& messages, Instant now) {
    const auto found = std::find_if(lanes_.begin(), lanes_.end(), [&](const auto& l) { return l->durable() && l->key == key; });
    if (found == lanes_.end()) return;
    auto& lane = **found;
    lane.fetching = false;
    if (lane.answered == Answered::checking && lane.resume && !lane.has(lane.resume->have)) {
        if (!messages.empty()) {
            const auto& message = messages.front();
            const auto have = lane.resume->have;
            const bool covers = message.seq - (message.run == 0 ? 0 : message.run - 1) <= have && have <= message.seq;
            if (covers) judge(lane, message.seq == have ? message.mid : 0, now);
        }
        if (lane.answered == Answered::checking) return;  // the disk failed: the next attachment asks again
        return load_more(lane);
    }
    for (const auto& message : messages) {
        const auto begin = message.run == 0 ? message.seq : message.seq - message.run + 1;
        if (begin != lane.loaded() + 1) break;
        for (auto it = lane.doubts.lower_bound(begin); it != lane.doubts.end() && it->first <= message.seq; it = lane.doubts.erase(it)) {
            settle_doubt(lane, it->first, std::move(it->second), message, now);
        }
        const auto parked = lane.parked.find(message.seq);
        if (parked != lane.parked.end() && parked->second.mid != message.mid) break;  // read before it was replaced: read again
        load(lane, message, now);
    }
    if (lane.resolved >= lane.first) resolve_to(lane, lane.resolved, now);
    decide(lane, now);
    if (!messages.empty()) load_more(lane);
}

void Sender::committed(storage::Ticket ticket) {
    committed_ = std::max(committed_, ticket);
    for (; !pending_.empty() && pending_.front().ticket <= committed_; pending_.pop_front()) {
        const auto& done = pending_.front();
        if (done.version) released_.push_back({done.place.lane, 1, done.version->size});
        if (done.outcome.token != 0) outcomes_.push_back(done.outcome);
    }
    for (auto& lane : lanes_) {
        if (lane->settle_ticket == 0 || lane->settle_ticket > committed_) continue;
        lane->settle_ticket = 0;
        lane->settled = lane->first - 1;
    }
}

// ---- RESUME of a durable lane

Status Sender::resume_durable(Lane& lane, const wire::ResumeLane& row, Instant now) {
    const bool knows = row.state == wire::ResumeState::known || row.state == wire::ResumeState::gap;
    if (!knows || row.have + 1 < lane.first) {
        // The receiver does not stand where it had said. What was on the wire may have been handed over before it lost that.
        // Where the same process has nothing of what it was sent, nothing was committed, so nothing was handed over.
        const bool lost = knows || row.state == wire::ResumeState::gap || lane.instance != peer_instance_;
        const auto doubtful = lost ? lane.highest : lane.foreign;
        const bool mark = lane.attached_ever && doubtful > lane.repeat_to;
        if (mark && !planted(Mutant::mark_not_set)) lane.repeat_to = doubtful;
        if (lane.attached_ever && (row.state == wire::ResumeState::gap || knows)) {
            notices_.push_back({Notice::Kind::receiver_restored, lane.channel});
        } else if (mark) {
            notices_.push_back({Notice::Kind::receiver_lost, lane.channel});
        }
        if (mark || !lane.attached_ever) {
            lane.attached_ever = true;
            set_row(lane);
        }
        lane.cursor = lane.first;
        lane.answered = Answered::yes;
        decide(lane, now);
        return {};
    }
    lane.resume = row;
    lane.answered = Answered::checking;
    if (row.have >= lane.next) {
        restored_here(lane, now);
    } else if (row.have + 1 == lane.first) {
        judge(lane, lane.settled_mid, now);
    } else if (lane.has(row.have)) {
        const auto& entry = lane.at(row.have);
        judge(lane, entry.seq == row.have ? entry.extra->mid : 0, now);
    } else {
        lane.fetching = true;
        fetches_.push_back({lane.key, row.have, 1, 1});
    }
    return {};
}

// The receiver's last message of the lane has this name here. Another one there: our database is not the one that sent it.
void Sender::judge(Lane& lane, std::uint64_t mid, Instant now) {
    const auto row = *lane.resume;
    if (row.mid != mid && row.have != 0) return restored_here(lane, now);
    lane.resume.reset();
    lane.answered = Answered::yes;
    if (!lane.attached_ever) {
        lane.attached_ever = true;
        set_row(lane);
    }
    resolve_to(lane, row.have, now);
    lane.cursor = std::max(lane.cursor, row.have + (planted(Mutant::resume_at_have_plus_two) && lane.has(row.have + 2) ? 2 : 1));
    if (auto ok = continue_partial(lane, row); !ok) lane.written = 0;
    decide(lane, now);
}

void Sender::restored_here(Lane& lane, Instant now) {
    reattach_ = true;
    if (restored_at_ && now - *restored_at_ < config_.restored_at_most_every && restored_at_ != now) return;  // the lane waits
    restored_at_ = now;
    notices_.push_back({Notice::Kind::sender_restored, lane.channel});
    lane.epoch = random_ + lane.index;
    lane.repeat_to = lane.next - 1;
    lane.attached_ever = false;
    lane.resolved = 0;
    set_row(lane);
}

// ---- after a failure

void Sender::fail(Lane& lane, const Parked& lost, Instant now) {
    say(lost.token, Receipt::Outcome::failed, now.steady - lost.since, 0);
    tokens_.erase(lost.token);
    released_.push_back({lane.index, 1, lost.size});
}

// Memory follows the disk: what was on its way there and did not arrive has failed, everything else is read again.
void Sender::reopen(Lane& lane, const storage::OutLane* row, Instant now) {
    const auto next = row == nullptr || planted(Mutant::refused_row_left) ? lane.first : std::max(row->next, lane.first);
    lane.hold = 0;
    for (std::size_t i = 0; i < lane.entries.size(); ++i) {
        const auto& message = lane.entries[i];
        if (message.run == 0) lane.parked[message.seq] = as_parked(message);
    }
    lane.entries.clear();
    lane.bytes.release(lane.bytes.end());
    lane.tombs = 0;
    lane.held_bytes = 0;
    for (auto it = lane.parked.lower_bound(next); it != lane.parked.end(); it = lane.parked.erase(it)) {
        if (it->second.key != 0) forget_key(lane, it->second.key, it->first);
        fail(lane, it->second, now);
        leave(lane, it->second.size);
    }
    for (auto it = lane.doubts.lower_bound(next); it != lane.doubts.end(); it = lane.doubts.erase(it)) {
        for (const auto& version : it->second.versions) fail(lane, version, now);
    }
    for (auto& [seq, doubt] : lane.doubts) {
        if (!doubt.ended || std::exchange(doubt.counted, true)) continue;
        ++lane.live;
        ++queued_;
        lane.live_bytes += doubt.versions.back().size;
    }
    for (auto& [seq, parked] : lane.parked) parked.ticket = 0;
    lane.next = next;
    lane.cursor = lane.first;
    lane.highest = std::min(lane.highest, next - 1);
    lane.fetching = false;
    if (row == nullptr) {
        lane.key = 0;
        return;
    }
    if (row->first < lane.first) lane.settle_ticket = journal_.add(storage::Settle{lane.key, lane.first - 1, lane.settled_mid});
    lane.settled = row->first - 1;
    if (row->epoch != lane.epoch || row->repeat_to != lane.repeat_to || row->attached != lane.attached_ever) set_row(lane);
    load_more(lane);
}

// The disk shows which of the versions it has: earlier ones were replaced, later ones failed.
void Sender::settle_doubt(Lane& lane, std::uint64_t seq, Doubt doubt, const storage::OutMessage& message, Instant now) {
    auto& versions = doubt.versions;
    if (const auto current = lane.parked.find(seq); current != lane.parked.end()) {
        versions.push_back(current->second);
        lane.parked.erase(current);
    }
    const auto counted = versions.back().size;  // in the sums of the lane
    auto has = versions.size();
    if (message.run == 0) {
        while (has > 1 && versions[has - 1].mid != message.mid) --has;
    }
    const auto end = [&](const Parked& version, Receipt::Outcome outcome) {
        say(version.token, outcome, now.steady - version.since, 0);
        tokens_.erase(version.token);
        released_.push_back({lane.index, 1, version.size});
    };
    for (std::size_t i = 0; i + 1 < has; ++i) end(versions[i], Receipt::Outcome::replaced);
    for (std::size_t i = has; i < versions.size(); ++i) end(versions[i], Receipt::Outcome::failed);
    const auto& survivor = versions[has - 1];
    if (std::find(doubt.untold.begin(), doubt.untold.end(), survivor.token) != doubt.untold.end()) {
        say(survivor.token, Receipt::Outcome::stored, {}, 0);
    }
    if (message.run != 0) {
        end(survivor, doubt.ended.value_or(Receipt::Outcome::unknown));
        leave(lane, counted);
        return;
    }
    // It lives after all.
    lane.live_bytes += survivor.size;
    lane.live_bytes -= counted;
    if (survivor.token != 0) tokens_[survivor.token] = {lane.index, seq};
    lane.parked[seq] = survivor;
}

void Sender::reopened(const std::vector<storage::OutLane>& rows, Instant now) {
    std::deque<Pending> pending;
    std::swap(pending, pending_);
    for (const auto& waiting : pending) {
        auto& lane = *lanes_[waiting.place.lane];
        if (!waiting.version) continue;
        if (lane.key == 0) {  // of a row that was dropped
            released_.push_back({lane.index, 1, waiting.version->size});
            say(waiting.outcome.token, Receipt::Outcome::unknown, waiting.outcome.after, 0);
            continue;
        }
        auto& doubt = lane.doubts[waiting.place.seq];
        doubt.versions.push_back(*waiting.version);
        if (waiting.buried) doubt.ended = waiting.outcome.outcome;
    }
    for (auto& waiting : pending) {
        if (waiting.outcome.outcome != Receipt::Outcome::stored) continue;
        auto& doubts = lanes_[waiting.place.lane]->doubts;
        if (const auto it = doubts.find(waiting.place.seq); it != doubts.end()) it->second.untold.push_back(waiting.outcome.token);
    }
    for (auto& lane : lanes_) {
        if (!lane->durable() || lane->key == 0) continue;
        const auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.key == lane->key; });
        reopen(*lane, row == rows.end() ? nullptr : &*row, now);
    }
    for (auto& waiting : pending) {
        if (waiting.version) continue;
        auto& lane = *lanes_[waiting.place.lane];
        switch (waiting.outcome.outcome) {
            case Receipt::Outcome::stored: {
                const auto parked = lane.parked.find(waiting.place.seq);
                const bool there = parked != lane.parked.end() && parked->second.token == waiting.outcome.token;
                if (there && !lane.doubts.contains(waiting.place.seq)) outcomes_.push_back(waiting.outcome);
                break;
            }
            case Receipt::Outcome::delivered:
            case Receipt::Outcome::processed:
                waiting.ticket = journal_.last_ticket();  // with the settling that was said again
                pending_.push_back(waiting);
                break;
            default:  // of a row that was dropped: what the disk did with it is not known
                outcomes_.push_back({waiting.outcome.token, Receipt::Outcome::unknown, waiting.outcome.after});
        }
    }
}

}  // namespace kith::delivery
