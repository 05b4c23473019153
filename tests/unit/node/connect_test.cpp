// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

#include "io/tcp.hpp"
#include "unit/node/support.hpp"

namespace kith::node::test {
namespace {

Multiaddr address(std::string_view text) { return *Multiaddr::parse(text); }

// A port where connections are taken and nothing is ever said.
struct Mute {
    io::TcpListener listener = std::move(*io::TcpListener::listen({IpAddress::v4(127, 0, 0, 1), 0}));
    Multiaddr where() const { return address("/ip4/127.0.0.1/tcp/" + std::to_string(listener.local().port)); }
};

TEST(Connect, ByAddress) {
    Pair pair;
    pair.start();
    const auto full = pair.b->addresses().front();
    EXPECT_EQ(full.peer(), pair.b->id());
    const auto peer = pair.a->connect(full.without_peer(), patient);  // whoever answers
    ASSERT_TRUE(peer) << peer.error();
    EXPECT_EQ(*peer, pair.b->id());
    EXPECT_EQ(*pair.a->connect(full, patient), pair.b->id());  // connected already
    EXPECT_EQ(pair.a->stats().links_opened, 1U);
    pair.stop();
}

TEST(Connect, ByPeer) {
    Pair pair;
    pair.start();
    EXPECT_EQ(pair.a->connect(pair.b->id(), patient).error(), Errc::unknown_peer);
    EXPECT_EQ(pair.a->add_address(pair.b->addresses().front().without_peer()).error(), Errc::invalid_argument);
    ASSERT_TRUE(pair.a->add_address(pair.b->addresses().front()));
    EXPECT_EQ(*pair.a->connect(pair.b->id(), patient), pair.b->id());
    pair.stop();
}

TEST(Connect, WrongPeer) {
    Pair pair;
    pair.start();
    const auto other = *Identity::generate();
    const auto peer = pair.a->connect(pair.b->addresses().front().with_peer(other.peer_id()), patient);
    ASSERT_FALSE(peer);
    EXPECT_EQ(peer.error(), Errc::wrong_peer) << peer.error();
    EXPECT_FALSE(pair.a->peer(pair.b->id()));
    pair.stop();
}

TEST(Connect, OwnId) {
    Node node{local()};
    ASSERT_TRUE(node.start());
    EXPECT_EQ(node.connect(node.addresses().front(), patient).error(), Errc::invalid_argument);
    EXPECT_EQ(node.connect(node.id(), patient).error(), Errc::invalid_argument);
    EXPECT_FALSE(node.connect(node.addresses().front().without_peer(), patient));  // seen in the handshake
}

TEST(Connect, RefusedPort) {
    Node node{local()};
    ASSERT_TRUE(node.start());
    Multiaddr gone;
    {
        Mute mute;
        gone = mute.where();
    }
    const auto peer = node.connect(gone, patient);
    ASSERT_FALSE(peer);
    EXPECT_EQ(peer.error(), Errc::dial_failed) << peer.error();
    EXPECT_NE(peer.error().detail.find(gone.text()), std::string::npos) << peer.error();
    EXPECT_EQ(node.connect(address("/ip4/127.0.0.1/udp/1"), patient).error(), Errc::dial_failed);
}

TEST(Connect, DeadlineAndStopToken) {
    Node node{local()};
    ASSERT_TRUE(node.start());
    Mute mute;
    const auto late = node.connect(mute.where(), Wait{std::chrono::milliseconds{20}});
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error(), Errc::timeout) << late.error();

    std::stop_source stop;
    Flag ended;
    node.async_connect(
        mute.where(),
        [&](const Result<PeerId>& r) {
            EXPECT_EQ(r.error(), Errc::cancelled);
            ended.set();
        },
        Wait{patience, stop.get_token()});
    stop.request_stop();
    ASSERT_TRUE(ended.wait());
    EXPECT_EQ(node.connect(mute.where(), Wait{patience, stop.get_token()}).error(), Errc::cancelled);  // requested before

    std::stop_source from_another_thread;
    std::thread other([&] { from_another_thread.request_stop(); });
    EXPECT_EQ(node.connect(mute.where(), Wait{patience, from_another_thread.get_token()}).error(), Errc::cancelled);
    other.join();
    EXPECT_EQ(node.stats().links_now, 0U);
    EXPECT_EQ(node.stats().links_failed, 4U);  // nothing goes on dialling
}

TEST(Connect, BlockingCallsInCallbacks) {
    for (const auto mode : {Mode::own, Mode::executor, Mode::manual, Mode::loop, Mode::polled}) {
        SCOPED_TRACE(mode_name(mode));
        Pair pair{mode};
        Log<Errc> errors;
        Flag done;
        pair.b->on_message("c", [&](const Message& m) {
            auto& node = *pair.b;
            errors.add(node.connect(m.from).error().code);
            errors.add(node.ping(m.from).error().code);
            errors.add(node.open_stream(m.from, "/x").error().code);
            errors.add(node.deliver(m.from, "c", as_bytes("x")).error().code);
            errors.add(node.perf(m.from, 1, 1).error().code);
            EXPECT_TRUE(node.peer(m.from));  // questions are answered
            EXPECT_FALSE(node.peers().empty());
            EXPECT_FALSE(node.addresses().empty());
            EXPECT_TRUE(node.send(m.from, "answer", "x"));
            done.set();
        });
        pair.start();
        pair.connect();
        ASSERT_TRUE(pair.a->send(pair.b->id(), "c", "x"));
        ASSERT_TRUE(done.wait());
        for (const auto code : errors.all()) EXPECT_EQ(code, Errc::would_deadlock) << name(code);
        EXPECT_EQ(errors.size(), 5U);
    }
}

TEST(Connect, EventsAndSnapshots) {
    auto config = local();
    config.name = "ana";
    Pair pair{Mode::own, std::move(config)};
    Log<PeerEvent> at_a;
    Log<PeerEvent> at_b;
    pair.a->on_peer([&](const PeerEvent& e) { at_a.add(e); });
    pair.b->on_peer([&](const PeerEvent& e) { at_b.add(e); });
    pair.start();
    pair.connect();
    const auto has = [](PeerState state) {
        return [state](const auto& all) { return std::any_of(all.begin(), all.end(), [&](const auto& e) { return e.state == state; }); };
    };
    ASSERT_TRUE(at_a.wait(has(PeerState::identified)));
    ASSERT_TRUE(at_b.wait(has(PeerState::identified)));
    const auto info = pair.b->peer(pair.a->id());
    ASSERT_TRUE(info);
    EXPECT_EQ(info->name, "ana");
    EXPECT_EQ(info->state, PeerState::identified);
    EXPECT_EQ(info->path, "LAN");
    EXPECT_EQ(info->links, 1U);
    EXPECT_NE(std::find(info->protocols.begin(), info->protocols.end(), "/kith/msg/1.0.0"), info->protocols.end());
    EXPECT_EQ(pair.a->peers().size(), 1U);
    EXPECT_EQ(pair.a->name(), "ana");
    EXPECT_EQ(pair.a->stats().links_now, 1U);
    EXPECT_EQ(pair.a->peer(Identity::generate()->peer_id()).error(), Errc::unknown_peer);

    pair.a->disconnect(pair.b->id());
    ASSERT_TRUE(at_a.wait(has(PeerState::disconnected)));
    ASSERT_TRUE(at_b.wait(has(PeerState::disconnected)));
    const auto check = [](const std::vector<PeerEvent>& all, Direction direction) {
        std::vector<PeerState> states;
        for (const auto& e : all) {
            if (e.state != PeerState::connecting) states.push_back(e.state);
        }
        EXPECT_EQ(states, (std::vector{PeerState::connected, PeerState::identified, PeerState::disconnected}));
        for (const auto& e : all) {
            if (e.state == PeerState::connected) {
                EXPECT_EQ(e.direction, direction);
            }
            if (e.state == PeerState::disconnected) {
                EXPECT_TRUE(e.error);
            }
        }
    };
    check(at_a.all(), Direction::outbound);
    check(at_b.all(), Direction::inbound);
    pair.stop();
}

// The newest events are the ones that count.
TEST(Connect, OldEventsAreDropped) {
    auto config = local();
    config.max_events = 2;
    config.manual_dispatch = true;
    config.keep_connected = false;
    Node a{std::move(config)};
    Node b{local()};
    std::vector<PeerState> states;
    a.on_peer([&](const PeerEvent& e) { states.push_back(e.state); });
    ASSERT_TRUE(a.start());
    ASSERT_TRUE(b.start());
    ASSERT_TRUE(a.connect(b.addresses().front(), patient));
    ASSERT_TRUE(a.ping(b.id(), patient));
    a.disconnect(b.id());
    while (a.peer(b.id())->links != 0) std::this_thread::yield();
    (void)a.peers();  // the turn of the disconnection is over
    (void)a.peers();
    a.dispatch();
    ASSERT_EQ(states.size(), 2U);
    EXPECT_EQ(states.back(), PeerState::disconnected);
    EXPECT_GE(a.stats().events_dropped, 1U);
}

TEST(Connect, PingAndPerf) {
    auto config = local();
    config.serve_perf = true;
    Pair pair{Mode::own, local(), std::move(config)};
    pair.start();
    EXPECT_EQ(pair.a->ping(pair.b->id(), patient).error(), Errc::not_connected);
    pair.connect();
    const auto rtt = pair.a->ping(pair.b->id(), patient);
    ASSERT_TRUE(rtt) << rtt.error();
    EXPECT_GT(rtt->rtt, Duration{});
    const auto perf = pair.a->perf(pair.b->id(), 3'000'000, 5'000'000, patient);
    ASSERT_TRUE(perf) << perf.error();
    EXPECT_EQ(perf->uploaded, 3'000'000U);
    EXPECT_EQ(perf->downloaded, 5'000'000U);
    EXPECT_EQ(pair.b->perf(pair.a->id(), 1, 1, patient).error(), Errc::not_supported);

    std::stop_source stop;
    stop.request_stop();
    EXPECT_EQ(pair.a->ping(pair.b->id(), Wait{patience, stop.get_token()}).error(), Errc::cancelled);
    EXPECT_EQ(pair.a->ping(pair.b->id(), Wait{Duration{}}).error(), Errc::timeout);
    EXPECT_TRUE(pair.a->ping(pair.b->id(), patient));
    pair.stop();
}

}  // namespace
}  // namespace kith::node::test
