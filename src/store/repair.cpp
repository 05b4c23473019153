// SPDX-License-Identifier: Apache-2.0
#include "store/repair.hpp"

#include <sqlite3.h>

#include <utility>

#include "store/salvage.hpp"
#include "store/schema.hpp"
#include "store/sql.hpp"

namespace kith::store {
namespace {

std::string beside(const Files& files) { return files.path() + ".repair"; }

Status remove_attempt(const Files& files) {
    for (const auto* end : {"-journal", ""}) {
        if (auto ok = files.remove(beside(files) + end); !ok) return ok;
    }
    return {};
}

Result<Connection> open_beside(const Files& files) {
    auto db = Connection::open(beside(files), files.vfs(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (!db) return db;
    // A rollback journal: after the commit the database is one file, and can be moved.
    if (auto ok = db->run("PRAGMA locking_mode=EXCLUSIVE;PRAGMA synchronous=EXTRA"); !ok) return ok.error();
    const auto mode = db->text("PRAGMA journal_mode=DELETE");
    if (!mode) return mode.error();
    return db;
}

// The old log goes first, and under the name that belongs to its file: beside the new file it would be taken for the new one's.
Result<std::string> switch_over(const Files& files) {
    std::string aside;
    for (int n = 1;; ++n) {
        aside = files.path() + ".damaged-" + std::to_string(n);
        const auto taken = files.exists(aside);
        if (!taken) return taken.error();
        if (!*taken) break;
    }
    for (const auto* end : {"-wal", ""}) {
        const auto there = files.exists(files.path() + end);
        if (!there) return there.error();
        if (!*there) continue;
        if (auto ok = files.move(files.path() + end, aside + end); !ok) return ok.error();
    }
    if (auto ok = files.move(beside(files), files.path()); !ok) return ok.error();
    return aside;
}

Result<bool> complete(const Files& files) {
    auto db = open_beside(files);
    if (!db) return db.error() == Errc::damaged ? Result<bool>{false} : Result<bool>{db.error()};
    const auto form = form_of(*db);
    if (!form) return form.error() == Errc::io_error ? Result<bool>{form.error()} : Result<bool>{false};
    return *form == Form::ours;
}

}  // namespace

Result<std::string> repair(const Files& files, std::uint64_t seed, const Error& why) {
    if (auto ok = remove_attempt(files); !ok) return ok.error();
    Salvaged done;
    {
        auto to = open_beside(files);
        if (!to) return to.error();
        if (auto ok = to->run("BEGIN IMMEDIATE"); !ok) return ok.error();
        if (auto ok = make_tables(*to); !ok) return ok.error();
        auto from = Connection::open(files.path(), files.vfs(), SQLITE_OPEN_READWRITE);
        if (!from) return from.error();
        from->keep_log();
        if (auto ok = from->run("PRAGMA locking_mode=EXCLUSIVE"); !ok) return ok.error();
        auto saved = salvage(*from, *to, seed);
        if (!saved) return saved.error();
        done = *saved;
        if (auto ok = to->run("COMMIT"); !ok) return ok.error();
    }
    const auto aside = switch_over(files);
    if (!aside) return aside.error();
    std::string lost = "none is known to be lost";
    if (done.lost > 0) lost = "at least " + std::to_string(done.lost) + " messages were lost";
    if (done.lost == 0 && !done.counters) lost = "how many were lost is not known";
    return "the database was damaged (" + std::string{why.what} + ": " + why.detail + ") and made anew with " + std::to_string(done.lanes) +
           " lanes, " + std::to_string(done.messages) + " messages and " + std::to_string(done.outcomes) +
           " outcomes that were readable; " + lost + "; the old file is " + *aside;
}

Result<std::string> finish_repair(const Files& files) {
    const auto there = files.exists(beside(files));
    if (!there) return there.error();
    if (!*there) return std::string{};
    const auto whole = complete(files);
    if (!whole) return whole.error();
    if (!*whole) {
        if (auto ok = remove_attempt(files); !ok) return ok.error();
        return std::string{};
    }
    const auto aside = switch_over(files);
    if (!aside) return aside.error();
    return "the database was damaged and made anew from what was readable; the old file is " + *aside;
}

}  // namespace kith::store
