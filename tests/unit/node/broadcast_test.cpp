// SPDX-License-Identifier: Apache-2.0
// One message to all connected peers, and what it says of each.
#include <map>
#include <set>

#include "unit/node/support.hpp"

namespace kith::node::test {
namespace {

// A node in the middle and others that are connected to it.
struct Star {
    explicit Star(std::size_t n, Config config = local(), Mode mode = Mode::own) : center(mode, std::move(config)) {
        for (std::size_t i = 0; i < n; ++i) others.push_back(std::make_unique<Host>(Mode::own));
    }
    void start() {
        ASSERT_TRUE(center.start());
        for (auto& other : others) {
            ASSERT_TRUE(other->start());
            ASSERT_TRUE(center->connect((*other)->addresses().front(), patient));
        }
    }
    void stop() {
        center->stop();
        for (auto& other : others) (*other)->stop();
    }
    Host center;
    std::vector<std::unique_ptr<Host>> others;
};

TEST(Broadcast, ReachesAllOnce) {
    Star star{5};
    EXPECT_TRUE(star.center->broadcast("c", "x").empty());  // not started
    std::array<Log<std::string>, 5> texts;
    for (std::size_t i = 0; i < 5; ++i) {
        (*star.others[i])->on_message("c", [&texts, i](const Message& m) { texts[i].add(std::string{m.text()}); });
    }
    star.start();
    ASSERT_TRUE(star.center->add_address(*Multiaddr::parse("/ip4/127.0.0.1/tcp/1/p2p/" + Identity::generate()->peer_id().text())));
    for (int round = 0; round < 20; ++round) {
        const auto results = star.center->broadcast("c", std::to_string(round));
        ASSERT_EQ(results.size(), 5U);  // not the peer that is only known
        std::set<std::string> peers;
        for (const auto& result : results) {
            EXPECT_TRUE(result.status) << result.status.error();
            peers.insert(result.peer.text());
        }
        EXPECT_EQ(peers.size(), 5U);
    }
    for (auto& log : texts) {
        ASSERT_TRUE(log.wait_count(20));
        const auto all = log.all();
        for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], std::to_string(i));
    }
    const auto large = pattern(100'000);
    for (const auto& result : star.center->broadcast("c", ByteView{large})) EXPECT_TRUE(result.status);
    for (auto& log : texts) {
        ASSERT_TRUE(log.wait_count(21));
        EXPECT_EQ(log.all().back(), as_text(large));
    }
    star.stop();
}

TEST(Broadcast, OneResultForEachPeer) {
    auto config = local();
    config.max_queued_messages = 1;
    Star star{3, std::move(config)};
    for (const std::size_t i : {0U, 2U}) (*star.others[i])->on_message("c", [](const Message&) {});
    star.start();
    const auto& full = (*star.others[1])->id();  // nobody there takes them
    ASSERT_TRUE(star.center->send(full, "c", "x"));
    const auto refused = star.center->stats().messages_refused;
    SendOptions options;
    options.wait = std::chrono::milliseconds{50};
    for (int round = 0; round < 3; ++round) {
        const auto results = star.center->broadcast("c", "x", options);
        ASSERT_EQ(results.size(), 3U);
        for (const auto& result : results) {
            if (result.peer == full) {
                ASSERT_FALSE(result.status);
                EXPECT_EQ(result.status.error(), Errc::queue_full);
            } else if (!result.status) {
                EXPECT_EQ(result.status.error(), Errc::queue_full);  // the former one is still on its way
            }
        }
    }
    EXPECT_GE(star.center->stats().messages_refused, refused + 3);
    for (const auto& result : star.center->broadcast("", "x")) EXPECT_EQ(result.status.error(), Errc::invalid_argument);
    star.stop();
    EXPECT_TRUE(star.center->broadcast("c", "x").empty());
}

// A full queue is waited for after all others have got theirs.
TEST(Broadcast, WaitsForRoom) {
    auto config = local();
    config.max_queued_messages = 1;
    Star star{2, std::move(config)};
    Log<std::string> quick;
    Log<std::string> slow;
    std::array<std::size_t, 2> order{0, 1};
    star.start();
    if ((*star.others[1])->id() < (*star.others[0])->id()) std::swap(order[0], order[1]);
    auto& first = *star.others[order[0]];
    auto& second = *star.others[order[1]];
    second->on_message("c", [&](const Message& m) { quick.add(std::string{m.text()}); });
    ASSERT_TRUE(star.center->send(first->id(), "c", "before"));
    std::thread sender([&] {
        SendOptions options;
        options.wait = patience;
        for (const auto& result : star.center->broadcast("c", "all", options)) EXPECT_TRUE(result.status) << result.status.error();
    });
    ASSERT_TRUE(quick.wait_count(1));  // although `first` comes first and is full
    first->on_message("c", [&](const Message& m) { slow.add(std::string{m.text()}); });
    sender.join();
    ASSERT_TRUE(slow.wait_count(2));
    EXPECT_EQ(slow.all(), (std::vector<std::string>{"before", "all"}));
    star.stop();
}

TEST(Broadcast, NotToThoseThatDoNotSpeakIt) {
    Star star{2};
    star.start();
    const auto& left = (*star.others[0])->id();
    star.center->disconnect(left);
    while (star.center->peer(left) && star.center->peer(left)->links != 0) std::this_thread::yield();
    const auto results = star.center->broadcast("c", "x");
    ASSERT_EQ(results.size(), 1U);
    EXPECT_EQ(results.front().peer, (*star.others[1])->id());
    star.stop();
}

struct BroadcastModes : testing::TestWithParam<Mode> {};
INSTANTIATE_TEST_SUITE_P(Modes, BroadcastModes, testing::Values(Mode::own, Mode::executor, Mode::manual, Mode::loop, Mode::polled),
                         [](const auto& test) { return mode_name(test.param); });

// From several threads and from inside a callback at once; each sender's own order is kept.
TEST_P(BroadcastModes, FromThreadsAndCallbacks) {
    constexpr int threads = 3;
    constexpr int count = 50;
    Star star{2, local(), GetParam()};
    std::array<Log<std::string>, 2> texts;
    for (std::size_t i = 0; i < 2; ++i) {
        (*star.others[i])->on_message("c", [&texts, i](const Message& m) { texts[i].add(std::string{m.text()}); });
    }
    star.center->on_message("go", [&](const Message&) {
        for (int n = 0; n < count; ++n) {
            for (const auto& result : star.center->broadcast("c", "x" + std::to_string(n))) EXPECT_TRUE(result.status);
        }
    });
    star.start();
    auto& trigger = *star.others[0];
    ASSERT_TRUE(trigger->connect(star.center->addresses().front(), patient));
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t) {
        all.emplace_back([&, t] {
            for (int n = 0; n < count; ++n) {
                const auto results = star.center->broadcast("c", std::string(1, static_cast<char>('a' + t)) + std::to_string(n));
                EXPECT_EQ(results.size(), 2U);
                for (const auto& result : results) EXPECT_TRUE(result.status);
            }
        });
    }
    ASSERT_TRUE(trigger->send(star.center->id(), "go", "x"));
    for (auto& t : all) t.join();
    for (auto& log : texts) {
        ASSERT_TRUE(log.wait_count(static_cast<std::size_t>(threads + 1) * count));
        std::map<char, int> next;
        for (const auto& text : log.all()) EXPECT_EQ(text.substr(1), std::to_string(next[text[0]]++));
        EXPECT_EQ(next.size(), static_cast<std::size_t>(threads) + 1);
    }
    star.stop();
}

}  // namespace
}  // namespace kith::node::test
