// SPDX-License-Identifier: Apache-2.0
// Durable messages: between the engine and the storage thread, what admits them, and what is told of their ends.
#include <algorithm>
#include <chrono>

#include "io/clock.hpp"
#include "io/random.hpp"
#include "node/impl.hpp"

namespace kith {
inline namespace v0 {
namespace {

constexpr Duration settle_limit = std::chrono::seconds{5};  // for a slow disk at the end

Receipt::Outcome outcome_of(storage::Ended ended) noexcept {
    switch (ended) {
        case storage::Ended::delivered:
            return Receipt::Outcome::delivered;
        case storage::Ended::expired:
            return Receipt::Outcome::expired;
        case storage::Ended::cancelled:
            return Receipt::Outcome::cancelled;
        case storage::Ended::replaced:
            return Receipt::Outcome::replaced;
        case storage::Ended::failed:
            return Receipt::Outcome::failed;
        case storage::Ended::unknown:
            return Receipt::Outcome::unknown;
    }
    return Receipt::Outcome::unknown;
}

}  // namespace

std::string_view name(Notice::Kind kind) noexcept {
    switch (kind) {
        case Notice::Kind::receiver_restored:
            return "receiver_restored";
        case Notice::Kind::sender_restored:
            return "sender_restored";
        case Notice::Kind::receiver_lost:
            return "receiver_lost";
        case Notice::Kind::store_opened:
            return "store_opened";
        case Notice::Kind::store_failed:
            return "store_failed";
        case Notice::Kind::store_reopened:
            return "store_reopened";
    }
    return "unknown";
}

// ---- start

Status Node::Impl::open_store() {
    auto file = config_.store;
    if (file.empty() && !config_.home.empty()) file = config_.home / "kith.db";
    if (file.empty() || !config_.durable) return {};
    Bytes seed(sizeof(std::uint64_t));
    if (auto ok = io::random_bytes(seed); !ok) return ok;
    std::uint64_t number = 0;
    for (const auto byte : seed) number = number << 8U | byte;
    auto opened = node::Storage::open(file, number);
    if (!opened) return opened.error();
    storage_ = std::move(*opened);
    return {};
}

// What the file holds is in the engine before anything else, and counts as queued.
void Node::Impl::restore_lanes() {
    const auto now = io::now();
    engine_->storage_loaded(storage_->loaded(), now);
    for (const auto& row : storage_->loaded().out) {
        const auto id = PeerId::from_multihash(row.peer);
        if (!id) continue;
        const auto priority = static_cast<Priority>(row.priority);
        const auto lane = engine_->lane(*id, row.channel, Strength::durable, priority, now);
        if (!lane) continue;
        const std::scoped_lock lock(table_mutex_);
        auto& record = records_[*id];
        if (!record) record = std::make_shared<node::PeerRecord>(*id);
        record->stored = true;
        const auto& known = channels_[*id];
        const auto it = known.find(row.channel);
        auto& channel = it != known.end() ? *it->second : make_channel(record, row.channel);
        const auto at = node::ChannelState::lane_at(Strength::durable, priority);
        channel.lanes[at] = *lane;
        channel.lanes_used.fetch_or(static_cast<std::uint8_t>(1U << at), std::memory_order_relaxed);
        ++record->lanes;
        note_lane(*lane, channel, Strength::durable);
        record->outbox.restore(row.messages, row.bytes);
        outbox_total_.restore(row.messages, row.bytes);
    }
}

void Node::Impl::start_store() {
    storage_->start([weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->wake();
    });
    if (!storage_->loaded().note.empty()) tell_notice({Notice::Kind::store_opened, {}, {}, storage_->loaded().note});
    const std::scoped_lock lock(table_mutex_);
    if (outcome_handler_ && *outcome_handler_) storage_->want_outcomes();
}

void Node::Impl::note_lane(engine::LaneHandle lane, node::ChannelState& channel, Strength strength) {
    if (by_lane_.size() <= lane.peer) by_lane_.resize(lane.peer + 1);
    auto& lanes = by_lane_[lane.peer];
    if (lanes.size() <= lane.lane) lanes.resize(lane.lane + 1);
    lanes[lane.lane] = {&channel, strength == Strength::durable};
    if (strength == Strength::durable) channel.peer->stored = true;
}

// ---- a turn

bool Node::Impl::take_storage() {
    auto answers = storage_->take();
    const auto now = io::now();
    for (auto& answer : answers) {
        if (const auto* done = std::get_if<node::Storage::Done>(&answer)) {
            engine_->storage_done(done->up_to, now);
        } else if (auto* failed = std::get_if<node::Storage::Failed>(&answer)) {
            engine_->storage_failed(now);
            tell_notice({Notice::Kind::store_failed, {}, {}, failed->why.message()});
        } else if (auto* reopened = std::get_if<node::Storage::Reopened>(&answer)) {
            engine_->storage_reopened(reopened->loaded, now);
            tell_notice({Notice::Kind::store_reopened, {}, {}, std::move(reopened->loaded.note)});
        } else if (const auto* out = std::get_if<node::Storage::FetchedOut>(&answer)) {
            engine_->fetched_out(out->lane, out->messages, now);
        } else if (auto* in = std::get_if<node::Storage::FetchedIn>(&answer)) {
            engine_->fetched_in(in->lane, std::move(in->messages), now);
        } else if (auto* ends = std::get_if<node::Storage::Outcomes>(&answer)) {
            tell_outcomes(std::move(ends->rows));
        }
    }
    return !answers.empty();
}

void Node::Impl::put_storage() {
    auto& fetches = engine_->outputs().fetches;
    if (!engine_->wants_storage() && fetches.empty()) return;
    storage_->put(engine_->wants_storage() ? engine_->take_request() : storage::Request{}, fetches);
}

// At the end. What a commit sets free may want another one: an answer of the peer is settled, a lane is filled from the disk.
void Node::Impl::settle_storage() {
    const auto end = io::steady_now() + settle_limit;
    for (int i = 0; i < 16; ++i) {
        take_handoff(io::now());
        put_storage();
        const auto left = end - io::steady_now();
        if (left <= Duration{} || !storage_->flush(left)) return;
        if (!take_storage() && !engine_->wants_storage() && engine_->outputs().fetches.empty()) return;
    }
}

// ---- admission

Status Node::Impl::reserve_durable(node::ChannelState& channel, std::uint64_t size, const SendOptions& options,
                                   const std::stop_token& stop) {
    using Answer = node::Queue::Answer;
    auto& peer = channel.peer->outbox;
    const auto try_it = [&] {
        const auto fits = [&](node::Queue& queue, const node::Thresholds& limits) {
            node::Queue::Load at;
            const auto answer = queue.reserve(limits, limits.end_of(options.priority, 0), size, at);
            return answer == Answer::taken || answer == Answer::taken_and_above;
        };
        if (!fits(outbox_total_, outbox_total_limits_)) return false;
        if (fits(peer, outbox_limits_)) return true;
        bool fell = false;
        outbox_total_.give_back(outbox_total_limits_, 1, size, fell);
        return false;
    };
    if (try_it()) return {};
    const Error full{Errc::queue_full, "the outbox of durable messages is full"};
    if (options.wait <= Duration{}) return full;
    if (!may_block()) return Errc::would_block_callback;
    bool ours = false;
    outbox_waiters_.fetch_add(1, std::memory_order_seq_cst);
    const auto ended = [&] { return ours || !running() || (ours = try_it()); };
    await(
        [&](Duration limit) {
            std::unique_lock lock(outbox_mutex_);
            return outbox_room_.wait_for(lock, stop, limit, ended) || stop.stop_requested();
        },
        options.wait);
    outbox_waiters_.fetch_sub(1, std::memory_order_seq_cst);
    if (ours) return {};
    return !running() ? Status{Errc::stopped} : stop.stop_requested() ? Status{Errc::cancelled} : Status{full};
}

void Node::Impl::give_back_durable(node::PeerRecord& peer, std::uint64_t messages, std::uint64_t bytes) {
    bool fell = false;
    peer.outbox.give_back(outbox_limits_, messages, bytes, fell);
    outbox_total_.give_back(outbox_total_limits_, messages, bytes, fell);
    if (outbox_waiters_.load(std::memory_order_seq_cst) == 0) return;
    const std::scoped_lock lock(outbox_mutex_);
    outbox_room_.notify_all();
}

Result<QueueInfo> Node::Impl::outbox(const PeerId& peer) const {
    const std::scoped_lock lock(table_mutex_);
    const auto record = records_.find(peer);
    if (record == records_.end()) return Errc::unknown_peer;
    const auto load = record->second->outbox.load();
    QueueInfo out;
    out.max_messages = outbox_limits_.max_messages();
    out.max_bytes = outbox_limits_.max_bytes();
    out.messages = load.messages;
    out.bytes = load.bytes;
    out.above = load.above;
    out.pressure = outbox_limits_.pressure(load.messages, load.bytes);
    out.level = outbox_limits_.level(out.pressure);
    return out;
}

// ---- ends

// Behind what was sent before: that may still be in the hand-off.
void Node::Impl::cancel(const SendId& message) {
    if (!message) return;
    post_to_loop([weak = weak_from_this(), message] {
        const auto self = weak.lock();
        if (!self || !self->engine_) return;
        self->take_handoff(io::now());
        self->engine_->cancel_send(message.peer, message.token, io::now());
    });
}

void Node::Impl::forget(const PeerId& peer) {
    post_to_loop([weak = weak_from_this(), peer] {
        const auto self = weak.lock();
        if (!self || !self->engine_) return;
        self->take_handoff(io::now());
        self->engine_->forget_messages(peer, io::now());
    });
}

void Node::Impl::set_outcome_handler(Function<void(const DurableOutcome&)> handler) {
    const std::scoped_lock lock(table_mutex_);
    const bool first = outcome_handler_ == nullptr && handler;
    outcome_handler_ = std::make_shared<Function<void(const DurableOutcome&)>>(std::move(handler));
    if (first && running()) {
        if (storage_) storage_->want_outcomes();
    }
}

// A page at a time: the next one is read when the handler is through with it.
void Node::Impl::tell_outcomes(std::vector<storage::OutcomeRow> rows) {
    callbacks_->push([weak = weak_from_this(), rows = std::move(rows)]() mutable {
        const auto self = weak.lock();
        if (!self) return;
        std::shared_ptr<Function<void(const DurableOutcome&)>> handler;
        {
            const std::scoped_lock lock(self->table_mutex_);
            handler = self->outcome_handler_;
        }
        std::size_t told = 0;
        for (; handler && *handler && told < rows.size() && !self->callbacks_->ended(); ++told) {
            const auto& row = rows[told];
            DurableOutcome end;
            if (const auto peer = PeerId::from_multihash(row.peer)) end.peer = *peer;
            end.channel = row.channel;
            end.tag = row.tag;
            end.outcome = outcome_of(row.ended);
            (*handler)(end);
        }
        rows.resize(told);
        self->storage_->forget_outcomes(rows);
        self->storage_->want_outcomes();
    });
}

void Node::Impl::set_notice_handler(Function<void(const Notice&)> handler) {
    const std::scoped_lock lock(table_mutex_);
    notice_handler_ = std::make_shared<Function<void(const Notice&)>>(std::move(handler));
}

void Node::Impl::tell_notice(Notice notice) {
    std::shared_ptr<Function<void(const Notice&)>> handler;
    {
        const std::scoped_lock lock(table_mutex_);
        handler = notice_handler_;
    }
    if (!handler || !*handler) return;
    callbacks_->push_event([handler, notice = std::move(notice)] { (*handler)(notice); });
}

}  // namespace v0
}  // namespace kith
