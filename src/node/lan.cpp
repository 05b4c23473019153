// SPDX-License-Identifier: Apache-2.0
#include "node/lan.hpp"

#include <algorithm>

#include "io/clock.hpp"
#include "io/interfaces.hpp"

namespace kith::node {
namespace {

constexpr std::uint16_t port = 5353;
constexpr int packets_per_turn = 64;
const IpAddress group_v4 = IpAddress::v4(224, 0, 0, 251);
const IpAddress group_v6{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfb}, true, 0};

}  // namespace

Lan::Lan(EventLoop& loop, engine::Engine& engine) : loop_(loop), engine_(engine) { room_.resize(9216); }

Lan::~Lan() {
    for (auto* socket : {&v4_, &v6_}) {
        if (*socket) loop_.unwatch((*socket)->watch);
    }
}

Status Lan::open(bool v6) {
    Endpoint any;
    any.ip.v6 = v6;
    any.port = port;
    auto udp = io::UdpSocket::bind(any);
    if (!udp) return udp.error();
    auto& slot = v6 ? v6_ : v4_;
    slot.emplace(Socket{std::move(*udp), v6, {}, {}});
    auto* at = &*slot;
    auto watch = loop_.watch(at->udp.fd(), {.readable = true}, [this, at](Ready) { on_ready(*at); });
    if (!watch) {
        slot.reset();
        return watch.error();
    }
    at->watch = *watch;
    return {};
}

Status Lan::start(Instant now) {
    const auto v4 = open(false);
    const auto v6 = open(true);
    if (!v4 && !v6) return v4.error();
    engine_.lan_start(now);
    network_changed(now);
    return {};
}

void Lan::network_changed(Instant now) {
    interfaces_.clear();
    std::vector<engine::LanInterface> usable;
    bool real = false;
    const auto interfaces = io::list_interfaces();
    if (!interfaces) return;
    for (const auto& interface : *interfaces) real = real || (interface.up && interface.multicast && !interface.loopback);
    for (const auto& interface : *interfaces) {
        // The loopback interface serves machines without a network, so that two nodes on one of them still meet.
        if (!interface.up || !(interface.multicast || interface.loopback) || (interface.loopback && real)) continue;
        interfaces_.push_back(interface.index);
        engine::LanInterface entry;
        entry.index = interface.index;
        for (const auto& address : interface.addresses) entry.addresses.push_back(address.ip);
        usable.push_back(std::move(entry));
    }
    for (auto* socket : {&v4_, &v6_}) {
        if (*socket) join(**socket);
    }
    engine_.lan_interfaces(usable, now);
}

void Lan::join(Socket& socket) {
    const auto& group = socket.v6 ? group_v6 : group_v4;
    std::erase_if(socket.joined, [&](auto index) { return std::find(interfaces_.begin(), interfaces_.end(), index) == interfaces_.end(); });
    for (const auto index : interfaces_) {
        if (std::find(socket.joined.begin(), socket.joined.end(), index) != socket.joined.end()) continue;
        if (socket.udp.join(group, index)) socket.joined.push_back(index);  // an interface without this family refuses
    }
}

void Lan::on_ready(Socket& socket) {
    for (int i = 0; i < packets_per_turn; ++i) {
        const auto got = socket.udp.receive(room_);
        if (got.state != io::IoState::ok) return;
        if (got.truncated) continue;
        engine_.lan_packet(got.interface, got.from, ByteView{room_}.first(got.n), io::now());
    }
}

void Lan::send(Socket& socket, const engine::Packet& packet) {
    if (packet.to) {
        if (packet.to->ip.v6 == socket.v6) socket.udp.send(packet.bytes, *packet.to, packet.interface);
        return;
    }
    if (socket.v6 ? !packet.v6 : !packet.v4) return;
    const Endpoint group{socket.v6 ? group_v6 : group_v4, port};
    for (const auto index : socket.joined) {
        if (packet.interface == 0 || packet.interface == index)
            socket.udp.send(packet.bytes, group, index);  // lost ones are asked for again
    }
}

void Lan::carry_out(engine::Outputs& outputs) {
    for (const auto& packet : outputs.packets) {
        for (auto* socket : {&v4_, &v6_}) {
            if (*socket) send(**socket, packet);
        }
    }
    outputs.packets.clear();
}

void Lan::stop(Instant now) {
    engine_.lan_stop(now);
    carry_out(engine_.outputs());
}

}  // namespace kith::node
