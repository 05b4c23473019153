// SPDX-License-Identifier: Apache-2.0
// From any thread to the engine's: messages to send and what the callbacks consumed. Two arenas change places under one short
// lock, so a steady flow allocates nothing and wakes the engine at most once a turn.
#pragma once

#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/types.hpp"
#include "kith/bytes.hpp"
#include "kith/error.hpp"
#include "kith/function.hpp"
#include "kith/message.hpp"
#include "node/channel_state.hpp"

namespace kith::node {

struct SendEntry {
    ChannelState* channel = nullptr;  // lives as long as the node
    std::uint64_t token = 0;
    std::uint32_t size = 0;  // bytes in the arena; of `owned` when it is not empty
    Strength strength = Strength::reliable;
    Priority priority = Priority::normal;
    bool extra = false;  // the next one of Arena::extras belongs to it
    Bytes owned;
};

// What few messages have.
struct SendExtra {
    std::uint64_t key = 0;
    std::uint64_t tag = 0;
    Duration ttl{};
    bool processed = false;
};

struct ConsumedRow {
    std::uint32_t source = 0;
    std::uint32_t row = 0;
    std::uint32_t generation = 0;
    std::uint64_t mark = 0;  // delivery::Delivered::mark() of the last
};

using DoneFunction = Function<void(Result<Receipt>)>;

// Who wants to know how a message ended. `direct`: told on the engine's thread, since its own one waits.
struct Waiting {
    DoneFunction done;
    bool direct = false;
    Receipt::Outcome until = Receipt::Outcome::delivered;
};

struct Arena {
    Bytes bytes;
    std::vector<SendEntry> entries;
    std::vector<SendExtra> extras;
    std::vector<std::pair<std::uint64_t, Waiting>> waiting;  // by token
    std::vector<ConsumedRow> consumed;
    std::vector<delivery::Batch> spent;  // empty batches going back, for their memory

    bool empty() const noexcept { return entries.empty() && consumed.empty() && spent.empty(); }
    void clear() noexcept {
        bytes.clear();
        entries.clear();
        extras.clear();
        waiting.clear();
        consumed.clear();
    }
};

class Handoff {
public:
    // Runs `fill(arena)` under the lock. True: the engine does not know yet that there is something; wake it.
    template <class F>
    bool add(F&& fill) {
        const std::scoped_lock lock(mutex_);
        fill(arena_);
        return !std::exchange(told_, true);
    }
    // Engine's thread. `arena` is empty and comes back full.
    void swap(Arena& arena) {
        const std::scoped_lock lock(mutex_);
        std::swap(arena, arena_);
        told_ = false;
    }

private:
    std::mutex mutex_;
    Arena arena_;
    bool told_ = false;
};

}  // namespace kith::node
