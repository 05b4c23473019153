// SPDX-License-Identifier: Apache-2.0
// One random run: everything in it comes from the seed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kith::testing {

struct Verdict {
    std::vector<std::string> violations;
    std::string options;  // what the seed chose
    std::uint64_t trace = 0;
    std::uint64_t events = 0;
    std::uint64_t messages = 0;
    std::uint64_t marked = 0;
    std::uint64_t cuts = 0;
    std::uint64_t double_links = 0;
    std::uint64_t deaths = 0;
    std::uint64_t ended_otherwise = 0;  // messages: expired, cancelled, replaced, failed, unknown
};

Verdict run_seed(std::uint64_t seed);           // scenario.cpp: links fail, nobody dies
Verdict run_death_seed(std::uint64_t seed);     // death_scenario.cpp: processes die, disks fail
Verdict run_fairness_seed(std::uint64_t seed);  // fairness.cpp: slow handlers and floods; nothing fails
Verdict run_wipe_seed(std::uint64_t seed);      // wipe.cpp: a receiver loses its disk, and its sender dies while it tells again

}  // namespace kith::testing
