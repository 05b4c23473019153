// SPDX-License-Identifier: Apache-2.0
// Few outgoing slots for many peers, and who is silent: the promises of docs/connections.md in a whole network.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "testing/sim.hpp"

namespace kith::testing {
namespace {

using namespace std::chrono_literals;

struct Connections : ::testing::Test {
    NodeId add(Function<void(engine::Config&)> adjust = nullptr) {
        const auto i = world.add_node(std::move(adjust));
        auto& node = world.node(i);
        node.on_event = [this, i](const PeerEvent& e) { events[i].push_back(e); };
        node.on_message = [this, i](const delivery::Delivered& m) { got[i].emplace_back(as_text(m.bytes)); };
        node.on_completion = [this](const protocol::Complete& done) { completions[done.op.value] = done; };
        return i;
    }
    void send(NodeId from, NodeId to, std::vector<std::string> texts) {
        world.post(from, [this, to, texts = std::move(texts)](engine::Engine& e) {
            const auto lane = e.lane(world.node(to).id, "chat", Strength::reliable, Priority::normal, world.now());
            ASSERT_TRUE(lane);
            for (const auto& text : texts) e.send(*lane, {.bytes = as_bytes(text)}, world.now());
            e.flush_sends(world.now());
        });
    }
    bool ended_badly(NodeId node) const {
        const auto it = events.find(node);
        return it != events.end() && std::any_of(it->second.begin(), it->second.end(), [](const PeerEvent& e) {
                   return e.state == PeerState::disconnected && e.error && e.error->code != Errc::going_away;
               });
    }
    std::size_t count(NodeId node, PeerState state) const {
        const auto it = events.find(node);
        if (it == events.end()) return 0;
        return static_cast<std::size_t>(
            std::count_if(it->second.begin(), it->second.end(), [state](const PeerEvent& e) { return e.state == state; }));
    }

    World world{3};
    std::map<NodeId, std::vector<PeerEvent>> events;
    std::map<NodeId, std::vector<std::string>> got;
    std::map<std::uint64_t, protocol::Complete> completions;
};

// csend's lesson: a pool of 4 outgoing connections serves 64 peers.
TEST_F(Connections, FourSlotsServeSixtyFourPeers) {
    constexpr std::size_t slots = 4;
    constexpr NodeId peers = 64;
    constexpr std::size_t per_wave = 5;
    add([](engine::Config& c) { c.max_outbound = slots; });
    for (NodeId i = 1; i <= peers; ++i) {
        add();
        world.introduce(0, i);
    }
    std::size_t most = 0;
    world.node(0).on_event = [&](const PeerEvent& e) {  // in the middle of a turn: new sockets are open, old ones not yet closed
        events[0].push_back(e);
        most = std::max(most, world.wires_of(0));
    };
    std::map<NodeId, std::vector<std::string>> sent;
    for (int wave = 0; wave < 4; ++wave) {
        const auto began = world.now();
        for (NodeId i = 1; i <= peers; ++i) {
            std::vector<std::string> texts;
            for (std::size_t n = 0; n < per_wave; ++n) texts.push_back(std::to_string(i) + "/" + std::to_string(sent[i].size() + n));
            sent[i].insert(sent[i].end(), texts.begin(), texts.end());
            send(0, i, texts);
        }
        const auto all_there = [&] {
            // Sockets, dials and links that end included.
            most = std::max(most, world.wires_of(0));
            return std::all_of(sent.begin(), sent.end(), [&](const auto& item) { return got[item.first].size() == item.second.size(); });
        };
        ASSERT_TRUE(world.run_until(all_there, 1min)) << wave;
        // 16 turns of 0.1 s and a review each: nobody waited longer than one rotation.
        EXPECT_LE(world.now() - began, 16 * 200ms) << wave;
    }
    for (const auto& [i, texts] : sent) EXPECT_EQ(got[i], texts) << i;
    EXPECT_EQ(most, slots);
    EXPECT_FALSE(ended_badly(0));
    const auto stats = world.engine(0).stats();
    EXPECT_GE(stats.slots_given_up, 3 * (peers - slots));
    EXPECT_GE(stats.dials_deferred, peers - slots);
    EXPECT_EQ(stats.resyncs, 0U);
    EXPECT_EQ(stats.messages_sent, peers * 4 * per_wave);  // nothing went twice
    for (NodeId i = 1; i <= peers; ++i)
        EXPECT_EQ(count(i, PeerState::connected), count(i, PeerState::disconnected) + world.engine(i).stats().links_now);
    // Nobody waits: those that have a slot keep it.
    world.run_for(1min);
    EXPECT_EQ(world.wires_of(0), slots);
    EXPECT_EQ(world.engine(0).load().dials_waiting, 0U);
}

TEST_F(Connections, AMessageToEverybodyAtOnceEverySecond) {
    constexpr NodeId peers = 12;
    add([](engine::Config& c) { c.max_outbound = 3; });
    for (NodeId i = 1; i <= peers; ++i) {
        add();
        world.introduce(0, i);
    }
    for (int n = 0; n < 60; ++n) {
        for (NodeId i = 1; i <= peers; ++i) send(0, i, {std::to_string(n)});
        world.run_for(1s);
        EXPECT_LE(world.wires_of(0), 3U);
    }
    ASSERT_TRUE(world.run_until(
        [&] {
            for (NodeId i = 1; i <= peers; ++i) {
                if (got[i].size() != 60) return false;
            }
            return true;
        },
        30s));
    for (NodeId i = 1; i <= peers; ++i) {
        for (int n = 0; n < 60; ++n) EXPECT_EQ(got[i][static_cast<std::size_t>(n)], std::to_string(n));
    }
}

// Peers that always have something to say take turns of one slice.
TEST_F(Connections, BusyPeersTakeTurns) {
    world.profile.rate = 200e3;
    add([](engine::Config& c) { c.max_outbound = 1; });
    for (NodeId i = 1; i <= 3; ++i) {
        add();
        world.introduce(0, i);
        send(0, i, std::vector<std::string>(300, std::string(20'000, 'x')));  // half a minute each
    }
    world.run_for(9s);
    EXPECT_EQ(std::count_if(got.begin(), got.end(), [](const auto& item) { return !item.second.empty(); }), 1);
    world.run_for(22s);
    EXPECT_EQ(std::count_if(got.begin(), got.end(), [](const auto& item) { return !item.second.empty(); }), 3);
    ASSERT_TRUE(world.run_until([&] { return got[1].size() + got[2].size() + got[3].size() == 900; }, 5min));
    EXPECT_EQ(world.engine(0).stats().resyncs, 0U);
}

// The application over there takes nothing, so there is no credit left.
TEST_F(Connections, WhoWaitsForCreditGivesWayAfterTwoSeconds) {
    world.profile.max_app_delay = 24h;
    add([](engine::Config& c) { c.max_outbound = 1; });
    for (NodeId i = 1; i <= 2; ++i) {
        add();
        world.introduce(0, i);
    }
    send(0, 1, std::vector<std::string>(120, std::string(50'000, 'x')));
    world.run_for(3s);
    send(0, 2, {"x"});
    world.run_for(100ms);
    EXPECT_EQ(count(2, PeerState::connected), 1U);  // it had been quiet for long
    world.run_for(11s);
    EXPECT_EQ(count(1, PeerState::connected), 2U);  // and gets its next turn
    const auto stats = world.engine(0).stats();
    EXPECT_EQ(stats.resyncs, 0U);
}

// Larger than what goes through in a slice: it is not thrown away half way again and again.
TEST_F(Connections, AMessageThatTakesLongerThanASlice) {
    world.profile.rate = 30e3;
    add([](engine::Config& c) { c.max_outbound = 1; });
    for (NodeId i = 1; i <= 2; ++i) {
        add();
        world.introduce(0, i);
        send(0, i, {std::string(800'000, 'x')});
    }
    ASSERT_TRUE(world.run_until([&] { return got[1].size() == 1 && got[2].size() == 1; }, 90s));
}

TEST_F(Connections, APeerThatDoesNotAnswerHoldsASlotForItsDialOnly) {
    add([](engine::Config& c) { c.max_outbound = 1; });
    for (NodeId i = 1; i <= 3; ++i) {
        add();
        world.introduce(0, i);
        send(0, i, {"x"});
    }
    world.node(1).accept = Accept::hang;
    world.node(1).accept_until = Duration::max();
    ASSERT_TRUE(world.run_until([&] { return got[2].size() == 1 && got[3].size() == 1; }, 15s));
    world.node(1).accept_until = {};
    ASSERT_TRUE(world.run_until([&] { return got[1].size() == 1; }, 30s));
}

TEST_F(Connections, UsersConnectInTurnAndEndWithTheirDeadline) {
    add([](engine::Config& c) { c.max_outbound = 1; });
    for (NodeId i = 1; i <= 4; ++i) {
        add();
        world.introduce(0, i);
        world.post(0, [this, i](engine::Engine& e) { e.connect(OpId{i}, {world.node(i).id, {}}, world.now()); });
    }
    world.at(3s, [this] { world.post(0, [this](engine::Engine& e) { e.cancel(OpId{4}, Errc::timeout, world.now()); }); });
    ASSERT_TRUE(world.run_until([&] { return completions.size() == 4; }, 10s));
    for (std::uint64_t op = 1; op <= 3; ++op) EXPECT_TRUE(std::holds_alternative<PeerId>(completions[op].result)) << op;
    const auto* error = std::get_if<Error>(&completions[4].result);
    ASSERT_NE(error, nullptr);
    EXPECT_EQ(error->code, Errc::timeout);
    world.run_for(1min);
    EXPECT_EQ(count(4, PeerState::connected), 0U);
    EXPECT_EQ(world.engine(0).load().dials_waiting, 0U);
    EXPECT_EQ(world.engine(0).load().timers, 1U);
}

TEST_F(Connections, WhoIsOnlyKeptWaitsForThoseWithMessages) {
    add([](engine::Config& c) { c.max_outbound = 1; });
    add();
    add();
    world.introduce(0, 1);
    world.introduce(0, 2);
    world.post(0, [this](engine::Engine& e) { e.connect(OpId{1}, {world.node(1).id, {}}, world.now()); });
    ASSERT_TRUE(world.run_until([&] { return completions.contains(1); }, 5s));
    send(0, 2, {"a"});
    ASSERT_TRUE(world.run_until([&] { return got[2].size() == 1; }, 5s));
    const auto& told = events[0];
    const auto given = std::find_if(told.begin(), told.end(), [](const PeerEvent& e) { return e.state == PeerState::disconnected; });
    ASSERT_NE(given, told.end());
    EXPECT_EQ(given->error->code, Errc::going_away);
    EXPECT_EQ(given->error->what, "its slot was needed");
    world.run_for(1min);
    EXPECT_EQ(world.engine(0).peer(world.node(1).id)->links, 0U);  // it does not come back by itself
    send(0, 1, {"b"});
    const auto before = world.now();
    ASSERT_TRUE(world.run_until([&] { return got[1].size() == 1; }, 5s));
    EXPECT_LE(world.now() - before, 500ms);  // its link was not lost, so there is no back-off
}

TEST_F(Connections, LinksOfOthersAreNotLimited) {
    add([](engine::Config& c) { c.max_outbound = 1; });
    for (NodeId i = 1; i <= 5; ++i) {
        add();
        world.introduce(i, 0);
        send(i, 0, {"in"});
        world.introduce(0, i);
    }
    ASSERT_TRUE(world.run_until([&] { return got[0].size() == 5; }, 5s));
    for (NodeId i = 1; i <= 5; ++i) send(0, i, {"out"});
    ASSERT_TRUE(world.run_until([&] { return std::all_of(got.begin(), got.end(), [](const auto& g) { return !g.second.empty(); }); }, 5s));
    EXPECT_EQ(world.engine(0).stats().slots_given_up, 0U);
}

// A stream of the user would be cut, so it holds its slot.
TEST_F(Connections, AStreamOfTheUserHoldsItsSlot) {
    add([](engine::Config& c) { c.max_outbound = 1; });
    add();
    add();
    world.engine(1).serve_raw("/quiet", world.now());
    StreamRef stream;
    world.node(0).on_stream = [&](const engine::StreamOutput& out) {
        if (const auto* opened = std::get_if<engine::StreamOpened>(&out)) stream = opened->stream;
    };
    world.introduce(0, 1);
    world.introduce(0, 2);
    world.post(0, [this](engine::Engine& e) { e.connect(OpId{1}, {world.node(1).id, {}}, world.now()); });
    ASSERT_TRUE(world.run_until([&] { return completions.contains(1); }, 5s));
    world.post(0, [this](engine::Engine& e) { e.open_raw(OpId{2}, world.node(1).id, "/quiet", world.now()); });
    ASSERT_TRUE(world.run_until([&] { return static_cast<bool>(stream); }, 5s));
    send(0, 2, {"a"});
    world.run_for(5min);
    EXPECT_TRUE(got[2].empty());
    world.post(0, [&](engine::Engine& e) { e.reset_raw(stream, world.now()); });
    ASSERT_TRUE(world.run_until([&] { return got[2].size() == 1; }, 5s));
}

TEST_F(Connections, StopWhileManyWait) {
    add([](engine::Config& c) { c.max_outbound = 2; });
    for (NodeId i = 1; i <= 10; ++i) {
        add();
        world.introduce(0, i);
        send(0, i, {"x"});
    }
    world.run_for(100ms);
    EXPECT_GE(world.engine(0).load().dials_waiting, 6U);
    world.post(0, [this](engine::Engine& e) { e.stop(world.now()); });
    world.run_for(1s);
    const auto load = world.engine(0).load();
    EXPECT_EQ(load.dials + load.dials_waiting + load.links + load.timers, 0U);
}

// ---- silence

struct Silence : Connections {
    void meet(Duration dead_of_the_other = 15s) {
        add();
        add([dead_of_the_other](engine::Config& c) { c.dead_after_silence = dead_of_the_other; });
        world.introduce(0, 1);
        send(0, 1, {"hello"});
        ASSERT_TRUE(world.run_until([&] { return got[1].size() == 1; }, 5s));
        world.run_for(1s);
    }
};

// Our process stood still for a minute while the peer went on sending: what it sent is read before it is judged.
TEST_F(Silence, OurOwnPauseIsNotThePeersSilence) {
    meet(10min);
    world.pause(0, 60s);
    for (int n = 0; n < 50; ++n) {
        world.at(n * 1s, [this, n] { send(1, 0, {std::to_string(n)}); });
    }
    world.run_for(90s);
    ASSERT_EQ(got[0].size(), 50U);
    EXPECT_EQ(count(0, PeerState::disconnected), 0U);
    EXPECT_EQ(count(1, PeerState::disconnected), 0U);
    EXPECT_EQ(world.engine(0).stats().links_opened, 1U);
}

// Both stood still (a laptop's lid): nothing lies in the sockets, so the peer is asked before it is judged.
TEST_F(Silence, APauseOfBothIsNobodysSilence) {
    meet();
    world.pause(0, 60s);
    world.pause(1, 60s + 20ms);
    world.run_for(90s);
    EXPECT_EQ(count(0, PeerState::disconnected), 0U);
    EXPECT_EQ(count(1, PeerState::disconnected), 0U);
    send(0, 1, {"again"});
    ASSERT_TRUE(world.run_until([&] { return got[1].size() == 2; }, 5s));
}

// The other side has given us up meanwhile: what it sent before is still taken, then the link ends and comes back.
TEST_F(Silence, WhatWasSentToAPausedProcessArrives) {
    meet();
    world.pause(0, 60s);
    send(1, 0, {"while you slept"});
    world.run_for(59s);
    EXPECT_GE(count(1, PeerState::disconnected), 1U);
    ASSERT_TRUE(world.run_until([&] { return !got[0].empty(); }, 5s));
    send(0, 1, {"awake"});
    ASSERT_TRUE(world.run_until([&] { return got[1].size() == 2; }, 10s));
    EXPECT_EQ(got[0], (std::vector<std::string>{"while you slept"}));
}

// The pause begins when the peer has been asked and has not answered yet.
TEST_F(Silence, APauseWhileAnAnswerIsAwaited) {
    for (const Duration pause : {Duration{60s}, Duration{4500ms}}) {
        events.clear();
        got.clear();
        if (world.nodes() == 0) meet(10min);
        send(0, 1, {"x"});
        ASSERT_TRUE(world.run_until([&] { return !got[1].empty(); }, 5s));
        world.run_for(9s);
        world.pause(1, 3s);  // the ping at 10 s finds nobody
        world.run_for(2s);
        world.pause(0, pause);  // the shorter one ends half a second after the time is over
        world.run_for(pause - 1s);
        send(1, 0, {"y"});
        world.run_for(20s);
        EXPECT_EQ(got[0].size(), 1U);
        EXPECT_EQ(count(0, PeerState::disconnected), 0U) << pause.count();
        EXPECT_EQ(count(1, PeerState::disconnected), 0U);
    }
}

TEST_F(Silence, ASilentPeerIsGivenUpAfterFifteenSeconds) {
    meet();
    const auto before = world.now();
    for (const auto wire : world.open_wires()) world.cut(wire, World::Cut::silent);
    ASSERT_TRUE(world.run_until([&] { return count(0, PeerState::disconnected) == 1; }, 1min));
    EXPECT_GE(world.now() - before, 13s);
    EXPECT_LE(world.now() - before, 16s);
}

// A loop that is always late loses its dead links too.
TEST_F(Silence, PausesDoNotKeepADeadLinkForEver) {
    meet();
    for (const auto wire : world.open_wires()) world.cut(wire, World::Cut::silent);
    const auto before = world.now();
    for (int i = 0; i < 20 && count(0, PeerState::disconnected) == 0; ++i) {
        world.run_for(1s);
        world.pause(0, 20s);
        world.run_for(20s);
    }
    EXPECT_EQ(count(0, PeerState::disconnected), 1U);
    EXPECT_LE(world.now() - before, 3min);
}

}  // namespace
}  // namespace kith::testing
