// SPDX-License-Identifier: Apache-2.0
// What `kith test` sends and expects: per round so many broadcasts, then so many direct messages to each peer. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kith::app {

struct Plan {
    std::uint64_t rounds = 4;
    std::uint64_t messages = 3;  // broadcasts in a round, and direct messages to each peer in it

    std::uint64_t per_peer() const noexcept { return rounds * messages * 2; }
    // A broadcast counts as one message, and is as many on the wire as there are peers.
    std::uint64_t counted(std::uint64_t peers) const noexcept { return rounds * messages * (1 + peers); }
    std::uint64_t on_wire(std::uint64_t peers) const noexcept { return per_peer() * peers; }
};
constexpr std::uint64_t max_per_peer = 10'000'000;  // what a plan may come to, ours or a peer's

// The n-th message that one peer gets, from 0.
struct Step {
    std::uint64_t round = 0;  // from 1
    std::uint64_t number = 0;
    bool broadcast = false;
};
Step step(const Plan& plan, std::uint64_t n) noexcept;

// "TEST_R1_BROADCAST_2", "TEST_R1_DIRECT_2": csend's texts without the name, which is the peer's own business.
std::string text_of(const Step& step);

// The lines that go over the channel. `sent_us` is the sender's wall clock.
std::string ready_line(const Plan& plan);
std::string message_line(const Plan& plan, std::uint64_t n, std::int64_t sent_us);
inline constexpr std::string_view end_line = "END";

std::optional<Plan> parse_ready(std::string_view line);
// When it was sent, if the line is message n of the plan.
std::optional<std::int64_t> parse_message(std::string_view line, const Plan& plan, std::uint64_t n);

// The value that p of all (0 to 1) do not exceed; 0 of none. Sorts.
double percentile(std::vector<double>& values, double p);

}  // namespace kith::app
