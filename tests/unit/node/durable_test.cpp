// SPDX-License-Identifier: Apache-2.0
// Durable messages between two nodes: receipts, restarts of either side, what is refused.
#include "unit/node/durable_support.hpp"

namespace kith::node::test {
namespace {

using Outcome = Receipt::Outcome;

TEST(Durable, Receipts) {
    Machine a;
    Machine b;
    a.start();
    b.start();
    b.listen("c");
    connect(a, b);
    const auto& peer = b->id();
    for (const auto until : {Outcome::stored, Outcome::delivered, Outcome::processed}) {
        const auto receipt = a->deliver(peer, "c", as_bytes("hello"), durable(until), patient);
        ASSERT_TRUE(receipt) << receipt.error();
        EXPECT_EQ(receipt->outcome, until);
    }
    ASSERT_TRUE(b.got.wait_count(3));
    const auto got = b.got.all();
    for (std::size_t i = 0; i < got.size(); ++i) {
        EXPECT_TRUE(got[i].durable);
        EXPECT_FALSE(got[i].repeat);
        EXPECT_EQ(got[i].inbox, i + 1);
    }
}

// Stored is enough: the sender may go before the receiver is there.
TEST(Durable, SenderRestarts) {
    Machine a;
    Machine b;
    a.start();
    b.start();
    connect(a, b);
    const auto peer = b->id();
    b.stop();
    for (int i = 0; i < 10; ++i) {
        const auto receipt = a->deliver(peer, "c", as_bytes(std::to_string(i)), durable(Outcome::stored), patient);
        ASSERT_TRUE(receipt) << receipt.error();
    }
    a.stop();
    a.start();
    EXPECT_EQ(a->outbox(peer)->messages, 10U);
    EXPECT_TRUE(a->send(peer, "c", "last", durable()));  // no address is known, but the queue is
    b.start();
    b.listen("c");
    connect(a, b);
    ASSERT_TRUE(b.got.wait_count(11));
    for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(b.got.all()[i].text, std::to_string(i));
    EXPECT_EQ(b.got.all()[10].text, "last");
    EXPECT_FALSE(b.got.all()[0].repeat);
}

// On the other disk is delivered: what no handler took is there after a restart, once and without a mark.
TEST(Durable, ReceiverRestarts) {
    Machine a;
    Machine b;
    a.start();
    b.start();
    connect(a, b);
    const auto peer = b->id();
    for (int i = 0; i < 10; ++i) {
        const auto receipt = a->deliver(peer, "c", as_bytes(std::to_string(i)), durable(), patient);
        ASSERT_TRUE(receipt) << receipt.error();
    }
    a.stop();
    b.stop();
    b.start();
    b.listen("c");
    ASSERT_TRUE(b.got.wait_count(10));
    b.stop();  // what was handed over does not come again
    b.start();
    b.listen("c");
    a.start();
    connect(a, b);
    ASSERT_TRUE(a->deliver(peer, "c", as_bytes("last"), durable(Outcome::processed), patient));
    const auto got = b.got.all();
    ASSERT_EQ(got.size(), 11U);
    for (std::size_t i = 0; i < 10; ++i) {
        EXPECT_EQ(got[i].text, std::to_string(i));
        EXPECT_FALSE(got[i].repeat);
        EXPECT_EQ(got[i].inbox, i + 1);
    }
    EXPECT_EQ(got[10].text, "last");
}

TEST(Durable, ManyInOrder) {
    constexpr std::size_t count = 2'000;
    Machine a;
    Machine b;
    a.start();
    b.start();
    b.listen("c");
    connect(a, b);
    auto channel = a->channel(b->id(), "c");
    for (std::size_t i = 0; i < count; ++i) ASSERT_TRUE(channel.send(std::to_string(i), durable()));
    ASSERT_TRUE(b.got.wait_count(count));
    const auto got = b.got.all();
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(got[i].text, std::to_string(i));
    EXPECT_EQ(a->stats().resyncs + b->stats().resyncs, 0U);
}

// More than the window in memory, while nobody takes them; then both sides read from their disks.
TEST(Durable, MoreThanMemoryHolds) {
    constexpr std::size_t count = 5'000;
    Machine a;
    Machine b;
    a.start();
    b.start();
    connect(a, b);
    auto channel = a->channel(b->id(), "c");
    const auto peer = b->id();
    for (std::size_t i = 0; i + 1 < count; ++i) ASSERT_TRUE(channel.send(std::to_string(i), durable()));
    ASSERT_TRUE(a->deliver(peer, "c", as_bytes(std::to_string(count - 1)), durable(), patient));
    EXPECT_EQ(a->outbox(peer)->messages, 0U);
    b.listen("c");
    ASSERT_TRUE(b.got.wait_count(count));
    const auto got = b.got.all();
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(got[i].text, std::to_string(i));
}

TEST(Durable, BesideReliableOnOneChannel) {
    Machine a;
    Machine b;
    a.start();
    b.start();
    b.listen("c");
    connect(a, b);
    for (int i = 0; i < 100; ++i) {
        ASSERT_TRUE(a->send(b->id(), "c", "d" + std::to_string(i), durable()));
        ASSERT_TRUE(a->send(b->id(), "c", "r" + std::to_string(i)));
    }
    ASSERT_TRUE(b.got.wait_count(200));
    std::size_t d = 0;
    std::size_t r = 0;
    for (const auto& m : b.got.all()) {
        EXPECT_EQ(m.durable, m.text[0] == 'd');
        EXPECT_EQ(m.inbox != 0, m.durable);
        EXPECT_EQ(m.text.substr(1), std::to_string(m.durable ? d++ : r++));
    }
}

// ---- refusals

TEST(Durable, WithoutStore) {
    Pair pair;
    pair.start();
    pair.connect();
    EXPECT_EQ(pair.a->send(pair.b->id(), "c", "x", durable()).error(), Errc::no_store);
    SendOptions stored;
    stored.until = Outcome::stored;
    EXPECT_EQ(pair.a->deliver(pair.b->id(), "c", as_bytes("x"), stored, patient).error(), Errc::invalid_argument);
    stored.until = Outcome::expired;
    EXPECT_EQ(pair.a->deliver(pair.b->id(), "c", as_bytes("x"), stored, patient).error(), Errc::invalid_argument);
    SendOptions negative;
    negative.ttl = Duration{-1};
    EXPECT_EQ(pair.a->send(pair.b->id(), "c", "x", negative).error(), Errc::invalid_argument);
    pair.stop();
}

TEST(Durable, OneNodeAtATime) {
    Machine a;
    a.start();
    Node second{a.config()};
    auto refused = second.start();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), Errc::in_use);
    a.stop();
    EXPECT_TRUE(second.start());
}

TEST(Durable, QuotaOfTheOutbox) {
    Machine a;
    Machine b;
    auto config = a.config();
    config.outbox_messages = 4;
    a.start(std::move(config));
    b.start();
    connect(a, b);
    const auto peer = b->id();
    b.stop();
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(a->send(peer, "c", std::to_string(i), durable()));
    EXPECT_EQ(a->send(peer, "c", "x", durable()).error(), Errc::queue_full);
    EXPECT_EQ(a->send(peer, "other", "x", durable()).error(), Errc::queue_full);
    EXPECT_EQ(a->outbox(peer)->pressure, 100);
    b.start();
    b.listen("c");
    connect(a, b);
    auto waits = durable();
    waits.wait = patience;
    EXPECT_TRUE(a->send(peer, "c", "room", waits));
    ASSERT_TRUE(b.got.wait_count(5));
    EXPECT_EQ(b.got.all()[4].text, "room");
}

// Nobody's by default but of known peers; the others' wait.
TEST(Durable, FromKnownPeersOnly) {
    Machine a;
    Machine b;
    a.start();
    auto config = b.config();
    config.durable_from = DurableFrom::known;
    b.start(std::move(config));
    b.listen("c");
    connect(a, b);
    const auto peer = b->id();
    ASSERT_TRUE(a->deliver(peer, "c", as_bytes("x"), durable(Outcome::stored), patient));
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(a->deliver(peer, "c", as_bytes("reliable"), {}, patient));
    EXPECT_EQ(b.got.size(), 3U);
    EXPECT_EQ(a->outbox(peer)->messages, 1U);
    ASSERT_TRUE(b->add_address(a->addresses().front()));
    ASSERT_TRUE(b.got.wait_count(4));
    EXPECT_EQ(b.got.all()[3].text, "x");
    EXPECT_FALSE(b.got.all()[3].repeat);
}

TEST(Durable, WhomWeSendToIsKnown) {
    Machine a;
    Machine b;
    a.start();
    auto config = b.config();
    config.durable_from = DurableFrom::known;
    b.start(std::move(config));
    b.listen("c");
    connect(a, b);
    const auto peer = b->id();
    ASSERT_TRUE(a->deliver(peer, "c", as_bytes("x"), durable(Outcome::stored), patient));
    ASSERT_TRUE(a->deliver(peer, "c", as_bytes("reliable"), {}, patient));
    EXPECT_EQ(b.got.size(), 1U);
    ASSERT_TRUE(b->send(a->id(), "back", "y"));
    ASSERT_TRUE(b.got.wait_count(2));
}

}  // namespace
}  // namespace kith::node::test
