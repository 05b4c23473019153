// SPDX-License-Identifier: Apache-2.0
// A test-only handler of each shape that later protocols have: a long-lived stream in one direction (gossipsub), several requests
// on one stream (kad), and "the rest of this stream is a link" (relay).
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "unit/engine/harness.hpp"

namespace kith::engine {
namespace {

using protocol::Actions;

// What the three have in common: bytes to write per stream.
class TestHandler : public protocol::Handler {
public:
    struct Out {
        std::string text;
        bool fin = false;
        bool fin_sent = false;
    };
    void open_failed(const PeerId&, std::uint64_t, const Error& error, Instant, Actions&) override { failures.push_back(error); }
    void finished(StreamRef, Instant, Actions&) override {}
    void closed(StreamRef ref, const protocol::StreamEnd& end, Instant, Actions&) override {
        out.erase(ref);
        ends.push_back(end.kind);
    }
    Pulled pull(StreamRef ref, MutableBytes room, Instant) override {
        auto& mine = out[ref];
        const auto n = std::min(room.size(), mine.text.size());
        std::copy_n(mine.text.begin(), n, room.begin());
        mine.text.erase(0, n);
        const bool fin = mine.fin && mine.text.empty() && !mine.fin_sent;
        mine.fin_sent = mine.fin_sent || fin;
        return {n, fin, !mine.text.empty()};
    }
    void say(StreamRef ref, std::string_view text, Actions& actions) {
        out[ref].text += text;
        actions.push_back(protocol::WantWrite{ref});
    }

    std::map<StreamRef, Out> out;
    std::vector<Error> failures;
    std::vector<protocol::StreamEnd::Kind> ends;
};

// ---- one stream in each direction, as long as the link
class Gossip final : public TestHandler {
public:
    static constexpr std::string_view id = "/test/gossip/1";
    void link_up(const protocol::LinkInfo& link, Instant, Actions& actions) override {
        actions.push_back(
            protocol::OpenStream{.peer = link.peer, .link = link.link, .protocol = std::string{id}, .cookie = 1, .lazy = true});
    }
    void opened(const protocol::StreamInfo& stream, Instant now, Actions& actions) override {
        if (stream.direction != Direction::outbound) return;
        mine = stream.ref;
        actions.push_back(protocol::SetTimer{1, now + 1s});
    }
    std::size_t received(StreamRef, ByteView bytes, Instant, Actions&) override {
        heard += as_text(bytes);
        return bytes.size();
    }
    void timer(std::uint64_t, Instant now, Actions& actions) override {
        if (!out.contains(mine) && !heard.empty() && ends.size() > 1) return;
        say(mine, "tick;", actions);
        if (++ticks < 60) actions.push_back(protocol::SetTimer{1, now + 1s});
    }
    StreamRef mine{};
    std::string heard;
    int ticks = 0;
};

struct Handlers : Net {};

TEST_F(Handlers, ALongLivedStreamInOneDirection) {
    std::shared_ptr<Gossip> gossip[2];
    for (NodeId i = 0; i < 2; ++i) {
        add();
        gossip[i] = std::make_shared<Gossip>();
        auto& e = world.engine(i);
        const auto tag = e.add_handler(gossip[i]);
        e.serve(Gossip::id, tag, {.inbound_per_peer = 2}, world.now());
    }
    ASSERT_TRUE(meet(0, 1));
    world.run_for(90s);
    std::string expected;
    for (int i = 0; i < 60; ++i) expected += "tick;";
    EXPECT_EQ(gossip[0]->heard, expected);
    EXPECT_EQ(gossip[1]->heard, expected);
    EXPECT_EQ(world.engine(0).load().streams, 2U);  // still there
    const auto info = world.engine(0).peer(world.node(1).id);
    EXPECT_NE(std::find(info->protocols.begin(), info->protocols.end(), Gossip::id), info->protocols.end());
    world.cut(world.open_wires()[0], World::Cut::rst);
    world.run_for(100us);
    EXPECT_EQ(gossip[0]->ends.size(), 2U);
    EXPECT_EQ(gossip[0]->ends[0], protocol::StreamEnd::Kind::lost);
}

TEST_F(Handlers, AHandlerWhosePeerDoesNotSpeakItsProtocol) {
    auto gossip = std::make_shared<Gossip>();
    add();
    add();
    world.engine(0).add_handler(gossip);
    ASSERT_TRUE(meet(0, 1));
    world.run_for(5s);
    ASSERT_EQ(gossip->ends.size(), 1U);  // lazy: it was opened, then refused
    EXPECT_EQ(gossip->ends[0], protocol::StreamEnd::Kind::refused);
}

// ---- several requests on one stream
class Lookup final : public TestHandler {
public:
    static constexpr std::string_view id = "/test/lookup/1";
    void ask(const PeerId& peer, std::vector<std::string> questions, Actions& actions) {
        waiting = std::move(questions);
        actions.push_back(protocol::OpenStream{.peer = peer, .link = {}, .protocol = std::string{id}, .cookie = 9, .lazy = false});
    }
    void opened(const protocol::StreamInfo& stream, Instant, Actions& actions) override {
        if (stream.direction == Direction::inbound) return;
        mine = stream.ref;
        next(actions);
    }
    void next(Actions& actions) {
        if (waiting.empty()) {
            out[mine].fin = true;
            actions.push_back(protocol::WantWrite{mine});
            return;
        }
        say(mine, waiting.front() + "\n", actions);
        waiting.erase(waiting.begin());
    }
    std::size_t received(StreamRef ref, ByteView bytes, Instant, Actions& actions) override {
        auto& line = lines[ref];
        for (const auto byte : bytes) {
            if (byte != '\n') {
                line.push_back(static_cast<char>(byte));
                continue;
            }
            if (ref == mine) {
                answers.push_back(line);
                next(actions);
            } else {
                say(ref, "re " + line + "\n", actions);
            }
            line.clear();
        }
        return bytes.size();
    }
    void finished(StreamRef ref, Instant, Actions& actions) override {
        out[ref].fin = true;
        actions.push_back(protocol::WantWrite{ref});
    }
    StreamRef mine{};
    std::vector<std::string> waiting;
    std::vector<std::string> answers;
    std::map<StreamRef, std::string> lines;
};

TEST_F(Handlers, SeveralRequestsOnOneStream) {
    std::shared_ptr<Lookup> lookup[2];
    connection::Tag tag = 0;
    for (NodeId i = 0; i < 2; ++i) {
        add();
        lookup[i] = std::make_shared<Lookup>();
        tag = world.engine(i).add_handler(lookup[i]);
        world.engine(i).serve(Lookup::id, tag, {}, world.now());
    }
    ASSERT_TRUE(meet(0, 1));
    world.post(0, [&](Engine& e) {
        Actions actions;
        lookup[0]->ask(world.node(1).id, {"one", "two", std::string(100'000, 'x')}, actions);
        e.act(tag, actions, world.now());
    });
    world.run_for(5s);
    ASSERT_EQ(lookup[0]->answers.size(), 3U);
    EXPECT_EQ(lookup[0]->answers[1], "re two");
    EXPECT_EQ(lookup[0]->answers[2].size(), 100'003U);
    ASSERT_EQ(lookup[0]->ends.size(), 1U);
    EXPECT_EQ(lookup[0]->ends[0], protocol::StreamEnd::Kind::finished);
    EXPECT_EQ(lookup[1]->ends.size(), 1U);
    EXPECT_EQ(world.engine(0).load().streams, 0U);
    EXPECT_EQ(world.engine(1).load().connection_streams, 0U);
}

// ---- the rest of this stream is a link
class Relay final : public TestHandler {
public:
    static constexpr std::string_view hop = "/test/hop/1";
    static constexpr std::string_view stop = "/test/stop/1";

    void reach(const PeerId& relay, const PeerId& target, Actions& actions) {
        wanted = target;
        actions.push_back(protocol::OpenStream{.peer = relay, .link = {}, .protocol = std::string{hop}, .cookie = 1, .lazy = false});
    }
    void opened(const protocol::StreamInfo& stream, Instant, Actions& actions) override {
        if (stream.protocol == hop && stream.direction == Direction::outbound) {
            // The request goes out in front of the link's first bytes, although the stream is given away at once.
            say(stream.ref, std::string{as_text(wanted.multihash())}, actions);
            actions.push_back(protocol::AdoptAsLink{stream.ref, true, wanted});
        } else if (stream.protocol == stop && stream.direction == Direction::outbound) {
            const auto from = requests.at(stream.cookie);
            other[from] = stream.ref;
            other[stream.ref] = from;
            say(stream.ref, "!" + early[from], actions);
        }
        kinds[stream.ref] = std::pair{stream.protocol == hop, stream.direction};
    }
    std::size_t received(StreamRef ref, ByteView bytes, Instant, Actions& actions) override {
        const auto [is_hop, direction] = kinds[ref];
        if (!is_hop && direction == Direction::inbound) {  // the target: one byte, then the link
            actions.push_back(protocol::AdoptAsLink{ref, false, std::nullopt});
            adopted_with_more = bytes.size() > 1;
            return 1;
        }
        if (const auto to = other.find(ref); to != other.end()) {
            say(to->second, as_text(bytes), actions);
            return bytes.size();
        }
        early[ref] += as_text(bytes);
        if (early[ref].size() < 38 || requested.contains(ref)) return bytes.size();
        const auto target = PeerId::from_multihash(as_bytes(early[ref]).first(38));
        EXPECT_TRUE(target);
        early[ref].erase(0, 38);
        requested.insert(ref);
        requests[++last] = ref;
        if (target) {
            actions.push_back(
                protocol::OpenStream{.peer = *target, .link = {}, .protocol = std::string{stop}, .cookie = last, .lazy = false});
        }
        return bytes.size();
    }
    void closed(StreamRef ref, const protocol::StreamEnd& end, Instant now, Actions& actions) override {
        TestHandler::closed(ref, end, now, actions);
        if (const auto to = other.find(ref); to != other.end()) {
            const auto partner = to->second;
            other.erase(to);
            other.erase(partner);
            actions.push_back(protocol::ResetStream{partner});
        }
    }
    PeerId wanted;
    bool adopted_with_more = false;
    std::map<StreamRef, std::pair<bool, Direction>> kinds;
    std::map<StreamRef, StreamRef> other;
    std::map<StreamRef, std::string> early;
    std::set<StreamRef> requested;
    std::map<std::uint64_t, StreamRef> requests;
    std::uint64_t last = 0;
};

struct Relayed : Net {
    Relayed() {
        for (NodeId i = 0; i < 3; ++i) {
            add([](Config& c) { c.keep_connected = false; });
            relay[i] = std::make_shared<Relay>();
            tag = world.engine(i).add_handler(relay[i]);
            world.engine(i).serve(Relay::hop, tag, {}, world.now());
            world.engine(i).serve(Relay::stop, tag, {}, world.now());
        }
    }
    // 0 and 1 know only 2.
    void reach() {
        ASSERT_TRUE(meet(0, 2));
        ASSERT_TRUE(meet(1, 2));
        world.post(0, [this](Engine& e) {
            Actions actions;
            relay[0]->reach(world.node(2).id, world.node(1).id, actions);
            e.act(tag, actions, world.now());
        });
        ASSERT_TRUE(world.run_until([this] { return identified(0, 1) && identified(1, 0); }, 10s));
    }
    std::shared_ptr<Relay> relay[3];
    connection::Tag tag = 0;
};

TEST_F(Relayed, ALinkOnAStreamWorksFromEndToEnd) {
    reach();
    EXPECT_EQ(world.engine(0).peer(world.node(1).id)->path, "relay");
    std::string large(300'000, 'x');
    for (int i = 0; i < 20; ++i) {
        send(0, 1, "over " + std::to_string(i));
        send(1, 0, "back " + std::to_string(i));
    }
    send(0, 1, large);
    ASSERT_TRUE(world.run_until([&] { return messages[1].size() == 21 && messages[0].size() == 20; }, 20s));
    EXPECT_EQ(messages[1][19], "over 19");
    EXPECT_EQ(messages[1][20], large);
    EXPECT_EQ(messages[0][0], "back 0");
    world.post(0, [&](Engine& e) { e.ping(OpId{5}, world.node(1).id, world.now()); });
    ASSERT_TRUE(world.run_until([&] { return completions.contains(5); }, 5s));
    EXPECT_TRUE(std::holds_alternative<Duration>(completions[5].result));
    world.run_for(60s);
    EXPECT_EQ(world.engine(0).links(), 2U);
}

TEST_F(Relayed, ItEndsWithTheLinkBelow) {
    reach();
    for (const auto wire : world.open_wires()) world.cut(wire, World::Cut::rst);
    world.run_for(1s);
    for (NodeId i = 0; i < 3; ++i) {
        EXPECT_EQ(world.engine(i).links(), 0U) << i;
        EXPECT_EQ(world.engine(i).load().streams, 0U);
        EXPECT_EQ(world.engine(i).timers(), 0U);
    }
}

TEST_F(Relayed, ItEndsAlone) {
    reach();
    world.post(0, [&](Engine& e) { e.disconnect(world.node(1).id, world.now()); });
    world.run_for(5s);
    EXPECT_FALSE(connected(0, 1));
    EXPECT_FALSE(connected(1, 0));
    EXPECT_TRUE(connected(0, 2));
    EXPECT_TRUE(connected(1, 2));
    world.run_for(60s);
    EXPECT_EQ(world.engine(0).links(), 1U);
    EXPECT_EQ(world.engine(1).links(), 1U);
    EXPECT_EQ(world.engine(2).load().streams, 0U);
}

TEST_F(Relayed, StopWithACarriedLink) {
    reach();
    for (NodeId i = 0; i < 3; ++i) {
        world.post(i, [&](Engine& e) { e.stop(world.now()); });
    }
    world.run_for(2s);
    for (NodeId i = 0; i < 3; ++i) {
        EXPECT_EQ(world.engine(i).links(), 0U);
        EXPECT_EQ(world.engine(i).timers(), 0U);
    }
}

}  // namespace
}  // namespace kith::engine
