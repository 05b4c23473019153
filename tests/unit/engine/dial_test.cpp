// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "unit/engine/harness.hpp"

namespace kith::engine {
namespace {

struct Dial : Net {};

TEST_F(Dial, AddressesAreTriedOneAfterAnother) {
    add();
    add();
    const auto dead = *Multiaddr::parse("/ip4/10.0.0.200/tcp/1");
    world.node(1).accept = testing::Accept::normal;
    world.post(0, [&](Engine& e) {
        e.connect(OpId{1}, {world.node(1).id, {dead, *Multiaddr::parse("/ip4/10.0.0.201/tcp/1"), wire::from_tcp(world.node(1).listen)}},
                  world.now());
    });
    ASSERT_TRUE(world.run_until([&] { return completions.contains(1); }, 5s));
    EXPECT_EQ(error_of(1), std::nullopt);
    EXPECT_TRUE(connected(0, 1));
    world.run_for(1s);
    EXPECT_EQ(world.engine(0).load().dials, 0U);
}

TEST_F(Dial, TheNextAddressStartsWhileTheFirstHangs) {
    add();
    add();
    add();
    world.node(2).accept = testing::Accept::hang;
    world.node(2).accept_until = Duration::max();
    const auto began = world.now();
    world.post(0, [&](Engine& e) {
        e.connect(OpId{1}, {world.node(1).id, {wire::from_tcp(world.node(2).listen), wire::from_tcp(world.node(1).listen)}}, world.now());
    });
    ASSERT_TRUE(world.run_until([&] { return completions.contains(1); }, 20s));
    EXPECT_EQ(error_of(1), std::nullopt);
    EXPECT_LT(world.now() - began, 1s);
    world.run_for(1s);
    EXPECT_EQ(world.engine(0).links(), 1U);  // the one that hung is given up
}

TEST_F(Dial, TheReportNamesEveryAddress) {
    add();
    add();
    world.post(0, [&](Engine& e) {
        e.connect(OpId{1},
                  {world.node(1).id, {*Multiaddr::parse("/ip4/10.0.0.200/tcp/1"), *Multiaddr::parse("/ip4/10.0.0.201/udp/1/quic-v1")}},
                  world.now());
    });
    ASSERT_TRUE(world.run_until([&] { return completions.contains(1); }, 20s));
    ASSERT_EQ(error_of(1), Errc::dial_failed);
    const auto& detail = std::get<Error>(completions[1].result).detail;
    EXPECT_NE(detail.find("10.0.0.200"), std::string::npos) << detail;
    EXPECT_NE(detail.find("10.0.0.201"), std::string::npos) << detail;
    EXPECT_EQ(world.engine(0).load().dials, 0U);
    EXPECT_EQ(world.engine(0).links(), 0U);
}

TEST_F(Dial, NobodyAnswersInTime) {
    add();
    add();
    world.node(1).accept = testing::Accept::hang;
    world.node(1).accept_until = Duration::max();
    connect(0, 1, 1);
    ASSERT_TRUE(world.run_until([&] { return completions.contains(1); }, 30s));
    EXPECT_TRUE(error_of(1) == Errc::timeout || error_of(1) == Errc::dial_failed);
}

TEST_F(Dial, AnotherPeerLivesThere) {
    add();
    add();
    add();
    world.post(0, [&](Engine& e) { e.connect(OpId{1}, {world.node(1).id, {wire::from_tcp(world.node(2).listen)}}, world.now()); });
    ASSERT_TRUE(world.run_until([&] { return completions.contains(1); }, 20s));
    EXPECT_EQ(error_of(1), Errc::wrong_peer);
    EXPECT_FALSE(connected(0, 1));
    EXPECT_FALSE(connected(0, 2));
}

TEST_F(Dial, OwnIdIsRefused) {
    add();
    world.post(0, [&](Engine& e) {
        e.connect(OpId{1}, {world.node(0).id, {wire::from_tcp(world.node(0).listen)}}, world.now());
        e.connect(OpId{2}, {PeerId{}, {wire::from_tcp(world.node(0).listen)}}, world.now());
    });
    ASSERT_TRUE(world.run_until([&] { return completions.contains(1) && completions.contains(2); }, 20s));
    EXPECT_EQ(error_of(1), Errc::invalid_argument);
    EXPECT_TRUE(error_of(2).has_value());
    world.run_for(1s);
    EXPECT_EQ(world.engine(0).links(), 0U);
    EXPECT_EQ(world.engine(0).timers(), 0U);
}

TEST_F(Dial, WhoeverAnswers) {
    add();
    add();
    world.post(0, [&](Engine& e) { e.connect(OpId{1}, {PeerId{}, {wire::from_tcp(world.node(1).listen)}}, world.now()); });
    ASSERT_TRUE(world.run_until([&] { return completions.contains(1); }, 5s));
    EXPECT_EQ(std::get<PeerId>(completions[1].result), world.node(1).id);
}

TEST_F(Dial, ManyCallersJoinOneDial) {
    add();
    add();
    for (std::uint64_t op = 1; op <= 5; ++op) connect(0, 1, op);
    ASSERT_TRUE(world.run_until([&] { return completions.size() == 5; }, 5s));
    world.run_for(1s);
    EXPECT_EQ(world.engine(0).links(), 1U);
}

TEST_F(Dial, CancelledByItsOnlyCaller) {
    add();
    add();
    world.node(1).accept = testing::Accept::hang;
    world.node(1).accept_until = Duration::max();
    connect(0, 1, 1);
    world.run_for(100ms);
    world.post(0, [&](Engine& e) { e.cancel(OpId{1}, Errc::cancelled, world.now()); });
    world.run_for(100ms);
    EXPECT_EQ(error_of(1), Errc::cancelled);
    EXPECT_EQ(world.engine(0).links(), 0U);
    EXPECT_EQ(world.engine(0).timers(), 0U);
}

TEST_F(Dial, UnknownPeersAreSaidAtOnce) {
    add();
    add();
    world.post(0, [&](Engine& e) { e.connect(OpId{1}, {world.node(1).id, {}}, world.now()); });
    world.run_for(1ms);
    EXPECT_EQ(error_of(1), Errc::unknown_peer);
}

TEST_F(Dial, NamesAreResolved) {
    add();
    add();
    auto& e = world.engine(0);
    e.connect(OpId{1}, {world.node(1).id, {*Multiaddr::parse("/dns4/node.example/tcp/4001")}}, world.now());
    ASSERT_EQ(e.outputs().resolve.size(), 1U);
    EXPECT_EQ(e.outputs().resolve[0].name.host, "node.example");
    const IpAddress found[] = {world.node(1).listen.ip};
    const auto query = e.outputs().resolve[0].query;
    world.post(0, [&](Engine& engine) { engine.resolved(query, found, nullptr, world.now()); });
    ASSERT_TRUE(world.run_until([&] { return completions.contains(1); }, 5s));
    EXPECT_EQ(error_of(1), std::nullopt);
    EXPECT_EQ(e.load().queries, 0U);
}

TEST_F(Dial, SimultaneousDialsEndInOneLink) {
    add();
    add();
    connect(0, 1, 1);
    connect(1, 0, 2);
    ASSERT_TRUE(world.run_until([&] { return completions.size() == 2; }, 5s));
    for (int i = 0; i < 50; ++i) {
        send(0, 1, "a" + std::to_string(i));
        send(1, 0, "b" + std::to_string(i));
        world.run_for(50ms);
    }
    world.run_for(20s);
    EXPECT_EQ(world.engine(0).links(), 1U);
    EXPECT_EQ(world.engine(1).links(), 1U);
    ASSERT_EQ(messages[0].size(), 50U);
    ASSERT_EQ(messages[1].size(), 50U);
    for (std::size_t i = 0; i < 50; ++i) {
        EXPECT_EQ(messages[1][i], "a" + std::to_string(i));
        EXPECT_EQ(messages[0][i], "b" + std::to_string(i));
    }
}

TEST_F(Dial, LinksOfOnePeerAreLimited) {
    add([](Config& c) { c.max_links_per_peer = 2; });
    add([](Config& c) { c.spare_link_after = 1h; });
    ASSERT_TRUE(meet(0, 1));
    auto& e = world.engine(0);
    Stranger a(e, 500, world.now());
    Stranger b(e, 500, world.now());
    Stranger c(e, 500, world.now());
    EXPECT_TRUE(a.run(world.now()));
    EXPECT_TRUE(b.run(world.now()));
    EXPECT_FALSE(c.run(world.now()));
}

TEST_F(Dial, AKeptPeerIsDialledAgain) {
    add();
    add();
    ASSERT_TRUE(meet(0, 1));
    for (int i = 0; i < 5; ++i) {
        const auto wires = world.open_wires();
        ASSERT_FALSE(wires.empty());
        world.cut(wires[0], World::Cut::rst);
        ASSERT_TRUE(world.run_until([&] { return !connected(0, 1); }, 1s));
        ASSERT_TRUE(world.run_until([&] { return connected(0, 1); }, 20s)) << i;
    }
}

TEST_F(Dial, DisconnectLasts) {
    add();
    add();
    ASSERT_TRUE(meet(0, 1));
    world.post(0, [&](Engine& e) { e.disconnect(world.node(1).id, world.now()); });
    world.run_for(60s);
    EXPECT_FALSE(connected(0, 1));
    EXPECT_EQ(world.engine(0).timers(), 0U);
}

}  // namespace
}  // namespace kith::engine
