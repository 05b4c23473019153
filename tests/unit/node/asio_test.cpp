// SPDX-License-Identifier: Apache-2.0
// kith/asio.hpp with every kind of token.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <future>

#include "kith/asio.hpp"
#include "unit/node/support.hpp"

namespace kith::node::test {
namespace {

namespace io = boost::asio;

struct Asio : testing::Test {
    Pair pair;
    io::io_context context;
    Log<Stream> accepted;
    Asio() {
        pair.b->on_message("c", [](const Message&) {});
        pair.b->handle_protocol("/test/keep", [this](Stream s) { accepted.add(std::move(s)); });
    }
    void SetUp() override { pair.start(); }
    void TearDown() override { pair.stop(); }
    Multiaddr address() { return pair.b->addresses().front(); }
    PeerId peer() { return pair.b->id(); }
    // Runs a coroutine to its end.
    void run(io::awaitable<void> what) {
        std::exception_ptr failed;
        bool done = false;
        io::co_spawn(context, std::move(what), [&](std::exception_ptr e) {
            failed = std::move(e);
            done = true;
        });
        context.run();
        EXPECT_TRUE(done);
        EXPECT_FALSE(failed);
    }
};

TEST_F(Asio, Function) {
    Flag done;
    async_connect(*pair.a, address(), [&](const Result<PeerId>& id) {
        EXPECT_TRUE(id);
        done.set();
    });
    ASSERT_TRUE(done.wait());
}

// The io_context has work until the answer is there, and the handler runs in it.
TEST_F(Asio, BoundExecutor) {
    std::thread::id ran;
    async_connect(*pair.a, address(), io::bind_executor(context, [&](const Result<PeerId>& id) {
        EXPECT_TRUE(id);
        ran = std::this_thread::get_id();
    }));
    context.run();
    EXPECT_EQ(ran, std::this_thread::get_id());
}

TEST_F(Asio, FuturesAndDeferred) {
    EXPECT_EQ(*async_connect(*pair.a, address(), io::use_future).get(), peer());
    EXPECT_TRUE(async_ping(*pair.a, peer(), io::use_future).get());
    EXPECT_EQ(async_send(*pair.a, peer(), "c", "x", io::use_future).get()->outcome, Receipt::Outcome::delivered);
    EXPECT_EQ(async_open_stream(*pair.a, peer(), "/test/nobody", io::use_future).get().error(), Errc::not_supported);
    auto later = async_connect(*pair.a, peer(), io::deferred);
    EXPECT_EQ(*std::move(later)(io::use_future).get(), peer());
}

TEST_F(Asio, Coroutine) {
    run([](Asio& t) -> io::awaitable<void> {
        const auto id = co_await async_connect(*t.pair.a, t.address(), io::use_awaitable);
        EXPECT_TRUE(id);
        EXPECT_TRUE(co_await async_ping(*t.pair.a, *id, io::use_awaitable));
        const auto receipt = co_await async_send(*t.pair.a, *id, "c", pattern(100'000), SendOptions{}, io::use_awaitable);
        EXPECT_EQ(receipt->outcome, Receipt::Outcome::delivered);
        auto stream = co_await async_open_stream(*t.pair.a, *id, "/test/keep", io::use_awaitable);
        EXPECT_TRUE(stream);
        EXPECT_TRUE(t.accepted.wait_count(1));
        auto other = t.accepted.all().front();
        EXPECT_TRUE(co_await async_write(*stream, pattern(10'000), io::use_awaitable));
        stream->close_write();
        Bytes got;
        for (;;) {
            const auto some = co_await async_read_some(other, 1'000, io::use_awaitable);
            EXPECT_TRUE(some);
            if (!some || some->empty()) break;
            EXPECT_LE(some->size(), 1'000U);
            got.insert(got.end(), some->begin(), some->end());
        }
        EXPECT_EQ(got, pattern(10'000));
        EXPECT_EQ((co_await async_write(*stream, pattern(1), io::use_awaitable)).error(), Errc::stream_closed);
        EXPECT_EQ((co_await async_read_some(Stream{}, io::use_awaitable)).error(), Errc::stopped);  // of no node
    }(*this));
}

TEST_F(Asio, TimersCancel) {
    run([](Asio& t) -> io::awaitable<void> {
        using namespace io::experimental::awaitable_operators;
        const auto id = co_await async_connect(*t.pair.a, t.address(), io::use_awaitable);
        auto stream = co_await async_open_stream(*t.pair.a, *id, "/test/keep", io::use_awaitable);
        EXPECT_TRUE(t.accepted.wait_count(1));
        io::steady_timer timer{co_await io::this_coro::executor};
        const auto soon = [&]() -> io::steady_timer& {
            timer.expires_after(std::chrono::milliseconds{5});
            return timer;
        };
        const auto read = co_await (async_read_some(*stream, io::use_awaitable) || soon().async_wait(io::use_awaitable));
        EXPECT_EQ(read.index(), 1U);
        const auto write = co_await (async_write(*stream, pattern(8u << 20u), io::use_awaitable) || soon().async_wait(io::use_awaitable));
        EXPECT_EQ(write.index(), 1U);
        const auto sent =
            co_await (async_send(*t.pair.a, *id, "no-handler", "x", io::use_awaitable) || soon().async_wait(io::use_awaitable));
        EXPECT_EQ(sent.index(), 1U);
        // The stream is as usable as before: only the one read was ended.
        auto other = t.accepted.all().front();
        EXPECT_TRUE(co_await async_write(other, pattern(3), io::use_awaitable));
        EXPECT_EQ(*co_await async_read_some(*stream, io::use_awaitable), pattern(3));
    }(*this));
}

TEST_F(Asio, CancellationSlotAndStopToken) {
    io::cancellation_signal signal;
    Log<Errc> ends;
    const auto note = [&](const auto& result) { ends.add(result ? Errc::internal : result.error().code); };
    pair.connect();
    async_send(*pair.a, peer(), "no-handler", "x", io::bind_cancellation_slot(signal.slot(), note));
    signal.emit(io::cancellation_type::all);
    ASSERT_TRUE(ends.wait_count(1));
    auto stream = async_open_stream(*pair.a, peer(), "/test/keep", io::use_future).get();
    ASSERT_TRUE(stream);
    async_read_some(*stream, io::bind_cancellation_slot(signal.slot(), note));
    signal.emit(io::cancellation_type::terminal);
    ASSERT_TRUE(ends.wait_count(2));
    // Both a token and a slot: each ends it.
    std::stop_source stop;
    stop.request_stop();
    async_ping(*pair.a, peer(), Wait{patience, stop.get_token()}, io::bind_cancellation_slot(signal.slot(), note));
    ASSERT_TRUE(ends.wait_count(3));
    for (const auto code : ends.all()) EXPECT_EQ(code, Errc::cancelled) << name(code);
}

// A coroutine that waits when the node ends is resumed, also when it asks afterwards.
TEST_F(Asio, NodeStops) {
    std::thread stopper;
    run([](Asio& t, std::thread& stopping) -> io::awaitable<void> {
        const auto id = co_await async_connect(*t.pair.a, t.address(), io::use_awaitable);
        auto stream = co_await async_open_stream(*t.pair.a, *id, "/test/keep", io::use_awaitable);
        EXPECT_TRUE(stream);
        stopping = std::thread([&] { t.pair.a->stop(); });
        const auto end = co_await async_read_some(*stream, io::use_awaitable);
        EXPECT_FALSE(end);
        EXPECT_EQ((co_await async_ping(*t.pair.a, *id, io::use_awaitable)).error(), Errc::stopped);
        EXPECT_EQ((co_await async_send(*t.pair.a, *id, "c", "x", io::use_awaitable)).error(), Errc::stopped);
    }(*this, stopper));
    stopper.join();
}

}  // namespace
}  // namespace kith::node::test
