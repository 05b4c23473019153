// SPDX-License-Identifier: Apache-2.0
// Defects that can be planted, to show that the tests would find them: `make mutants`. In every other build planted() is false at
// compile time and nothing of this is in the program.
#pragma once

#include <cstdint>

namespace kith {

enum class Mutant : std::uint8_t {
    none,
    // the receiver
    ack_before_commit,
    row_in_memory,
    no_fence,
    resume_before_pending_commit,
    forget_unsettled_row,
    start_at_one_without_row,
    no_compare_and_set,
    callback_before_commit,
    credit_at_parse,
    inbox_row_kept,
    number_not_checked,
    last_message_dropped,
    // the sender
    delete_on_write,
    next_is_highest_row_plus_one,
    same_epoch_after_restart,
    skip_without_mid,
    mark_not_set,
    mark_not_stored,
    resume_at_have_plus_two,
    coalesce_pulled,
    cancel_pulled,
    tombstone_not_sent,
    skip_one_too_many,
    pull_before_commit,
    refused_row_left,
    limit_kept_over_attach,
    one_credit_for_all,
    no_turn_for_low,
    wall_clock_ttl,
    partial_of_another_message,
    watchdog_off,
    // the store
    synchronous_normal,
    outcome_row_missing,
    count
};

#ifdef KITH_MUTANTS
inline Mutant planted_mutant = Mutant::none;
inline bool planted(Mutant mutant) noexcept { return planted_mutant == mutant; }
#else
constexpr bool planted(Mutant) noexcept { return false; }
#endif

}  // namespace kith
