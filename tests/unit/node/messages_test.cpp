// SPDX-License-Identifier: Apache-2.0
#include <map>

#include "unit/node/support.hpp"

namespace kith::node::test {
namespace {

SendOptions waiting() {
    SendOptions out;
    out.wait = patience;
    return out;
}

TEST(Messages, EverySizeBothWays) {
    Pair pair;
    Log<Bytes> at_a;
    Log<Bytes> at_b;
    pair.a->on_message("sizes", [&](const Message& m) { at_a.add(m.detach()); });
    pair.b->on_message("sizes", [&](const Message& m) { at_b.add(m.detach()); });
    pair.start();
    pair.connected_both();
    std::vector<Bytes> sent;
    for (const std::size_t size : {0U, 1U, 63U, 64U, 4'095U, 4'096U, 16'383U, 16'384U, 65'535U, 65'536U, 100'000U, 1U << 20U}) {
        sent.push_back(pattern(size, static_cast<std::uint8_t>(sent.size())));
        ASSERT_TRUE(pair.a->send(pair.b->id(), "sizes", ByteView{sent.back()}, waiting()));
        ASSERT_TRUE(pair.b->channel(pair.a->id(), "sizes").send(Bytes{sent.back()}, waiting()));
    }
    ASSERT_TRUE(at_a.wait_count(sent.size()));
    ASSERT_TRUE(at_b.wait_count(sent.size()));
    EXPECT_EQ(at_a.all(), sent);
    EXPECT_EQ(at_b.all(), sent);
    const Bytes larger((1U << 20U) + 1);
    EXPECT_EQ(pair.a->send(pair.b->id(), "sizes", ByteView{larger}).error(), Errc::too_large);
    EXPECT_EQ(pair.a->stats().messages_refused, 1U);
    pair.stop();
}

TEST(Messages, Refusals) {
    Pair pair;
    pair.start();
    EXPECT_EQ(pair.a->send(pair.b->id(), "c", "x").error(), Errc::unknown_peer);
    auto early = pair.a->channel(pair.b->id(), "early");
    EXPECT_EQ(early.send("x").error(), Errc::unknown_peer);
    EXPECT_EQ(Channel{}.send("x").error(), Errc::invalid_argument);
    pair.connect();
    EXPECT_TRUE(early.send("x"));  // the handle finds its place
    EXPECT_EQ(pair.a->send(pair.b->id(), "", "x").error(), Errc::invalid_argument);
    EXPECT_EQ(pair.a->send(pair.b->id(), std::string(65, 'c'), "x").error(), Errc::invalid_argument);
    EXPECT_TRUE(pair.a->send(pair.b->id(), std::string(64, 'c'), "x"));
    SendOptions durable;
    durable.strength = Strength::durable;
    EXPECT_EQ(pair.a->send(pair.b->id(), "c", "x", durable).error(), Errc::no_store);
    SendOptions unreliable;
    unreliable.strength = Strength::unreliable;
    EXPECT_EQ(pair.a->send(pair.b->id(), "c", ByteView{pattern(1U << 19U)}, unreliable).error(), Errc::too_large);
    pair.stop();
}

TEST(Messages, ChannelsAreLimited) {
    auto config = local();
    config.limits.max_channels_per_peer = 3;
    Pair pair{Mode::own, std::move(config)};
    pair.start();
    pair.connect();
    const auto priority = [](Priority p) {
        SendOptions out;
        out.priority = p;
        return out;
    };
    EXPECT_TRUE(pair.a->send(pair.b->id(), "1", "x"));
    EXPECT_TRUE(pair.a->send(pair.b->id(), "2", "x"));
    EXPECT_TRUE(pair.a->send(pair.b->id(), "2", "x", priority(Priority::high)));  // a lane of its own
    EXPECT_EQ(pair.a->send(pair.b->id(), "2", "x", priority(Priority::low)).error(), Errc::limit_exceeded);
    EXPECT_EQ(pair.a->send(pair.b->id(), "3", "x").error(), Errc::limit_exceeded);
    EXPECT_EQ(pair.a->send(pair.b->id(), "4", "x").error(), Errc::limit_exceeded);
    EXPECT_TRUE(pair.a->send(pair.b->id(), "1", "x"));
    pair.stop();
}

TEST(Messages, Receipts) {
    Pair pair;
    pair.b->on_message("c", [](const Message&) {});
    pair.start();
    pair.connect();
    const auto receipt = pair.a->deliver(pair.b->id(), "c", as_bytes("x"), {}, patient);
    ASSERT_TRUE(receipt) << receipt.error();
    EXPECT_EQ(receipt->outcome, Receipt::Outcome::delivered);
    EXPECT_GT(receipt->after, Duration{});
    Log<Receipt::Outcome> outcomes;
    pair.a->async_send(pair.b->id(), "c", pattern(100'000), [&](const Result<Receipt>& r) { outcomes.add(r->outcome); });
    SendOptions unreliable;
    unreliable.strength = Strength::unreliable;
    ASSERT_TRUE(outcomes.wait_count(1));
    pair.a->async_send(pair.b->id(), "c", pattern(10), [&](const Result<Receipt>& r) { outcomes.add(r->outcome); }, unreliable);
    ASSERT_TRUE(outcomes.wait_count(2));
    EXPECT_EQ(outcomes.all(), (std::vector{Receipt::Outcome::delivered, Receipt::Outcome::sent}));
    Log<Errc> refused;
    pair.a->async_send(Identity::generate()->peer_id(), "c", {}, [&](const Result<Receipt>& r) { refused.add(r.error().code); });
    ASSERT_TRUE(refused.wait_count(1));
    EXPECT_EQ(refused.all().front(), Errc::unknown_peer);
    pair.stop();
}

TEST(Messages, DeliverHasADeadline) {
    Pair pair;
    pair.start();
    pair.connect();
    EXPECT_EQ(pair.a->deliver(pair.b->id(), "no-handler", as_bytes("1"), {}, Wait{std::chrono::milliseconds{20}}).error(), Errc::timeout);
    std::stop_source stop;
    std::thread other([&] { stop.request_stop(); });
    EXPECT_EQ(pair.a->deliver(pair.b->id(), "no-handler", as_bytes("2"), {}, Wait{patience, stop.get_token()}).error(), Errc::cancelled);
    other.join();
    // The messages stay: giving up waiting does not take them back.
    Log<std::string> texts;
    pair.b->on_message("no-handler", [&](const Message& m) { texts.add(std::string{m.text()}); });
    ASSERT_TRUE(texts.wait_count(2));
    EXPECT_EQ(texts.all(), (std::vector<std::string>{"1", "2"}));
    pair.stop();
}

TEST(Messages, QueueFullAndWaiting) {
    auto config = local();
    config.max_queued_messages = 10;
    config.max_queued_bytes = 1'000;
    Pair pair{Mode::own, std::move(config)};
    pair.start();
    pair.connect();
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(pair.a->send(pair.b->id(), "c", "x"));
    EXPECT_EQ(pair.a->send(pair.b->id(), "c", "x").error(), Errc::queue_full);
    SendOptions brief;
    brief.wait = std::chrono::milliseconds{20};
    EXPECT_EQ(pair.a->send(pair.b->id(), "c", "x", brief).error(), Errc::queue_full);
    EXPECT_EQ(pair.a->stats().messages_refused, 2U);
    std::stop_source stop;
    std::thread other([&] { stop.request_stop(); });
    EXPECT_EQ(pair.a->deliver(pair.b->id(), "c", as_bytes("x"), {}, Wait{patience, stop.get_token()}).error(), Errc::cancelled);
    other.join();
    ASSERT_TRUE(pair.a->send(pair.b->id(), "large", ByteView{pattern(5'000)}));  // alone, whatever the limit
    EXPECT_EQ(pair.a->send(pair.b->id(), "large", ByteView{pattern(1)}).error(), Errc::queue_full);
    Log<std::size_t> sizes;
    pair.b->on_message("c", [&](const Message& m) { sizes.add(m.bytes().size()); });
    for (int i = 0; i < 1'000; ++i) ASSERT_TRUE(pair.a->send(pair.b->id(), "c", "y", waiting()));
    EXPECT_TRUE(sizes.wait_count(1'010));
    EXPECT_EQ(sizes.size(), 1'010U);
    pair.stop();
}

TEST(Messages, HandlerThatComesLate) {
    Pair pair;
    pair.start();
    pair.connect();
    for (int i = 0; i < 1'000; ++i) ASSERT_TRUE(pair.a->send(pair.b->id(), "late", std::to_string(i), waiting()));
    while (pair.b->stats().messages_received < 1'000) std::this_thread::yield();
    Log<std::string> texts;
    pair.b->on_message("late", [&](const Message& m) { texts.add(std::string{m.text()}); });
    ASSERT_TRUE(texts.wait_count(1'000));
    const auto all = texts.all();
    for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], std::to_string(i));
    // Replaced and taken away.
    Flag replaced;
    pair.b->on_message("late", [&](const Message&) { replaced.set(); });
    ASSERT_TRUE(pair.a->deliver(pair.b->id(), "late", as_bytes("x"), {}, patient));
    EXPECT_TRUE(replaced.is_set());
    pair.b->on_message("late", {});
    EXPECT_EQ(pair.a->deliver(pair.b->id(), "late", as_bytes("x"), {}, Wait{std::chrono::milliseconds{20}}).error(), Errc::timeout);
    pair.stop();
}

TEST(Messages, OneChannelDoesNotStopAnother) {
    Pair pair;
    pair.start();
    pair.connect();
    // Nobody takes "stuck": its sender stops at its limit, in messages or bytes.
    const auto blob = pattern(10'000);
    while (pair.a->send(pair.b->id(), "stuck", ByteView{blob})) {
    }
    Log<std::size_t> others;
    pair.b->on_message("other", [&](const Message& m) { others.add(m.bytes().size()); });
    for (int i = 0; i < 2'000; ++i) ASSERT_TRUE(pair.a->send(pair.b->id(), "other", ByteView{blob}, waiting()));
    EXPECT_TRUE(others.wait_count(2'000));
    EXPECT_EQ(pair.a->send(pair.b->id(), "stuck", ByteView{blob}).error(), Errc::queue_full);
    EXPECT_LE(pair.b->stats().messages_received - 2'000, (8U << 20U) / blob.size());  // what b keeps is bounded
    pair.stop();
}

// A handler that holds the callback thread does not stop the network: nothing is lost, its sender slows down.
TEST(Messages, SlowHandler) {
    Pair pair;
    Flag go;
    Log<std::string> texts;
    pair.b->on_message("slow", [&](const Message& m) {
        if (texts.size() == 0) {
            ASSERT_TRUE(go.wait());
        }
        texts.add(std::string{m.text()});
    });
    pair.start();
    pair.connect();
    std::size_t sent = 0;
    const std::string text(1'000, 'x');
    while (pair.a->send(pair.b->id(), "slow", text)) ++sent;
    ASSERT_TRUE(pair.a->ping(pair.b->id(), patient));
    ASSERT_TRUE(pair.b->ping(pair.a->id(), patient));
    go.set();
    ASSERT_TRUE(texts.wait_count(sent));
    ASSERT_TRUE(pair.a->deliver(pair.b->id(), "slow", as_bytes("last"), {}, patient));
    EXPECT_EQ(texts.size(), sent + 1);
    pair.stop();
}

TEST(Messages, CopiesOutliveTheNode) {
    std::vector<Message> kept;
    {
        Pair pair;
        Flag done;
        pair.b->on_messages("c", [&](std::span<const Message> messages) {
            for (const auto& m : messages) kept.push_back(m);
            if (kept.size() == 4) done.set();
        });
        pair.start();
        pair.connect();
        for (const std::size_t size : {3U, 1'000U, 20'000U, 200'000U})
            ASSERT_TRUE(pair.a->send(pair.b->id(), "c", ByteView{pattern(size)}));
        ASSERT_TRUE(done.wait());
    }
    ASSERT_EQ(kept.size(), 4U);
    const auto again = kept;
    kept.clear();
    EXPECT_EQ(again[1].detach(), pattern(1'000));
    EXPECT_EQ(again[3].detach(), pattern(200'000));
    EXPECT_EQ(again[0].channel, "c");
    EXPECT_EQ(again[0].path, "LAN");
}

TEST(Messages, SurviveCutsOnceAndInOrder) {
    constexpr int rounds = 5;
    constexpr int count = 2'000;
    Pair pair;
    Log<int> numbers;
    Log<PeerState> states;
    pair.b->on_message("c", [&](const Message& m) {
        EXPECT_FALSE(m.maybe_repeat);
        numbers.add(std::stoi(std::string{m.text()}));
    });
    pair.start();
    pair.connect();
    for (int round = 0; round < rounds; ++round) {
        for (int i = 0; i < count; ++i) {
            ASSERT_TRUE(pair.a->send(pair.b->id(), "c", std::to_string(round * count + i), waiting()));
            if (i == count / 2) pair.b->disconnect(pair.a->id());  // in the middle of the flow
        }
        // Whoever does not dial again by himself is asked to; what was sent meanwhile waits.
        pair.a->disconnect(pair.b->id());
        ASSERT_TRUE(pair.a->connect(pair.b->id(), patient));
    }
    ASSERT_TRUE(numbers.wait_count(rounds * count));
    const auto last = pair.a->deliver(pair.b->id(), "c", as_bytes(std::to_string(rounds * count)), {}, patient);
    ASSERT_TRUE(last) << last.error();
    const auto all = numbers.all();
    ASSERT_EQ(all.size(), static_cast<std::size_t>(rounds * count + 1));
    for (int i = 0; i <= rounds * count; ++i) ASSERT_EQ(all[static_cast<std::size_t>(i)], i);
    EXPECT_EQ(pair.a->stats().resyncs, 0U);
    EXPECT_EQ(pair.b->stats().resyncs, 0U);
    pair.stop();
}

// The example of the README: a message from within the event that tells of the peer.
TEST(Messages, SentFromTheConnectedEvent) {
    Pair pair;
    Log<std::string> texts;
    for (auto* host : {&pair.a, &pair.b}) {
        auto& node = **host;
        node.on_peer([&](const PeerEvent& e) {
            if (e.state == PeerState::connected) {
                EXPECT_TRUE(node.send(e.peer, "demo", "hello"));
            }
        });
        node.on_message("demo", [&](const Message& m) { texts.add(std::string{m.text()}); });
    }
    pair.start();
    pair.connect();
    EXPECT_TRUE(texts.wait_count(2));
    pair.stop();
}

}  // namespace
}  // namespace kith::node::test
