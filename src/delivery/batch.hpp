// SPDX-License-Identifier: Apache-2.0
// Messages on their way from the wire to the callbacks: descriptors, and the counted memory that they lie in.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/chunk.hpp"
#include "kith/bytes.hpp"
#include "kith/message.hpp"
#include "kith/peer_id.hpp"

namespace kith {
inline namespace v0 {
namespace detail {

// What all messages of a row on one link share.
struct Origin {
    PeerId peer;
    std::string channel;
    std::string path;
    std::atomic<std::uint32_t> refs{1};

    void release() noexcept {
        if (refs.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace kith

namespace kith::delivery {

// One received message inside a batch. `row` and `generation` name it to consumed().
struct Delivered {
    detail::Chunk* chunk = nullptr;    // the batch holds one reference per entry of Batch::chunks, none here
    detail::Origin* origin = nullptr;  // likewise, Batch::origins
    ByteView bytes{};
    std::uint64_t seq = 0;     // 0: unreliable, nothing to consume
    std::uint64_t inbox = 0;   // durable: its number on this machine's disk
    std::uint32_t source = 0;  // ReceiverConfig::source
    std::uint32_t row = 0;
    std::uint32_t generation = 0;
    bool repeat = false;

    // What consumed() is told.
    std::uint64_t mark() const noexcept { return inbox != 0 ? inbox : seq; }
};

// Messages on their way to the callbacks. Owns references; movable. Reused by its owner, so that a steady flow allocates nothing.
struct Batch {
    std::vector<Delivered> messages;
    std::vector<detail::Chunk*> chunks;
    std::vector<detail::Origin*> origins;

    Batch() = default;
    Batch(Batch&&) noexcept = default;
    Batch& operator=(Batch&& other) noexcept {
        clear();
        std::swap(messages, other.messages);
        std::swap(chunks, other.chunks);
        std::swap(origins, other.origins);
        return *this;
    }
    ~Batch() { clear(); }
    bool empty() const noexcept { return messages.empty(); }
    void clear() noexcept;
    void hold(detail::Origin* origin);
    // The messages of `other` for which `wanted(message)`, with what they lie in.
    template <class F>
    void take(Batch& other, F&& wanted) {
        for (const auto& message : other.messages) {
            if (wanted(message)) messages.push_back(message);
        }
        chunks.insert(chunks.end(), other.chunks.begin(), other.chunks.end());
        origins.insert(origins.end(), other.origins.begin(), other.origins.end());
        other.messages.clear();
        other.chunks.clear();
        other.origins.clear();
    }
};

// The chunk that small messages are copied into; shared by all peers of an engine, one per batch at a time.
class Packer {
public:
    // Copies `bytes` into the current chunk (a new one when it is full) and adds the message to `batch`.
    void add(Batch& batch, ByteView bytes, Delivered message);
    // Adds a message that has a buffer of its own.
    static void adopt(Batch& batch, Bytes&& bytes, Delivered message);
    // Call when a batch is handed over: the next one starts in a new reference.
    void end_batch() noexcept { listed_ = nullptr; }
    ~Packer();
    Packer() = default;
    Packer(const Packer&) = delete;
    Packer& operator=(const Packer&) = delete;

private:
    ChunkPool pool_;
    detail::Chunk* chunk_ = nullptr;         // held by the packer
    const detail::Chunk* listed_ = nullptr;  // the chunk that the current batch already holds
};

}  // namespace kith::delivery
