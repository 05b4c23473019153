// SPDX-License-Identifier: Apache-2.0
#include "wire/address.hpp"

#include <algorithm>
#include <charconv>

#include "wire/varint.hpp"

namespace kith::wire {
namespace {

using M = Multiaddr;

std::uint16_t port_of(ByteView value) { return static_cast<std::uint16_t>(value[0] * 256u + value[1]); }

std::optional<std::uint32_t> zone_index(std::string_view zone) {
    std::uint32_t out = 0;
    const auto [end, bad] = std::from_chars(zone.data(), zone.data() + zone.size(), out);
    if (bad != std::errc{} || end != zone.data() + zone.size() || out == 0) return std::nullopt;
    return out;
}

// What may follow the port: nothing, or one last /p2p.
bool ends_well(M::Iterator it) {
    const M::Iterator end;
    if (it != end && it->code == M::p2p) ++it;
    return it == end;
}

std::optional<Endpoint> endpoint(const Multiaddr& address, std::uint32_t transport) {
    const M::Iterator end;
    auto it = address.parts().begin();
    Endpoint out;
    if (it != end && it->code == M::ip6zone) {
        const auto zone = zone_index(as_text(it->value));
        ++it;
        if (!zone || it == end || it->code != M::ip6) return std::nullopt;
        out.ip.scope = *zone;
    }
    if (it == end || (it->code != M::ip4 && it->code != M::ip6)) return std::nullopt;
    out.ip.v6 = it->code == M::ip6;
    std::copy(it->value.begin(), it->value.end(), out.ip.bytes.begin());
    ++it;
    if (it == end || it->code != transport) return std::nullopt;
    out.port = port_of(it->value);
    ++it;
    return ends_well(it) ? std::optional{out} : std::nullopt;
}

Multiaddr from_endpoint(const Endpoint& endpoint, std::uint32_t transport) {
    Bytes bytes;
    if (endpoint.ip.v6 && endpoint.ip.scope != 0) {
        const auto zone = std::to_string(endpoint.ip.scope);
        append_varint(bytes, M::ip6zone);
        append_varint(bytes, zone.size());
        bytes.insert(bytes.end(), zone.begin(), zone.end());
    }
    append_varint(bytes, endpoint.ip.v6 ? M::ip6 : M::ip4);
    const auto ip = endpoint.ip.view();
    bytes.insert(bytes.end(), ip.begin(), ip.end());
    append_varint(bytes, transport);
    bytes.push_back(static_cast<std::uint8_t>(endpoint.port >> 8));
    bytes.push_back(static_cast<std::uint8_t>(endpoint.port));
    return Multiaddr::from_bytes(bytes).value_or(Multiaddr{});
}

}  // namespace

std::optional<Endpoint> tcp_endpoint(const Multiaddr& address) { return endpoint(address, M::tcp); }
std::optional<Endpoint> udp_endpoint(const Multiaddr& address) { return endpoint(address, M::udp); }
Multiaddr from_tcp(const Endpoint& endpoint) { return from_endpoint(endpoint, M::tcp); }
Multiaddr from_udp(const Endpoint& endpoint) { return from_endpoint(endpoint, M::udp); }

std::optional<DnsName> dns_tcp(const Multiaddr& address) {
    const M::Iterator end;
    auto it = address.parts().begin();
    if (it == end) return std::nullopt;
    DnsName out;
    switch (it->code) {
        case M::dns:
            out.kind = DnsName::Kind::dns;
            break;
        case M::dns4:
            out.kind = DnsName::Kind::dns4;
            break;
        case M::dns6:
            out.kind = DnsName::Kind::dns6;
            break;
        default:
            return std::nullopt;
    }
    out.host = as_text(it->value);
    ++it;
    if (it == end || it->code != M::tcp) return std::nullopt;
    out.port = port_of(it->value);
    ++it;
    return ends_well(it) ? std::optional{std::move(out)} : std::nullopt;
}

bool is_circuit(const Multiaddr& address) {
    const auto parts = address.parts();
    return std::any_of(parts.begin(), parts.end(), [](const auto& part) { return part.code == M::p2p_circuit; });
}

}  // namespace kith::wire
