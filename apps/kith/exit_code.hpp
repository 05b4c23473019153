// SPDX-License-Identifier: Apache-2.0
// What the program's exit code means. `kith help exit-codes` prints the same table.
#pragma once

#include <span>
#include <string_view>

#include "kith/error.hpp"

namespace kith::app {

enum class Exit : int {
    ok = 0,
    local = 1,  // this machine refused, or a defect of kith
    usage = 2,
    offline = 3,
    not_verified = 4,
    network = 5,
    refused = 6,
    integrity = 7,
    interrupted = 130,  // 128 + SIGINT, as shells have it
};

constexpr int value(Exit code) noexcept { return static_cast<int>(code); }

// The one table from errors to exit codes.
Exit exit_code(Errc code) noexcept;

struct ExitMeaning {
    Exit code;
    std::string_view text;
};
std::span<const ExitMeaning> exit_meanings() noexcept;

}  // namespace kith::app
