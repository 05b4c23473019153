// SPDX-License-Identifier: Apache-2.0
// An IP address and a port, without any socket header.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kith/bytes.hpp"

namespace kith {

// IPv4 uses the first four bytes. `scope` is the interface index of a link-local IPv6 address, else 0.
struct IpAddress {
    std::array<std::uint8_t, 16> bytes{};
    bool v6 = false;
    std::uint32_t scope = 0;

    static IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) noexcept { return {{a, b, c, d}, false, 0}; }
    static std::optional<IpAddress> parse(std::string_view text);  // "192.0.2.1", "2001:db8::1", "fe80::1%3"

    ByteView view() const noexcept { return ByteView{bytes}.first(v6 ? 16 : 4); }
    bool is_loopback() const noexcept;
    bool is_unspecified() const noexcept;
    bool is_link_local() const noexcept;
    bool is_private() const noexcept;  // RFC 1918, RFC 4193, link-local or loopback
    bool is_multicast() const noexcept;
    std::string text() const;  // RFC 5952 for IPv6, with %scope when set

    friend auto operator<=>(const IpAddress&, const IpAddress&) noexcept = default;
};

struct Endpoint {
    IpAddress ip;
    std::uint16_t port = 0;

    std::string text() const;  // "192.0.2.1:80", "[2001:db8::1]:80"
    friend auto operator<=>(const Endpoint&, const Endpoint&) noexcept = default;
};

}  // namespace kith
