// SPDX-License-Identifier: Apache-2.0
// The storage thread alone: order of answers, what a failure discards, the end.
#include "node/storage.hpp"
#include "unit/node/support.hpp"

namespace kith::node::test {
namespace {

using Answer = Storage::Answer;

class StorageThread : public testing::Test {
protected:
    void open() {
        auto opened = Storage::open(folder_.path / "kith.db", 7);
        ASSERT_TRUE(opened) << opened.error();
        storage_ = std::move(*opened);
        storage_->start([this] {
            const std::scoped_lock lock(mutex_);
            woken_ = true;
            wake_.notify_all();
        });
    }
    // Until answers of so many kinds have come.
    std::vector<Answer> answers(std::size_t count) {
        std::vector<Answer> out;
        while (out.size() < count) {
            {
                std::unique_lock lock(mutex_);
                if (!wake_.wait_for(lock, patience, [this] { return woken_; })) break;
                woken_ = false;
            }
            for (auto& answer : storage_->take()) out.push_back(std::move(answer));
        }
        return out;
    }
    void put(storage::Request request, std::vector<engine::Fetch> fetches = {}) { storage_->put(std::move(request), fetches); }
    static storage::Request open_lane(storage::Ticket ticket) {
        storage::Request request;
        request.ticket = ticket;
        const auto peer = request.add("peer");
        const auto channel = request.add("c");
        request.operations.emplace_back(storage::OpenOut{1, peer, channel, 1, 99});
        return request;
    }
    static storage::Request append(storage::Ticket ticket, storage::LaneKey lane, std::uint64_t seq) {
        storage::Request request;
        request.ticket = ticket;
        const auto bytes = request.add(std::to_string(seq));
        request.operations.emplace_back(storage::Append{lane, seq, 1'000 + seq, 0, {}, {}, bytes});
        return request;
    }

    Folder folder_;
    std::unique_ptr<Storage> storage_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool woken_ = false;
};

TEST_F(StorageThread, AFetchSeesWhatWasAskedBefore) {
    open();
    put(open_lane(1));
    put(append(2, 1, 1));
    put(append(3, 1, 2), {storage::FetchOut{.lane = 1}});
    storage::Ticket last = 0;
    std::vector<storage::OutMessage> messages;
    while (messages.empty()) {
        for (auto& answer : answers(1)) {
            if (const auto* done = std::get_if<Storage::Done>(&answer)) {
                EXPECT_GT(done->up_to, last);
                EXPECT_TRUE(messages.empty());
                last = done->up_to;
            }
            if (auto* fetched = std::get_if<Storage::FetchedOut>(&answer)) messages = std::move(fetched->messages);
        }
    }
    EXPECT_EQ(last, 3U);
    ASSERT_EQ(messages.size(), 2U);
    EXPECT_EQ(messages[1].mid, 1'002U);
}

TEST_F(StorageThread, AfterAFailureNothingIsTakenUntilTheReopeningWasSeen) {
    open();
    put(open_lane(1));
    ASSERT_TRUE(storage_->flush(patience));
    ASSERT_EQ(answers(1).size(), 1U);
    put(append(2, 99, 1));  // no such lane
    ASSERT_TRUE(std::holds_alternative<Storage::Failed>(answers(1).at(0)));
    EXPECT_FALSE(storage_->flush(Duration{}));
    put(append(3, 1, 1));  // fails with it
    {
        std::unique_lock lock(mutex_);
        ASSERT_TRUE(wake_.wait_for(lock, patience, [this] { return woken_; }));
    }
    put(append(4, 1, 1));  // it is open again, but whoever gave this does not know
    const auto reopened = answers(1);
    ASSERT_EQ(reopened.size(), 1U);
    const auto* rows = std::get_if<Storage::Reopened>(&reopened[0]);
    ASSERT_NE(rows, nullptr);
    ASSERT_EQ(rows->loaded.out.size(), 1U);
    EXPECT_EQ(rows->loaded.out[0].next, 1U);
    put(append(5, 1, 1));
    const auto done = answers(1);
    ASSERT_TRUE(std::holds_alternative<Storage::Done>(done.at(0)));
    EXPECT_EQ(std::get<Storage::Done>(done[0]).up_to, 5U);
}

TEST_F(StorageThread, TheEndCommitsWhatWaits) {
    for (const bool clean : {true, false}) {
        open();
        EXPECT_TRUE(storage_->loaded().clean);
        if (clean) put(open_lane(1));
        put(append(clean ? 2 : 1, 1, clean ? 1 : 2));
        storage_->finish(clean);
        storage_.reset();
    }
    auto again = Storage::open(folder_.path / "kith.db", 7);
    ASSERT_TRUE(again);
    EXPECT_FALSE((*again)->loaded().clean);
    ASSERT_EQ((*again)->loaded().out.size(), 1U);
    EXPECT_EQ((*again)->loaded().out[0].messages, 2U);
}

TEST_F(StorageThread, EndsWhileItCannotBeOpened) {
    open();
    put(append(1, 99, 1));
    ASSERT_TRUE(std::holds_alternative<Storage::Failed>(answers(1).at(0)));
    storage_->finish(true);
    storage_.reset();
    EXPECT_FALSE((*Storage::open(folder_.path / "kith.db", 7))->loaded().clean);
}

}  // namespace
}  // namespace kith::node::test
