// SPDX-License-Identifier: Apache-2.0
// The sockets of multicast DNS: one for each address family, joined on every usable interface.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/engine.hpp"
#include "io/udp.hpp"
#include "kith/event_loop.hpp"

namespace kith::node {

class Lan {
public:
    Lan(EventLoop& loop, engine::Engine& engine);
    ~Lan();
    Lan(const Lan&) = delete;
    Lan& operator=(const Lan&) = delete;

    // Fails only when neither family can be had: another program holds the port for itself, or no right to it.
    Status start(Instant now);
    void network_changed(Instant now);
    void carry_out(engine::Outputs& outputs);
    void stop(Instant now);

private:
    struct Socket {
        io::UdpSocket udp;
        bool v6 = false;
        WatchId watch{};
        std::vector<std::uint32_t> joined;
    };
    Status open(bool v6);
    void join(Socket& socket);
    void on_ready(Socket& socket);
    void send(Socket& socket, const engine::Packet& packet);

    EventLoop& loop_;
    engine::Engine& engine_;
    std::optional<Socket> v4_;
    std::optional<Socket> v6_;
    std::vector<std::uint32_t> interfaces_;
    Bytes room_;
};

}  // namespace kith::node
