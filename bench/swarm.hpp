// SPDX-License-Identifier: Apache-2.0
// Many peers in one process, for measuring the one node that all of them are connected to: each is a whole engine with an
// identity of its own and one socket; loop, buffers and timer are shared, so that ten thousand fit into a process.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "crypto/ed25519.hpp"
#include "engine/engine.hpp"
#include "io/tcp.hpp"
#include "kith/event_loop.hpp"

namespace bench {

class Swarm {
public:
    explicit Swarm(kith::EventLoop& loop);
    ~Swarm();
    Swarm(const Swarm&) = delete;
    Swarm& operator=(const Swarm&) = delete;

    // `count` peers, each with one link to `to`, at most `at_once` handshakes at a time. `done` when all links are up.
    void dial(const kith::Endpoint& to, std::size_t count, std::size_t at_once, kith::Function<void()> done);
    // Takes `count` links, each as a peer of its own. Answers where.
    kith::Endpoint listen(std::size_t count, kith::Function<void()> done);

    // From now on every peer sends this, once, when its link is up.
    void greet(kith::Bytes message) { greeting_ = std::move(message); }
    std::size_t linked() const noexcept { return linked_; }

private:
    struct Member {
        std::unique_ptr<kith::engine::Engine> engine;
        std::optional<kith::io::TcpSocket> socket;
        kith::WatchId watch{};
        kith::LinkId link{};
        bool connecting = false;
    };

    Member& add();
    void dial_next();
    void watch(Member& member, kith::io::TcpSocket socket, kith::LinkId link, bool connecting);
    void on_ready(Member& member);
    void carry_out(Member& member);
    std::size_t take_events(Member& member, kith::Instant now);
    void tick();

    kith::EventLoop& loop_;
    std::optional<kith::io::TcpListener> listener_;
    std::vector<std::unique_ptr<Member>> members_;
    kith::Bytes read_buffer_;
    kith::Bytes write_buffer_;
    kith::Bytes greeting_;
    kith::Endpoint to_{};
    std::size_t wanted_ = 0;
    std::size_t linked_ = 0;
    kith::Function<void()> done_;
};

}  // namespace bench
