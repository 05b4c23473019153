// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <csignal>
#include <future>

#include "unit/node/support.hpp"

namespace kith::node::test {
namespace {

TEST(Life, StartTwice) {
    Node node{local()};
    ASSERT_TRUE(node.start());
    EXPECT_EQ(node.start().error(), Errc::already_started);
    node.stop();
    node.stop();
    EXPECT_EQ(node.start().error(), Errc::already_started);
}

TEST(Life, BeforeStart) {
    Node node{local()};
    const auto stranger = *Identity::generate();
    EXPECT_EQ(node.send(stranger.peer_id(), "c", "x").error(), Errc::not_started);
    EXPECT_EQ(node.channel(stranger.peer_id(), "c").send("x").error(), Errc::not_started);
    EXPECT_EQ(node.connect(stranger.peer_id()).error(), Errc::not_started);
    EXPECT_TRUE(node.addresses().empty());
    EXPECT_TRUE(node.peers().empty());
    node.stop();
}

TEST(Life, AfterStop) {
    Pair pair;
    pair.start();
    pair.connect();
    auto channel = pair.a->channel(pair.b->id(), "c");
    pair.a->stop();
    EXPECT_EQ(channel.send("x").error(), Errc::stopped);
    EXPECT_EQ(pair.a->send(pair.b->id(), "c", "x").error(), Errc::stopped);
    EXPECT_EQ(pair.a->connect(pair.b->id()).error(), Errc::stopped);
    EXPECT_EQ(pair.a->ping(pair.b->id()).error(), Errc::stopped);
    EXPECT_EQ(pair.a->open_stream(pair.b->id(), "/x").error(), Errc::stopped);
    EXPECT_EQ(pair.a->peer(pair.b->id()).error(), Errc::stopped);
    EXPECT_GT(pair.a->stats().bytes_sent, 0U);  // the last ones
    pair.stop();
}

TEST(Life, FailedStartCanBeRepaired) {
    Node first{local()};
    ASSERT_TRUE(first.start());
    auto config = local();
    config.listen = {first.addresses().front().without_peer().text()};
    Node second{std::move(config)};
    EXPECT_EQ(second.start().error(), Errc::address_in_use);
    first.stop();
    EXPECT_TRUE(second.start());

    auto broken = local();
    broken.listen = {"/ip4/127.0.0.1/udp/1"};
    EXPECT_EQ(Node{std::move(broken)}.start().error(), Errc::unsupported_address);
    auto unreadable = local();
    unreadable.listen = {"nonsense"};
    EXPECT_EQ(Node{std::move(unreadable)}.start().error(), Errc::invalid_multiaddr);
    auto loopless = local();
    loopless.threads = ThreadMode::loop;
    EXPECT_EQ(Node{std::move(loopless)}.start().error(), Errc::invalid_argument);
}

TEST(Life, StopFromCallback) {
    for (const auto mode : {Mode::own, Mode::executor, Mode::manual, Mode::loop, Mode::polled}) {
        SCOPED_TRACE(mode_name(mode));
        Pair pair{mode};
        std::atomic<int> calls{0};
        Flag stopped;
        pair.b->on_message("c", [&](const Message&) {
            ++calls;
            pair.b->stop();
            stopped.set();
        });
        pair.start();
        pair.connect();
        for (int i = 0; i < 100; ++i) ASSERT_TRUE(pair.a->send(pair.b->id(), "c", "x"));
        ASSERT_TRUE(stopped.wait());
        pair.b->stop();
        EXPECT_EQ(calls, 1);
        EXPECT_EQ(pair.b->send(pair.a->id(), "c", "x").error(), Errc::stopped);
    }
}

TEST(Life, DestroyedInItsOwnCallback) {
    for (const auto polled : {false, true}) {
        Node a{local()};
        auto config = local();
        if (polled) config.threads = ThreadMode::polled;
        auto b = std::make_unique<Node>(std::move(config));
        const auto gone = std::make_shared<Flag>();
        b->on_message("c", [&b, gone](const Message&) {
            const auto kept = gone;  // the handler goes with the node
            b.reset();
            kept->set();
        });
        ASSERT_TRUE(a.start());
        ASSERT_TRUE(b->start());
        const auto address = b->addresses().front();
        const auto peer = *address.peer();
        Flag connected;
        a.async_connect(address, [&](const Result<PeerId>& ok) {
            EXPECT_TRUE(ok);
            connected.set();
        });
        while (polled && !connected.is_set()) b->poll(std::chrono::milliseconds{10});
        ASSERT_TRUE(connected.wait());
        ASSERT_TRUE(a.send(peer, "c", "x"));
        while (polled && b) b->poll(std::chrono::milliseconds{10});
        ASSERT_TRUE(gone->wait());
    }
}

TEST(Life, SentBeforeStopArrives) {
    Pair pair;
    Log<std::size_t> sizes;
    pair.b->on_message("c", [&](const Message& m) { sizes.add(m.bytes().size()); });
    pair.start();
    pair.connect();
    ASSERT_TRUE(pair.a->deliver(pair.b->id(), "c", as_bytes("x"), {}, patient));
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(pair.a->send(pair.b->id(), "c", ByteView{pattern(1'000)}));
    pair.a->stop();
    EXPECT_TRUE(sizes.wait_count(51));
    pair.stop();
}

TEST(Life, StopUnderLoadEndsAllWhoWait) {
    auto config = local();
    config.max_queued_messages = 16;
    Pair pair{Mode::own, std::move(config)};
    pair.start();
    pair.connect();
    pair.b->handle_protocol("/silent", [kept = std::make_shared<std::vector<Stream>>()](Stream s) { kept->push_back(std::move(s)); });
    ASSERT_TRUE(pair.a->ping(pair.b->id(), patient));
    auto stream = pair.a->open_stream(pair.b->id(), "/silent", patient);
    ASSERT_TRUE(stream) << stream.error();
    Log<Errc> ends;
    SendOptions waits;
    waits.wait = patience;
    std::vector<std::thread> threads;
    threads.emplace_back([&] {
        Status ok;
        while ((ok = pair.a->send(pair.b->id(), "no-handler", "x", waits))) {
        }
        ends.add(ok.error().code);
    });
    // What became of a message that was on its way cannot be known.
    const auto end_of = [](const Result<Receipt>& r) {
        if (!r) return r.error().code;
        EXPECT_NE(r->outcome, Receipt::Outcome::delivered);
        return Errc::stopped;
    };
    threads.emplace_back([&] { ends.add(end_of(pair.a->deliver(pair.b->id(), "other", as_bytes("x"), {}, patient))); });
    threads.emplace_back([&] { ends.add(stream->read(patient).error().code); });
    Flag answered;
    std::atomic<bool> stopped{false};
    stream->async_write(pattern(8u << 20), [&](const Status& ok) {
        EXPECT_FALSE(stopped);
        EXPECT_FALSE(ok);
        answered.set();
    });
    pair.a->async_send(pair.b->id(), "third", pattern(3), [&](const Result<Receipt>& r) {
        EXPECT_FALSE(stopped);
        ends.add(end_of(r));
    });
    // All of them wait when the queue of the first is full and the second's message has arrived.
    while (pair.a->send(pair.b->id(), "no-handler", "x").has_value() || pair.b->stats().messages_received < 3) std::this_thread::yield();
    pair.a->stop();
    stopped = true;
    for (auto& t : threads) t.join();
    EXPECT_TRUE(answered.is_set());
    const auto all = ends.all();
    ASSERT_EQ(all.size(), 4U);
    for (const auto code : all) EXPECT_EQ(code, Errc::stopped) << name(code);
    pair.stop();
}

TEST(Life, StopsMeetInTwoThreads) {
    for (int i = 0; i < 20; ++i) {
        Pair pair;
        std::atomic<bool> over{false};
        pair.b->on_message("c", [&](const Message&) {
            EXPECT_FALSE(over);
            pair.b->stop();
            EXPECT_FALSE(over);
        });
        pair.start();
        pair.connect();
        ASSERT_TRUE(pair.a->send(pair.b->id(), "c", "x"));
        std::thread other([&] { pair.b->stop(); });
        pair.b->stop();
        over = true;
        other.join();
    }
}

TEST(Life, LoopThatIsNotRunAnyMore) {
    EventLoop loop;
    auto config = local();
    config.threads = ThreadMode::loop;
    config.loop = &loop;
    Node node{std::move(config)};
    ASSERT_TRUE(node.start());
    EXPECT_FALSE(node.addresses().empty());  // asked before anyone ran it
    loop.poll();
    EXPECT_EQ(node.connect(node.addresses().front(), Wait{std::chrono::milliseconds{1}}).error(), Errc::timeout);
    node.stop();  // by this thread
    EXPECT_EQ(loop.count(), 0U);
}

// An idle node sleeps: the turns of its loop must not follow one another without reason.
TEST(Life, IdleNodeSleeps) {
    for (const auto threads : {ThreadMode::loop, ThreadMode::polled}) {
        EventLoop loop;
        auto config = local();
        config.threads = threads;
        config.loop = &loop;
        Node node{std::move(config)};
        ASSERT_TRUE(node.start());
        const auto turn = [&](Duration limit) { return threads == ThreadMode::loop ? loop.poll(limit) : node.poll(limit); };
        for (int i = 0; i < 10; ++i) turn({});
        const auto start = std::chrono::steady_clock::now();
        turn(std::chrono::milliseconds{30});
        EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds{29});
    }
}

TEST(Life, KeyFileStays) {
    Folder folder;
    PeerId id;
    const auto home = folder.path / "home";
    for (int i = 0; i < 2; ++i) {
        auto config = local();
        config.home = home;
        Node node{std::move(config)};
        ASSERT_TRUE(node.start());
        if (i == 0) id = node.id();
        EXPECT_EQ(node.id(), id);
    }
    struct stat info{};
    ASSERT_EQ(::stat((home / "identity.key").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
    ASSERT_EQ(::chmod((home / "identity.key").c_str(), 0644), 0);
    auto config = local();
    config.home = home;
    EXPECT_EQ(Node{std::move(config)}.start().error(), Errc::file_insecure);
}

TEST(Life, RunEndsAtSignalAndAtStop) {
    for (const auto mode : {ThreadMode::own, ThreadMode::loop, ThreadMode::polled}) {
        for (const bool signal : {true, false}) {
            EventLoop loop;
            auto config = local();
            config.threads = mode;
            config.loop = &loop;
            Node node{std::move(config)};
            ASSERT_TRUE(node.start());
            // Blocked before run() looks, so that it cannot be missed.
            sigset_t set;
            sigset_t before;
            sigemptyset(&set);
            sigaddset(&set, SIGTERM);
            pthread_sigmask(SIG_BLOCK, &set, &before);
            std::thread other;
            if (signal) {
                ::kill(::getpid(), SIGTERM);
            } else {
                other = std::thread([&] { node.stop(); });
            }
            node.run();
            if (other.joinable()) other.join();
            sigset_t pending;
            sigpending(&pending);
            EXPECT_EQ(sigismember(&pending, SIGTERM), 0);  // or the program would end below
            pthread_sigmask(SIG_SETMASK, &before, nullptr);
            EXPECT_EQ(node.start().error(), Errc::already_started);
        }
    }
}

}  // namespace
}  // namespace kith::node::test
