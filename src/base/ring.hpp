// SPDX-License-Identifier: Apache-2.0
// A FIFO in one block of memory that grows by doubling up to `limit` and never allocates below its high-water mark.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace kith {

// T must be default constructible and movable. Index 0 is the oldest element.
template <class T>
class Ring {
public:
    explicit Ring(std::size_t limit = static_cast<std::size_t>(-1)) noexcept : limit_(limit) {}

    bool empty() const noexcept { return size_ == 0; }
    std::size_t size() const noexcept { return size_; }
    std::size_t limit() const noexcept { return limit_; }
    bool full() const noexcept { return size_ >= limit_; }

    // False, with the value untouched, when the limit is reached.
    [[nodiscard]] bool push(T&& value) {
        if (full()) return false;
        if (size_ == slots_.size()) grow();
        slots_[(head_ + size_) & (slots_.size() - 1)] = std::move(value);
        ++size_;
        return true;
    }
    T& front() noexcept { return slots_[head_]; }
    T& back() noexcept { return (*this)[size_ - 1]; }
    T& operator[](std::size_t i) noexcept { return slots_[(head_ + i) & (slots_.size() - 1)]; }
    const T& operator[](std::size_t i) const noexcept { return slots_[(head_ + i) & (slots_.size() - 1)]; }

    void pop() noexcept {
        slots_[head_] = T{};
        head_ = (head_ + 1) & (slots_.size() - 1);
        --size_;
    }
    void clear() noexcept {
        while (!empty()) pop();
    }
    // Gives the memory back; only when empty.
    void shrink() noexcept {
        if (size_ != 0) return;
        slots_ = std::vector<T>{};
        head_ = 0;
    }

private:
    void grow() {
        std::vector<T> bigger(std::max<std::size_t>(8, slots_.size() * 2));
        for (std::size_t i = 0; i < size_; ++i) bigger[i] = std::move((*this)[i]);
        slots_ = std::move(bigger);
        head_ = 0;
    }

    std::vector<T> slots_;
    std::size_t head_ = 0;
    std::size_t size_ = 0;
    std::size_t limit_;
};

}  // namespace kith
