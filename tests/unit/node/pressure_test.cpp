// SPDX-License-Identifier: Apache-2.0
// Full queues: who gives way, what is told, who may wait.
#include "node/queue.hpp"
#include "unit/node/support.hpp"

namespace kith::node::test {
namespace {

Config limited(std::size_t messages, std::size_t bytes = 8U << 20U) {
    auto config = local();
    config.max_queued_messages = messages;
    config.max_queued_bytes = bytes;
    return config;
}

SendOptions with(Priority priority) {
    SendOptions out;
    out.priority = priority;
    return out;
}

// How many messages of that priority are accepted from now on.
int fill(Node& node, const PeerId& to, std::string_view channel, Priority priority) {
    int n = 0;
    while (node.send(to, channel, "x", with(priority))) ++n;
    return n;
}

TEST(Thresholds, LevelsAndMarks) {
    const Thresholds limits{limited(1'000, 100'000)};
    EXPECT_EQ(limits.pressure(0, 0), 0);
    EXPECT_EQ(limits.pressure(9, 0), 0);
    EXPECT_EQ(limits.pressure(10, 0), 1);
    EXPECT_EQ(limits.pressure(10, 50'000), 50);  // the larger of the two
    EXPECT_EQ(limits.pressure(1'000, 500'000), 100);
    EXPECT_EQ(limits.level(49), PressureLevel::none);
    EXPECT_EQ(limits.level(50), PressureLevel::light);
    EXPECT_EQ(limits.level(74), PressureLevel::light);
    EXPECT_EQ(limits.level(75), PressureLevel::heavy);
    EXPECT_EQ(limits.level(90), PressureLevel::blocking);
    EXPECT_EQ(limits.level(100), PressureLevel::blocking);
    EXPECT_EQ(name(PressureLevel::heavy), "heavy");
    // A mark is reached exactly when the pressure is, whatever the limits.
    for (const std::size_t max : {1U, 2U, 3U, 7U, 99U, 100U, 101U, 1'000U}) {
        const auto config = limited(max, max);
        const Thresholds t{config};
        for (std::uint64_t n = 0; n <= max; ++n) {
            const auto pressure = t.pressure(n, 0);
            EXPECT_EQ(t.high().reached(n, 0), pressure >= config.high_watermark) << n << " of " << max;
            EXPECT_EQ(t.above_low().reached(0, n), pressure > config.low_watermark) << n << " of " << max;
            EXPECT_EQ(t.end_of(Priority::low, 0xF).reached(n, 0), pressure >= config.pressure.heavy) << n << " of " << max;
        }
    }
}

TEST(Thresholds, PercentagesAreChecked) {
    const auto refused = [](auto change) {
        auto config = local();
        change(config);
        Node node{std::move(config)};
        const auto ok = node.start();
        return !ok && ok.error() == Errc::invalid_argument;
    };
    EXPECT_TRUE(refused([](Config& c) { c.pressure.light = 0; }));
    EXPECT_TRUE(refused([](Config& c) { c.pressure.light = 76; }));
    EXPECT_TRUE(refused([](Config& c) { c.pressure.heavy = 91; }));
    EXPECT_TRUE(refused([](Config& c) { c.pressure.blocking = 101; }));
    EXPECT_TRUE(refused([](Config& c) { c.low_watermark = 90; }));
    EXPECT_TRUE(refused([](Config& c) { c.low_watermark = -1; }));
    EXPECT_TRUE(refused([](Config& c) { c.high_watermark = 101; }));
    EXPECT_FALSE(refused([](Config& c) { c.low_watermark = 0, c.high_watermark = 100; }));
}

// Many threads reserve and give back: nothing is lost and the crossings alternate.
TEST(Queue, CrossingsAlternate) {
    const Thresholds limits{limited(20)};
    Queue queue;
    std::atomic<int> rises{0};
    std::atomic<int> falls{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            int mine = 0;
            Queue::Load at;
            for (int i = 0; i < 100'000; ++i) {
                const auto answer = queue.reserve(limits, limits.end_of(Priority::critical, 0), 10, at);
                if (answer == Queue::Answer::taken_and_above) ++rises;
                if (answer != Queue::Answer::full) ++mine;
                if (mine < 6) continue;
                bool fell = false;
                queue.give_back(limits, 6, 60, fell);
                if (fell) ++falls;
                mine -= 6;
            }
            bool fell = false;
            queue.give_back(limits, static_cast<std::uint64_t>(mine), static_cast<std::uint64_t>(mine) * 10, fell);
            if (fell) ++falls;
        });
    }
    for (auto& t : threads) t.join();
    EXPECT_EQ(queue.load().messages, 0U);
    EXPECT_EQ(queue.load().bytes, 0U);
    EXPECT_FALSE(queue.load().above);
    EXPECT_EQ(rises, falls);
}

TEST(Pressure, OnePriorityHasTheWholeQueue) {
    Pair pair{Mode::own, limited(100)};
    pair.start();
    pair.connect();
    const auto& to = pair.b->id();
    EXPECT_EQ(fill(*pair.a, to, "low", Priority::low), 100);
    EXPECT_EQ(fill(*pair.a, to, "normal", Priority::normal), 100);
    EXPECT_EQ(fill(*pair.a, to, "critical", Priority::critical), 100);
    EXPECT_EQ(pair.a->send(to, "normal", "x").error().what, "");  // full, not just too full for this one
    pair.stop();
}

TEST(Pressure, LowerPrioritiesGiveWay) {
    Pair pair{Mode::own, limited(100)};
    pair.start();
    pair.connect();
    const auto& to = pair.b->id();
    ASSERT_TRUE(pair.a->send(to, "c", "x", with(Priority::critical)));
    EXPECT_EQ(fill(*pair.a, to, "c", Priority::low), 74);
    auto why = pair.a->send(to, "c", "x", with(Priority::low)).error();
    EXPECT_EQ(why, Errc::queue_full);
    EXPECT_EQ(why.what, "at heavy pressure there is no room for this priority");
    EXPECT_EQ(fill(*pair.a, to, "c", Priority::normal), 15);
    why = pair.a->send(to, "c", "x").error();
    EXPECT_EQ(why.what, "at blocking pressure there is no room for this priority");
    EXPECT_EQ(fill(*pair.a, to, "c", Priority::high), 10);
    EXPECT_EQ(pair.a->send(to, "c", "x", with(Priority::critical)).error().what, "");
    pair.stop();
}

TEST(Pressure, PolicyIsConfigurable) {
    auto config = limited(100);
    config.pressure.light = 10;
    config.pressure.low = PressureLevel::none;
    config.pressure.normal = PressureLevel::blocking;
    config.pressure.always = true;
    Pair pair{Mode::own, std::move(config)};
    pair.start();
    pair.connect();
    EXPECT_EQ(fill(*pair.a, pair.b->id(), "c", Priority::low), 10);
    EXPECT_EQ(pair.a->send(pair.b->id(), "c", "x", with(Priority::low)).error().what,
              "at light pressure there is no room for this priority");
    EXPECT_EQ(fill(*pair.a, pair.b->id(), "c", Priority::normal), 90);
    pair.stop();
}

TEST(Pressure, BytesCountAsMessagesDo) {
    Pair pair{Mode::own, limited(1'000, 1'000)};
    pair.start();
    pair.connect();
    const auto& to = pair.b->id();
    auto channel = pair.a->channel(to, "c");
    EXPECT_EQ(channel.pressure(), 0);
    ASSERT_TRUE(channel.send(ByteView{pattern(600)}));
    EXPECT_EQ(channel.pressure(), 60);
    const auto info = pair.a->queue(to, "c");
    ASSERT_TRUE(info);
    EXPECT_EQ(info->messages, 1U);
    EXPECT_EQ(info->bytes, 600U);
    EXPECT_EQ(info->pressure, 60);
    EXPECT_EQ(info->level, PressureLevel::light);
    EXPECT_FALSE(info->above);
    EXPECT_EQ(info->max_messages, 1'000U);
    EXPECT_EQ(info->max_bytes, 1'000U);
    EXPECT_EQ(channel.send(ByteView{pattern(401)}).error(), Errc::queue_full);
    ASSERT_TRUE(channel.send(ByteView{pattern(300)}));
    EXPECT_TRUE(pair.a->queue(to, "c")->above);
    ASSERT_TRUE(pair.a->send(to, "large", ByteView{pattern(5'000)}));  // into an empty queue
    EXPECT_EQ(pair.a->queue(to, "large")->pressure, 100);
    EXPECT_EQ(pair.a->queue(to, "unused")->messages, 0U);
    EXPECT_EQ(pair.a->queue(Identity::generate()->peer_id(), "c").error(), Errc::unknown_peer);
    EXPECT_EQ(Channel{}.pressure(), 0);
    pair.stop();
}

struct PressureModes : testing::TestWithParam<Mode> {};
INSTANTIATE_TEST_SUITE_P(Modes, PressureModes, testing::Values(Mode::own, Mode::executor, Mode::manual, Mode::loop, Mode::polled),
                         [](const auto& test) { return mode_name(test.param); });

TEST_P(PressureModes, WatermarksAreToldOnce) {
    Pair pair{GetParam(), limited(10)};
    Log<PressureEvent> events;
    pair.a->on_pressure([&](const PressureEvent& e) { events.add(e); });
    pair.start();
    pair.connect();
    const auto& to = pair.b->id();
    for (int i = 0; i < 8; ++i) ASSERT_TRUE(pair.a->send(to, "c", "x"));
    EXPECT_EQ(events.size(), 0U);
    ASSERT_TRUE(pair.a->send(to, "c", "x"));
    ASSERT_TRUE(events.wait_count(1));
    ASSERT_TRUE(pair.a->send(to, "c", "x"));
    EXPECT_FALSE(pair.a->send(to, "c", "x"));
    ASSERT_TRUE(pair.a->send(to, "other", "x"));
    pair.b->on_message("c", [](const Message&) {});
    ASSERT_TRUE(events.wait_count(2));
    ASSERT_TRUE(pair.a->deliver(to, "c", as_bytes("x"), {}, patient));
    const auto all = events.all();
    ASSERT_EQ(all.size(), 2U);
    for (const auto& e : all) {
        EXPECT_EQ(e.peer, to);
        EXPECT_EQ(e.channel, "c");
    }
    EXPECT_TRUE(all[0].above);
    EXPECT_EQ(all[0].pressure, 90);
    EXPECT_EQ(all[0].level, PressureLevel::blocking);
    EXPECT_FALSE(all[1].above);
    EXPECT_LE(all[1].pressure, 50);
    EXPECT_EQ(pair.a->stats().events_dropped, 0U);
    pair.stop();
}

TEST(Pressure, HandlerThatComesLate) {
    Pair pair{Mode::own, limited(10)};
    pair.start();
    pair.connect();
    const auto& to = pair.b->id();
    EXPECT_EQ(fill(*pair.a, to, "c", Priority::normal), 10);
    Log<PressureEvent> events;
    pair.a->on_pressure([&](const PressureEvent& e) { events.add(e); });
    ASSERT_TRUE(events.wait_count(1));
    EXPECT_TRUE(events.all().front().above);
    pair.b->on_message("c", [](const Message&) {});
    ASSERT_TRUE(events.wait_count(2));
    EXPECT_FALSE(events.all().back().above);
    // What is over is no news for the next one.
    Log<PressureEvent> later;
    pair.a->on_pressure([&](const PressureEvent& e) { later.add(e); });
    Flag looked;
    pair.a->async_ping(to, [&](const Result<PingResult>&) { looked.set(); });  // the callback after the look
    ASSERT_TRUE(looked.wait());
    EXPECT_EQ(later.size(), 0U);
    pair.stop();
}

// A callback thread that is busy misses pairs, and is told the truth in the end.
TEST(Pressure, ManyCrossingsWhileNobodyLooks) {
    Pair pair{Mode::own, limited(10)};
    Log<bool> events;
    Flag go;
    Flag inside;
    pair.a->on_pressure([&](const PressureEvent& e) {
        events.add(e.above);
        inside.set();
        if (!go.wait()) ADD_FAILURE();
    });
    std::atomic<int> received{0};
    pair.b->on_message("c", [&](const Message&) { ++received; });
    pair.start();
    pair.connect();
    auto channel = pair.a->channel(pair.b->id(), "c");
    SendOptions options;
    options.wait = patience;
    int sent = 0;
    const auto rounds = [&](int n) {
        for (int i = 0; i < n; ++i) {
            while (!pair.a->queue(pair.b->id(), "c")->above) {
                ASSERT_TRUE(channel.send("x", options));
                ++sent;
            }
            while (pair.a->queue(pair.b->id(), "c")->above) std::this_thread::yield();
        }
    };
    pair.a->send(pair.b->id(), "c", "x").has_value();
    ++sent;
    std::thread other([&] { rounds(20); });
    EXPECT_TRUE(inside.wait());
    other.join();
    go.set();
    while (received < sent) std::this_thread::yield();
    // The last look ends with "below".
    ASSERT_TRUE(events.wait([](const auto& all) { return all.size() % 2 == 0 && !all.empty(); }));
    const auto all = events.all();
    for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], i % 2 == 0) << i;
    pair.stop();
}

TEST(Pressure, WaitingSends) {
    Pair pair{Mode::own, limited(1)};
    pair.start();
    pair.connect();
    const auto& to = pair.b->id();
    ASSERT_TRUE(pair.a->send(to, "c", "first", {}, patient));
    EXPECT_EQ(pair.a->send(to, "c", "x", {}, Wait{std::chrono::milliseconds{20}}).error(), Errc::queue_full);
    auto channel = pair.a->channel(to, "c");
    std::stop_source stop;
    std::thread other([&] { stop.request_stop(); });
    EXPECT_EQ(channel.send("x", {}, Wait{patience, stop.get_token()}).error(), Errc::cancelled);
    other.join();
    EXPECT_EQ(Channel{}.send("x", {}, patient).error(), Errc::invalid_argument);
    Log<std::string> texts;
    std::thread waiting([&] { EXPECT_TRUE(channel.send("second", {}, patient)); });
    pair.b->on_message("c", [&](const Message& m) { texts.add(std::string{m.text()}); });
    waiting.join();
    ASSERT_TRUE(texts.wait_count(2));
    EXPECT_EQ(texts.all(), (std::vector<std::string>{"first", "second"}));
    pair.stop();
}

// A lower priority that waits is let in when the pressure allows it.
TEST(Pressure, WaitingBelowALevel) {
    Pair pair{Mode::own, limited(100)};
    pair.start();
    pair.connect();
    const auto& to = pair.b->id();
    EXPECT_EQ(fill(*pair.a, to, "c", Priority::critical), 100);
    std::atomic<int> received{0};
    std::vector<std::thread> threads;
    for (const auto priority : {Priority::low, Priority::normal}) {
        threads.emplace_back([&, priority] {
            for (int i = 0; i < 200; ++i) EXPECT_TRUE(pair.a->send(to, "c", "x", with(priority), patient));
        });
    }
    pair.b->on_message("c", [&](const Message&) { ++received; });
    for (auto& t : threads) t.join();
    while (received < 500) std::this_thread::yield();
    pair.stop();
}

TEST_P(PressureModes, ACallbackDoesNotWait) {
    Pair pair{GetParam(), limited(2)};
    Log<Errc> codes;
    pair.a->on_message("go", [&](const Message& m) {
        SendOptions options;
        options.wait = patience;
        EXPECT_TRUE(pair.a->send(m.from, "c", "1", options));  // there is room: nothing to wait for
        EXPECT_TRUE(pair.a->send(m.from, "c", "2", {}, patient));
        codes.add(pair.a->send(m.from, "c", "3", options).error().code);
        codes.add(pair.a->send(m.from, "c", "4", {}, patient).error().code);
        codes.add(pair.a->channel(m.from, "c").send("5", {}, patient).error().code);
        codes.add(pair.a->send(m.from, "c", "6").error().code);
        codes.add(pair.a->broadcast("c", "7", options).front().status.error().code);
    });
    pair.start();
    pair.connected_both();
    ASSERT_TRUE(pair.b->send(pair.a->id(), "go", "x"));
    ASSERT_TRUE(codes.wait_count(5));
    constexpr auto blocked = Errc::would_block_callback;
    EXPECT_EQ(codes.all(), (std::vector{blocked, blocked, blocked, Errc::queue_full, blocked}));
    pair.stop();
}

}  // namespace
}  // namespace kith::node::test
