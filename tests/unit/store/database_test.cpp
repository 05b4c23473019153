// SPDX-License-Identifier: Apache-2.0
// Every operation, one by one, on a healthy disk.
#include "store/database.hpp"

#include <gtest/gtest.h>

#include "unit/store/support.hpp"

namespace {

using namespace kith;
using namespace kith::storage;
using namespace kith::store::test;
using kith::store::Database;

class Store : public ::testing::Test {
protected:
    void apply(const Writer& write) {
        ASSERT_TRUE(db_.apply(write.request));
        ASSERT_TRUE(db_.commit());
    }
    void reopen() {
        {
            const auto gone = std::move(db_);
        }
        db_ = must_open(disk_);
    }
    void refused(const Writer& write, std::string_view why) {
        const auto before = text_of(db_);
        const auto applied = db_.apply(write.request);
        ASSERT_FALSE(applied);
        const auto error = Status{applied}.error();
        EXPECT_EQ(error, Errc::internal);
        EXPECT_NE(error.message().find(why), std::string::npos) << error;
        EXPECT_TRUE(db_.broken());
        EXPECT_FALSE(db_.commit());
        EXPECT_FALSE(db_.load());
        reopen();
        EXPECT_EQ(text_of(db_), before) << "a refused request leaves nothing";
    }
    Loaded load() {
        auto loaded = db_.load();
        EXPECT_TRUE(loaded);
        return loaded ? *loaded : Loaded{};
    }
    std::vector<OutMessage> out(LaneKey lane, std::uint64_t from = 1) {
        auto messages = db_.fetch(FetchOut{lane, from, 1024, 1u << 20});
        EXPECT_TRUE(messages);
        return messages ? *messages : std::vector<OutMessage>{};
    }
    std::vector<InMessage> in(LaneKey lane, std::uint64_t after = 0) {
        auto messages = db_.fetch(FetchIn{lane, after, 1024, 1u << 20});
        EXPECT_TRUE(messages);
        return messages ? *messages : std::vector<InMessage>{};
    }

    FaultyVfs disk_{1};
    Database db_ = must_open(disk_);
};

TEST_F(Store, IsNewOnceAndSaysWhetherItWasClosed) {
    auto loaded = load();
    EXPECT_EQ(loaded.note, "a new database was made");
    EXPECT_TRUE(loaded.clean);
    EXPECT_TRUE(loaded.out.empty() && loaded.in.empty() && loaded.outcomes.empty());
    reopen();
    loaded = load();
    EXPECT_EQ(loaded.note, "");
    EXPECT_FALSE(loaded.clean) << "it did not say goodbye";
    ASSERT_TRUE(db_.close());
    EXPECT_EQ(db_.load().error(), Errc::stopped);
    EXPECT_FALSE(disk_.exists(db_name + "-wal"));
    reopen();
    EXPECT_TRUE(load().clean);
    reopen();
    EXPECT_FALSE(load().clean);
}

TEST_F(Store, AnOutgoingLaneAndItsMessages) {
    apply(Writer{}.open_out(1, 77, "alice", "files"));
    apply(Writer{}.append(1, 1, "one").append(1, 2, "two", 9, Duration{100}, Duration{12345}).append(1, 3, ""));
    reopen();
    const auto loaded = load();
    ASSERT_EQ(loaded.out.size(), 1U);
    const auto& lane = loaded.out[0];
    EXPECT_EQ(lane.key, 1U);
    EXPECT_EQ(as_text(lane.peer), "alice");
    EXPECT_EQ(lane.channel, "files");
    EXPECT_EQ(lane.priority, 2);
    EXPECT_EQ(lane.epoch, 77U);
    EXPECT_EQ(lane.first, 1U);
    EXPECT_EQ(lane.next, 4U);
    EXPECT_EQ(lane.messages, 3U);
    EXPECT_EQ(lane.bytes, 6U);
    EXPECT_FALSE(lane.attached);
    EXPECT_EQ(loaded.last_out, 1U);
    const auto messages = out(1);
    ASSERT_EQ(messages.size(), 3U);
    EXPECT_EQ(as_text(messages[0].bytes), "one");
    EXPECT_EQ(messages[1].seq, 2U);
    EXPECT_EQ(messages[1].mid, mid_of(1, 2));
    EXPECT_EQ(messages[1].tag, 9U);
    EXPECT_EQ(messages[1].ttl, Duration{100});
    EXPECT_EQ(messages[1].expires, Duration{12345});
    EXPECT_EQ(messages[1].run, 0U);
    EXPECT_TRUE(messages[2].bytes.empty());
    EXPECT_TRUE(out(5).empty()) << "a lane that is not there has no messages";
    EXPECT_TRUE(out(1, 4).empty());
}

TEST_F(Store, AFetchHasLimitsButGivesAtLeastOne) {
    apply(Writer{}.open_out(1, 1).append(1, 1, "12345678").append(1, 2, "12345678").append(1, 3, "12345678"));
    EXPECT_EQ(db_.fetch(FetchOut{1, 1, 2, 1000})->size(), 2U);
    EXPECT_EQ(db_.fetch(FetchOut{1, 1, 9, 16})->size(), 2U);
    EXPECT_EQ(db_.fetch(FetchOut{1, 1, 9, 15})->size(), 1U);
    EXPECT_EQ(db_.fetch(FetchOut{1, 3, 0, 0})->size(), 1U);
    apply(Writer{}.begin_in(1, 1).advance(1, 1, 0, 2).put(1, 1, 1, "12345678").put(2, 1, 2, "12345678"));
    EXPECT_EQ(db_.fetch(FetchIn{1, 0, 9, 16})->size(), 2U);
    EXPECT_EQ(db_.fetch(FetchIn{1, 0, 1, 16})->size(), 1U);
    EXPECT_EQ(db_.fetch(FetchIn{1, 1, 0, 0})->size(), 1U);
}

TEST_F(Store, ReadsSeeWhatIsNotCommittedYet) {
    ASSERT_TRUE(db_.apply(Writer{}.open_out(1, 1).append(1, 1, "x").request));
    EXPECT_TRUE(db_.pending());
    EXPECT_EQ(out(1).size(), 1U);
    EXPECT_EQ(load().out.size(), 1U);
    ASSERT_TRUE(db_.apply(Writer{}.append(1, 2, "y").request));
    EXPECT_EQ(load().out[0].next, 3U);
    db_.rollback();
    EXPECT_FALSE(db_.pending());
    EXPECT_TRUE(load().out.empty());
    EXPECT_EQ(load().last_out, 0U);
    apply(Writer{}.open_out(1, 2).append(1, 1, "z"));
    EXPECT_EQ(as_text(out(1)[0].bytes), "z");
}

TEST_F(Store, SettlingEndsAsDeliveredAndTellsThoseWithATag) {
    apply(Writer{}.open_out(1, 1, "bob").append(1, 1, "a", 5).append(1, 2, "b").append(1, 3, "c", 6).append(1, 4, "d"));
    apply(Writer{}.settle(1, 3, 333));
    const auto loaded = load();
    EXPECT_EQ(loaded.out[0].first, 4U);
    EXPECT_EQ(loaded.out[0].settled_mid, 333U);
    EXPECT_EQ(loaded.out[0].messages, 1U);
    ASSERT_EQ(loaded.outcomes.size(), 2U);
    EXPECT_EQ(loaded.outcomes[0].mid, mid_of(1, 1));
    EXPECT_EQ(loaded.outcomes[0].tag, 5U);
    EXPECT_EQ(loaded.outcomes[0].ended, Ended::delivered);
    EXPECT_EQ(as_text(loaded.outcomes[0].peer), "bob");
    EXPECT_EQ(loaded.outcomes[0].channel, "chat");
    EXPECT_EQ(loaded.outcomes[1].tag, 6U);
    EXPECT_EQ(out(1).size(), 1U);
    apply(Writer{}.settle(1, 3, 333));
    EXPECT_EQ(load().outcomes.size(), 2U) << "nothing new was settled";
}

TEST_F(Store, ReplacingKeepsThePlace) {
    apply(Writer{}.open_out(1, 1).append(1, 1, "a").append(1, 2, "b"));
    apply(Writer{}.replace(1, 1, 4711, "A", 3));
    const auto messages = out(1);
    EXPECT_EQ(as_text(messages[0].bytes), "A");
    EXPECT_EQ(messages[0].mid, 4711U);
    EXPECT_EQ(messages[0].tag, 3U);
    const auto outcomes = load().outcomes;
    ASSERT_EQ(outcomes.size(), 1U);
    EXPECT_EQ(outcomes[0].mid, mid_of(1, 1));
    EXPECT_EQ(outcomes[0].ended, Ended::replaced);
}

TEST_F(Store, TombstonesMergeIntoRuns) {
    Writer write;
    write.open_out(1, 1);
    for (std::uint64_t seq = 1; seq <= 6; ++seq) write.append(1, seq, "m", seq);
    apply(write);
    apply(Writer{}.bury(1, 2, 2, 2).bury(1, 4, 4, 4, Ended::expired));
    EXPECT_EQ(out(1).size(), 6U);
    apply(Writer{}.bury(1, 3, 2, 4, Ended::unknown));
    auto messages = out(1);
    ASSERT_EQ(messages.size(), 4U);
    EXPECT_EQ(messages[1].seq, 4U);
    EXPECT_EQ(messages[1].run, 3U);
    EXPECT_EQ(messages[1].mid, mid_of(1, 4)) << "that of its last number";
    EXPECT_TRUE(messages[1].bytes.empty());
    EXPECT_EQ(load().out[0].messages, 3U);
    ASSERT_EQ(load().outcomes.size(), 3U);
    EXPECT_EQ(load().outcomes[2].ended, Ended::unknown);
    EXPECT_EQ(out(1, 3)[0].run, 2U) << "only what was wanted";
    // The receiver may have got a part of it, when it was shorter.
    apply(Writer{}.settle(1, 3));
    messages = out(1);
    ASSERT_EQ(messages.size(), 3U);
    EXPECT_EQ(messages[0].seq, 4U);
    EXPECT_EQ(messages[0].run, 1U);
    EXPECT_EQ(load().outcomes.size(), 4U) << "1 was delivered, a tombstone ends once";
    reopen();
    EXPECT_EQ(load().note, "");
    apply(Writer{}.settle(1, 4));
    EXPECT_EQ(out(1)[0].run, 0U);
}

TEST_F(Store, WhatAnAttachmentChanges) {
    apply(Writer{}.open_out(1, 1).append(1, 1, "a"));
    apply(Writer{}.add(SetOut{1, ~std::uint64_t{0}, 1, true}));
    reopen();
    const auto lane = load().out[0];
    EXPECT_EQ(lane.epoch, ~std::uint64_t{0}) << "all 64 bits";
    EXPECT_EQ(lane.repeat_to, 1U);
    EXPECT_TRUE(lane.attached);
}

TEST_F(Store, ADroppedLaneTellsOfEverythingInIt) {
    apply(Writer{}.open_out(1, 1).append(1, 1, "a").append(1, 2, "b", 2).append(1, 3, "c").bury(1, 3, 3, 3));
    apply(Writer{}.add(DropOut{1, Ended::failed}));
    const auto loaded = load();
    EXPECT_TRUE(loaded.out.empty());
    EXPECT_EQ(loaded.last_out, 1U) << "keys are not used again";
    ASSERT_EQ(loaded.outcomes.size(), 3U);
    EXPECT_EQ(loaded.outcomes[1].ended, Ended::failed);
    EXPECT_EQ(loaded.outcomes[2].ended, Ended::failed);
    refused(Writer{}.open_out(1, 2), "used before");
    apply(Writer{}.open_out(2, 1).append(2, 1, "fresh"));
    EXPECT_EQ(as_text(out(2)[0].bytes), "fresh");
}

TEST_F(Store, AgeTakesFromEveryTtlAndNeverMakesItNone) {
    apply(Writer{}.open_out(1, 1).append(1, 1, "a", 0, Duration{100}).append(1, 2, "b"));
    apply(Writer{}.add(Age{Duration{30}}));
    apply(Writer{}.append(1, 3, "c", 0, Duration{100}));
    apply(Writer{}.add(Age{Duration{60}}));
    reopen();
    EXPECT_EQ(out(1)[0].ttl, Duration{10});
    EXPECT_EQ(out(1)[1].ttl, Duration{0});
    EXPECT_EQ(out(1)[2].ttl, Duration{40});
    apply(Writer{}.add(Age{Duration::max()}).add(Age{Duration::max()}));
    EXPECT_EQ(out(1)[0].ttl, Duration{1});
}

TEST_F(Store, OutcomesStayUntilTheyWereRead) {
    apply(Writer{}.open_out(1, 1).append(1, 1, "a", 1).append(1, 2, "b", 2).append(1, 3, "c", 3).settle(1, 3));
    EXPECT_EQ(db_.outcomes(0, 2)->size(), 2U);
    EXPECT_EQ(db_.outcomes(1, 10)->front().id, 2U);
    apply(Writer{}.add(ReadOutcome{1}).add(ReadOutcome{3}));
    reopen();
    ASSERT_EQ(load().outcomes.size(), 1U);
    EXPECT_EQ(load().outcomes[0].id, 2U);
    apply(Writer{}.add(ReadOutcome{2}).add(ReadOutcome{2}));
    reopen();
    apply(Writer{}.append(1, 4, "d", 4).settle(1, 4));
    EXPECT_EQ(load().outcomes[0].id, 4U) << "ids are not used again";
}

TEST_F(Store, AnIncomingLaneAndItsMessages) {
    apply(Writer{}.begin_in(1, 7, 10, "carol", "files"));
    apply(Writer{}.advance(1, 7, 10, 14, 444).put(1, 1, 11, "a").put(2, 1, 14, "b", true));
    reopen();
    auto loaded = load();
    ASSERT_EQ(loaded.in.size(), 1U);
    EXPECT_EQ(as_text(loaded.in[0].peer), "carol");
    EXPECT_EQ(loaded.in[0].have, 14U);
    EXPECT_EQ(loaded.in[0].mid, 444U);
    EXPECT_EQ(loaded.in[0].messages, 2U);
    EXPECT_EQ(loaded.in[0].bytes, 2U);
    EXPECT_EQ(loaded.last_inbox, 2U);
    auto messages = in(1);
    ASSERT_EQ(messages.size(), 2U);
    EXPECT_EQ(messages[1].inbox, 2U);
    EXPECT_EQ(messages[1].seq, 14U);
    EXPECT_TRUE(messages[1].repeat);
    EXPECT_EQ(in(1, 1).size(), 1U);
    apply(Writer{}.begin_in(1, 8, 0, "carol", "files"));
    loaded = load();
    EXPECT_EQ(loaded.in[0].epoch, 8U);
    EXPECT_EQ(loaded.in[0].have, 0U);
    EXPECT_EQ(loaded.in[0].messages, 2U) << "what waits stays";
    apply(Writer{}.add(Processed{1, 1}));
    EXPECT_EQ(in(1).size(), 1U);
    apply(Writer{}.add(Processed{1, ~std::uint64_t{0}}));
    EXPECT_TRUE(in(1).empty());
    reopen();
    EXPECT_EQ(load().last_inbox, 2U) << "ids are not used again";
    refused(Writer{}.put(2, 1, 15, "x"), "used before");
}

TEST_F(Store, ADroppedIncomingLaneTakesItsMessagesAlong) {
    apply(Writer{}.begin_in(1, 1).advance(1, 1, 0, 1).put(1, 1, 1, "a").begin_in(2, 1).advance(2, 1, 0, 1).put(2, 2, 1, "b"));
    apply(Writer{}.add(DropIn{1}));
    EXPECT_TRUE(in(1).empty());
    EXPECT_EQ(in(2).size(), 1U);
    EXPECT_EQ(load().in.size(), 1U);
    EXPECT_EQ(load().last_in, 2U);
    refused(Writer{}.begin_in(1, 1), "no such");
    apply(Writer{}.begin_in(3, 1).advance(3, 1, 0, 1).put(3, 3, 1, "c"));
    EXPECT_EQ(as_text(in(3)[0].bytes), "c");
}

TEST_F(Store, AnAdvanceThatIsNotAtItsPlaceTakesNothing) {
    apply(Writer{}.begin_in(1, 7, 10));
    refused(Writer{}.put(1, 1, 12, "x").advance(1, 7, 11, 12), "stands elsewhere");
    refused(Writer{}.advance(1, 8, 10, 11).put(1, 1, 11, "x"), "stands elsewhere");
    refused(Writer{}.advance(1, 7, 10, 9), "stands elsewhere");
    refused(Writer{}.advance(2, 7, 10, 11), "no such");
    apply(Writer{}.advance(1, 7, 10, 11).put(1, 1, 11, "x"));
}

TEST_F(Store, OperationsThatDoNotFitAreRefused) {
    apply(Writer{}.open_out(1, 1).append(1, 1, "a").append(1, 2, "b").append(1, 3, "c").settle(1, 1).bury(1, 2, 2, 2));
    refused(Writer{}.append(1, 5, "x"), "next number");
    refused(Writer{}.append(1, 3, "x"), "next number");
    refused(Writer{}.append(2, 1, "x"), "no such");
    refused(Writer{}.replace(1, 2, 1, "x"), "ended before");
    refused(Writer{}.replace(1, 1, 1, "x"), "no such number");
    refused(Writer{}.replace(1, 4, 1, "x"), "no such number");
    refused(Writer{}.bury(1, 2, 2, 2), "not all");
    refused(Writer{}.bury(1, 1, 1, 1), "no such number");
    refused(Writer{}.bury(1, 3, 3, 4), "no such number");
    refused(Writer{}.bury(1, 2, 2, 3), "not all");
    refused(Writer{}.settle(1, 4), "no such number");
    refused(Writer{}.settle(1, 0), "no such number");
    refused(Writer{}.add(SetOut{3, 1, 1, true}), "no such");
    refused(Writer{}.add(DropOut{3, Ended::failed}), "no such");
    refused(Writer{}.begin_in(0, 1), "no such");
    apply(Writer{}.begin_in(1, 1));
    refused(Writer{}.begin_in(1, 1, 0, "another"), "another lane");
    EXPECT_EQ(out(1).size(), 2U);
}

TEST_F(Store, OneRefusedRequestTakesTheWholeTransaction) {
    apply(Writer{}.open_out(1, 1));
    ASSERT_TRUE(db_.apply(Writer{}.append(1, 1, "a").request));
    ASSERT_FALSE(db_.apply(Writer{}.append(1, 7, "b").request));
    reopen();
    EXPECT_TRUE(out(1).empty());
}

TEST_F(Store, LargeMessagesAndManyOfThem) {
    const std::string large(1 << 20, 'L');
    apply(Writer{}.open_out(1, 1).append(1, 1, large).append(1, 2, "s"));
    for (std::uint64_t i = 0; i < 40; ++i) {
        Writer write;
        for (std::uint64_t k = 0; k < 50; ++k) write.append(1, 3 + i * 50 + k, std::string(200, static_cast<char>('a' + i % 26)));
        apply(write);
    }
    reopen();
    EXPECT_EQ(as_text(out(1)[0].bytes), large);
    EXPECT_EQ(load().out[0].messages, 2002U);
    apply(Writer{}.settle(1, 2002));
    EXPECT_TRUE(out(1).empty());
}

TEST_F(Store, AgreesWithTheModel) {
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
        SCOPED_TRACE(seed);
        FaultyVfs disk(seed);
        auto db = must_open(disk);
        Random random(seed);
        Model model;
        for (int i = 0; i < 400; ++i) {
            ASSERT_TRUE(db.apply(random_request(random, model)));
            if (random.one_in(3)) {
                ASSERT_TRUE(db.commit());
            }
            if (random.one_in(40)) {
                ASSERT_EQ(text_of(db), model.text());
            }
            if (random.one_in(60)) {
                ASSERT_TRUE(db.commit());
                if (random.one_in(2)) {
                    ASSERT_TRUE(db.close());
                }
                {
                    const auto gone = std::move(db);
                }
                db = must_open(disk);
                ASSERT_EQ(db.load()->note, "");
                ASSERT_EQ(text_of(db), model.text());
            }
        }
    }
}

}  // namespace
