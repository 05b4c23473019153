// SPDX-License-Identifier: Apache-2.0
// What stands behind kith::Node: the loop and its thread, the engine and its driver, the callbacks, the hand-off.
//
// Threads. Marked [any]: any thread. Marked [loop]: the loop's thread. Marked [lock]: guarded by table_mutex_.
#pragma once

#include <atomic>
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
#include "node/stream_impl.hpp"

namespace kith {
inline namespace v0 {

// What an operation ends with; the caller picks its part.
using OpValue = std::variant<std::monostate, Error, Duration, PeerId, std::vector<std::uint64_t>, Stream>;
using OpDone = Function<void(OpValue)>;

class Channel::Impl {
public:
    Impl(std::shared_ptr<Node::Impl> n, node::ChannelState* s) : node(std::move(n)), state(s) {}
    const std::weak_ptr<Node::Impl> node;
    node::ChannelState* const state;  // lives as long as the node's Impl
};

class Node::Impl : public std::enable_shared_from_this<Node::Impl> {
public:
    explicit Impl(Config config);
    ~Impl();

    Status start();
    void stop();
    void run();
    std::size_t poll(Duration timeout);

    // ---- [any]
    node::ChannelState* channel(const PeerId& peer, std::string_view name, Error* why);
    Status send(node::ChannelState& channel, ByteView bytes, Bytes* owned, const SendOptions& options, node::DoneFunction done);
    bool may_block() const noexcept;  // not the engine's and not the callback thread
    // Runs `begin(engine, op, now)` on the loop; `done` gets the result on the callback thread, or with `direct` on the loop's.
    void operation(Function<void(engine::Engine&, OpId, Instant)> begin, OpDone done, const Wait& wait, bool direct);
    // The blocking form.
    OpValue wait_for(Function<void(engine::Engine&, OpId, Instant)> begin, const Wait& wait);
    // Runs `task` on the loop, unless the node is stopped (then it is dropped, with what it holds).
    void post(Function<void(engine::Engine&, Instant)> task);
    // Runs `task` on the loop and waits; false when it could not run.
    bool query(Function<void(engine::Engine&, Instant)> task) const;
    void callback(Function<void()> call) { callbacks_->push(std::move(call)); }
    void set_peer_handler(Function<void(const PeerEvent&)> handler);
    void handle_protocol(std::string_view protocol, Function<void(Stream)> handler);

    Config config_;
    PeerId id_;
    std::atomic<bool> running_{false};
    std::unique_ptr<node::Callbacks> callbacks_;
    EventLoop* loop_ = nullptr;

    void take_reachability(engine::Outputs& outputs);  // [loop]
    Stats stats() const;
    std::vector<Multiaddr> addresses() const;

private:
    struct Op {
        OpDone done;
        TimerId timer{};
        std::unique_ptr<std::stop_callback<Function<void()>>> stop;
        bool direct = false;
    };

    Result<std::shared_ptr<Identity>> identity();
    engine::Config engine_config(const Identity::Secret& secret) const;
    node::Dispatch dispatch() const;
    void wake();                                  // [any]
    bool turn();                                  // [loop] hand-off in
    void take(engine::Outputs& outputs);          // [loop] outputs out
    void admit(node::SendEntry& entry, ByteView bytes, Instant now);
    void release(const engine::Released& released);
    void give_back(node::ChannelState& channel, std::uint64_t messages, std::uint64_t bytes);
    void finish(OpId op, OpValue value);          // [loop]
    void end_operation(OpId op, Errc why);        // [loop]
    void on_stream(engine::StreamOutput& output);  // [loop]
    void shutdown();                              // [loop]

    std::shared_ptr<Identity> identity_;
    std::unique_ptr<EventLoop> own_loop_;
    std::unique_ptr<engine::Engine> engine_;
    std::unique_ptr<node::Driver> driver_;
    std::thread thread_;
    std::mutex stop_mutex_;
    HookId hook_{};

    node::Handoff handoff_;
    node::Arena arena_;                            // [loop]
    std::vector<delivery::Batch> spare_batches_;   // [loop]
    std::unordered_map<std::uint64_t, node::DoneFunction> receipts_;  // [loop] token -> who waits
    std::vector<std::vector<node::ChannelState*>> by_lane_;           // [loop] peer slot, lane
    std::unordered_map<std::uint64_t, Op> ops_;    // [loop]
    std::unordered_map<StreamRef, std::weak_ptr<Stream::Impl>> streams_;  // [loop]
    std::atomic<std::uint64_t> last_op_{0};
    std::atomic<std::uint64_t> last_token_{0};
    std::atomic<std::uint64_t> refused_{0};
    std::atomic<std::uint64_t> wakeups_{0};

    mutable std::mutex table_mutex_;
    std::unordered_map<PeerId, std::shared_ptr<node::PeerRecord>> records_;               // [lock]
    std::unordered_map<PeerId, std::unordered_map<std::string, std::unique_ptr<node::ChannelState>>> channels_;  // [lock]; never shrinks
    std::shared_ptr<Function<void(const PeerEvent&)>> peer_handler_;                      // [lock]
    std::unordered_map<std::string, std::shared_ptr<Function<void(Stream)>>> protocols_;  // [lock]
};

}  // namespace v0
}  // namespace kith
