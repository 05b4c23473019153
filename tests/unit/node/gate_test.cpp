// SPDX-License-Identifier: Apache-2.0
// The gate: what a small message may cost. Counts, not times.
#include <iostream>

#include "unit/node/support.hpp"

namespace kith::node::test {
namespace {

TEST(Gate, AllocationsAndWakeUpsPerMessage) {
    constexpr std::uint64_t warm = 50'000;
    constexpr std::uint64_t count = 100'000;
    Pair pair;
    std::atomic<std::uint64_t> received{0};
    Flag warmed;
    Flag done;
    pair.b->on_messages("gate", [&](std::span<const Message> messages) {
        const auto before = received.fetch_add(messages.size());
        const auto now = before + messages.size();
        if (before < warm && now >= warm) warmed.set();
        if (now == warm + count) done.set();
    });
    pair.start();
    pair.connect();
    auto channel = pair.a->channel(pair.b->id(), "gate");
    const Bytes message(64, 7);
    SendOptions options;
    options.wait = patience;
    for (std::uint64_t i = 0; i < warm; ++i) ASSERT_TRUE(channel.send(ByteView{message}, options));
    ASSERT_TRUE(warmed.wait());

    const auto stats = pair.a->stats();
    const auto allocated = allocations();
    for (std::uint64_t i = 0; i < count; ++i) ASSERT_TRUE(channel.send(ByteView{message}, options));
    ASSERT_TRUE(done.wait());
    const auto allocations_made = allocations() - allocated;
    const auto after = pair.a->stats();
    const auto wakeups = after.engine_wakeups - stats.engine_wakeups;
    const auto records = after.records_sent - stats.records_sent;
    const auto per = [](std::uint64_t n) { return static_cast<double>(count) / static_cast<double>(std::max<std::uint64_t>(1, n)); };
    std::cout << "per allocation (both nodes): " << per(allocations_made) << " messages; per engine wake-up: " << per(wakeups)
              << "; per record: " << per(records) << "\n";
    EXPECT_LE(allocations_made, count / 100);  // of both sides together
    EXPECT_LE(wakeups, count / 20);
    EXPECT_GE(per(records), 1.0);
    EXPECT_EQ(received, warm + count);
    EXPECT_EQ(after.resyncs, 0U);
    pair.stop();
}

// A refusal is a value: it must not cost memory either, since it comes when there is too much to do.
TEST(Gate, RefusalsAllocateNothing) {
    auto config = local();
    config.max_queued_messages = 4;
    Pair pair{Mode::own, std::move(config)};
    pair.start();
    pair.connect();
    // Both have said all that they say at the beginning.
    while (pair.a->peer(pair.b->id())->state != PeerState::identified) std::this_thread::yield();
    while (!pair.b->peer(pair.a->id()) || pair.b->peer(pair.a->id())->state != PeerState::identified) std::this_thread::yield();
    auto channel = pair.a->channel(pair.b->id(), "nobody-listens");
    while (channel.send("x")) {
    }
    const auto stranger = *Identity::generate();
    ASSERT_EQ(channel.send("x").error(), Errc::queue_full);
    while (pair.b->stats().messages_received < 4) std::this_thread::yield();
    ASSERT_TRUE(pair.a->ping(pair.b->id(), patient));
    const auto before = allocations();
    for (int i = 0; i < 1'000; ++i) {
        if (channel.send("x") || pair.a->send(stranger.peer_id(), "c", "x")) FAIL();
    }
    // Others may be at work in both nodes (acknowledgements, timers).
    EXPECT_LT(allocations() - before, 100U);
    pair.stop();
}

}  // namespace
}  // namespace kith::node::test
