// SPDX-License-Identifier: Apache-2.0
// Receive windows: the unit, and their growth on a path in virtual time.
#include "mux/window.hpp"

#include <gtest/gtest.h>

#include <deque>

#include "support.hpp"

namespace kith::mux::test {
namespace {

using namespace std::chrono_literals;

TEST(ReceiveWindow, CountsCreditUnreadAndOwed) {
    ReceiveWindow w{1000};
    EXPECT_TRUE(w.receive(600, {}));
    EXPECT_FALSE(w.receive(401, {}));
    EXPECT_EQ(w.credit(), 400U);
    EXPECT_EQ(w.unread(), 600U);
    w.consume(499);
    EXPECT_FALSE(w.update_due());
    w.consume(1);
    EXPECT_TRUE(w.update_due());
    EXPECT_EQ(w.announce(), 500U);
    EXPECT_EQ(w.credit(), 900U);
    w.consume(10'000);
    EXPECT_EQ(w.unread(), 0U);
    EXPECT_EQ(w.owed(), 100U);
}

TEST(ReceiveWindow, GrowsOnlyWithinFourRoundTripsTheLimitAndTheBudget) {
    const auto tuned = [](std::optional<Duration> rtt, Duration later, std::uint32_t max, std::uint64_t budget) {
        ReceiveWindow w{1000};
        EXPECT_TRUE(w.receive(1000, at(1s)));
        w.consume(1000);
        const std::uint32_t growth = w.tune(at(1s + later), rtt, max, budget);
        EXPECT_EQ(w.announce(), 1000 + growth);
        return growth;
    };
    EXPECT_EQ(tuned(10ms, 39ms, 100'000, 100'000), 1000U);
    EXPECT_EQ(tuned(10ms, 40ms, 100'000, 100'000), 0U);
    EXPECT_EQ(tuned(std::nullopt, 0ms, 100'000, 100'000), 0U);
    EXPECT_EQ(tuned(10ms, 1ms, 1300, 100'000), 300U);
    EXPECT_EQ(tuned(10ms, 1ms, 1000, 100'000), 0U);
    EXPECT_EQ(tuned(10ms, 1ms, 100'000, 999), 0U);
}

// One stream over a path of fixed delay without a rate limit; the reader takes `rate` bytes per millisecond at most.
struct Path {
    explicit Path(Duration one_way, const Config& config = {}) : delay(one_way), sender(client()), receiver(server(config)) {
        stream = *sender.open();
        receiver.ping(at(now), 1);
    }

    void run(Duration until, std::size_t rate) {
        for (; now < until; now += 1ms) {
            Bytes up = control(sender);
            sender.want_write(stream);
            while (const auto grant = sender.next_grant(64 * 1024)) {
                const std::size_t from = up.size();
                up.resize(from + header_size + grant->max);
                sender.commit(*grant, grant->max, false, true, MutableBytes{up}.subspan(from));
                sent += grant->max;
            }
            if (!up.empty()) to_receiver.push_back({now + delay, std::move(up)});
            while (!to_receiver.empty() && to_receiver.front().first <= now) {
                ByteView rest = to_receiver.front().second;
                for (Event e = receiver.next(rest, at(now)); e.kind != Event::Kind::need_more; e = receiver.next(rest, at(now))) {
                    ASSERT_NE(e.kind, Event::Kind::failed) << e.error.what;
                    if (e.kind == Event::Kind::data) waiting += e.data.size();
                }
                to_receiver.pop_front();
            }
            const std::size_t taken = std::min(waiting, rate);
            waiting -= taken;
            receiver.consumed(stream, taken, at(now));
            if (Bytes down = control(receiver); !down.empty()) to_sender.push_back({now + delay, std::move(down)});
            while (!to_sender.empty() && to_sender.front().first <= now) {
                read(sender, to_sender.front().second, at(now));
                to_sender.pop_front();
            }
        }
    }

    Duration delay;
    Session sender;
    Session receiver;
    StreamId stream;
    Duration now{};
    std::uint64_t sent = 0;
    std::size_t waiting = 0;
    std::deque<std::pair<Duration, Bytes>> to_receiver;
    std::deque<std::pair<Duration, Bytes>> to_sender;
};

constexpr std::size_t as_fast_as_it_comes = 1U << 30;

TEST(AutoTuning, GrowsToSixteenMebibytesOnALongPath) {
    Path path{50ms};
    path.run(5s, as_fast_as_it_comes);
    EXPECT_EQ(path.receiver.receive_window(path.stream), 16U * 1024 * 1024);
    EXPECT_EQ(path.receiver.rtt(), Duration{101ms}) << "100 ms and one step of the loop";
    const std::uint64_t before = path.sent;
    path.run(6s, as_fast_as_it_comes);
    EXPECT_GE(path.sent - before, 100ULL * 1024 * 1024) << "a window per round trip, 160 MiB/s";
}

TEST(AutoTuning, StaysAtTheInitialWindowWhenTheReaderIsSlow) {
    Path path{50ms};
    path.run(20s, 200);  // 200 kB/s: half a window lasts 650 ms
    EXPECT_EQ(path.receiver.receive_window(path.stream), window);
    EXPECT_LE(path.waiting, window);
    EXPECT_GT(path.sent, 3'900'000U);
}

TEST(AutoTuning, DoesNothingWithoutARoundTripTime) {
    Path path{50ms};
    control(path.receiver);  // the ping is lost
    path.run(3s, as_fast_as_it_comes);
    EXPECT_EQ(path.receiver.receive_window(path.stream), window);
}

TEST(AutoTuning, TheSumOfAllWindowsIsBounded) {
    Config config;
    config.max_total_window = 1024 * 1024;
    Path path{50ms, config};
    path.run(5s, as_fast_as_it_comes);
    EXPECT_EQ(path.receiver.receive_window(path.stream), 1024U * 1024);
    EXPECT_EQ(path.receiver.total_window(), 1024U * 1024);
    // A second stream still has the initial window, which the specification promises, and nothing more.
    EXPECT_EQ(read(path.receiver, update(3, 0, flag::syn), at(6s)), Lines{"opened 3"});
    read(path.receiver, data(3, std::string(window, 'x')), at(6s));
    path.receiver.consumed(StreamId{3}, window, at(6s));
    EXPECT_EQ(path.receiver.receive_window(StreamId{3}), window);
    // A stream that ends gives its share back, taken or not.
    read(path.receiver, update(1, 0, flag::rst), at(6s));
    EXPECT_EQ(path.receiver.total_window(), window);
    control(path.receiver);
    read(path.receiver, data(3, std::string(window, 'x')), at(6s));
    path.receiver.consumed(StreamId{3}, window, at(6s));
    EXPECT_EQ(path.receiver.receive_window(StreamId{3}), 2 * window);
}

}  // namespace
}  // namespace kith::mux::test
