// SPDX-License-Identifier: Apache-2.0
// Real sockets and a real clock around one engine. Everything here runs on the loop's thread.
//
// One turn: every ready socket is read into the engine, then at the end of the turn (turn()) the outputs are carried out and
// every link that wants to write is pulled into one buffer and sent.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/engine.hpp"
#include "io/interfaces.hpp"
#include "io/resolver.hpp"
#include "io/tcp.hpp"
#include "kith/event_loop.hpp"
#include "node/lan.hpp"

namespace kith::node {

class Driver {
public:
    // `on_outputs` takes what concerns the user (messages, completions, events ...) out of the engine's outputs.
    Driver(EventLoop& loop, engine::Engine& engine, Function<void(engine::Outputs&)> on_outputs);
    ~Driver();
    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;

    // Errors: of the first address that cannot be listened on; then nothing is listened on.
    Status listen(const std::vector<Multiaddr>& addresses);
    Status start_lan();
    // Where we listen, unspecified addresses expanded by the interfaces; without /p2p.
    std::vector<Multiaddr> addresses() const;

    // The end of a turn, called by the owner's hook of the loop. True: there is more to write.
    bool turn(Instant now);
    // Closes everything: goodbyes are written as far as the sockets take them.
    void shutdown(Instant now);

    std::uint64_t send_calls() const noexcept { return send_calls_; }
    std::uint64_t receive_calls() const noexcept { return receive_calls_; }

private:
    struct Socket {
        explicit Socket(io::TcpSocket s) : tcp(std::move(s)) {}
        io::TcpSocket tcp;
        WatchId watch{};
        bool connecting = false;
        bool wants_writable = false;
        bool queued = false;  // in `writers_`
        Bytes tail;           // sealed, not taken by the system
        std::size_t tail_sent = 0;
    };
    struct Listener {
        io::TcpListener tcp;
        WatchId watch{};
    };

    void on_accept(Listener& listener);
    void on_ready(LinkId id, Ready ready);
    void on_connected(LinkId id, Socket& socket);
    void read(LinkId id, Socket& socket);
    // False: the link is gone.
    bool write(LinkId id, Socket& socket, Instant now, bool& more);
    bool flush_tail(Socket& socket, bool& blocked);
    void lost(LinkId id, const Error& why);
    void open(const engine::OpenLink& request);
    void close(LinkId id, Instant now);
    void resolve(const engine::Resolve& request);
    void watch_writable(Socket& socket, bool on);
    void set_timer();
    void refresh_addresses();

    EventLoop& loop_;
    engine::Engine& engine_;
    Function<void(engine::Outputs&)> on_outputs_;
    TimerId timer_{};
    TimerId accept_again_{};
    std::optional<Instant> timer_at_;
    std::unordered_map<LinkId, std::unique_ptr<Socket>> sockets_;
    std::vector<std::unique_ptr<Listener>> listeners_;
    std::deque<LinkId> writers_;
    std::unique_ptr<io::Resolver> resolver_;
    std::unique_ptr<io::NetworkMonitor> monitor_;
    std::unique_ptr<Lan> lan_;
    Bytes receive_buffer_;
    Bytes send_buffer_;
    std::uint64_t send_calls_ = 0;
    std::uint64_t receive_calls_ = 0;
};

}  // namespace kith::node
