// SPDX-License-Identifier: Apache-2.0
// How durable messages end, and who hears of it: ttl, keys, cancelling, outcomes on disk, the inbox, stopping.
#include "unit/node/durable_support.hpp"

namespace kith::node::test {
namespace {

using Outcome = Receipt::Outcome;

// A peer that is known and never there: what is sent to it certainly does not arrive.
PeerId absent(Node& node) {
    const auto peer = Identity::generate()->peer_id();
    EXPECT_TRUE(node.add_address(Multiaddr::parse("/ip4/127.0.0.1/tcp/1")->with_peer(peer)));
    return peer;
}

auto into(Log<std::string>& log, const std::string& who) {
    return [&log, who](Result<Receipt> r) {
        constexpr std::array names{"stored", "sent", "delivered", "processed", "expired", "cancelled", "replaced", "failed", "unknown"};
        log.add(who + " " + (r ? names.at(static_cast<std::size_t>(r->outcome)) : std::string{name(r.error().code)}));
    };
}

TEST(DurableEnds, TimeToLive) {
    Machine a;
    a.start();
    auto options = durable();
    options.ttl = std::chrono::milliseconds{20};
    const auto receipt = a->deliver(absent(*a), "c", as_bytes("x"), options, patient);
    ASSERT_TRUE(receipt) << receipt.error();
    EXPECT_EQ(receipt->outcome, Outcome::expired);
}

TEST(DurableEnds, ReliableOnesToo) {
    Machine a;
    a.start();
    SendOptions options;
    options.ttl = std::chrono::milliseconds{20};
    const auto receipt = a->deliver(absent(*a), "c", as_bytes("x"), options, patient);
    ASSERT_TRUE(receipt) << receipt.error();
    EXPECT_EQ(receipt->outcome, Outcome::expired);
}

TEST(DurableEnds, KeyAndCancelAndForget) {
    Log<std::string> log;
    Machine a;
    a.start();
    const auto peer = absent(*a);
    auto keyed = durable();
    keyed.key = 5;
    EXPECT_TRUE(a->async_send(peer, "c", {1}, into(log, "first"), keyed));
    const auto second = a->async_send(peer, "c", {2}, into(log, "second"), keyed);
    ASSERT_TRUE(log.wait_count(1));
    EXPECT_EQ(log.all()[0], "first replaced");
    a->cancel(second);
    ASSERT_TRUE(log.wait_count(2));
    EXPECT_EQ(log.all()[1], "second cancelled");
    a->cancel(a->async_send(peer, "c", {3}, into(log, "third"), durable()));  // while it is in the hand-off
    ASSERT_TRUE(log.wait_count(3));
    EXPECT_EQ(log.all()[2], "third cancelled");
    a->async_send(peer, "c", {4}, into(log, "fourth"), durable());
    a->forget(peer);
    ASSERT_TRUE(log.wait_count(4));
    EXPECT_EQ(log.all()[3], "fourth failed");
    EXPECT_EQ(a->outbox(peer)->messages, 0U);
    EXPECT_FALSE(a->async_send(Identity::generate()->peer_id(), "c", {5}, into(log, "fifth"), durable()));
    ASSERT_TRUE(log.wait_count(5));
    EXPECT_EQ(log.all()[4], "fifth unknown_peer");
    a.stop();
}

// Who waits at stop() hears of it; the message stays.
TEST(DurableEnds, StopKeepsWhatWaits) {
    Log<std::string> log;
    Machine a;
    a.start();
    const auto peer = absent(*a);
    a->async_send(peer, "c", {1}, into(log, "one"), durable());
    a->async_send(peer, "c", {2}, into(log, "two"), durable(Outcome::stored));
    a.stop();
    ASSERT_TRUE(log.wait_count(2));
    EXPECT_EQ(log.all()[0], "two stored");
    EXPECT_EQ(log.all()[1], "one stopped");
    a.start();
    EXPECT_EQ(a->outbox(peer)->messages, 2U);
}

// ---- outcomes on disk

struct End {
    std::uint64_t tag = 0;
    Outcome outcome{};
};

void hear(Machine& machine, Log<End>& log) {
    machine->on_outcome([&log](const DurableOutcome& end) { log.add({end.tag, end.outcome}); });
}

TEST(DurableEnds, OutcomesAreKeptUntilTheyWereTold) {
    Log<std::string> log;
    Log<End> ends;
    Machine a;
    a.start();
    const auto peer = absent(*a);
    const auto end_one = [&](std::uint64_t tag) {
        auto options = durable();
        options.tag = tag;
        const auto before = log.size();
        a->cancel(a->async_send(peer, "c", {1}, into(log, "x"), options));
        ASSERT_TRUE(log.wait_count(before + 1));
        EXPECT_EQ(log.all()[before], "x cancelled");
    };
    end_one(7);
    end_one(8);
    a.stop();
    a.start();
    hear(a, ends);
    ASSERT_TRUE(ends.wait_count(2));
    end_one(9);
    ASSERT_TRUE(ends.wait_count(3));
    a.stop();
    a.start();
    hear(a, ends);
    end_one(10);
    ASSERT_TRUE(ends.wait_count(4));
    for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_EQ(ends.all()[i].tag, 7 + i);
        EXPECT_EQ(ends.all()[i].outcome, Outcome::cancelled);
    }
    a.stop();
}

TEST(DurableEnds, TaggedOnesAreToldWhenDelivered) {
    constexpr std::size_t count = 600;  // more than one page
    Log<End> ends;
    Machine a;
    Machine b;
    a.start();
    b.start();
    hear(a, ends);
    connect(a, b);
    const auto peer = b->id();
    auto options = durable();
    for (std::size_t i = 1; i <= count; ++i) {
        options.tag = i;
        ASSERT_TRUE(a->send(peer, "c", "x", options));
        ASSERT_TRUE(a->send(peer, "c", "untagged", durable()));
    }
    ASSERT_TRUE(ends.wait_count(count));
    ASSERT_TRUE(a->deliver(peer, "c", as_bytes("last"), durable(), patient));
    const auto all = ends.all();
    ASSERT_EQ(all.size(), count);
    for (std::size_t i = 0; i < count; ++i) {
        EXPECT_EQ(all[i].tag, i + 1);
        EXPECT_EQ(all[i].outcome, Outcome::delivered);
    }
    a.stop();
}

// ---- the inbox

TEST(DurableEnds, AfterWhatTheApplicationHas) {
    Machine a;
    Machine b;
    a.start();
    b.start();
    connect(a, b);
    const auto peer = b->id();
    for (int i = 1; i <= 5; ++i) ASSERT_TRUE(a->deliver(peer, "c", as_bytes(std::to_string(i)), durable(), patient));
    a.stop();
    b.stop();
    b.start();
    b.listen("c", {.after = 3});
    ASSERT_TRUE(b.got.wait_count(2));
    b.stop();
    b.start();
    b->on_messages("c",
                   [&](std::span<const Message> messages) {
                       for (const auto& m : messages) b.got.add({std::string{m.text()}, m.inbox_id, m.maybe_repeat, m.durable});
                   },
                   {.after = 6});
    a.start();
    connect(a, b);
    ASSERT_TRUE(a->deliver(peer, "c", as_bytes("6"), durable(Outcome::processed), patient));
    ASSERT_TRUE(a->deliver(peer, "c", as_bytes("7"), durable(Outcome::processed), patient));
    const auto got = b.got.all();
    ASSERT_EQ(got.size(), 3U);
    EXPECT_EQ(got[0].text, "4");
    EXPECT_EQ(got[1].text, "5");
    EXPECT_EQ(got[2].text, "7");
}

// A handler that did not return is not done with its message, whoever stopped the node: it comes again, and says so.
TEST(DurableEnds, StoppedInsideTheHandler) {
    Machine a;
    Machine b;
    a.start();
    b.start();
    Flag seen;
    b->on_message("c", [&, node = &*b](const Message&) {
        node->stop();
        seen.set();
    });
    connect(a, b);
    ASSERT_TRUE(a->send(b->id(), "c", "x", durable()));
    ASSERT_TRUE(seen.wait());
    b.stop();
    b.start();
    b.listen("c");
    ASSERT_TRUE(b.got.wait_count(1));
    EXPECT_TRUE(b.got.all()[0].repeat);
    EXPECT_EQ(b.got.all()[0].inbox, 1U);
}

TEST(DurableEnds, StoppedWhileTheHandlerRuns) {
    Machine a;
    Machine b;
    a.start();
    b.start();
    Flag began;
    Flag stopping;
    b->on_message("c", [&](const Message&) {
        began.set();
        stopping.wait();
    });
    connect(a, b);
    const auto peer = b->id();
    ASSERT_TRUE(a->send(peer, "c", "seen", durable()));
    ASSERT_TRUE(began.wait());
    ASSERT_TRUE(a->deliver(peer, "c", as_bytes("not seen"), durable(), patient));
    stopping.set();
    b.stop();
    const auto taken = [&] {  // a machine may be slow, and the handler had both
        b.start();
        b.listen("c");
        connect(a, b);
        return a->deliver(peer, "c", as_bytes("last"), durable(Outcome::processed), patient).has_value();
    };
    ASSERT_TRUE(taken());
    const auto got = b.got.all();
    EXPECT_EQ(got.back().text, "last");
    for (const auto& m : got) {
        EXPECT_NE(m.text, "seen");
        EXPECT_FALSE(m.repeat);
    }
}

TEST(DurableEnds, TheDatabaseIsTold) {
    Log<Notice> notices;
    Machine a;
    Node node{a.config()};
    node.on_notice([&](const Notice& notice) { notices.add(notice); });
    ASSERT_TRUE(node.start());
    ASSERT_TRUE(notices.wait_count(1));
    EXPECT_EQ(notices.all()[0].kind, Notice::Kind::store_opened);
    EXPECT_EQ(notices.all()[0].text, "a new database was made");
    EXPECT_EQ(name(notices.all()[0].kind), "store_opened");
    node.stop();
}

// ---- in every way a node can get its threads

class DurableModes : public testing::TestWithParam<Mode> {};

TEST_P(DurableModes, ProcessedAndRestarted) {
    Folder home_a;
    Folder home_b;
    const auto config = [](const Folder& folder) {
        auto out = local();
        out.home = folder.path;
        out.durable_from = DurableFrom::everybody;
        return out;
    };
    Log<std::string> got;
    for (int run = 0; run < 2; ++run) {
        Pair pair{GetParam(), config(home_a), config(home_b)};
        pair.b->on_message("c", [&](const Message& m) { got.add(std::string{m.text()} + (m.maybe_repeat ? " again" : "")); });
        pair.start();
        pair.connect();
        const auto text = std::to_string(run);
        const auto receipt = pair.a->deliver(pair.b->id(), "c", as_bytes(text), durable(Outcome::processed), patient);
        ASSERT_TRUE(receipt) << receipt.error();
        EXPECT_EQ(receipt->outcome, Outcome::processed);
        ASSERT_TRUE(pair.a->send(pair.b->id(), "quiet", "waits", durable(Outcome::processed)));
        pair.stop();
    }
    EXPECT_EQ(got.all(), (std::vector<std::string>{"0", "1"}));
}

INSTANTIATE_TEST_SUITE_P(Modes, DurableModes, testing::Values(Mode::own, Mode::executor, Mode::manual, Mode::loop, Mode::polled),
                         [](const auto& mode) { return mode_name(mode.param); });

}  // namespace
}  // namespace kith::node::test
