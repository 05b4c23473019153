// SPDX-License-Identifier: Apache-2.0
// Engines in the simulated network, with what they told; and a hand-made peer that breaks rules.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "crypto/ed25519.hpp"
#include "testing/sim.hpp"
#include "wire/keys.hpp"

namespace kith::engine {

using namespace std::chrono_literals;
using testing::NodeId;
using testing::World;

struct Net : ::testing::Test {
    NodeId add(Function<void(Config&)> adjust = nullptr) {
        const auto i = world.add_node(std::move(adjust));
        auto& node = world.node(i);
        node.on_event = [this, i](const PeerEvent& e) { events[i].push_back(e); };
        node.on_completion = [this](const protocol::Complete& done) { completions[done.op.value] = done; };
        node.on_message = [this, i](const delivery::Delivered& m) { messages[i].emplace_back(as_text(m.bytes)); };
        node.on_stream = [this, i](const StreamOutput& out) { streams[i].push_back(out); };
        return i;
    }
    void connect(NodeId from, NodeId to, std::uint64_t op = 1000) {
        world.introduce(from, to);
        world.post(from, [this, to, op](Engine& e) { e.connect(OpId{op}, {world.node(to).id, {}}, world.now()); });
    }
    bool connected(NodeId a, NodeId b) {
        const auto info = world.engine(a).peer(world.node(b).id);
        return info && info->links > 0;
    }
    bool meet(NodeId a, NodeId b) {
        connect(a, b);
        return world.run_until([&] { return identified(a, b) && identified(b, a); }, 10s);
    }
    bool identified(NodeId a, NodeId b) {
        const auto info = world.engine(a).peer(world.node(b).id);
        return info && info->state == kith::PeerState::identified;
    }
    void send(NodeId from, NodeId to, std::string text) {
        world.post(from, [this, to, text = std::move(text)](Engine& e) {
            const auto lane = e.lane(world.node(to).id, "chat", Strength::reliable, Priority::normal, world.now());
            ASSERT_TRUE(lane);
            e.send(*lane, {.bytes = as_bytes(text)}, world.now());
            e.flush_sends(world.now());
        });
    }
    std::optional<Errc> error_of(std::uint64_t op) {
        const auto it = completions.find(op);
        if (it == completions.end()) return std::nullopt;
        const auto* error = std::get_if<Error>(&it->second.result);
        return error == nullptr ? std::nullopt : std::optional{error->code};
    }

    World world{1};
    std::map<NodeId, std::vector<PeerEvent>> events;
    std::map<NodeId, std::vector<std::string>> messages;
    std::map<NodeId, std::vector<StreamOutput>> streams;
    std::map<std::uint64_t, protocol::Complete> completions;
};

inline crypto::Secret32 secret_of(std::uint64_t n) {
    std::array<std::uint8_t, 32> bytes{};
    testing::Random random(n + 77);
    for (auto& b : bytes) b = static_cast<std::uint8_t>(random.u64());
    return crypto::Secret32{std::span<const std::uint8_t, 32>{bytes}};
}

// A peer made of a bare connection, driven by hand against one engine. It dials.
class Stranger {
public:
    Stranger(Engine& target, std::uint64_t identity, Instant now, IpAddress from = IpAddress::v4(10, 9, 9, 9))
        : target_(target), key_(secret_of(identity)), noise_(connection::make_identity(key_, secret_of(identity + 5000))) {
        connection::Config config;
        config.identity = &noise_;
        config.mux.max_outbound_streams = 100'000;
        config.mux.max_unacked_opens = 100'000;
        connection = std::make_unique<connection::Connection>(config, secret_of(identity + 9000));
        id = wire::peer_id_of(wire::encode_public_key(crypto::KeyType::ed25519, key_.public_key()));
        link = target_.accepted({IpAddress::v4(10, 0, 0, 1), 4001}, {from, 5555}, now);
    }
    // Exchanges until nothing moves. False when the engine closed the link.
    bool run(Instant now) {
        for (bool moved = true; moved && !closed;) {
            moved = false;
            const auto bytes = write();
            if (!bytes.empty()) {
                give(bytes, now);
                moved = true;
            }
            const auto answer = take(now);
            if (!answer.empty()) {
                read(answer, now);
                moved = true;
            }
        }
        return !closed;
    }
    void give(ByteView bytes, Instant now) {
        Bytes room(connection::max_record + bytes.size());
        const auto head = target_.take_head(link, room);
        std::copy(bytes.begin(), bytes.end(), room.begin() + static_cast<std::ptrdiff_t>(head));
        target_.received(link, MutableBytes{room}.first(head + bytes.size()), now);
        drain(now);
    }
    Bytes take(Instant now) {
        Bytes all;
        Bytes room(pull_room);
        for (;;) {
            const auto n = target_.pull(link, room, now);
            if (n == 0) break;
            all.insert(all.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(n));
        }
        drain(now);
        return all;
    }
    Bytes write() {
        Bytes out;
        Bytes room(4 * connection::record_room);
        for (;;) {
            std::size_t n = connection->is_open() || connection->failed() ? 0 : connection->pull_setup(room);
            if (connection->take_established()) open = true;
            if (n == 0 && connection->is_open() && connection->wants_pull()) {
                connection->begin_record(room);
                while (const auto grant = connection->next_grant()) {
                    auto& text = to_write[grant->stream.value];
                    const auto size = std::min(text.size(), grant->room.size());
                    std::copy_n(text.begin(), size, grant->room.begin());
                    text.erase(0, size);
                    connection->commit(*grant, size, false, !text.empty());
                }
                const auto sealed = connection->end_record();
                if (sealed) n = *sealed;
            }
            if (n == 0) return out;
            out.insert(out.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(n));
        }
    }
    void read(ByteView bytes, Instant now) {
        held_.insert(held_.end(), bytes.begin(), bytes.end());
        MutableBytes in{held_};
        for (;;) {
            const auto event = connection->next(in, now);
            if (connection->take_established()) open = true;
            if (event.kind == connection::Event::Kind::need_more) break;
            if (event.kind == connection::Event::Kind::failed) {
                held_.clear();
                return;
            }
            if (event.kind == connection::Event::Kind::proposal) connection->reject(event.stream);
            if (event.kind == connection::Event::Kind::reset) ++resets;
            if (event.kind == connection::Event::Kind::refused) ++refused;
            if (event.kind == connection::Event::Kind::data) {
                got[event.stream.value] += as_text(event.data);
                connection->consumed(event.stream, event.data.size(), now);
            }
        }
        held_.erase(held_.begin(), held_.end() - static_cast<std::ptrdiff_t>(in.size()));
    }
    void say(StreamId stream, std::string_view text) {
        to_write[stream.value] += text;
        connection->want_write(stream);
    }
    // Carries out what the engine wants done with this link.
    void drain(Instant now) {
        auto& out = target_.outputs();
        for (const auto& close : std::exchange(out.close_links, {})) {
            target_.link_closed(close.link, Error{Errc::cancelled}, now);
            if (close.link == link) closed = true;
        }
        out.wants_write.clear();
        out.messages = {};
        target_.end_batch();
    }

    std::unique_ptr<connection::Connection> connection;
    PeerId id;
    LinkId link{};
    bool open = false;
    bool closed = false;
    std::size_t resets = 0;
    std::size_t refused = 0;
    std::map<std::uint32_t, std::string> to_write, got;

private:
    Engine& target_;
    crypto::SigningKey key_;
    connection::NoiseIdentity noise_;
    Bytes held_;
};

}  // namespace kith::engine
