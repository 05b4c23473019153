// SPDX-License-Identifier: Apache-2.0
#include "io/sockaddr.hpp"

#include <cstring>

namespace kith::io {

SocketAddress::SocketAddress(const Endpoint& endpoint) noexcept {
    if (endpoint.ip.v6) {
        sockaddr_in6 in{};
        in.sin6_family = AF_INET6;
        in.sin6_port = htons(endpoint.port);
        in.sin6_scope_id = endpoint.ip.scope;
        std::memcpy(&in.sin6_addr, endpoint.ip.bytes.data(), 16);
        std::memcpy(&storage, &in, sizeof in);
        size = sizeof in;
    } else {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_port = htons(endpoint.port);
        std::memcpy(&in.sin_addr, endpoint.ip.bytes.data(), 4);
        std::memcpy(&storage, &in, sizeof in);
        size = sizeof in;
    }
}

std::optional<IpAddress> ip_of(const sockaddr* address) noexcept {
    IpAddress out;
    if (address == nullptr) return std::nullopt;
    if (address->sa_family == AF_INET) {
        sockaddr_in in{};
        std::memcpy(&in, address, sizeof in);
        std::memcpy(out.bytes.data(), &in.sin_addr, 4);
        return out;
    }
    if (address->sa_family == AF_INET6) {
        sockaddr_in6 in{};
        std::memcpy(&in, address, sizeof in);
        out.v6 = true;
        std::memcpy(out.bytes.data(), &in.sin6_addr, 16);
        // Only there does the interface belong to the address; equal addresses must compare equal.
        if (out.is_link_local()) out.scope = in.sin6_scope_id;
        return out;
    }
    return std::nullopt;
}

Endpoint SocketAddress::endpoint() const noexcept {
    Endpoint out;
    const auto ip = ip_of(data());
    if (!ip) return out;
    out.ip = *ip;
    // The port stands at the same place in both families.
    sockaddr_in in{};
    std::memcpy(&in, &storage, sizeof in);
    out.port = ntohs(in.sin_port);
    return out;
}

}  // namespace kith::io
