// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kith/error.hpp"
#include "store/rows.hpp"
#include "store/sql.hpp"

namespace kith::store {

struct Salvaged {
    std::uint64_t lanes = 0;
    std::uint64_t messages = 0;
    std::uint64_t outcomes = 0;
    std::uint64_t lost = 0;  // messages that must have been there, or whose lane is gone
    bool counters = false;   // the row of `state` was readable: nothing is missing that it does not tell of
};

// Copies every row that can be read and whose checksum fits, and gives `to` its state. Outgoing lanes get a new epoch each and
// everything in them is marked as repeat; an outgoing number whose message is gone becomes a tombstone. Fails only for reasons
// that another try may not have (io_error, disk_full, memory), never for damage.
Result<Salvaged> salvage(Connection& from, Connection& to, std::uint64_t seed);

}  // namespace kith::store
