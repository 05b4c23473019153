// SPDX-License-Identifier: Apache-2.0
// sim_seeds links|deaths FIRST [COUNT]: runs so many seeds and prints those that fail. Without a count that seed alone.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "sim/scenario.hpp"

int main(int argc, char** argv) {
    using namespace kith::testing;
    const std::string_view kind = argc > 1 ? argv[1] : "";
    if (argc < 3 || (kind != "links" && kind != "deaths")) {
        std::fprintf(stderr, "usage: sim_seeds links|deaths FIRST [COUNT]\n");
        return 2;
    }
    const auto run = kind == "links" ? run_seed : run_death_seed;
    const std::uint64_t first = std::strtoull(argv[2], nullptr, 10);
    const std::uint64_t count = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;

    std::uint64_t failed = 0;
    Verdict sum;
    std::uint64_t doubles = 0;
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        auto verdict = run(seed);
        if (seed % 100 == 0 && run(seed).trace != verdict.trace) verdict.violations.emplace_back("the same seed gave another run");
        sum.events += verdict.events;
        sum.messages += verdict.messages;
        sum.marked += verdict.marked;
        sum.cuts += verdict.cuts;
        sum.deaths += verdict.deaths;
        sum.ended_otherwise += verdict.ended_otherwise;
        doubles += verdict.double_links != 0 ? 1 : 0;
        if (count == 1) std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), verdict.options.c_str());
        if (verdict.violations.empty()) continue;
        ++failed;
        std::printf("sim_seeds %s %llu failed (%s)\n", argv[1], static_cast<unsigned long long>(seed), verdict.options.c_str());
        for (const auto& what : verdict.violations) std::printf("    %s\n", what.c_str());
    }
    const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const auto n = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
    std::printf(
        "%llu seeds, %llu failed; %llu events, %llu messages (%llu marked, %llu ended otherwise), %llu cuts, %llu deaths, %llu runs with "
        "double links; %.1f seeds/s\n",
        n(count), n(failed), n(sum.events), n(sum.messages), n(sum.marked), n(sum.ended_otherwise), n(sum.cuts), n(sum.deaths), n(doubles),
        static_cast<double>(count) / seconds);
    return failed == 0 ? 0 : 1;
}
