// SPDX-License-Identifier: Apache-2.0
// Counted memory that received messages lie in. The engine fills chunks and never waits for the threads that drop them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "kith/bytes.hpp"

namespace kith {
inline namespace v0 {
namespace detail {

class ChunkPoolCore;

// Reference counted from any thread. `bytes` is written only before the first reader is told of it.
class Chunk {
public:
    Bytes bytes;
    std::size_t used = 0;

    std::size_t room() const noexcept { return bytes.size() - used; }
    void retain() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept;

private:
    friend class ChunkPoolCore;
    std::atomic<std::uint32_t> refs_{1};
    ChunkPoolCore* core_ = nullptr;  // null: not pooled
    Chunk* next_ = nullptr;

public:
    Chunk() = default;
    explicit Chunk(Bytes&& data) : bytes(std::move(data)), used(bytes.size()) {}
};

}  // namespace detail
}  // namespace v0

// Owned by one engine, used by its thread alone; chunks come back from any thread and may outlive the pool.
class ChunkPool {
public:
    static constexpr std::size_t chunk_size = 64 * 1024;
    static constexpr std::size_t keep = 64;  // idle chunks kept

    ChunkPool();
    ~ChunkPool();
    ChunkPool(const ChunkPool&) = delete;
    ChunkPool& operator=(const ChunkPool&) = delete;

    // An empty chunk of chunk_size with one reference, the caller's.
    detail::Chunk* take();
    // A chunk around a buffer of any size, not pooled.
    static detail::Chunk* adopt(Bytes&& data);

private:
    detail::ChunkPoolCore* core_;  // counted: this pool and every chunk that is out hold one reference
};

}  // namespace kith
