// SPDX-License-Identifier: Apache-2.0
// What stands behind kith::Node: the loop and its thread, the engine and its driver, the callbacks, the hand-off.
//
// Threads. Marked [any]: any thread. Marked [loop]: the loop's thread. Marked [lock]: guarded by table_mutex_.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "engine/engine.hpp"
#include "kith/event_loop.hpp"
#include "kith/node.hpp"
#include "node/callbacks.hpp"
#include "node/channel_state.hpp"
#include "node/driver.hpp"
#include "node/handoff.hpp"
#include "node/storage.hpp"
#include "node/stream_impl.hpp"

namespace kith {
inline namespace v0 {

// What an operation ends with; the caller picks its part.
using OpValue = std::variant<std::monostate, Error, Duration, PeerId, std::vector<std::uint64_t>, Stream>;
using OpDone = Function<void(OpValue)>;

// Finds its place when the peer becomes known: a handle may be made before.
class Channel::Impl {
public:
    Impl(std::weak_ptr<Node::Impl> n, const PeerId& p, std::string_view c) : node(std::move(n)), peer(p), name(c) {}
    Status send(ByteView bytes, Bytes* owned, const SendOptions& options, const std::stop_token& stop = {});
    int pressure() const noexcept;

    const std::weak_ptr<Node::Impl> node;
    const PeerId peer;
    const std::string name;
    std::atomic<node::ChannelState*> state{nullptr};  // lives as long as the node's Impl
};

class Node::Impl : public std::enable_shared_from_this<Node::Impl> {
public:
    explicit Impl(Config config);
    ~Impl();

    // ---- lifecycle.cpp
    Status start();
    void stop();
    void run();
    std::size_t poll(Duration timeout);
    bool running() const noexcept { return running_.load(std::memory_order_acquire); }
    Error why_not() const { return started_ ? Errc::stopped : Errc::not_started; }  // when it is not running

    // ---- sending.cpp [any]
    node::ChannelState* channel(const PeerId& peer, std::string_view name, Error* why);
    Status send(node::ChannelState& channel, ByteView bytes, Bytes* owned, const SendOptions& options, node::Waiting waiting,
                const std::stop_token& stop = {}, std::uint64_t* named = nullptr);

    // ---- durable.cpp [any]
    void cancel(const SendId& message);
    void forget(const PeerId& peer);
    Result<QueueInfo> outbox(const PeerId& peer) const;
    void set_outcome_handler(Function<void(const DurableOutcome&)> handler);
    void set_notice_handler(Function<void(const Notice&)> handler);

    // ---- pressure.cpp [any]
    std::vector<BroadcastResult> broadcast(std::string_view channel, ByteView bytes, const SendOptions& options);
    Result<QueueInfo> queue(const PeerId& peer, std::string_view channel) const;
    void set_pressure_handler(Function<void(const PressureEvent&)> handler);
    const node::Thresholds& thresholds() const noexcept { return thresholds_; }

    // ---- operations.cpp [any]
    bool may_block() const noexcept;  // not the engine's and not the callback thread
    // Runs `begin(engine, op, now)` on the loop; `done` gets the result on the callback thread, or with `direct` on the loop's.
    void operation(Function<void(engine::Engine&, OpId, Instant)> begin, OpDone done, const Wait& wait, bool direct);
    // The blocking form.
    OpValue wait_for(Function<void(engine::Engine&, OpId, Instant)> begin, const Wait& wait);
    // Until `ready(d)`, which waits up to d, says true or `limit` has passed. In ThreadMode::polled it drives the engine.
    bool await(Function<bool(Duration)> ready, Duration limit);
    // Runs `task` on the loop, unless the node is stopped (then it is dropped, with what it holds).
    void post(Function<void(engine::Engine&, Instant)> task);
    // Runs `task` on the loop and waits; false when it could not run.
    bool query(Function<void(engine::Engine&, Instant)> task);
    void answer(Function<void()> call) { callbacks_->push_answer(std::move(call)); }
    void set_peer_handler(Function<void(const PeerEvent&)> handler);
    void handle_protocol(std::string_view protocol, Function<void(Stream)> handler);
    // The user dropped his last handle: of a stream that he half-closed (`linger`) the rest still goes out.
    void forget_stream(StreamRef stream, bool linger);

    Config config_;
    PeerId id_;
    std::shared_ptr<node::Callbacks> callbacks_;

    void take_reachability(engine::Outputs& outputs);  // [loop]
    Stats stats();
    std::vector<Multiaddr> addresses();

private:
    struct Start {
        OpId id;
        Function<void(engine::Engine&, OpId, Instant)> begin;
        OpDone done;
        Wait wait;
        bool direct = false;
    };
    struct Op {
        OpDone done;
        TimerId timer{};
        std::unique_ptr<std::stop_callback<Function<void()>>> stop;
        bool direct = false;
    };

    Result<std::shared_ptr<Identity>> identity();
    engine::Config engine_config(const Identity::Secret& secret) const;
    node::Dispatch dispatch() const;
    bool post_to_loop(Function<void()> task);  // [any] false: stopped, and `task` was dropped
    void on_loop(Function<void()> task);       // [any] runs it there, or here when nobody runs the loop, and waits
    void wake();                               // [any]
    bool turn();                               // [loop] all of a turn
    void take_handoff(Instant now);            // [loop]
    void take(engine::Outputs& outputs);       // [loop] outputs out
    void admit(node::SendEntry& entry, const node::SendExtra* extra, ByteView bytes, Instant now);
    void tell(std::uint64_t token, Result<Receipt> result);
    void release(const engine::Released& released);
    void give_back(node::ChannelState& channel, std::uint64_t messages, std::uint64_t bytes);
    node::ChannelState& make_channel(const std::shared_ptr<node::PeerRecord>& record, std::string_view name);  // [lock]
    bool claim_lane(node::ChannelState& channel, Strength strength, Priority priority);
    Status reserve(node::ChannelState& channel, std::uint64_t size, const SendOptions& options, const std::stop_token& stop);
    // durable.cpp
    Status open_store();
    void restore_lanes();  // before the first turn
    void start_store();
    bool take_storage();    // [loop] answers into the engine
    void put_storage();     // [loop] what the engine wants kept and read
    void settle_storage();  // [loop] until nothing is on its way, bounded
    Status reserve_durable(node::ChannelState& channel, std::uint64_t size, const SendOptions& options, const std::stop_token& stop);
    void give_back_durable(node::PeerRecord& peer, std::uint64_t messages, std::uint64_t bytes);
    void note_lane(engine::LaneHandle lane, node::ChannelState& channel, Strength strength);
    void tell_outcomes(std::vector<storage::OutcomeRow> rows);  // [loop]
    void tell_notice(Notice notice);
    void crossed(node::ChannelState& channel, const node::Queue::Load& at, bool above);  // [any] a watermark
    void tell_pressure(node::ChannelState& channel, bool first);                         // [callback]
    void take_starts();                                                                  // [loop]
    void begin(Start& start);                                                            // [loop]
    void finish(OpId op, OpValue value);                                                 // [loop]
    void end_operation(OpId op, Errc why);                                               // [loop]
    void on_stream(engine::StreamOutput& output);                                        // [loop]
    void shutdown(bool clean);                                                           // [loop] `clean`: no callback runs, or will
    void wake_senders();

    // fresh --start()--> running --stop()--> stopping --> stopped
    std::mutex life_mutex_;  // posts to the loop against the end of `running_`
    std::atomic<bool> started_{false};
    std::atomic<bool> running_{false};
    std::vector<Start> starts_;  // under life_mutex_: operations that were not begun
    bool stopped_ = false;       // under life_mutex_
    std::condition_variable stopped_wake_;
    int stop_fd_ = -1;  // readable after stop()

    std::shared_ptr<Identity> identity_;
    std::shared_ptr<EventLoop> own_loop_;  // shared with its thread
    EventLoop* loop_ = nullptr;
    std::unique_ptr<engine::Engine> engine_;  // [loop]
    std::unique_ptr<node::Driver> driver_;    // [loop]
    std::thread thread_;
    HookId hook_{};
    bool in_driver_ = false;                // [loop]
    std::mutex drive_mutex_;                // ThreadMode::polled: one blocking call drives the loop
    std::atomic<std::thread::id> quiet_{};  // and this thread runs no callbacks meanwhile
    std::size_t callbacks_run_ = 0;         // [loop] ThreadMode::loop, ::polled

    std::shared_ptr<node::Storage> storage_;  // none: no durable messages. From start() on
    node::Thresholds outbox_limits_;
    node::Thresholds outbox_total_limits_;
    node::Queue outbox_total_;
    std::atomic<std::uint32_t> outbox_waiters_{0};
    std::mutex outbox_mutex_;
    std::condition_variable_any outbox_room_;

    node::Thresholds thresholds_;
    node::Handoff handoff_;
    node::Arena arena_;                                          // [loop]
    std::vector<delivery::Batch> spare_batches_;                 // [loop]
    std::unordered_map<std::uint64_t, node::Waiting> receipts_;  // [loop] by token
    struct LaneOwner {
        node::ChannelState* channel = nullptr;
        bool durable = false;
    };
    std::vector<std::vector<LaneOwner>> by_lane_;                         // [loop] peer slot, lane
    std::unordered_map<std::uint64_t, Op> ops_;                           // [loop]
    std::unordered_map<StreamRef, std::weak_ptr<Stream::Impl>> streams_;  // [loop] expired: read by nobody, on its way out
    std::atomic<std::uint64_t> last_op_{0};
    std::atomic<std::uint64_t> last_token_{0};
    std::atomic<std::uint64_t> refused_{0};

    mutable std::mutex table_mutex_;
    std::unordered_map<PeerId, std::shared_ptr<node::PeerRecord>> records_;                                      // [lock]
    std::unordered_map<PeerId, std::unordered_map<std::string, std::unique_ptr<node::ChannelState>>> channels_;  // [lock]; never shrinks
    std::shared_ptr<Function<void(const PeerEvent&)>> peer_handler_;                                             // [lock]
    std::shared_ptr<Function<void(const DurableOutcome&)>> outcome_handler_;                                     // [lock]
    std::shared_ptr<Function<void(const Notice&)>> notice_handler_;                                              // [lock]
    std::shared_ptr<Function<void(const PressureEvent&)>> pressure_handler_;                                     // [lock]
    std::atomic<bool> pressure_heard_{false};                                                                    // there is one
    std::unordered_map<std::string, std::shared_ptr<Function<void(Stream)>>> protocols_;                         // [lock]
    Stats last_stats_;                                                                                           // [lock] at the end
};

}  // namespace v0
}  // namespace kith
