// SPDX-License-Identifier: Apache-2.0
// What kith can do with a multiaddr: the forms that name a TCP endpoint, a host to resolve, or a relay.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/endpoint.hpp"
#include "kith/multiaddr.hpp"

namespace kith::wire {

// Exactly /ip4/A/tcp/N, /ip6/A/tcp/N or /ip6zone/Z/ip6/A/tcp/N with a numeric zone, each with an optional last /p2p.
// Everything else, such as /tcp/N/ws, is nullopt: dialing it as plain TCP would reach the wrong protocol.
std::optional<Endpoint> tcp_endpoint(const Multiaddr& address);

// The same with /udp/N.
std::optional<Endpoint> udp_endpoint(const Multiaddr& address);

Multiaddr from_tcp(const Endpoint& endpoint);
Multiaddr from_udp(const Endpoint& endpoint);

// /dns|dns4|dns6/HOST/tcp/N with an optional last /p2p.
struct DnsName {
    enum class Kind : std::uint8_t { dns, dns4, dns6 };  // both families, A only, AAAA only
    Kind kind = Kind::dns;
    std::string host;
    std::uint16_t port = 0;

    friend bool operator==(const DnsName&, const DnsName&) = default;
};
std::optional<DnsName> dns_tcp(const Multiaddr& address);

bool is_circuit(const Multiaddr& address);  // goes through a relay: has a /p2p-circuit

}  // namespace kith::wire
