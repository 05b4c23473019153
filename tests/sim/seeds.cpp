// SPDX-License-Identifier: Apache-2.0
// sim_seeds FIRST COUNT: runs so many seeds and prints those that fail. KITH_SIM_SEED=N runs that one alone, as does `sim_seeds N`.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "sim/scenario.hpp"

int main(int argc, char** argv) {
    using namespace kith::testing;
    const char* only = std::getenv("KITH_SIM_SEED");
    const std::uint64_t first = only != nullptr ? std::strtoull(only, nullptr, 10) : argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
    const std::uint64_t count = only != nullptr || argc < 3 ? 1 : std::strtoull(argv[2], nullptr, 10);

    std::uint64_t failed = 0;
    std::uint64_t events = 0;
    std::uint64_t messages = 0;
    std::uint64_t marked = 0;
    std::uint64_t cuts = 0;
    std::uint64_t doubles = 0;
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        auto verdict = run_seed(seed);
        if (seed % 100 == 0 && run_seed(seed).trace != verdict.trace) verdict.violations.emplace_back("the same seed gave another run");
        events += verdict.events;
        messages += verdict.messages;
        marked += verdict.marked;
        cuts += verdict.cuts;
        doubles += verdict.double_links != 0 ? 1 : 0;
        if (count == 1) std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), verdict.options.c_str());
        if (verdict.violations.empty()) continue;
        ++failed;
        std::printf("KITH_SIM_SEED=%llu failed (%s)\n", static_cast<unsigned long long>(seed), verdict.options.c_str());
        for (const auto& what : verdict.violations) std::printf("    %s\n", what.c_str());
    }
    const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("%llu seeds, %llu failed; %llu events, %llu messages (%llu marked), %llu cuts, %llu runs with double links; %.1f seeds/s\n",
                static_cast<unsigned long long>(count), static_cast<unsigned long long>(failed), static_cast<unsigned long long>(events),
                static_cast<unsigned long long>(messages), static_cast<unsigned long long>(marked), static_cast<unsigned long long>(cuts),
                static_cast<unsigned long long>(doubles), static_cast<double>(count) / seconds);
    return failed == 0 ? 0 : 1;
}
