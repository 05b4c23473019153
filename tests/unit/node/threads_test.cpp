// SPDX-License-Identifier: Apache-2.0
// Many threads on one node; meant for the thread sanitizer as much as for its own assertions.
#include "unit/node/support.hpp"

namespace kith::node::test {
namespace {

struct Threads : testing::TestWithParam<Mode> {};

TEST_P(Threads, SendWhileStopping) {
    for (int round = 0; round < 5; ++round) {
        Pair pair{GetParam()};
        std::atomic<std::uint64_t> received{0};
        pair.b->on_message("c", [&](const Message&) { ++received; });
        pair.start();
        pair.connect();
        auto channel = pair.a->channel(pair.b->id(), "c");
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&, t] {
                for (;;) {
                    const auto ok = t % 2 == 0 ? channel.send("from a handle") : pair.a->send(pair.b->id(), "c", "by name");
                    if (!ok && ok.error() != Errc::queue_full) {
                        EXPECT_EQ(ok.error(), Errc::stopped) << ok.error();
                        return;
                    }
                    if (!ok) std::this_thread::yield();
                }
            });
        }
        threads.emplace_back([&] {
            while (pair.a->ping(pair.b->id(), patient)) {
            }
        });
        threads.emplace_back([&] {
            while (pair.a->peer(pair.b->id())) (void)pair.a->stats();
        });
        while (received < 500) std::this_thread::yield();
        pair.a->stop();
        for (auto& t : threads) t.join();
        pair.stop();
    }
}

INSTANTIATE_TEST_SUITE_P(Modes, Threads, testing::Values(Mode::own, Mode::executor, Mode::manual, Mode::loop, Mode::polled),
                         [](const auto& test) { return mode_name(test.param); });

TEST(ManyThreads, EverythingAtOnce) {
    Pair pair;
    pair.b->on_message("c", [](const Message&) {});
    pair.b->handle_protocol("/test/x", [](Stream s) {
        auto kept = std::make_shared<Stream>(std::move(s));
        kept->async_read([kept](const Result<Bytes>&) { kept->reset(); });
    });
    pair.start();
    pair.connect();
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 30; ++i) {
                std::stop_source stop;
                pair.a->async_ping(pair.b->id(), [](const Result<PingResult>&) {}, Wait{patience, stop.get_token()});
                stop.request_stop();
                if (auto stream = pair.a->open_stream(pair.b->id(), "/test/x", patient)) {
                    (void)stream->write(as_bytes("x"), patient);
                    (void)stream->read(patient);
                }
                SendOptions options;
                options.wait = patience;
                (void)pair.a->deliver(pair.b->id(), "c", as_bytes("x"), options, patient);
                pair.b->on_message("c", [](const Message&) {});
                (void)pair.a->add_address(pair.b->addresses().front());
                (void)pair.a->connect(pair.b->id(), patient);
            }
        });
    }
    for (auto& t : threads) t.join();
    EXPECT_TRUE(pair.a->deliver(pair.b->id(), "c", as_bytes("end"), {}, patient));
    pair.stop();
}

// Threads that wait for room are all served, whatever the order in which others come and are refused.
TEST(ManyThreads, ManyWaitForRoom) {
    auto config = local();
    config.max_queued_messages = 2;
    Pair pair{Mode::own, std::move(config)};
    std::atomic<int> received{0};
    pair.b->on_message("c", [&](const Message&) { ++received; });
    pair.start();
    pair.connect();
    SendOptions options;
    options.wait = patience;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 200; ++i) {
                EXPECT_TRUE(pair.a->send(pair.b->id(), "c", "x", options));
                (void)pair.a->send(pair.b->id(), "c", Bytes(100'000));  // mostly refused
            }
        });
    }
    for (auto& t : threads) t.join();
    EXPECT_GE(received, 4 * 200 - 2);
    pair.stop();
}

}  // namespace
}  // namespace kith::node::test
