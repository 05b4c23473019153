// SPDX-License-Identifier: Apache-2.0
// From the engine's thread to the user's callbacks, in order: messages in batches, everything else as functions.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
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

using MessagesHandler = Function<void(std::span<const Message>)>;

// How the callbacks get a thread.
enum class Dispatch : std::uint8_t {
    thread,    // our own
    executor,  // Config::executor
    manual,    // Node::dispatch()
    loop,      // on the engine's loop, after its turn
};

class Callbacks {
public:
    using Executor = Function<void(Function<void()>)>;
    // `give_back` takes what was consumed, on the callback thread.
    Callbacks(Dispatch dispatch, Executor executor, std::size_t max_events, Function<void(std::vector<ConsumedRow>&, delivery::Batch&&)> give_back);
    ~Callbacks();

    void start(std::shared_ptr<void> keep_alive);
    // No callback starts after this returned; waits for the running one unless it is called from it.
    void stop();

    // ---- engine's thread
    void push(delivery::Batch&& batch);
    void push(Function<void()> call);
    // As push, unless max_events of them wait: then it is dropped and counted.
    void push_event(Function<void()> call);

    // ---- any thread
    void set_handler(std::string_view channel, MessagesHandler handler);
    // Runs what waits; returns how much. Dispatch::manual and ::loop.
    std::size_t run();
    int descriptor() const noexcept { return descriptor_; }
    bool on_callback_thread() const noexcept { return runner_.load(std::memory_order_relaxed) == std::this_thread::get_id(); }
    std::uint64_t wakeups() const noexcept { return wakeups_.load(std::memory_order_relaxed); }
    std::uint64_t events_dropped() const noexcept { return events_dropped_.load(std::memory_order_relaxed); }

private:
    struct Item {
        delivery::Batch batch;
        Function<void()> call;
        bool event = false;
    };
    struct Channel {
        MessagesHandler handler;
        std::mutex running;  // a handler runs on one thread at a time and can be replaced
    };
    void put(Item&& item);
    void wake_locked();
    void loop();
    void deliver(delivery::Batch& batch);
    void deliver_run(std::span<const delivery::Delivered> run);
    void park(std::span<const delivery::Delivered> run);
    void unpark(const std::string& channel);
    std::shared_ptr<Channel> handler_of(std::string_view channel);
    void note(const delivery::Delivered& message);
    void give_back(delivery::Batch&& spent);

    const Dispatch dispatch_;
    Executor executor_;
    const std::size_t max_events_;
    Function<void(std::vector<ConsumedRow>&, delivery::Batch&&)> give_back_;

    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<Item> items_;
    std::size_t events_ = 0;
    bool sleeping_ = false;
    bool scheduled_ = false;  // executor: a run is on its way
    bool stopping_ = false;
    int descriptor_ = -1;
    std::thread thread_;
    std::shared_ptr<void> keep_alive_;

    std::mutex run_mutex_;  // one runner at a time
    std::atomic<std::thread::id> runner_{};
    std::vector<Item> taken_;
    std::vector<Message> messages_;
    std::vector<ConsumedRow> consumed_;
    std::unordered_map<std::string, std::vector<std::pair<Message, delivery::Delivered>>> parked_;  // no handler yet; bounded by credit

    std::mutex handlers_mutex_;
    std::unordered_map<std::string, std::shared_ptr<Channel>> handlers_;
    std::atomic<std::uint64_t> wakeups_{0};
    std::atomic<std::uint64_t> events_dropped_{0};
};

}  // namespace kith::node
