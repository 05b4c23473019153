// SPDX-License-Identifier: Apache-2.0
#include "test_sequence.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace kith::app {
namespace {

template <class T>
std::optional<T> take_number(std::string_view& line) {
    T out{};
    const auto [end, wrong] = std::from_chars(line.data(), line.data() + line.size(), out);
    if (wrong != std::errc{}) return std::nullopt;
    line.remove_prefix(static_cast<std::size_t>(end - line.data()));
    if (!line.empty() && line.front() == ' ') line.remove_prefix(1);
    return out;
}

}  // namespace

Step step(const Plan& plan, std::uint64_t n) noexcept {
    const auto in_round = n % (plan.messages * 2);
    return {n / (plan.messages * 2) + 1, in_round % plan.messages + 1, in_round < plan.messages};
}

std::string text_of(const Step& step) {
    return fmt::format("TEST_R{}_{}_{}", step.round, step.broadcast ? "BROADCAST" : "DIRECT", step.number);
}

std::string ready_line(const Plan& plan) { return fmt::format("READY {} {}", plan.rounds, plan.messages); }

std::string message_line(const Plan& plan, std::uint64_t n, std::int64_t sent_us) {
    return fmt::format("{} {} {}", n, sent_us, text_of(step(plan, n)));
}

std::optional<Plan> parse_ready(std::string_view line) {
    if (!line.starts_with("READY ")) return std::nullopt;
    line.remove_prefix(6);
    const auto rounds = take_number<std::uint64_t>(line);
    const auto messages = rounds ? take_number<std::uint64_t>(line) : std::nullopt;
    if (!messages || !line.empty() || *rounds == 0 || *messages == 0) return std::nullopt;
    if (*rounds > max_per_peer || *messages > max_per_peer || *rounds * *messages * 2 > max_per_peer) return std::nullopt;
    return Plan{*rounds, *messages};
}

std::optional<std::int64_t> parse_message(std::string_view line, const Plan& plan, std::uint64_t n) {
    const auto number = take_number<std::uint64_t>(line);
    if (!number || *number != n) return std::nullopt;
    const auto sent = take_number<std::int64_t>(line);
    if (!sent || line != text_of(step(plan, n))) return std::nullopt;
    return sent;
}

double percentile(std::vector<double>& values, double p) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    const auto rank = static_cast<std::size_t>(std::ceil(p * static_cast<double>(values.size())));
    return values[std::clamp<std::size_t>(rank, 1, values.size()) - 1];
}

}  // namespace kith::app
