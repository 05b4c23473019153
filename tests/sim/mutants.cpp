// SPDX-License-Identifier: Apache-2.0
// Plants one defect after the other and runs the simulator until it is found: a violation, a failed assertion or a crash. Each has
// at most 1,000 seeds of each kind. Ends with 1 when a defect is not found, or when anything is found without one.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/mutant.hpp"
#include "sim/scenario.hpp"

namespace {

using kith::Mutant;
using namespace kith::testing;

constexpr std::uint64_t most = 1000;

struct Row {
    Mutant mutant;
    const char* name;
};
constexpr Row rows[] = {
    {Mutant::ack_before_commit, "acknowledged before the commit or the hand-over"},
    {Mutant::row_in_memory, "the receiver's place is not committed"},
    {Mutant::no_fence, "a new HELLO does not fence the former stream off"},
    {Mutant::resume_before_pending_commit, "RESUME before a pending commit"},
    {Mutant::forget_unsettled_row, "an unsettled row is forgotten"},
    {Mutant::start_at_one_without_row, "without a row the receiver starts at 1"},
    {Mutant::no_compare_and_set, "no compare-and-set after a failed disk"},
    {Mutant::callback_before_commit, "handed over before the commit"},
    {Mutant::credit_at_parse, "credit released when a frame is parsed"},
    {Mutant::inbox_row_kept, "processed messages stay in the inbox"},
    {Mutant::number_not_checked, "no fence, and numbers are not checked"},
    {Mutant::last_message_dropped, "the last message of a burst is dropped silently"},
    {Mutant::delete_on_write, "deleted when written"},
    {Mutant::next_is_highest_row_plus_one, "after a restart the next number is the highest row plus one"},
    {Mutant::same_epoch_after_restart, "the same epoch after a restart"},
    {Mutant::skip_without_mid, "SKIP without its name"},
    {Mutant::mark_not_set, "repeats are not marked"},
    {Mutant::mark_not_stored, "the mark is not stored"},
    {Mutant::resume_at_have_plus_two, "resumed one message too late"},
    {Mutant::coalesce_pulled, "a message on the wire is replaced"},
    {Mutant::cancel_pulled, "a message on the wire is cancelled"},
    {Mutant::tombstone_not_sent, "tombstones are not sent"},
    {Mutant::skip_one_too_many, "SKIP counts one too many"},
    {Mutant::pull_before_commit, "sent before the own commit"},
    {Mutant::refused_row_left, "a message said to have failed stays on the disk"},
    {Mutant::limit_kept_over_attach, "credit kept over an attachment"},
    {Mutant::one_credit_for_all, "one credit for all lanes"},
    {Mutant::no_turn_for_low, "lower lanes get no turn"},
    {Mutant::wall_clock_ttl, "times to live by the wall clock"},
    {Mutant::partial_of_another_message, "a large message goes on at the wrong place"},
    {Mutant::watchdog_off, "no watchdog, and the last message dropped"},
    {Mutant::synchronous_normal, "synchronous=NORMAL"},
    {Mutant::outcome_row_missing, "ends are not stored"},
};
static_assert(sizeof rows / sizeof rows[0] + 1 == static_cast<std::size_t>(Mutant::count));

// In a process of its own: a defect may end it. Prints what was found first.
bool found(Mutant mutant, std::string& how) {
    int pipe[2];
    if (::pipe(pipe) != 0) std::abort();
    const auto child = ::fork();
    if (child == 0) {
        ::close(pipe[0]);
        std::fclose(stderr);
        kith::planted_mutant = mutant;
        ::alarm(300);
        for (std::uint64_t seed = 1; seed <= most; ++seed) {
            const auto said = [&](const char* kind, const Verdict& verdict) {
                if (verdict.violations.empty()) return false;
                const auto text = std::string(kind) + " seed " + std::to_string(seed) + ": " + verdict.violations.front();
                return ::write(pipe[1], text.data(), text.size()) > 0;
            };
            const auto progress = "\x01" + std::to_string(seed) + "\x02";
            (void)!::write(pipe[1], progress.data(), progress.size());
            if (said("deaths", run_death_seed(seed)) || said("links", run_seed(seed))) ::_exit(1);
        }
        ::_exit(0);
    }
    ::close(pipe[1]);
    std::string all;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(pipe[0], buffer, sizeof buffer)) > 0;) all.append(buffer, static_cast<std::size_t>(n));
    ::close(pipe[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    const auto last = all.rfind('\x01');
    const auto end = all.rfind('\x02');
    how = end == std::string::npos ? "" : all.substr(end + 1);
    if (how.empty() && WIFSIGNALED(status))
        how = "seed " + all.substr(last + 1, end - last - 1) + ": ended by signal " + std::to_string(WTERMSIG(status));
    return !how.empty();
}

}  // namespace

int main(int argc, char** argv) {
    int missed = 0;
    const int only = argc > 1 ? std::atoi(argv[1]) : -1;
    std::string how;
    if (only < 0) {
        if (found(Mutant::none, how)) {
            std::printf("without a defect: %s\n", how.c_str());
            return 1;
        }
        std::printf("no defect: nothing found in %llu seeds of each kind\n", static_cast<unsigned long long>(most));
    }
    int number = 0;
    for (const auto& row : rows) {
        if (++number != only && only >= 0) continue;
        const bool ok = found(row.mutant, how);
        if (!ok) ++missed;
        std::printf("%2d %-62s %s\n", number, row.name, ok ? how.substr(0, 110).c_str() : "NOT FOUND");
        std::fflush(stdout);
    }
    std::printf("%d defects planted, %d not found\n", static_cast<int>(sizeof rows / sizeof rows[0]), missed);
    return missed == 0 ? 0 : 1;
}
