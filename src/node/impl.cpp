// SPDX-License-Identifier: Apache-2.0
#include "node/impl.hpp"

#include <algorithm>
#include <future>
#include <string>

#include "crypto/init.hpp"
#include "io/clock.hpp"
#include "io/random.hpp"
#include "kith/version.hpp"
#include "node/identity_secret.hpp"

namespace kith {
inline namespace v0 {

Node::Impl::Impl(Config config) : config_(std::move(config)) {
    callbacks_ = std::make_unique<node::Callbacks>(dispatch(), std::move(config_.executor), config_.max_events,
                                                   [this](std::vector<node::ConsumedRow>& consumed, delivery::Batch&& spent) {
                                                       const bool first = handoff_.add([&](node::Arena& arena) {
                                                           arena.consumed.insert(arena.consumed.end(), consumed.begin(), consumed.end());
                                                           if (spent.messages.capacity() != 0) arena.spent.push_back(std::move(spent));
                                                       });
                                                       if (first) wake();
                                                   });
}

Node::Impl::~Impl() {
    stop();
    if (thread_.joinable()) thread_.detach();  // destroyed on the engine's thread: it ends by itself
}

node::Dispatch Node::Impl::dispatch() const {
    if (config_.threads != ThreadMode::own) return node::Dispatch::loop;
    if (config_.manual_dispatch) return node::Dispatch::manual;
    return config_.executor ? node::Dispatch::executor : node::Dispatch::thread;
}

Result<std::shared_ptr<Identity>> Node::Impl::identity() {
    if (config_.identity) return config_.identity;
    auto made = config_.home.empty() ? Identity::generate() : Identity::load_or_create(config_.home / "identity.key");
    if (!made) return made.error();
    return std::make_shared<Identity>(std::move(*made));
}

engine::Config Node::Impl::engine_config(const Identity::Secret& secret) const {
    engine::Config out;
    out.self = secret.id;
    out.identity_key = secret.public_key;
    out.name = config_.name;
    out.agent = config_.agent.empty() ? "kith/" + std::string{version()} : config_.agent;
    if (!config_.name.empty() && config_.agent.empty()) out.agent += " " + config_.name.substr(0, 64);
    const auto& limits = config_.limits;
    out.gate.max_links = limits.max_links;
    out.gate.max_links_per_address = limits.max_links_per_address;
    out.gate.max_handshakes = limits.max_handshakes;
    out.gate.max_handshakes_per_address = limits.max_handshakes_per_address;
    out.gate.links_per_second = limits.new_links_per_second;
    out.gate.links_per_second_per_address = limits.new_links_per_second_per_address;
    out.max_links_per_peer = limits.max_links_per_peer;
    out.max_streams_per_link = limits.max_streams_per_link;
    out.max_window_per_link = limits.max_window_per_link;
    out.max_channels_per_peer = limits.max_channels_per_peer;
    out.max_peers_known = limits.max_peers_known;
    out.max_addresses_per_peer = limits.max_addresses_per_peer;
    out.max_message = config_.max_message;
    out.dial_timeout = config_.dial_timeout;
    out.handshake_timeout = config_.handshake_timeout;
    out.negotiation_timeout = config_.negotiation_timeout;
    out.ping_after_idle = config_.ping_after_idle;
    out.dead_after_silence = config_.dead_after_silence;
    out.keep_connected = config_.keep_connected;
    out.lan = config_.lan;
    out.lan_auto_connect = config_.lan_auto_connect;
    out.serve_perf = config_.serve_perf;
    return out;
}

Status Node::Impl::start() {
    const std::scoped_lock stopping(stop_mutex_);
    if (engine_ || running_) return Errc::already_started;
    if (auto ok = crypto::init(); !ok) return ok;
    if (config_.threads == ThreadMode::loop && config_.loop == nullptr) {
        return Error{Errc::invalid_argument, "ThreadMode::loop needs Config::loop"};
    }
    std::vector<Multiaddr> listen;
    for (const auto& text : config_.listen) {
        auto address = Multiaddr::parse(text);
        if (!address) return address.error();
        listen.push_back(std::move(*address));
    }
    auto identity = this->identity();
    if (!identity) return identity.error();
    identity_ = *identity;
    crypto::Secret32 seed;
    if (auto ok = io::random_bytes(seed.bytes()); !ok) return ok;

    if (config_.threads != ThreadMode::loop) own_loop_ = std::make_unique<EventLoop>();
    loop_ = own_loop_ ? own_loop_.get() : config_.loop;
    if (auto ok = loop_->status(); !ok) return ok;
    id_ = identity_->peer_id();
    engine_ = std::make_unique<engine::Engine>(engine_config(identity_->secret()), identity_->secret().key, std::move(seed), io::now());
    // Hooks run in order: first what the users gave in, then the driver's end of the turn.
    hook_ = loop_->on_turn([this] { return turn(); });
    driver_ = std::make_unique<node::Driver>(*loop_, *engine_, [this](engine::Outputs& outputs) { take(outputs); });
    {
        const std::scoped_lock lock(table_mutex_);
        for (const auto& [protocol, handler] : protocols_) engine_->serve_raw(protocol, io::now());
    }
    auto ok = driver_->listen(listen);
    if (ok && config_.lan) {
        // Without multicast the node is of use all the same; `kith doctor` tells.
        if (const auto lan = driver_->start_lan(); !lan) config_.lan = false;
    }
    if (!ok) {
        loop_->remove_hook(hook_);
        driver_.reset();
        engine_.reset();
        own_loop_.reset();
        loop_ = nullptr;
        return ok;
    }
    running_ = true;
    callbacks_->start(nullptr);
    if (config_.threads == ThreadMode::own) {
        thread_ = std::thread([loop = loop_] { loop->run().has_value(); });
    }
    return {};
}

void Node::Impl::stop() {
    const std::scoped_lock stopping(stop_mutex_);
    if (!running_.exchange(false)) return;
    if (config_.threads == ThreadMode::own && thread_.get_id() != std::this_thread::get_id()) {
        loop_->post([this] {
            shutdown();
            loop_->stop();
        });
        thread_.join();
    } else if (loop_->on_loop_thread() || config_.threads == ThreadMode::polled) {
        shutdown();
        if (own_loop_) loop_->stop();
    } else {
        std::promise<void> done;
        loop_->post([this, &done] {
            shutdown();
            done.set_value();
        });
        done.get_future().wait();
    }
    callbacks_->stop();
    const std::scoped_lock lock(table_mutex_);
    for (auto& [peer, channels] : channels_) {
        for (auto& [name, channel] : channels) {
            const std::scoped_lock waiting(channel->mutex);
            channel->room.notify_all();
        }
    }
}

void Node::Impl::shutdown() {
    turn();
    driver_->shutdown(io::now());
    std::vector<std::uint64_t> ops;
    for (const auto& [id, op] : ops_) ops.push_back(id);
    for (const auto op : ops) finish(OpId{op}, Error{Errc::stopped});
    auto streams = std::move(streams_);
    for (const auto& [ref, weak] : streams) {
        if (auto stream = weak.lock()) stream->on_closed(Errc::stopped);
    }
    auto receipts = std::move(receipts_);
    for (auto& [token, done] : receipts) {
        if (done) callbacks_->push([done = std::move(done)]() mutable { done(Error{Errc::stopped}); });
    }
    if (dispatch() == node::Dispatch::loop) callbacks_->run();
    loop_->remove_hook(hook_);
    driver_.reset();
    engine_.reset();
}

std::size_t Node::Impl::poll(Duration timeout) {
    if (!running_ || !own_loop_ || config_.threads != ThreadMode::polled) return 0;
    return own_loop_->poll(timeout);
}

bool Node::Impl::may_block() const noexcept {
    return !(loop_ != nullptr && loop_->on_loop_thread()) && !callbacks_->on_callback_thread();
}

void Node::Impl::wake() {
    wakeups_.fetch_add(1, std::memory_order_relaxed);
    if (running_) loop_->post([] {});  // the hook at the end of the turn does the work
}

// ---- hand-off in

bool Node::Impl::turn() {
    if (!engine_) return false;
    if (dispatch() == node::Dispatch::loop) callbacks_->run();
    handoff_.swap(arena_);
    if (arena_.empty()) return false;
    const auto now = io::now();
    for (auto& [token, done] : arena_.waiting) receipts_[token] = std::move(done);
    const ByteView bytes{arena_.bytes};
    std::size_t at = 0;
    for (auto& entry : arena_.entries) {
        const auto size = entry.owned.empty() ? entry.size : 0;
        admit(entry, bytes.subspan(at, size), now);
        at += size;
    }
    if (!arena_.entries.empty()) engine_->flush_sends(now);
    for (const auto& row : arena_.consumed) engine_->consumed(row.source, row.row, row.generation, row.seq, now);
    for (auto& batch : arena_.spent) {
        if (spare_batches_.size() < 8) spare_batches_.push_back(std::move(batch));
    }
    arena_.spent.clear();
    arena_.clear();
    return false;
}

void Node::Impl::admit(node::SendEntry& entry, ByteView bytes, Instant now) {
    auto& channel = *entry.channel;
    const auto size = entry.owned.empty() ? bytes.size() : entry.owned.size();
    const auto fail = [&](const Error& why, Receipt::Outcome outcome) {
        give_back(channel, 1, size);
        if (entry.token == 0) return;
        const auto it = receipts_.find(entry.token);
        if (it == receipts_.end()) return;
        auto done = std::move(it->second);
        receipts_.erase(it);
        callbacks_->push([done = std::move(done), why, outcome]() mutable {
            if (outcome == Receipt::Outcome::sent) {
                done(Receipt{Receipt::Outcome::sent, {}});
            } else {
                done(why);
            }
        });
    };
    if (entry.strength == Strength::unreliable) {
        const auto data = entry.owned.empty() ? bytes : ByteView{entry.owned};
        const bool sent = engine_->send_unreliable(channel.peer->peer, channel.name, data, now);
        fail(Errc::not_connected, sent ? Receipt::Outcome::sent : Receipt::Outcome::failed);
        return;
    }
    auto& lane = channel.lanes[static_cast<std::size_t>(entry.priority)];
    if (!lane) {
        auto made = engine_->lane(channel.peer->peer, channel.name, entry.strength, entry.priority, now);
        if (!made) return fail(made.error(), Receipt::Outcome::failed);
        lane = *made;
        if (by_lane_.size() <= lane->peer) by_lane_.resize(lane->peer + 1);
        auto& lanes = by_lane_[lane->peer];
        if (lanes.size() <= lane->lane) lanes.resize(lane->lane + 1);
        lanes[lane->lane] = &channel;
    }
    engine_->send(*lane, bytes, entry.owned.empty() ? nullptr : &entry.owned, entry.token, now);
}

// ---- outputs out

void Node::Impl::give_back(node::ChannelState& channel, std::uint64_t messages, std::uint64_t bytes) {
    channel.queued_messages.fetch_sub(messages, std::memory_order_relaxed);
    const auto left = channel.queued_bytes.fetch_sub(bytes, std::memory_order_seq_cst) - bytes;
    // Waiting senders are woken in groups: when a quarter of the room is free again.
    if (channel.waiters.load(std::memory_order_seq_cst) != 0 && left <= config_.max_queued_bytes / 4 * 3 &&
        channel.queued_messages.load(std::memory_order_relaxed) <= config_.max_queued_messages / 4 * 3) {
        const std::scoped_lock lock(channel.mutex);
        channel.room.notify_all();
    }
}

void Node::Impl::release(const engine::Released& released) {
    if (released.lane.peer >= by_lane_.size() || released.lane.lane >= by_lane_[released.lane.peer].size()) return;
    if (auto* channel = by_lane_[released.lane.peer][released.lane.lane]) give_back(*channel, released.messages, released.bytes);
}

// First of all outputs: who was told that a peer is connected may send to it at once.
void Node::Impl::take_reachability(engine::Outputs& out) {
    if (out.reachability.empty()) return;
    const std::scoped_lock lock(table_mutex_);
    for (const auto& entry : out.reachability) {
        const auto it = records_.find(entry.peer);
        if (it == records_.end()) {
            if (!entry.known || records_.size() >= 2 * config_.limits.max_peers_known) continue;
            records_[entry.peer] = std::make_shared<node::PeerRecord>(entry.peer);
        }
        auto& record = *records_[entry.peer];
        record.known = entry.known;
        record.unsupported = entry.unsupported;
    }
    out.reachability.clear();
}

void Node::Impl::take(engine::Outputs& out) {
    take_reachability(out);
    for (const auto& released : out.released) release(released);
    out.released.clear();
    for (const auto& outcome : out.outcomes) {
        const auto it = receipts_.find(outcome.token);
        if (it == receipts_.end()) continue;
        auto done = std::move(it->second);
        receipts_.erase(it);
        callbacks_->push([done = std::move(done), outcome]() mutable { done(Receipt{outcome.outcome, outcome.after}); });
    }
    out.outcomes.clear();
    for (auto& output : std::exchange(out.streams, {})) on_stream(output);
    for (auto& completion : std::exchange(out.completions, {})) {
        std::visit([&](auto& value) { finish(completion.op, OpValue{std::move(value)}); }, completion.result);
    }
    if (!out.events.empty()) {
        std::shared_ptr<Function<void(const PeerEvent&)>> handler;
        {
            const std::scoped_lock lock(table_mutex_);
            handler = peer_handler_;
        }
        for (auto& event : out.events) {
            if (handler) callbacks_->push_event([handler, event = std::move(event)] { (*handler)(event); });
        }
        out.events.clear();
    }
    if (!out.messages.empty()) {
        engine_->end_batch();
        delivery::Batch batch = std::move(out.messages);
        if (!spare_batches_.empty()) {
            out.messages = std::move(spare_batches_.back());
            spare_batches_.pop_back();
        }
        callbacks_->push(std::move(batch));
    }
    if (dispatch() == node::Dispatch::loop) wake();
}

void Node::Impl::on_stream(engine::StreamOutput& output) {
    if (auto* opened = std::get_if<engine::StreamOpened>(&output)) {
        const auto direction = opened->op ? Direction::outbound : Direction::inbound;
        auto stream = std::make_shared<Stream::Impl>(weak_from_this(), opened->stream, opened->peer, opened->protocol, direction);
        streams_[opened->stream] = stream;
        if (opened->op) {
            finish(opened->op, Stream{std::move(stream)});
            return;
        }
        std::shared_ptr<Function<void(Stream)>> handler;
        {
            const std::scoped_lock lock(table_mutex_);
            const auto it = protocols_.find(opened->protocol);
            if (it != protocols_.end()) handler = it->second;
        }
        if (handler) callbacks_->push([handler, stream = Stream{std::move(stream)}] { (*handler)(stream); });
        return;
    }
    const auto ref = std::visit([](const auto& o) { return o.stream; }, output);
    const auto it = streams_.find(ref);
    if (it == streams_.end()) return;
    auto stream = it->second.lock();
    if (!stream) {
        streams_.erase(it);
        return;
    }
    if (auto* data = std::get_if<engine::StreamData>(&output)) {
        stream->on_data(std::move(data->bytes));
    } else if (std::holds_alternative<engine::StreamFinished>(output)) {
        stream->on_finished();
    } else if (auto* drained = std::get_if<engine::StreamDrained>(&output)) {
        stream->on_drained(drained->bytes);
    } else if (auto* closed = std::get_if<engine::StreamClosed>(&output)) {
        streams_.erase(it);
        stream->on_closed(closed->error);
    }
}

// ---- operations

void Node::Impl::post(Function<void(engine::Engine&, Instant)> task) {
    if (!running_) return;
    loop_->post([this, self = weak_from_this(), task = std::move(task)]() mutable {
        const auto alive = self.lock();
        if (alive && engine_) task(*engine_, io::now());
    });
}

void Node::Impl::operation(Function<void(engine::Engine&, OpId, Instant)> begin, OpDone done, const Wait& wait, bool direct) {
    const OpId id{last_op_.fetch_add(1) + 1};
    if (!running_) {
        Error error{engine_ || id_ ? Errc::stopped : Errc::not_started};
        if (direct) {
            done(std::move(error));
        } else {
            callbacks_->push([done = std::move(done), error = std::move(error)]() mutable { done(std::move(error)); });
        }
        return;
    }
    auto timeout = wait.timeout;
    auto token = wait.stop;
    loop_->post([this, self = weak_from_this(), id, begin = std::move(begin), done = std::move(done), timeout, token, direct]() mutable {
        const auto alive = self.lock();
        if (!alive || !engine_) return done(Error{Errc::stopped});
        auto& op = ops_[id.value];
        op.done = std::move(done);
        op.direct = direct;
        if (timeout < std::chrono::hours{24 * 365}) op.timer = loop_->after(timeout, [this, id] { end_operation(id, Errc::timeout); });
        if (token.stop_possible()) {
            Function<void()> on_stop = [this, self, id] {
                if (const auto node = self.lock(); node && running_) {
                    loop_->post([this, self, id] {
                        if (self.lock() && engine_) end_operation(id, Errc::cancelled);
                    });
                }
            };
            op.stop = std::make_unique<std::stop_callback<Function<void()>>>(token, std::move(on_stop));
        }
        begin(*engine_, id, io::now());
    });
}

void Node::Impl::finish(OpId id, OpValue value) {
    const auto it = ops_.find(id.value);
    if (it == ops_.end()) return;
    auto op = std::move(it->second);
    ops_.erase(it);
    if (op.timer) loop_->cancel(op.timer);
    op.stop.reset();
    if (op.direct) {
        op.done(std::move(value));
    } else {
        callbacks_->push([done = std::move(op.done), value = std::move(value)]() mutable { done(std::move(value)); });
    }
}

void Node::Impl::end_operation(OpId id, Errc why) {
    if (!ops_.contains(id.value)) return;
    engine_->cancel(id, why, io::now());  // a dial completes at the end of this turn; others just stop waiting
    const bool dialling = std::any_of(engine_->outputs().completions.begin(), engine_->outputs().completions.end(),
                                      [&](const auto& completion) { return completion.op == id; });
    if (!dialling) finish(id, Error{why});
}

OpValue Node::Impl::wait_for(Function<void(engine::Engine&, OpId, Instant)> begin, const Wait& wait) {
    if (!may_block()) return Error{Errc::would_deadlock};
    auto promise = std::make_shared<std::promise<OpValue>>();
    auto future = promise->get_future();
    operation(std::move(begin), [promise](OpValue value) { promise->set_value(std::move(value)); }, wait, true);
    if (config_.threads == ThreadMode::polled) {
        while (future.wait_for(std::chrono::seconds{0}) != std::future_status::ready) own_loop_->poll(std::chrono::milliseconds{100});
    }
    return future.get();
}

bool Node::Impl::query(Function<void(engine::Engine&, Instant)> task) const {
    if (!running_) return false;
    if (loop_->on_loop_thread() || config_.threads == ThreadMode::polled) {
        if (!engine_) return false;
        task(*engine_, io::now());
        return true;
    }
    std::promise<bool> promise;
    loop_->post([this, &promise, &task] {
        if (engine_) task(*engine_, io::now());
        promise.set_value(engine_ != nullptr);
    });
    return promise.get_future().get();
}

}  // namespace v0
}  // namespace kith
