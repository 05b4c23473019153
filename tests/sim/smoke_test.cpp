// SPDX-License-Identifier: Apache-2.0
// Two engines meet, tell who they are, ping, and exchange messages.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "testing/sim.hpp"

namespace kith::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Pair : ::testing::Test {
    Pair() {
        for (int i = 0; i < 2; ++i) {
            world.add_node();
            world.node(static_cast<NodeId>(i)).on_event = [this, i](const PeerEvent& event) { states[i].push_back(event.state); };
            world.node(static_cast<NodeId>(i)).on_completion = [this, i](const protocol::Complete& done) {
                completions[i].emplace(done.op.value, done);
            };
        }
        world.introduce(0, 1);
    }
    bool connect() {
        world.post(0, [this](engine::Engine& e) { e.connect(OpId{1}, {world.node(1).id, {}}, world.now()); });
        return world.run_until([this] { return saw(0, PeerState::identified) && saw(1, PeerState::identified); }, seconds{5});
    }
    bool saw(int node, PeerState state) const { return std::find(states[node].begin(), states[node].end(), state) != states[node].end(); }

    World world{1};
    std::vector<PeerState> states[2];
    std::map<std::uint64_t, protocol::Complete> completions[2];
};

TEST_F(Pair, IdentifyBothWays) {
    ASSERT_TRUE(connect());
    ASSERT_TRUE(completions[0].contains(1));
    EXPECT_TRUE(std::holds_alternative<PeerId>(completions[0].at(1).result));
    const auto seen = world.engine(1).peer(world.node(0).id);
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->agent, "kith/sim node0");
    EXPECT_NE(std::find(seen->protocols.begin(), seen->protocols.end(), "/kith/msg/1.0.0"), seen->protocols.end());
}

TEST_F(Pair, Ping) {
    ASSERT_TRUE(connect());
    world.post(0, [this](engine::Engine& e) { e.ping(OpId{2}, world.node(1).id, world.now()); });
    world.post(1, [this](engine::Engine& e) { e.ping(OpId{3}, world.node(0).id, world.now()); });
    ASSERT_TRUE(world.run_until([this] { return completions[0].contains(2) && completions[1].contains(3); }, seconds{5}));
    const auto* rtt = std::get_if<Duration>(&completions[0].at(2).result);
    ASSERT_NE(rtt, nullptr);
    EXPECT_GE(*rtt, milliseconds{2});  // twice the delay of the network
    EXPECT_LT(*rtt, milliseconds{10});
}

TEST_F(Pair, AThousandMessagesEachWay) {
    ASSERT_TRUE(connect());
    constexpr int count = 1000;
    std::vector<std::string> got[2];
    std::uint64_t released[2] = {};
    for (NodeId i = 0; i < 2; ++i) {
        world.node(i).on_message = [&got, i](const delivery::Delivered& m) { got[i].emplace_back(as_text(m.bytes)); };
        world.node(i).on_released = [&released, i](const engine::Released& r) { released[i] += r.messages; };
    }
    const auto text = [](NodeId from, int n) {
        return "from " + std::to_string(from) + " number " + std::to_string(n) + std::string(static_cast<std::size_t>(n % 700), 'x');
    };
    for (NodeId i = 0; i < 2; ++i) {
        world.post(i, [&, i](engine::Engine& e) {
            const auto lane = e.lane(world.node(1 - i).id, "chat", Strength::reliable, Priority::normal, world.now());
            ASSERT_TRUE(lane);
            for (int n = 0; n < count; ++n) {
                const auto message = text(i, n);
                e.send(*lane, {.bytes = as_bytes(message)}, world.now());
            }
            e.flush_sends(world.now());
        });
    }
    ASSERT_TRUE(world.run_until([&] { return released[0] == count && released[1] == count; }, seconds{20}));
    for (NodeId i = 0; i < 2; ++i) {
        ASSERT_EQ(got[i].size(), static_cast<std::size_t>(count));
        for (int n = 0; n < count; ++n) ASSERT_EQ(got[i][static_cast<std::size_t>(n)], text(1 - i, n));
        EXPECT_EQ(world.engine(i).stats().resyncs, 0U);
        EXPECT_EQ(world.engine(i).stats().messages_delivered, static_cast<std::uint64_t>(count));
    }
    // Nothing is left but what a link needs: one message stream in each direction, one timer for its silence.
    world.run_for(seconds{60});
    for (NodeId i = 0; i < 2; ++i) {
        EXPECT_EQ(world.engine(i).links(), 1U);
        EXPECT_EQ(world.engine(i).stats().streams_now, 2U);
        EXPECT_EQ(world.engine(i).timers(), 1U);
    }
    for (NodeId i = 0; i < 2; ++i) {
        world.post(i, [this](engine::Engine& e) { e.stop(world.now()); });
    }
    world.run_for(seconds{1});
    for (NodeId i = 0; i < 2; ++i) {
        EXPECT_EQ(world.engine(i).links(), 0U);
        EXPECT_EQ(world.engine(i).stats().streams_now, 0U);
        EXPECT_EQ(world.engine(i).timers(), 0U);
    }
    EXPECT_FALSE(world.stuck());
}

}  // namespace
}  // namespace kith::testing
