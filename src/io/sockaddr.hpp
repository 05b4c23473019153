// SPDX-License-Identifier: Apache-2.0
// Endpoint to and from the system's socket address. For .cpp files only.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <optional>

#include "base/endpoint.hpp"

namespace kith::io {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = sizeof(sockaddr_storage);

    SocketAddress() = default;
    explicit SocketAddress(const Endpoint& endpoint) noexcept;

    sockaddr* data() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
    const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
    Endpoint endpoint() const noexcept;  // 0.0.0.0:0 for another family
};

// The IP address in `address`; nothing for another family or null.
std::optional<IpAddress> ip_of(const sockaddr* address) noexcept;

}  // namespace kith::io
