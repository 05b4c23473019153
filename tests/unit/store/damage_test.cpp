// SPDX-License-Identifier: Apache-2.0
// Bits that flip, pages that are lost, files that end early: seen or harmless. A message is given as it was written or not at all.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "store/rows.hpp"
#include "store/sql.hpp"
#include "unit/store/support.hpp"

namespace {

using namespace kith;
using namespace kith::storage;
using namespace kith::store::test;
using kith::store::Database;

constexpr int rows = 120;

std::string content_of(LaneKey lane, std::uint64_t seq) {
    const auto mid = mid_of(lane, seq);
    return std::string(20 + mid % 150, static_cast<char>('a' + mid % 26)) + std::to_string(seq);
}

// Two lanes out, two in, as many messages each, some tombstones, some outcomes.
void fill(Database& db) {
    Writer write;
    for (const LaneKey lane : {1U, 2U}) {
        write.open_out(lane, 1000 + lane).begin_in(lane, 2000 + lane);
        write.advance(lane, 2000 + lane, 0, rows, 5);
    }
    for (std::uint64_t seq = 1; seq <= rows; ++seq) {
        for (const LaneKey lane : {1U, 2U}) {
            write.append(lane, seq, content_of(lane, seq), seq);
            write.put(2 * seq + lane, lane, seq, content_of(lane, seq));
        }
    }
    write.bury(1, 100, 100, 100).bury(1, 101, 100, 101).settle(2, 20);
    ASSERT_TRUE(db.apply(write.request));
    ASSERT_TRUE(db.commit());
}

// The image of a filled database, closed or as a dead process left it, in one file.
Bytes filled(bool closed) {
    FaultyVfs disk(1);
    auto db = must_open(disk);
    fill(db);
    if (closed) {
        EXPECT_TRUE(db.close());
    } else {
        {
            const auto gone = std::move(db);
        }
        db = must_open(disk);  // what the log held goes into the file
    }
    {
        const auto gone = std::move(db);
    }
    return disk.read(db_name);
}

bool repaired(const Loaded& loaded) { return loaded.note.find("damaged") != std::string::npos; }

// Reads everything; returns how many messages were read. After damage at run time the database is opened again.
void expect_no_wrong_bytes(const FaultyVfs& disk, std::size_t& repairs) {
    auto db = open(disk, 77);
    ASSERT_TRUE(db) << db.error();
    for (int attempt = 0; attempt < 2; ++attempt) {
        const auto loaded = db->load();
        bool whole = loaded.has_value();
        if (loaded) {
            if (repaired(*loaded)) ++repairs;
            for (const auto& lane : loaded->out) {
                ASSERT_TRUE(lane.key == 1 || lane.key == 2);
                ASSERT_EQ(lane.next, rows + 1U);
                if (repaired(*loaded)) {
                    ASSERT_NE(lane.epoch, 1000 + lane.key);
                    ASSERT_EQ(lane.repeat_to, static_cast<std::uint64_t>(rows));
                }
                const auto messages = db->fetch(FetchOut{lane.key, lane.first, 10'000, 1u << 24});
                whole = whole && messages;
                if (!messages) continue;
                auto expected = lane.first;
                for (const auto& m : *messages) {
                    ASSERT_EQ(m.run > 0 ? m.seq + 1 - m.run : m.seq, expected);
                    expected = m.seq + 1;
                    if (m.run > 0) continue;
                    ASSERT_EQ(m.mid, mid_of(lane.key, m.seq));
                    ASSERT_EQ(m.tag, m.seq);
                    ASSERT_EQ(as_text(m.bytes), content_of(lane.key, m.seq));
                }
                ASSERT_EQ(expected, lane.next) << "every number has an answer";
            }
            for (const auto& lane : loaded->in) {
                ASSERT_TRUE(lane.key == 1 || lane.key == 2);
                ASSERT_EQ(lane.have, static_cast<std::uint64_t>(rows));
                ASSERT_EQ(lane.epoch, 2000 + lane.key);
                const auto messages = db->fetch(FetchIn{lane.key, 0, 10'000, 1u << 24});
                whole = whole && messages;
                if (!messages) continue;
                ASSERT_EQ(messages->size(), lane.messages);
                for (const auto& m : *messages) {
                    ASSERT_EQ(m.inbox, 2 * m.seq + lane.key);
                    ASSERT_EQ(as_text(m.bytes), content_of(lane.key, m.seq));
                }
            }
            ASSERT_GE(loaded->last_inbox, 2U * rows + 2U) << "inbox ids are never used again";
            for (const auto& outcome : loaded->outcomes) ASSERT_GT(outcome.tag, 0U);
        }
        if (whole) {
            // And it goes on.
            const auto next = db->load()->last_out + 1;
            ASSERT_TRUE(db->apply(Writer{}.open_out(next, 1).append(next, 1, "goes on").request));
            ASSERT_TRUE(db->commit());
            return;
        }
        ASSERT_TRUE(db->broken());
        db = Errc::stopped;
        db = open(disk, 78);
        ASSERT_TRUE(db) << db.error();
        ASSERT_TRUE(repaired(*db->load())) << "what was damaged before is repaired now";
    }
    FAIL() << "damaged again after a repair";
}

TEST(StoreDamage, FlippedBitsAreSeenOrHarmless) {
    std::size_t repairs = 0;
    for (const bool closed : {true, false}) {
        const auto image = filled(closed);
        ASSERT_GT(image.size(), 60'000U);
        for (std::uint64_t seed = 1; seed <= 700; ++seed) {
            SCOPED_TRACE(std::to_string(seed) + (closed ? " closed" : " not closed"));
            Random random(seed);
            FaultyVfs disk(seed);
            auto bytes = image;
            // The first page holds what all else hangs on: it gets more than its share. The version number has its own test.
            const auto at = random.below(random.one_in(5) ? 4096 : bytes.size());
            if (at >= 60 && at < 64) continue;
            bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ (1U << random.below(8)));
            disk.write(db_name, bytes);
            expect_no_wrong_bytes(disk, repairs);
            if (HasFatalFailure()) return;
        }
    }
    EXPECT_GT(repairs, 300U) << "most flips hit something";
}

// A higher number may be true: such a file is left to the version that knows it.
TEST(StoreDamage, AFlippedVersionNumberIsRefusedOrMended) {
    const auto image = filled(true);
    std::size_t repairs = 0;
    for (int bit = 0; bit < 32; ++bit) {
        SCOPED_TRACE(bit);
        FaultyVfs disk(1);
        auto bytes = image;
        auto& byte = bytes[60U + static_cast<std::size_t>(bit) / 8];
        byte = static_cast<std::uint8_t>(byte ^ (1U << (bit % 8)));
        disk.write(db_name, bytes);
        if (const auto db = open(disk); !db) {
            EXPECT_EQ(db.error(), Errc::newer_version);
            EXPECT_EQ(disk.read(db_name), bytes);
            continue;
        }
        expect_no_wrong_bytes(disk, repairs);
    }
}

TEST(StoreDamage, LostAndForeignPagesAreSeenOrHarmless) {
    std::size_t repairs = 0;
    const auto image = filled(true);
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        FaultyVfs disk(seed);
        auto bytes = image;
        const auto page = [&] { return bytes.begin() + static_cast<std::ptrdiff_t>(random.between(1, bytes.size() / 4096 - 1) * 4096); };
        const auto at = page();
        switch (random.below(3)) {
            case 0:
                std::fill(at, at + 4096, std::uint8_t{0});
                break;
            case 1:
                std::generate(at, at + 4096, [&] { return static_cast<std::uint8_t>(random.u64()); });
                break;
            default:
                std::copy_n(page(), 4096, at);
        }
        disk.write(db_name, bytes);
        expect_no_wrong_bytes(disk, repairs);
        if (HasFatalFailure()) return;
    }
    EXPECT_GT(repairs, 150U);
}

TEST(StoreDamage, AFileThatEndsEarlyIsSeen) {
    std::size_t repairs = 0;
    const auto image = filled(true);
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        FaultyVfs disk(seed);
        auto bytes = image;
        bytes.resize(random.between(4096, bytes.size() - 1));
        disk.write(db_name, bytes);
        expect_no_wrong_bytes(disk, repairs);
        if (HasFatalFailure()) return;
    }
    EXPECT_EQ(repairs, 100U);
}

TEST(StoreDamage, WithoutItsFirstPageNothingIsReadAndNothingIsDestroyed) {
    FaultyVfs disk(1);
    auto bytes = filled(true);
    std::fill_n(bytes.begin(), 4096, std::uint8_t{0x55});
    disk.write(db_name, bytes);
    auto db = must_open(disk);
    const auto loaded = db.load();
    ASSERT_TRUE(loaded);
    EXPECT_TRUE(loaded->out.empty());
    EXPECT_NE(loaded->note.find("is not known"), std::string::npos) << loaded->note;
    EXPECT_EQ(disk.read(db_name + ".damaged-1"), bytes);
    EXPECT_GE(loaded->last_inbox, std::uint64_t{1} << 32) << "beyond every id the application may have seen";
}

TEST(StoreDamage, TheSecondDamagedFileGetsItsOwnName) {
    FaultyVfs disk(1);
    const Bytes nonsense(10'000, 0x42);
    for (int n = 1; n <= 3; ++n) {
        disk.write(db_name, nonsense);
        auto db = must_open(disk);
        EXPECT_TRUE(repaired(*db.load()));
        ASSERT_TRUE(db.close());
        EXPECT_EQ(disk.read(db_name + ".damaged-" + std::to_string(n)), nonsense);
        EXPECT_FALSE(disk.exists(db_name + ".repair"));
    }
}

// Changes rows of a closed database behind its back.
void change(const FaultyVfs& disk, const char* sql) {
    auto db = store::Connection::open(db_name, disk.name(), 6);
    ASSERT_TRUE(db);
    ASSERT_TRUE(db->run("PRAGMA locking_mode=EXCLUSIVE"));
    const auto done = db->run(sql);
    ASSERT_TRUE(done) << Status{done}.error();
}

struct Repaired {
    Loaded loaded;
    std::vector<OutMessage> out;
    std::vector<InMessage> in;
};

Repaired after(const char* sql, std::uint64_t seed = 5) {
    FaultyVfs disk(1);
    disk.write(db_name, filled(true));
    change(disk, sql);
    auto db = must_open(disk, seed);
    auto loaded = db.load();
    if (loaded && loaded->note.empty()) {
        // Seen at the first read.
        EXPECT_EQ(db.fetch(FetchOut{1, 1, 10'000, 1u << 24}).error(), Errc::damaged) << sql;
        {
            const auto gone = std::move(db);
        }
        db = must_open(disk, seed);
        loaded = db.load();
    }
    EXPECT_TRUE(loaded && repaired(*loaded)) << sql;
    if (!loaded) return {};
    return {*loaded, *db.fetch(FetchOut{1, 1, 10'000, 1u << 24}), *db.fetch(FetchIn{1, 0, 10'000, 1u << 24})};
}

TEST(StoreDamage, AChangedMessageBecomesATombstone) {
    const auto id = std::to_string(store::row_id(1, 50));
    for (const auto* what : {"bytes=x'00'", "mid=mid+1", "tag=7000", "ttl=5", "expires=1", "crc=crc+1"}) {
        const auto got = after(("UPDATE out_message SET " + std::string{what} + " WHERE id=" + id).c_str());
        ASSERT_EQ(got.out.size(), rows - 1U) << what;
        EXPECT_EQ(got.out[49].run, 1U);
        EXPECT_NE(got.loaded.note.find("at least 1 messages were lost"), std::string::npos) << got.loaded.note;
        EXPECT_EQ(got.loaded.out.size(), 2U);
        EXPECT_EQ(got.in.size(), static_cast<std::size_t>(rows));
    }
}

TEST(StoreDamage, AMessageThatIsGoneIsMissed) {
    auto got = after(("DELETE FROM out_message WHERE id=" + std::to_string(store::row_id(1, 60))).c_str());
    EXPECT_EQ(got.out[59].run, 1U);
    got = after(("DELETE FROM out_message WHERE id<=" + std::to_string(store::row_id(1, 10))).c_str());
    EXPECT_EQ(got.out[0].run, 10U);
    got = after("DELETE FROM out_message");
    ASSERT_EQ(got.out.size(), 1U);
    EXPECT_EQ(got.out[0].run, static_cast<std::uint64_t>(rows));
    got = after(("DELETE FROM in_message WHERE id=" + std::to_string(store::row_id(1, 21))).c_str());
    EXPECT_EQ(got.in.size(), rows - 1U);
    EXPECT_EQ(got.loaded.in[0].have, static_cast<std::uint64_t>(rows)) << "it was acknowledged: the other side has it no more";
    EXPECT_NE(got.loaded.note.find("at least 1 messages were lost"), std::string::npos) << got.loaded.note;
}

TEST(StoreDamage, ALaneThatCannotBeReadTakesItsMessagesAlong) {
    auto got = after("UPDATE out_lane SET next=next+1 WHERE key=2");
    EXPECT_EQ(got.loaded.out.size(), 1U);
    EXPECT_EQ(got.loaded.last_out, 2U);
    EXPECT_NE(got.loaded.note.find("100 messages were lost"), std::string::npos) << got.loaded.note;
    got = after("UPDATE in_lane SET have=have+1 WHERE key=2");
    EXPECT_EQ(got.loaded.in.size(), 1U) << "a lane that does not know where it stands asks for everything again, marked";
    got = after("DELETE FROM out_lane WHERE key=2");
    EXPECT_EQ(got.loaded.out.size(), 1U);
}

TEST(StoreDamage, OutcomesAndCounters) {
    auto got = after("UPDATE outcome SET ended=3 WHERE id=4");
    EXPECT_EQ(got.loaded.outcomes.size(), 21U);
    got = after("DELETE FROM outcome WHERE id=4");
    EXPECT_EQ(got.loaded.outcomes.size(), 21U);
    got = after("UPDATE state SET last_inbox=1");
    EXPECT_GE(got.loaded.last_inbox, std::uint64_t{1} << 32);
    EXPECT_GT(got.loaded.last_out, 2U);
    EXPECT_EQ(got.out.size(), rows - 1U);
    got = after("DELETE FROM state");
    EXPECT_EQ(got.out.size(), rows - 1U);
    got = after("DROP TABLE state");
    EXPECT_EQ(got.out.size(), rows - 1U);
}

TEST(StoreDamage, EveryRepairGivesOtherEpochsAndTheSameSeedTheSame) {
    std::set<std::uint64_t> epochs;
    for (const std::uint64_t seed : {1U, 2U, 1U}) {
        for (const auto& lane : after("DELETE FROM state", seed).loaded.out) epochs.insert(lane.epoch);
    }
    EXPECT_EQ(epochs.size(), 4U);
}

// A repair that is cut short, at every call, by a dead process or without power: the next one finishes or begins again.
TEST(StoreDamage, ARepairMayBeCutShortAnywhere) {
    FaultyVfs origin(1);
    origin.write(db_name, filled(true));
    change(origin, "DELETE FROM out_message WHERE id=(SELECT max(id) FROM out_message)");
    const auto image = origin.read(db_name);
    for (const bool power : {false, true}) {
        for (std::uint64_t at = 1;; at += 1 + at / 8) {
            SCOPED_TRACE(std::to_string(at) + (power ? " power" : " process"));
            FaultyVfs disk(at);
            disk.write(db_name, image);
            disk.halt(at);
            {
                const auto db = open(disk);
            }
            const bool done = !disk.halted();
            if (power) {
                disk.power_loss();
            } else {
                disk.crash();
            }
            std::size_t repairs = 0;
            expect_no_wrong_bytes(disk, repairs);
            if (HasFatalFailure()) return;
            // The old file is kept under another name, whatever happened; beside it perhaps a part of it.
            EXPECT_TRUE(disk.read(db_name + ".damaged-1").size() == image.size() ||
                        disk.read(db_name + ".damaged-2").size() == image.size());
            if (done) break;
        }
    }
}

TEST(StoreDamage, AFailedReadIsNotDamage) {
    FaultyVfs disk(1);
    disk.write(db_name, filled(true));
    for (std::uint64_t nth = 1; nth < 60; ++nth) {
        disk.fail(FaultyVfs::Call::read, nth, FaultyVfs::Fault::io_error);
        const auto db = open(disk);
        disk.heal();
        if (!db) {
            EXPECT_EQ(db.error(), Errc::io_error) << db.error();
        }
        EXPECT_FALSE(disk.exists(db_name + ".damaged-1")) << nth;
    }
}

}  // namespace
