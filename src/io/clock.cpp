// SPDX-License-Identifier: Apache-2.0
#include "io/clock.hpp"

#include <ctime>

namespace kith::io {
namespace {

#ifdef CLOCK_BOOTTIME
constexpr clockid_t steady_clock_id = CLOCK_BOOTTIME;
#else
constexpr clockid_t steady_clock_id = CLOCK_MONOTONIC;
#endif

Duration read(clockid_t id) noexcept {
    timespec t{};
    ::clock_gettime(id, &t);
    return std::chrono::seconds{t.tv_sec} + std::chrono::nanoseconds{t.tv_nsec};
}

}  // namespace

Duration steady_now() noexcept { return read(steady_clock_id); }
Instant now() noexcept { return {steady_now(), read(CLOCK_REALTIME)}; }

}  // namespace kith::io
