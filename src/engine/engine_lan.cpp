// SPDX-License-Identifier: Apache-2.0
// Discovery on the LAN: what multicast DNS finds becomes addresses of peers.
#include <algorithm>
#include <string_view>

#include "discovery/mdns.hpp"
#include "engine/engine.hpp"

namespace kith::engine {

void Engine::lan_start(Instant now) {
    now_ = now;
    discovery::MdnsConfig config;
    config.self = config_.self;
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789";
    for (int i = 0; i < 40; ++i) config.peer_name.push_back(letters[random_.u64() % letters.size()]);
    config.seed = random_.u64();
    auto made = discovery::Mdns::create(std::move(config));
    if (!made) return;
    mdns_ = std::make_unique<discovery::Mdns>(std::move(*made));
    mdns_->start(now);
}

void Engine::lan_interfaces(std::vector<LanInterface> interfaces, Instant now) {
    now_ = now;
    const auto same = [](const LanInterface& a, const LanInterface& b) { return a.index == b.index && a.addresses == b.addresses; };
    const bool changed = !std::equal(interfaces.begin(), interfaces.end(), lan_interfaces_.begin(), lan_interfaces_.end(), same);
    lan_interfaces_ = std::move(interfaces);
    refresh_lan(now);
    if (changed) network_changed(now);
}

// Announces on each interface the listen addresses that can be reached there.
void Engine::refresh_lan(Instant now) {
    if (!mdns_) return;
    std::vector<discovery::InterfaceAddresses> out;
    for (const auto& interface : lan_interfaces_) {
        discovery::InterfaceAddresses entry;
        entry.interface = interface.index;
        for (const auto& address : listen_addresses_) {
            const auto endpoint = wire::tcp_endpoint(address);
            if (!endpoint) continue;
            for (const auto& ip : interface.addresses) {
                if (ip.bytes == endpoint->ip.bytes && ip.v6 == endpoint->ip.v6) entry.addresses.push_back(address);
            }
        }
        // Link-local addresses are not in the listen addresses, having no meaning elsewhere; here they have.
        for (const auto& ip : interface.addresses) {
            if (!ip.v6 || !ip.is_link_local()) continue;
            for (const auto port : listen_ports_v6_) {
                auto bare = ip;
                bare.scope = 0;
                entry.addresses.push_back(wire::from_tcp({bare, port}));
            }
        }
        out.push_back(std::move(entry));
    }
    mdns_->set_addresses(std::move(out), now);
    drain_lan(now);
}

void Engine::lan_packet(std::uint32_t interface, const Endpoint& from, ByteView bytes, Instant now) {
    now_ = now;
    if (!mdns_) return;
    mdns_->received(interface, from, bytes, now);
    drain_lan(now);
}

void Engine::drain_lan(Instant now) {
    if (!mdns_) return;
    for (auto& packet : mdns_->take_packets()) {
        Packet out;
        out.interface = packet.interface;
        using To = discovery::MdnsPacket::To;
        if (packet.to == To::unicast) out.to = packet.unicast;
        out.v4 = packet.to == To::ipv4_group || packet.to == To::both_groups;
        out.v6 = packet.to == To::ipv6_group || packet.to == To::both_groups;
        out.bytes = std::move(packet.bytes);
        outputs_.packets.push_back(std::move(out));
    }
    for (const auto& peer : mdns_->take_lost()) lan_lost(peer, now);
    for (const auto& found : mdns_->take_found()) {
        for (const auto& address : found.addresses) add_address(found.peer, address, peer::Source::lan, found.expires, now);
    }
}

void Engine::lan_stop(Instant now) {
    now_ = now;
    if (!mdns_) return;
    mdns_->stop();
    drain_lan(now);
    mdns_.reset();
}

}  // namespace kith::engine
