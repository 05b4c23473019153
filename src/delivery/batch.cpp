// SPDX-License-Identifier: Apache-2.0
#include "delivery/batch.hpp"

#include <cstring>

namespace kith {
inline namespace v0 {
namespace detail {

void retain(Chunk* chunk, Origin* origin) noexcept {
    if (chunk != nullptr) chunk->retain();
    origin->refs.fetch_add(1, std::memory_order_relaxed);
}
void release(Chunk* chunk, Origin* origin) noexcept {
    if (chunk != nullptr) chunk->release();
    origin->release();
}
const PeerId& origin_peer(const Origin& origin) noexcept { return origin.peer; }
std::string_view origin_channel(const Origin& origin) noexcept { return origin.channel; }
std::string_view origin_path(const Origin& origin) noexcept { return origin.path; }

}  // namespace detail
}  // namespace v0
}  // namespace kith

namespace kith::delivery {

void Batch::clear() noexcept {
    messages.clear();
    for (auto* chunk : chunks) chunk->release();
    chunks.clear();
    for (auto* origin : origins) origin->release();
    origins.clear();
}

void Batch::hold(detail::Origin* origin) {
    if (!origins.empty() && origins.back() == origin) return;
    origin->refs.fetch_add(1, std::memory_order_relaxed);
    origins.push_back(origin);
}

Packer::~Packer() {
    if (chunk_ != nullptr) chunk_->release();
}

void Packer::add(Batch& batch, ByteView bytes, Delivered message) {
    if (bytes.size() > ChunkPool::chunk_size / 4) {
        adopt(batch, Bytes(bytes.begin(), bytes.end()), message);
        return;
    }
    if (chunk_ == nullptr || chunk_->room() < bytes.size()) {
        if (chunk_ != nullptr) chunk_->release();
        chunk_ = pool_.take();
        listed_ = nullptr;
    }
    if (listed_ != chunk_) {
        chunk_->retain();
        batch.chunks.push_back(chunk_);
        listed_ = chunk_;
    }
    auto* at = chunk_->bytes.data() + chunk_->used;
    if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
    chunk_->used += bytes.size();
    message.chunk = chunk_;
    message.bytes = {at, bytes.size()};
    batch.hold(message.origin);
    batch.messages.push_back(message);
}

void Packer::adopt(Batch& batch, Bytes&& bytes, Delivered message) {
    auto* chunk = ChunkPool::adopt(std::move(bytes));
    batch.chunks.push_back(chunk);
    message.chunk = chunk;
    message.bytes = chunk->bytes;
    batch.hold(message.origin);
    batch.messages.push_back(message);
}

}  // namespace kith::delivery
