// SPDX-License-Identifier: Apache-2.0
// Dialling again: when, how often, and what ends it. The promise: docs/connections.md.
#include <gtest/gtest.h>

#include "unit/engine/harness.hpp"

namespace kith::engine {
namespace {

struct Reconnect : Net {
    // When node 0 began to dial node 1, as its events told.
    std::vector<Instant> dials;

    NodeId dialler(Function<void(Config&)> adjust = nullptr) {
        const auto i = add(std::move(adjust));
        world.node(i).on_event = [this, i](const PeerEvent& e) {
            events[i].push_back(e);
            if (e.state == kith::PeerState::connecting) dials.push_back(world.now());
        };
        return i;
    }
    void hear(NodeId who, NodeId whom) {
        world.post(who, [this, whom](Engine& e) {
            e.add_address(world.node(whom).id, wire::from_tcp(world.node(whom).listen), peer::Source::lan, world.now() + 120s, world.now());
        });
    }
    void refuse(NodeId node, testing::Accept how = testing::Accept::refuse) {
        world.node(node).accept = how;
        world.node(node).accept_until = Duration::max();
    }
    void answer(NodeId node) { world.node(node).accept_until = {}; }
    void cut_all() {
        for (const auto wire : world.open_wires()) world.cut(wire, World::Cut::rst);
    }
    bool up() {
        return world.run_until([&] { return connected(0, 1); }, 10min);
    }
    bool down() {
        return world.run_until([&] { return !connected(0, 1); }, 1min);
    }
    Duration wait_of(std::size_t n) const { return dials[n] - dials[n - 1]; }
    void longest_wait(bool lan, Duration most) {
        dialler();
        add();
        ASSERT_TRUE(meet(0, 1));
        if (lan) hear(0, 1);
        refuse(1);
        cut_all();
        world.run_for(2h);
        ASSERT_GE(dials.size(), 20U);
        Duration longest{};
        for (std::size_t n = 1; n < dials.size(); ++n) longest = std::max(longest, wait_of(n));
        EXPECT_LE(longest, most + 1s);
        EXPECT_GE(longest, most / 2);
    }
    void many_sends(bool keep) {
        dialler([keep](Config& c) { c.keep_connected = keep; });
        add();
        ASSERT_TRUE(meet(0, 1));
        refuse(1);
        cut_all();
        ASSERT_TRUE(down());
        dials.clear();
        for (int i = 0; i < 1000; ++i) {
            send(0, 1, "x");
            world.run_for(10ms);
        }
        EXPECT_LE(dials.size(), 12U);
        EXPECT_GE(dials.size(), 3U);
        answer(1);
        world.run_for(5min);
        send(0, 1, "last");
        ASSERT_TRUE(world.run_until([&] { return messages[1].size() == 1001; }, 10min));
    }
    bool nothing_left(NodeId node) {
        const auto load = world.engine(node).load();
        return load.links == 0 && load.timers == 0 && load.dials == 0 && load.dials_waiting == 0 && load.streams == 0;
    }
};

// The mutant "the back-off is reset when the link is up" dials every 0.1 s here.
TEST_F(Reconnect, ALinkThatDiesAtOnceAgainAndAgainWaitsLongerEachTime) {
    dialler();
    add();
    ASSERT_TRUE(meet(0, 1));
    for (int i = 0; i < 12; ++i) {
        cut_all();
        ASSERT_TRUE(down());
        ASSERT_TRUE(up());
    }
    ASSERT_EQ(dials.size(), 13U);
    for (std::size_t n = 1; n < dials.size(); ++n) {
        const auto span = std::min<Duration>(5min, 100ms * (1 << (n - 1)));
        EXPECT_GE(wait_of(n), span / 8) << n;
        EXPECT_LE(wait_of(n), span + 100ms) << n;
    }
    EXPECT_GE(wait_of(11), 12s);
}

TEST_F(Reconnect, TheWaitHasALimit) { longest_wait(false, 5min); }

TEST_F(Reconnect, OnTheLanTheLimitIsShorter) { longest_wait(true, 30s); }

// A longer cut: the announcement runs out too. What identify and the link told is still true, and sends are still taken.
TEST_F(Reconnect, APeerThatTheLanForgetsIsStillKnownByWhatItsLinkTold) {
    dialler();
    add();
    hear(0, 1);
    world.post(0, [this](Engine& e) { e.connect(OpId{1}, {world.node(1).id, {}}, world.now()); });
    ASSERT_TRUE(world.run_until([&] { return identified(0, 1) && identified(1, 0); }, 10s));
    refuse(1);
    cut_all();
    ASSERT_TRUE(down());
    world.post(0, [this](Engine& e) { e.lan_lost(world.node(1).id, world.now()); });
    world.run_for(1s);
    const auto info = world.engine(0).peer(world.node(1).id);
    ASSERT_TRUE(info);
    EXPECT_FALSE(info->on_lan);
    EXPECT_FALSE(info->addresses.empty());
    send(0, 1, "later");
    answer(1);
    ASSERT_TRUE(world.run_until([&] { return messages[1].size() == 1; }, 10min));
}

TEST_F(Reconnect, AnAcknowledgedMessageEndsTheBackOff) {
    dialler();
    add();
    ASSERT_TRUE(meet(0, 1));
    for (int i = 0; i < 9; ++i) {
        cut_all();
        ASSERT_TRUE(down());
        ASSERT_TRUE(up());
    }
    send(0, 1, "one");
    ASSERT_TRUE(world.run_until([&] { return world.engine(0).stats().messages_delivered == 1; }, 5s));
    const auto before = world.now();
    cut_all();
    ASSERT_TRUE(down());
    ASSERT_TRUE(up());
    EXPECT_LE(world.now() - before, 200ms);
}

TEST_F(Reconnect, ALinkThatLastedEndsTheBackOff) {
    dialler();
    add();
    ASSERT_TRUE(meet(0, 1));
    for (int i = 0; i < 9; ++i) {
        cut_all();
        ASSERT_TRUE(down());
        ASSERT_TRUE(up());
    }
    world.run_for(11s);
    const auto before = world.now();
    cut_all();
    ASSERT_TRUE(down());
    ASSERT_TRUE(up());
    EXPECT_LE(world.now() - before, 200ms);
}

TEST_F(Reconnect, MessagesToAPeerThatIsGoneDoNotDialAtOnceEachTime) { many_sends(true); }

TEST_F(Reconnect, NorIfNoPeerIsKeptConnected) { many_sends(false); }

TEST_F(Reconnect, APeerHeardOnTheLanIsDialledAtOnceWhateverTheBackOff) {
    dialler();
    add();
    ASSERT_TRUE(meet(0, 1));
    refuse(1);
    cut_all();
    world.run_for(10min);
    answer(1);
    const auto before = world.now();
    hear(0, 1);
    ASSERT_TRUE(up());
    EXPECT_LE(world.now() - before, 1s);
    // And again when it is only heard again, at the same address.
    refuse(1);
    cut_all();
    world.run_for(10min);
    answer(1);
    const auto again = world.now();
    hear(0, 1);
    ASSERT_TRUE(up());
    EXPECT_LE(world.now() - again, 1s);
}

TEST_F(Reconnect, ANewAddressOnTheLanJoinsADialThatHangs) {
    dialler();
    add();
    add();
    refuse(2, testing::Accept::hang);
    world.post(0, [this](Engine& e) {
        e.connect(OpId{1}, {world.node(1).id, {wire::from_tcp(world.node(2).listen)}}, world.now());  // it lived there once
    });
    world.run_for(3s);
    const auto before = world.now();
    hear(0, 1);
    ASSERT_TRUE(world.run_until([&] { return completions.contains(1); }, 10s));
    EXPECT_LE(world.now() - before, 1s);
    EXPECT_EQ(error_of(1), std::nullopt);
}

TEST_F(Reconnect, AChangedNetworkPullsAllRedialsForwardWithoutAStorm) {
    dialler();
    for (int i = 1; i <= 40; ++i) {
        add();
        connect(0, static_cast<NodeId>(i), static_cast<std::uint64_t>(i));
    }
    ASSERT_TRUE(world.run_until([&] { return completions.size() == 40; }, 10s));
    for (NodeId i = 1; i <= 40; ++i) refuse(i);
    cut_all();
    world.run_for(1h);
    dials.clear();
    const auto listen = wire::from_tcp(world.node(0).listen);
    world.post(0, [&](Engine& e) { e.set_listen_addresses({listen}, {}, world.now()); });  // nothing new
    world.run_for(1s);
    EXPECT_LE(dials.size(), 3U);
    dials.clear();
    for (NodeId i = 1; i <= 40; ++i) answer(i);
    world.post(0, [&](Engine& e) { e.set_listen_addresses({listen, *Multiaddr::parse("/ip4/10.0.1.1/tcp/4001")}, {}, world.now()); });
    ASSERT_TRUE(world.run_until([&] { return world.engine(0).stats().links_now == 40; }, 10s));
    ASSERT_GE(dials.size(), 40U);
    for (std::size_t i = 0; i + 10 < dials.size(); ++i) EXPECT_GE(dials[i + 10] - dials[i], 900ms);
    EXPECT_GE(world.engine(0).stats().dials_deferred, 30U);
}

// All peers of a node restart: it does not dial them all at once, and has them all back soon.
TEST_F(Reconnect, AHundredPeersThatRestartAreDialledTenASecond) {
    dialler();
    for (NodeId i = 1; i <= 100; ++i) {
        add();
        connect(0, i, i);
    }
    ASSERT_TRUE(world.run_until([&] { return completions.size() == 100; }, 10s));
    for (int round = 0; round < 2; ++round) {
        dials.clear();
        const auto began = world.now();
        for (NodeId i = 1; i <= 100; ++i) {  // within 5 s, each away for 2 s
            world.at(i * 50ms, [this, i] {
                refuse(i);
                for (const auto wire : world.wires_between(0, i)) world.cut(wire, World::Cut::fin);
                world.at(2s, [this, i] { answer(i); });
            });
        }
        world.run_for(8s);
        ASSERT_TRUE(world.run_until([&] { return world.engine(0).stats().links_now == 100; }, 2min));
        EXPECT_LE(world.now() - began, 60s);
        for (std::size_t i = 0; i + 10 < dials.size(); ++i) EXPECT_GT(dials[i + 10] - dials[i], 990ms);
    }
}

TEST_F(Reconnect, ADialUnderWayWhenTheNetworkChangesDoesNotPayForTheOldOne) {
    dialler();
    add();
    ASSERT_TRUE(meet(0, 1));
    refuse(1, testing::Accept::hang);
    cut_all();
    world.run_for(1h);
    ASSERT_TRUE(world.run_until([&] { return world.engine(0).load().dials == 1; }, 10min));
    world.post(0, [&](Engine& e) { e.set_listen_addresses({*Multiaddr::parse("/ip4/10.0.1.1/tcp/4001")}, {}, world.now()); });
    world.run_for(1s);
    answer(1);
    const auto before = world.now();
    ASSERT_TRUE(up());
    EXPECT_LE(world.now() - before, 11s);
}

TEST_F(Reconnect, AnotherInterfaceIsAChangedNetwork) {
    dialler();
    add();
    ASSERT_TRUE(meet(0, 1));
    refuse(1);
    cut_all();
    world.run_for(1h);
    answer(1);
    const auto before = world.now();
    world.post(0, [&](Engine& e) { e.lan_interfaces({{2, {IpAddress::v4(10, 0, 0, 1)}}}, world.now()); });
    ASSERT_TRUE(up());
    EXPECT_LE(world.now() - before, 1s);
}

TEST_F(Reconnect, DisconnectLeavesNothingBehind) {
    dialler();
    add();
    ASSERT_TRUE(meet(0, 1));
    send(0, 1, "x");
    world.run_for(1s);
    // While the link is up, while it waits for the redial, and while it dials.
    for (int stage = 0; stage < 3; ++stage) {
        if (stage > 0) {
            connect(0, 1, static_cast<std::uint64_t>(10 + stage));
            ASSERT_TRUE(up());
            refuse(1, stage == 1 ? testing::Accept::refuse : testing::Accept::hang);
            cut_all();
            world.run_for(stage == 1 ? 20s : 2s);
        }
        world.post(0, [this](Engine& e) { e.disconnect(world.node(1).id, world.now()); });
        world.run_for(1s);
        EXPECT_TRUE(nothing_left(0)) << stage;
        dials.clear();
        world.run_for(10min);
        EXPECT_TRUE(dials.empty()) << stage;
        answer(1);
    }
}

TEST_F(Reconnect, ACancelledConnectIsNoFailureOfThePeer) {
    dialler();
    add();
    ASSERT_TRUE(meet(0, 1));
    world.post(0, [this](Engine& e) { e.disconnect(world.node(1).id, world.now()); });
    world.run_for(1s);
    refuse(1, testing::Accept::hang);
    for (std::uint64_t op = 1; op <= 20; ++op) {
        connect(0, 1, op);
        world.run_for(10ms);
        world.post(0, [op, this](Engine& e) { e.cancel(OpId{op}, Errc::cancelled, world.now()); });
        world.run_for(10ms);
        EXPECT_EQ(error_of(op), Errc::cancelled);
        EXPECT_TRUE(nothing_left(0));
    }
    answer(1);
    const auto before = world.now();
    send(0, 1, "x");
    ASSERT_TRUE(up());
    EXPECT_LE(world.now() - before, 50ms);
}

TEST_F(Reconnect, MessagesThatWaitKeepACancelledDialGoing) {
    dialler();
    add();
    world.introduce(0, 1);
    refuse(1, testing::Accept::hang);
    send(0, 1, "x");
    connect(0, 1, 1);
    world.run_for(10ms);
    world.post(0, [this](Engine& e) { e.cancel(OpId{1}, Errc::cancelled, world.now()); });
    world.run_for(10ms);
    EXPECT_EQ(error_of(1), Errc::cancelled);
    EXPECT_EQ(world.engine(0).load().dials, 1U);
    answer(1);
    ASSERT_TRUE(world.run_until([&] { return messages[1].size() == 1; }, 1min));
}

TEST_F(Reconnect, ADialIsGivenUpAfterHalfAMinuteWhateverTheConfiguration) {
    dialler([](Config& c) { c.dial_timeout = 1h; });
    add();
    refuse(1, testing::Accept::hang);
    connect(0, 1, 1);
    ASSERT_TRUE(world.run_until([&] { return completions.contains(1); }, 2h));
    EXPECT_LE(dials.size(), 1U);
    EXPECT_LE(world.now() - dials[0], 31s);
    EXPECT_TRUE(nothing_left(0));
}

TEST_F(Reconnect, CancelledOperationsLeaveNothingOnTheLink) {
    dialler();
    add([](Config& c) { c.serve_perf = true; });
    ASSERT_TRUE(meet(0, 1));
    world.engine(1).serve_raw("/quiet", world.now());
    world.run_for(10s);
    for (const auto wire : world.open_wires()) world.stall(wire, true, true, 5s);
    const auto& id = world.node(1).id;
    world.post(0, [&](Engine& e) {
        e.ping(OpId{1}, id, world.now());
        e.perf(OpId{2}, id, 1'000'000, 1'000'000, world.now());
        e.open_raw(OpId{3}, id, "/quiet", world.now());
    });
    world.run_for(1s);
    world.post(0, [&](Engine& e) {
        for (std::uint64_t op = 1; op <= 3; ++op) e.cancel(OpId{op}, Errc::timeout, world.now());
        EXPECT_EQ(e.load().handler_streams, 0U);
    });
    world.run_for(20s);
    for (NodeId i = 0; i < 2; ++i) {
        EXPECT_EQ(world.engine(i).load().handler_streams, 0U) << i;
        EXPECT_EQ(world.engine(i).load().streams, 0U) << i;
        EXPECT_EQ(world.engine(i).load().timers, 1U) << i;
    }
    for (std::uint64_t op = 1; op <= 3; ++op) EXPECT_FALSE(completions.contains(op));
    EXPECT_TRUE(connected(0, 1));
    world.post(0, [&](Engine& e) { e.ping(OpId{4}, id, world.now()); });
    ASSERT_TRUE(world.run_until([&] { return completions.contains(4); }, 5s));
    EXPECT_EQ(error_of(4), std::nullopt);
}

}  // namespace
}  // namespace kith::engine
