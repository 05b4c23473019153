// SPDX-License-Identifier: Apache-2.0
// From the engine's thread to the user's callbacks, in order: messages in batches, everything else as functions.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/types.hpp"
#include "kith/function.hpp"
#include "kith/message.hpp"
#include "node/handoff.hpp"

namespace kith::node {

// What a channel's handler is: for each message, or for what came together. Both empty: no handler.
struct ChannelHandler {
    Function<void(const Message&)> each{};
    Function<void(std::span<const Message>)> batch{};
    std::uint64_t after = 0;  // durable messages up to this are done without it
    explicit operator bool() const noexcept { return each || batch; }
};

// How the callbacks get a thread.
enum class Dispatch : std::uint8_t {
    thread,    // our own
    executor,  // Config::executor
    manual,    // Node::dispatch()
    loop,      // on the engine's loop, at the end of its turn
};

// Owned by the node and by whoever is running it (its thread, an executor's task), so that a node may go away inside one of
// its own callbacks.
class Callbacks : public std::enable_shared_from_this<Callbacks> {
public:
    using Executor = Function<void(Function<void()>)>;
    using GiveBack = Function<void(std::vector<ConsumedRow>&, delivery::Batch&&)>;
    Callbacks(Dispatch dispatch, Executor executor, std::size_t max_events);
    ~Callbacks();
    Callbacks(const Callbacks&) = delete;
    Callbacks& operator=(const Callbacks&) = delete;

    // `give_back` takes what was consumed, on the callback thread. `wake`, for Dispatch::loop: see to a turn of the loop.
    void start(GiveBack give_back, Function<void()> wake);
    // Drops what waits, except answers: those are called before it returns (Dispatch::executor and ::manual: by this thread).
    // Called from a callback: drops everything and does not wait.
    void stop();
    // Returns when no callback runs; at once inside one.
    void wait_idle();
    // No new callback but answers begins any more; waits for the one that runs. False: it did not end in time, or calls this.
    bool quiesce(Duration limit);

    // ---- any thread
    void push(delivery::Batch&& batch);
    // A call that tells something new; dropped at the end.
    void push(Function<void()> call) { put({{}, std::move(call), Kind::call}); }
    // The end of something that the user asked for.
    void push_answer(Function<void()> call) { put({{}, std::move(call), Kind::answer}); }
    // As push; when max_events of them wait, the oldest is dropped and counted.
    void push_event(Function<void()> call);
    void count_dropped_events(std::uint64_t n) noexcept { events_dropped_.fetch_add(n, std::memory_order_relaxed); }
    void set_handler(std::string_view channel, ChannelHandler handler);

    // Runs what waits; returns how much. Dispatch::manual and ::loop. 0 inside a callback.
    std::size_t run();
    bool waiting() const;
    int descriptor() const noexcept { return descriptor_; }
    bool ended() const noexcept { return allowed() != Allowed::everything; }  // no further callback may run
    bool on_callback_thread() const noexcept { return runner_.load(std::memory_order_relaxed) == std::this_thread::get_id(); }
    std::uint64_t wakeups() const noexcept { return wakeups_.load(std::memory_order_relaxed); }
    std::uint64_t events_dropped() const noexcept { return events_dropped_.load(std::memory_order_relaxed); }

private:
    // everything --quiesce()--> ending --stop()--> answers --all called--> nothing;  any --stop() inside a callback--> nothing
    enum class Allowed : std::uint8_t { everything, ending, answers, nothing };
    enum class Kind : std::uint8_t { messages, event, call, answer, dropped };
    struct Item {
        delivery::Batch batch;
        Function<void()> call;
        Kind kind = Kind::call;
    };
    Allowed allowed() const noexcept { return allowed_.load(std::memory_order_relaxed); }
    bool may(Kind kind) const noexcept;
    void put(Item&& item);
    bool wake_locked();  // true: schedule() must follow, outside the lock
    void schedule();
    void scheduled_run();
    void loop();
    void deliver(delivery::Batch& batch);
    void deliver_run(std::span<const delivery::Delivered> run);
    std::size_t call(ChannelHandler& handler, std::span<const delivery::Delivered> run);
    void park(std::span<const delivery::Delivered> run);
    void unpark(const std::string& channel);
    void schedule_unpark(const std::string& channel);
    void begin_turn();
    bool used_its_turn() const;
    std::shared_ptr<ChannelHandler> handler_of(std::string_view channel);
    void note(const delivery::Delivered& message);
    bool pace();
    void give_back(delivery::Batch&& spent);

    const Dispatch dispatch_;
    Executor executor_;
    const std::size_t max_events_;
    GiveBack give_back_;
    Function<void()> wake_loop_;

    mutable std::mutex mutex_;  // guards up to scheduled_
    std::condition_variable wake_;
    std::vector<Item> items_;
    std::size_t events_ = 0;        // in items_
    std::size_t oldest_event_ = 0;  // none in items_ before this index
    bool sleeping_ = false;
    bool scheduled_ = false;                             // executor: a run is on its way or under way; manual: the descriptor is readable
    std::atomic<Allowed> allowed_{Allowed::everything};  // written under mutex_
    int descriptor_ = -1;
    std::mutex join_mutex_;
    std::thread thread_;

    std::timed_mutex run_mutex_;  // one runner at a time; guards up to parked_
    std::atomic<std::thread::id> runner_{};
    std::vector<Item> taken_;
    std::vector<Message> messages_;
    std::vector<ConsumedRow> consumed_;
    std::uint32_t since_give_back_ = 0;
    Duration gave_back_at_{};
    Duration turn_began_{};
    std::uint64_t in_turn_ = 0;  // messages
    // What waits for a handler, or for the next turn of a slow one; bounded by credit.
    struct Parked {
        std::deque<std::pair<Message, delivery::Delivered>> messages;
        bool scheduled = false;  // an item that unparks it is on its way
    };
    std::unordered_map<std::string, Parked> parked_;

    std::mutex handlers_mutex_;
    std::unordered_map<std::string, std::shared_ptr<ChannelHandler>> handlers_;
    std::atomic<std::uint64_t> wakeups_{0};
    std::atomic<std::uint64_t> events_dropped_{0};
};

}  // namespace kith::node
