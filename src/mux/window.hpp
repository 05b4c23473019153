// SPDX-License-Identifier: Apache-2.0
// The receive window of one stream: what the peer may still send, what the application has not taken yet, and when to
// give more. It grows like go-yamux's: doubled when a whole update period passed within four round trips.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "kith/time.hpp"

namespace kith::mux {

// Invariant: credit + unread <= size. The difference is what the application has taken and the peer was not told yet.
class ReceiveWindow {
public:
    ReceiveWindow() noexcept = default;
    explicit ReceiveWindow(std::uint32_t initial) noexcept : size_(initial), credit_(initial) {}

    std::uint32_t size() const noexcept { return size_; }
    std::uint32_t credit() const noexcept { return credit_; }
    std::uint32_t unread() const noexcept { return unread_; }

    // The peer sends n bytes. False, with nothing changed, when it was not allowed to.
    bool receive(std::uint32_t n, Instant now) noexcept {
        if (n > credit_) return false;
        if (!epoch_) epoch_ = now.steady;
        credit_ -= n;
        unread_ += n;
        return true;
    }

    // The application took n bytes (more than there are counts as all).
    void consume(std::size_t n) noexcept { unread_ -= static_cast<std::uint32_t>(std::min<std::size_t>(n, unread_)); }

    std::uint32_t owed() const noexcept { return size_ - credit_ - unread_; }
    bool update_due() const noexcept { return owed() != 0 && owed() >= size_ / 2; }

    // To call when an update becomes due: doubles the window if the last period was short, at most to `max_size` and by at most
    // `budget`, and starts the next period. Returns how much the window grew.
    std::uint32_t tune(Instant now, std::optional<Duration> rtt, std::uint32_t max_size, std::uint64_t budget) noexcept {
        const Duration began = epoch_.value_or(now.steady);
        epoch_ = now.steady;
        if (!rtt || now.steady - began >= 4 * *rtt || size_ >= max_size) return 0;
        const std::uint32_t growth = std::min(size_, max_size - size_);
        if (growth > budget) return 0;
        size_ += growth;
        return growth;
    }

    // The peer is told: returns the delta to put into the frame.
    std::uint32_t announce() noexcept {
        const std::uint32_t delta = owed();
        credit_ += delta;
        return delta;
    }

private:
    std::uint32_t size_ = 0;
    std::uint32_t credit_ = 0;
    std::uint32_t unread_ = 0;
    std::optional<Duration> epoch_;  // begin of the period; unset until the first byte
};

}  // namespace kith::mux
