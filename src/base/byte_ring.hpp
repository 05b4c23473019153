// SPDX-License-Identifier: Apache-2.0
// A FIFO of bytes in one block, addressed by absolute positions, so that data can be read again until it is released.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kith/bytes.hpp"

namespace kith {

// Grows by doubling and never allocates below its high-water mark. The owner bounds what it appends.
class ByteRing {
public:
    std::uint64_t begin() const noexcept { return begin_; }
    std::uint64_t end() const noexcept { return end_; }
    std::size_t size() const noexcept { return static_cast<std::size_t>(end_ - begin_); }
    std::size_t capacity() const noexcept { return block_.size(); }

    // Returns the position of the first byte.
    std::uint64_t append(ByteView data) {
        if (size() + data.size() > block_.size()) grow(size() + data.size());
        const auto at = end_;
        const auto offset = static_cast<std::size_t>(at & mask());
        const auto first = std::min(data.size(), block_.size() - offset);
        if (first != 0) std::memcpy(block_.data() + offset, data.data(), first);
        if (first != data.size()) std::memcpy(block_.data(), data.data() + first, data.size() - first);
        end_ += data.size();
        return at;
    }
    // Copies [position, position + out.size()), which must be inside.
    void copy(std::uint64_t position, MutableBytes out) const noexcept {
        if (out.empty()) return;
        const auto offset = static_cast<std::size_t>(position & mask());
        const auto first = std::min(out.size(), block_.size() - offset);
        std::memcpy(out.data(), block_.data() + offset, first);
        if (first != out.size()) std::memcpy(out.data() + first, block_.data(), out.size() - first);
    }
    // Forgets everything before `position`.
    void release(std::uint64_t position) noexcept { begin_ = std::max(begin_, std::min(position, end_)); }
    // Gives the block back when it is empty.
    void shrink() noexcept {
        if (begin_ == end_) block_ = Bytes{};
    }

private:
    std::uint64_t mask() const noexcept { return block_.size() - 1; }
    void grow(std::size_t wanted) {
        Bytes bigger(std::max<std::size_t>(4096, std::bit_ceil(wanted)));
        const auto held = size();
        for (std::size_t done = 0; done < held;) {
            const auto from = static_cast<std::size_t>((begin_ + done) & mask());
            const auto to = static_cast<std::size_t>((begin_ + done) & (bigger.size() - 1));
            const auto n = std::min({held - done, block_.size() - from, bigger.size() - to});
            std::memcpy(bigger.data() + to, block_.data() + from, n);
            done += n;
        }
        block_ = std::move(bigger);
    }

    Bytes block_;
    std::uint64_t begin_ = 0;
    std::uint64_t end_ = 0;
};

}  // namespace kith
