// SPDX-License-Identifier: Apache-2.0
#include "node/queue.hpp"

#include <limits>

namespace kith {
inline namespace v0 {

std::string_view name(PressureLevel level) noexcept {
    switch (level) {
        case PressureLevel::none:
            return "none";
        case PressureLevel::light:
            return "light";
        case PressureLevel::heavy:
            return "heavy";
        case PressureLevel::blocking:
            return "blocking";
    }
    return "unknown";
}

}  // namespace v0
}  // namespace kith

namespace kith::node {
namespace {

constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();

// The least count whose percentage of `max`, rounded down, is `percent`.
std::uint64_t count_at(int percent, std::uint64_t max) noexcept { return (static_cast<std::uint64_t>(percent) * max + 99) / 100; }

}  // namespace

Thresholds::Mark Thresholds::at(int percent) const noexcept { return {count_at(percent, max_messages_), count_at(percent, max_bytes_)}; }

// Without a limit no percentage is reached; both are clamped to what a Queue can count.
Thresholds::Thresholds(const Config& config)
    : max_messages_(std::clamp<std::uint64_t>(config.max_queued_messages, 1, Queue::max_messages)),
      max_bytes_(std::clamp<std::uint64_t>(config.max_queued_bytes, 1, Queue::max_bytes)),
      levels_{config.pressure.light, config.pressure.heavy, config.pressure.blocking},
      always_(config.pressure.always) {
    full_ = {no_limit, no_limit};
    const auto& policy = config.pressure;
    const std::array accepted{policy.low, policy.normal, policy.high, policy.critical};
    for (std::size_t p = 0; p < accepted.size(); ++p) {
        const auto next = static_cast<std::size_t>(accepted[p]);
        ends_[p] = next < levels_.size() ? at(levels_[next]) : full_;
    }
    high_ = at(config.high_watermark);
    above_low_ = at(config.low_watermark + 1);
}

Thresholds::Thresholds(std::size_t messages, std::size_t bytes) {
    Config plain;
    plain.max_queued_messages = messages;
    plain.max_queued_bytes = bytes;
    plain.high_watermark = 100;
    plain.pressure.always = false;
    *this = Thresholds{plain};
}

Status Thresholds::check(const Config& config) {
    const auto& p = config.pressure;
    if (p.light < 1 || p.heavy < p.light || p.blocking < p.heavy || p.blocking > 100) {
        return Error{Errc::invalid_argument, "Config::pressure needs 1 <= light <= heavy <= blocking <= 100"};
    }
    if (config.low_watermark < 0 || config.high_watermark <= config.low_watermark || config.high_watermark > 100) {
        return Error{Errc::invalid_argument, "Config needs 0 <= low_watermark < high_watermark <= 100"};
    }
    return {};
}

int Thresholds::pressure(std::uint64_t messages, std::uint64_t bytes) const noexcept {
    const auto percent = std::max(messages * 100 / max_messages_, bytes * 100 / max_bytes_);
    return static_cast<int>(std::min<std::uint64_t>(percent, 100));
}

PressureLevel Thresholds::level(int pressure) const noexcept {
    std::size_t level = 0;
    while (level < levels_.size() && pressure >= levels_[level]) ++level;
    return static_cast<PressureLevel>(level);
}

}  // namespace kith::node
