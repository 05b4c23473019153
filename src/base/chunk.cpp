// SPDX-License-Identifier: Apache-2.0
#include "base/chunk.hpp"

#include <utility>

namespace kith {
inline namespace v0 {
namespace detail {

// Returned chunks are pushed by any thread and taken all at once by the pool's thread, so the list has no ABA problem.
class ChunkPoolCore {
public:
    Chunk* take() {
        if (spare_ == nullptr) collect();
        Chunk* chunk = spare_;
        if (chunk != nullptr) {
            spare_ = std::exchange(chunk->next_, nullptr);
            --spares_;
            chunk->used = 0;
            chunk->refs_.store(1, std::memory_order_relaxed);
        } else {
            chunk = new Chunk;  // owned by its reference count
            chunk->bytes.resize(ChunkPool::chunk_size);
            chunk->core_ = this;
        }
        refs_.fetch_add(1, std::memory_order_relaxed);
        return chunk;
    }

    void give_back(Chunk* chunk) noexcept {
        Chunk* head = returned_.load(std::memory_order_relaxed);
        do {
            chunk->next_ = head;
        } while (!returned_.compare_exchange_weak(head, chunk, std::memory_order_release, std::memory_order_relaxed));
        release();
    }

    void release() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        destroy(returned_.load(std::memory_order_acquire));
        destroy(spare_);
        delete this;
    }

private:
    void collect() noexcept {
        Chunk* list = returned_.exchange(nullptr, std::memory_order_acquire);
        while (list != nullptr) {
            Chunk* chunk = std::exchange(list, list->next_);
            if (spares_ >= ChunkPool::keep) {
                delete chunk;
                continue;
            }
            chunk->next_ = std::exchange(spare_, chunk);
            ++spares_;
        }
    }
    static void destroy(Chunk* list) noexcept {
        while (list != nullptr) delete std::exchange(list, list->next_);
    }

    std::atomic<Chunk*> returned_{nullptr};
    std::atomic<std::size_t> refs_{1};
    Chunk* spare_ = nullptr;  // pool's thread only
    std::size_t spares_ = 0;
};

void Chunk::release() noexcept {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (core_ != nullptr) {
        core_->give_back(this);
    } else {
        delete this;
    }
}

}  // namespace detail
}  // namespace v0

ChunkPool::ChunkPool() : core_(new detail::ChunkPoolCore) {}
ChunkPool::~ChunkPool() { core_->release(); }
detail::Chunk* ChunkPool::take() { return core_->take(); }
detail::Chunk* ChunkPool::adopt(Bytes&& data) { return new detail::Chunk(std::move(data)); }

}  // namespace kith
