// SPDX-License-Identifier: Apache-2.0
// The test's own random numbers: the same on every machine for a seed (the standard distributions are not).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kith/time.hpp"

namespace kith::testing {

// splitmix64: one addition and three mixings; good enough to choose faults with, never for keys.
class Random {
public:
    explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

    std::uint64_t u64() noexcept {
        std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
        return z ^ (z >> 31);
    }
    // 0 .. n - 1; 0 for n == 0.
    std::uint64_t below(std::uint64_t n) noexcept { return n == 0 ? 0 : u64() % n; }
    std::uint64_t between(std::uint64_t low, std::uint64_t high) noexcept { return low + below(high - low + 1); }
    bool one_in(std::uint64_t n) noexcept { return below(n) == 0; }
    Duration between(Duration low, Duration high) noexcept {
        return low + Duration{static_cast<std::int64_t>(below(static_cast<std::uint64_t>((high - low).count()) + 1))};
    }
    // Up to `high`, small values as likely as large ones: the length of the number is chosen first.
    std::uint64_t skewed(std::uint64_t high) noexcept {
        std::uint64_t bits = 0;
        while (bits < 63 && (high >> bits) != 0) ++bits;
        const auto most = (std::uint64_t{1} << below(bits + 1)) - 1;
        return below((most < high ? most : high) + 1);
    }

private:
    std::uint64_t state_;
};

}  // namespace kith::testing
