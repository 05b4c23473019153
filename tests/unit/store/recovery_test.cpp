// SPDX-License-Identifier: Apache-2.0
// Death at every call to the disk, and calls that fail: what was committed is there, what was not is not, or wholly.
#include <gtest/gtest.h>

#include "unit/store/support.hpp"

namespace {

using namespace kith;
using namespace kith::store::test;
using kith::store::Database;
using Call = FaultyVfs::Call;
using Fault = FaultyVfs::Fault;

// Twelve transactions, and the text of what is there after each.
struct Script {
    std::vector<std::vector<Request>> transactions;
    std::vector<std::string> after;  // [0]: of the new database

    explicit Script(std::uint64_t seed) {
        Random random(seed);
        Model model;
        after.push_back(model.text());
        for (int i = 0; i < 12; ++i) {
            auto& transaction = transactions.emplace_back();
            for (std::uint64_t k = random.between(1, 5); k > 0; --k) transaction.push_back(random_request(random, model));
            after.push_back(model.text());
        }
    }
};

struct Progress {
    std::size_t committed = 0;  // transactions that were reported as on the disk
    std::optional<Error> error;
};

Progress play(const FaultyVfs& disk, const Script& script) {
    Progress out;
    auto db = open(disk);
    if (!db) {
        out.error = db.error();
        return out;
    }
    const auto failed = [&out](const Status& status) {
        if (!status) out.error = Status{status}.error();
        return !status;
    };
    for (const auto& transaction : script.transactions) {
        for (const auto& request : transaction) {
            if (failed(db->apply(request))) return out;
        }
        if (failed(db->commit())) return out;
        ++out.committed;
    }
    failed(db->close());
    return out;
}

// The database as it is found: exactly what was committed, or with the one transaction that was under way.
void expect_recovered(const FaultyVfs& disk, const Script& script, const Progress& progress) {
    auto db = open(disk, 99);
    ASSERT_TRUE(db) << db.error();
    const auto note = db->load()->note;
    EXPECT_TRUE(note.empty() || (progress.committed == 0 && note == "a new database was made")) << note;
    const auto text = text_of(*db);
    ASSERT_TRUE(text);
    if (*text == script.after[progress.committed]) return;
    ASSERT_LT(progress.committed, script.transactions.size());
    ASSERT_TRUE(*text == script.after[progress.committed + 1]) << "neither before nor after transaction " << progress.committed;
}

std::uint64_t calls_of(const Script& script) {
    FaultyVfs disk(1);
    const auto progress = play(disk, script);
    EXPECT_FALSE(progress.error) << *progress.error;
    return disk.calls();
}

TEST(StoreRecovery, AtEveryCallTheProcessDies) {
    const Script script(5);
    const auto calls = calls_of(script);
    for (std::uint64_t at = 1; at <= calls; ++at) {
        SCOPED_TRACE(at);
        FaultyVfs disk(1);
        disk.halt(at);
        const auto progress = play(disk, script);
        ASSERT_TRUE(disk.halted());
        disk.crash();
        expect_recovered(disk, script, progress);
        if (HasFatalFailure()) return;
    }
}

TEST(StoreRecovery, AtEveryCallThePowerGoes) {
    for (const std::uint64_t seed : {5U, 6U, 7U}) {
        const Script script(seed);
        const auto calls = calls_of(script);
        for (std::uint64_t at = 1; at <= calls; ++at) {
            SCOPED_TRACE(at);
            FaultyVfs disk(seed * 1'000'000 + at);
            disk.halt(at);
            const auto progress = play(disk, script);
            disk.power_loss();
            expect_recovered(disk, script, progress);
            if (HasFatalFailure()) return;
        }
    }
}

// While it recovers from the first, the power goes again.
TEST(StoreRecovery, ThePowerGoesTwice) {
    const Script script(8);
    const auto calls = calls_of(script);
    for (std::uint64_t at = 1; at <= calls; at += 7) {
        FaultyVfs disk(at);
        disk.halt(at);
        const auto progress = play(disk, script);
        disk.power_loss();
        const auto image = disk.snapshot();
        for (std::uint64_t again = 1;; again += 3) {
            SCOPED_TRACE(std::to_string(at) + " " + std::to_string(again));
            disk.restore(image);
            disk.halt(again);
            {
                const auto db = open(disk);
            }
            const bool survived = !disk.halted();
            disk.power_loss();
            expect_recovered(disk, script, progress);
            if (HasFatalFailure()) return;
            if (survived) break;
        }
    }
}

void fail_everywhere(Fault fault) {
    const Script script(5);
    const auto calls = calls_of(script);
    std::size_t reported = 0;
    for (std::uint64_t at = 1; at <= calls; ++at) {
        SCOPED_TRACE(at);
        FaultyVfs disk(at);
        disk.fail(Call::any, at, fault);
        const auto progress = play(disk, script);
        // A call whose result does not matter may fail unseen; then all was committed.
        if (progress.error) {
            ++reported;
            EXPECT_TRUE(*progress.error == Errc::io_error || *progress.error == Errc::disk_full) << *progress.error;
        } else {
            EXPECT_EQ(progress.committed, script.transactions.size());
        }
        disk.heal();
        expect_recovered(disk, script, progress);
        // What failed to reach the disk must not be missed later.
        disk.power_loss();
        expect_recovered(disk, script, progress);
        if (::testing::Test::HasFatalFailure()) return;
    }
    EXPECT_GT(reported, calls / 2);
}

TEST(StoreRecovery, AtEveryCallAnIoError) { fail_everywhere(Fault::io_error); }
TEST(StoreRecovery, AtEveryCallADiskThatIsFull) { fail_everywhere(Fault::full); }

TEST(StoreRecovery, AFailedSyncBreaksTheDatabaseUntilItIsOpenedAgain) {
    FaultyVfs disk(3);
    auto db = must_open(disk);
    ASSERT_TRUE(db.apply(Writer{}.open_out(1, 1).append(1, 1, "a").request));
    ASSERT_TRUE(db.commit());
    disk.fail(Call::sync, 1, Fault::io_error);
    ASSERT_TRUE(db.apply(Writer{}.append(1, 2, "b").request));
    EXPECT_EQ(db.commit().error(), Errc::io_error);
    EXPECT_TRUE(db.broken());
    EXPECT_EQ(db.apply(Writer{}.append(1, 2, "c").request).error(), Errc::io_error);
    EXPECT_EQ(db.close().error(), Errc::io_error);
    {
        const auto gone = std::move(db);
    }
    // "b" may be there or not; what comes after it must be safe in either case.
    db = must_open(disk);
    const auto next = db.load()->out.at(0).next;
    ASSERT_TRUE(next == 2 || next == 3) << next;
    ASSERT_TRUE(db.apply(Writer{}.append(1, next, "d").request));
    ASSERT_TRUE(db.commit());
    {
        const auto gone = std::move(db);
    }
    disk.power_loss();
    db = must_open(disk);
    EXPECT_EQ(db.load()->out.at(0).next, next + 1);
    EXPECT_EQ(db.load()->note, "");
}

TEST(StoreRecovery, AFullDiskRefusesAndLaterGoesOn) {
    FaultyVfs disk(4);
    auto db = must_open(disk);
    ASSERT_TRUE(db.apply(Writer{}.open_out(1, 1).request));
    ASSERT_TRUE(db.commit());
    disk.fill(true);
    auto refused = db.apply(Writer{}.append(1, 1, std::string(1 << 20, 'x')).request);
    if (refused) refused = db.commit();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), Errc::disk_full);
    {
        const auto gone = std::move(db);
    }
    db = must_open(disk);
    EXPECT_EQ(db.load()->out.at(0).next, 1U);
    disk.fill(false);
    ASSERT_TRUE(db.apply(Writer{}.append(1, 1, std::string(1 << 20, 'x')).request));
    EXPECT_TRUE(db.commit());
}

// The application's copy of the disk comes back: nothing here can know, but all of it is consistent and says where it stands.
TEST(StoreRecovery, ARestoredBackupIsWhatItWas) {
    const Script script(9);
    FaultyVfs disk(1);
    ASSERT_FALSE(play(disk, script).error);
    const auto image = disk.snapshot();
    {
        auto db = must_open(disk);
        const auto loaded = db.load();
        ASSERT_TRUE(db.apply(Writer{}.open_out(loaded->last_out + 1, 1).request));
        ASSERT_TRUE(db.commit());
        EXPECT_NE(text_of(db), script.after.back());
    }
    disk.restore(image);
    auto db = must_open(disk);
    EXPECT_TRUE(db.load()->clean);
    EXPECT_EQ(text_of(db), script.after.back());
}

}  // namespace
