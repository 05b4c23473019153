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
};

Verdict run_seed(std::uint64_t seed);

}  // namespace kith::testing
