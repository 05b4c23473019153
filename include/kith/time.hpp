// SPDX-License-Identifier: Apache-2.0
// Time as an argument. The engine never reads a clock: its driver passes an Instant.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>

namespace kith {
inline namespace v0 {

using Duration = std::chrono::nanoseconds;

// One moment on two clocks. `steady` orders timers, back-off and heartbeats within a run; `wall` (Unix time) is for
// what is shown or stored. A jump of `wall` fires nothing. Comparison uses `steady` alone.
struct Instant {
    Duration steady{};
    Duration wall{};

    friend constexpr auto operator<=>(Instant a, Instant b) noexcept { return a.steady <=> b.steady; }
    friend constexpr bool operator==(Instant a, Instant b) noexcept { return a.steady == b.steady; }
};

// Sum that stops at the ends of the range instead of overflowing: "in a thousand years" is a legal deadline.
constexpr Duration saturating_add(Duration a, Duration b) noexcept {
    const auto x = a.count();
    const auto y = b.count();
    if (y > 0 && x > Duration::max().count() - y) return Duration::max();
    if (y < 0 && x < Duration::min().count() - y) return Duration::min();
    return Duration{x + y};
}

constexpr Instant operator+(Instant at, Duration d) noexcept { return {saturating_add(at.steady, d), saturating_add(at.wall, d)}; }
constexpr Duration operator-(Instant a, Instant b) noexcept { return saturating_add(a.steady, -b.steady); }

// A public duration of any unit as nanoseconds, saturated (std::chrono's own conversion overflows).
template <class Rep, class Period>
constexpr Duration saturate(std::chrono::duration<Rep, Period> d) noexcept {
    using Seconds = std::chrono::duration<double>;
    constexpr Seconds limit{9.2e9};
    if (std::chrono::duration_cast<Seconds>(d) > limit) return Duration::max();
    if (std::chrono::duration_cast<Seconds>(d) < -limit) return Duration::min();
    return std::chrono::duration_cast<Duration>(d);
}

}  // namespace v0
}  // namespace kith
