// SPDX-License-Identifier: Apache-2.0
// The same life in every thread mode; and what is special about each.
#include <poll.h>

#include "unit/node/support.hpp"

namespace kith::node::test {
namespace {

// Every callback passes through it: one at a time, none after the end.
class OneAtATime {
public:
    class Inside {
    public:
        explicit Inside(OneAtATime& owner) : owner_(owner) {
            EXPECT_EQ(owner_.inside_.fetch_add(1), 0);
            EXPECT_FALSE(owner_.over_);
        }
        ~Inside() { owner_.inside_.fetch_sub(1); }
        Inside(const Inside&) = delete;
        Inside& operator=(const Inside&) = delete;

    private:
        OneAtATime& owner_;
    };
    void end() { over_ = true; }

private:
    std::atomic<int> inside_{0};
    std::atomic<bool> over_{false};
};

struct Modes : testing::TestWithParam<Mode> {};

TEST_P(Modes, WholeLife) {
    constexpr int count = 3'000;
    OneAtATime guard_a;
    OneAtATime guard_b;
    Pair pair{GetParam()};
    auto& a = *pair.a;
    auto& b = *pair.b;
    Log<PeerState> states;
    Log<std::string> at_a;
    Log<std::string> at_b;
    Log<Stream> streams;
    a.on_message("one", [&](const Message& m) {
        const OneAtATime::Inside inside{guard_a};
        at_a.add(std::string{m.text()});
    });
    b.on_messages("one", [&](std::span<const Message> messages) {
        const OneAtATime::Inside inside{guard_b};
        for (const auto& m : messages) {
            at_b.add(std::string{m.text()});
            if (auto ok = b.send(m.from, "one", m.text()); !ok) {
                EXPECT_EQ(ok.error(), Errc::stopped);
            }
        }
    });
    b.on_peer([&](const PeerEvent& e) {
        const OneAtATime::Inside inside{guard_b};
        states.add(e.state);
    });
    b.handle_protocol("/test/one", [&](Stream stream) {
        const OneAtATime::Inside inside{guard_b};
        streams.add(std::move(stream));
    });
    pair.start();
    pair.connect();
    for (int i = 0; i < count; ++i) {
        SendOptions options;
        options.wait = patience;
        ASSERT_TRUE(a.send(b.id(), "one", std::to_string(i), options));
    }
    ASSERT_TRUE(at_a.wait_count(count));
    const auto back = at_a.all();
    for (int i = 0; i < count; ++i) ASSERT_EQ(back[static_cast<std::size_t>(i)], std::to_string(i));
    EXPECT_EQ(at_b.all(), back);
    EXPECT_TRUE(a.ping(b.id(), patient));
    EXPECT_TRUE(a.deliver(b.id(), "one", as_bytes("last"), {}, patient));

    auto stream = a.open_stream(b.id(), "/test/one", patient);
    ASSERT_TRUE(stream);
    ASSERT_TRUE(streams.wait_count(1));
    auto other = streams.all().front();
    std::thread writer([&] { EXPECT_TRUE(stream->write(pattern(2u << 20u), patient)); });
    Bytes got;
    while (got.size() < (2u << 20u)) {
        auto some = other.read(patient);
        ASSERT_TRUE(some) << some.error();
        got.insert(got.end(), some->begin(), some->end());
    }
    writer.join();
    EXPECT_TRUE(got == pattern(2u << 20u));

    Flag pinged;
    a.async_ping(b.id(), [&](const Result<PingResult>& r) {
        const OneAtATime::Inside inside{guard_a};
        EXPECT_TRUE(r);
        pinged.set();
    });
    EXPECT_TRUE(pinged.wait());

    for (int i = 0; i < 100; ++i) ASSERT_TRUE(a.send(b.id(), "one", "in flight"));
    b.stop();
    guard_b.end();
    a.stop();
    guard_a.end();
    const auto seen = states.all();
    ASSERT_GE(seen.size(), 2U);
    EXPECT_EQ(seen[0], PeerState::connected);
    EXPECT_EQ(seen[1], PeerState::identified);
    pair.stop();
}

INSTANTIATE_TEST_SUITE_P(Modes, Modes, testing::Values(Mode::own, Mode::executor, Mode::manual, Mode::loop, Mode::polled),
                         [](const auto& test) { return mode_name(test.param); });

TEST(ManualDispatch, DescriptorTellsWhenToDispatch) {
    auto config = local();
    config.manual_dispatch = true;
    Pair pair;
    Node node{std::move(config)};
    int calls = 0;
    node.on_message("c", [&](const Message&) { ++calls; });
    pair.start();
    ASSERT_TRUE(node.start());
    ASSERT_TRUE(pair.a->connect(node.addresses().front(), patient));
    node.dispatch();
    pollfd wait{node.dispatch_fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&wait, 1, 0), 0);
    ASSERT_TRUE(pair.a->send(node.id(), "c", "x"));
    while (calls == 0) {
        ASSERT_EQ(::poll(&wait, 1, 60'000), 1);
        node.dispatch();
    }
    EXPECT_EQ(calls, 1);
    // A blocking call of the thread that dispatches does not need its own callbacks.
    EXPECT_TRUE(node.deliver(pair.a->id(), "parked", as_bytes("x"), {}, Wait{std::chrono::milliseconds{10}}).error() == Errc::timeout);
    EXPECT_TRUE(node.ping(pair.a->id(), patient));
    EXPECT_EQ(pair.a->dispatch_fd(), -1);
    EXPECT_EQ(pair.a->dispatch(), 0U);
    pair.stop();
}

// In one thread alone: callbacks come in poll(), never inside a blocking call.
TEST(Polled, NoCallbackInsideABlockingCall) {
    auto config = local();
    config.threads = ThreadMode::polled;
    Node node{std::move(config)};
    Pair pair;
    int calls = 0;
    bool blocking = false;
    const auto note = [&] {
        EXPECT_FALSE(blocking);
        ++calls;
    };
    node.on_message("c", [&](const Message&) { note(); });
    node.on_peer([&](const PeerEvent&) { note(); });
    pair.a->on_message("c", [&](const Message& m) { EXPECT_TRUE(pair.a->send(m.from, "c", m.text())); });
    pair.a->handle_protocol("/test/x", [](Stream s) {
        auto kept = std::make_shared<Stream>(std::move(s));
        kept->async_write(pattern(3u << 20u), [kept](const Status&) { kept->close_write(); });
    });
    ASSERT_TRUE(node.start());
    pair.start();
    blocking = true;
    ASSERT_TRUE(node.connect(pair.a->addresses().front(), patient));
    ASSERT_TRUE(node.deliver(pair.a->id(), "c", as_bytes("x"), {}, patient));
    ASSERT_TRUE(node.ping(pair.a->id(), patient));
    auto stream = node.open_stream(pair.a->id(), "/test/x", patient);
    ASSERT_TRUE(stream);
    std::size_t got = 0;
    for (;;) {
        auto some = stream->read(patient);
        ASSERT_TRUE(some) << some.error();
        if (some->empty()) break;
        got += some->size();
    }
    EXPECT_EQ(got, 3u << 20u);
    EXPECT_EQ(stream->read(Wait{std::chrono::milliseconds{5}})->size(), 0U);
    blocking = false;
    EXPECT_EQ(calls, 0);
    EXPECT_GT(node.poll(patience), 0U);  // they wait: no sleep
    EXPECT_GE(calls, 1);
    while (calls < 2) node.poll(std::chrono::milliseconds{50});
    pair.stop();
}

TEST(Polled, SenderWaitsForRoom) {
    auto config = local();
    config.threads = ThreadMode::polled;
    config.max_queued_messages = 4;
    Node node{std::move(config)};
    Pair pair;
    Log<std::size_t> sizes;
    pair.a->on_message("c", [&](const Message& m) { sizes.add(m.bytes().size()); });
    ASSERT_TRUE(node.start());
    pair.start();
    ASSERT_TRUE(node.connect(pair.a->addresses().front(), patient));
    SendOptions options;
    options.wait = patience;
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(node.send(pair.a->id(), "c", "x", options));
    ASSERT_TRUE(node.deliver(pair.a->id(), "c", as_bytes("x"), {}, patient));
    EXPECT_EQ(sizes.size(), 101U);
    pair.stop();
}

// Executors that run what they get at once, or never.
TEST(Executor, Inline) {
    auto config = local();
    config.executor = [](Function<void()> call) { call(); };
    Pair pair;
    Node node{std::move(config)};
    Log<std::string> texts;
    node.on_message("c", [&](const Message& m) {
        texts.add(std::string{m.text()});
        node.on_message("other", [](const Message&) {});  // a call for the callbacks from a callback
    });
    pair.start();
    ASSERT_TRUE(node.start());
    ASSERT_TRUE(pair.a->connect(node.addresses().front(), patient));
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(pair.a->deliver(node.id(), "c", as_bytes("x"), {}, patient));
    EXPECT_EQ(texts.size(), 10U);
    pair.stop();
}

TEST(Executor, TaskThatComesAfterTheNode) {
    std::vector<Function<void()>> tasks;
    std::mutex mutex;
    {
        auto config = local();
        config.executor = [&](Function<void()> call) {
            const std::scoped_lock lock(mutex);
            tasks.push_back(std::move(call));
        };
        Pair pair;
        Node node{std::move(config)};
        node.on_message("c", [&](const Message&) { ADD_FAILURE() << "called after the end"; });
        pair.start();
        ASSERT_TRUE(node.start());
        ASSERT_TRUE(pair.a->connect(node.addresses().front(), patient));
        ASSERT_TRUE(pair.a->send(node.id(), "c", "x"));
        while (node.stats().messages_received == 0) std::this_thread::yield();
    }
    EXPECT_FALSE(tasks.empty());
    for (auto& task : tasks) task();
}

// What another thread asks for wakes a loop that sleeps.
TEST(Loop, AnswersWakeIt) {
    Pair pair{Mode::loop};
    pair.b->handle_protocol("/test/x", [](Stream s) { s.reset(); });
    pair.start();
    pair.connect();
    auto stream = pair.a->open_stream(pair.b->id(), "/test/x", patient);
    ASSERT_TRUE(stream);
    ASSERT_TRUE(pair.a->ping(pair.b->id(), patient));
    EXPECT_FALSE(stream->read(patient));
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 5; ++i) {
        Flag done;
        stream->async_read([&](const Result<Bytes>&) { done.set(); });
        ASSERT_TRUE(done.wait());
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds{5});  // by the keep-alive it would be 10 s each
    pair.stop();
}

TEST(Loop, TwoNodesAndTheUserOnOneLoop) {
    EventLoop loop;
    const auto on_it = [&] {
        auto config = local();
        config.threads = ThreadMode::loop;
        config.loop = &loop;
        return config;
    };
    Node a{on_it()};
    Node b{on_it()};
    int pongs = 0;
    a.on_message("pong", [&](const Message&) {
        if (++pongs == 100) loop.stop();
    });
    b.on_message("ping", [&](const Message& m) { EXPECT_TRUE(b.send(m.from, "pong", "x")); });
    ASSERT_TRUE(a.start());
    ASSERT_TRUE(b.start());
    bool asked = false;
    a.async_connect(b.addresses().front(), [&](const Result<PeerId>& peer) {
        ASSERT_TRUE(peer) << peer.error();
        for (int i = 0; i < 100; ++i) EXPECT_TRUE(a.send(*peer, "ping", "x"));
    });
    loop.post([&] { asked = a.connect(b.id()).error() == Errc::would_deadlock; });
    ASSERT_TRUE(loop.run());
    EXPECT_TRUE(asked);
    EXPECT_EQ(pongs, 100);
    b.stop();
    EXPECT_TRUE(a.ping(b.id(), Wait{std::chrono::milliseconds{1}}).error() == Errc::timeout);  // nobody runs it
}

}  // namespace
}  // namespace kith::node::test
