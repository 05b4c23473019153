// SPDX-License-Identifier: Apache-2.0
// Who may come in before anything is known of him: limits per address and in all, checked before any cryptography. Sans-IO.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "base/endpoint.hpp"
#include "kith/error.hpp"
#include "kith/time.hpp"

namespace kith::peer {

struct GateConfig {
    std::size_t max_links = 20'000;
    std::size_t max_links_per_address = 64;
    std::size_t max_handshakes = 256;
    std::size_t max_handshakes_per_address = 16;
    double links_per_second = 500;
    double links_per_second_per_address = 20;
};

// `rate` per second, `burst` at once.
class TokenBucket {
public:
    bool take(double rate, double burst, Instant now) noexcept;
    bool full(double rate, double burst, Instant now) const noexcept;

private:
    double used_ = 0;
    Instant at_{};
};

// Counts links by address (an IPv4 address, or an IPv6 /64). Remembers an address only while it has links or spent tokens, and
// at most `max_links` of them, so that strangers cannot make it grow.
class Gate {
public:
    explicit Gate(const GateConfig& config) : config_(config) {}

    // An accepted link, not authenticated. limit_exceeded: close it at once, without a byte.
    Status accepted(const IpAddress& from, Instant now);
    // The handshake of such a link ended well; or the link ended (in either state).
    void authenticated(const IpAddress& from);
    void closed(const IpAddress& from, bool was_authenticated, Instant now);

    // Our own dials count towards max_links only.
    Status dialled();
    void dial_closed() noexcept;

    std::size_t links() const noexcept { return links_; }
    std::size_t handshakes() const noexcept { return handshakes_; }
    std::size_t addresses() const noexcept { return addresses_.size(); }
    std::uint64_t refused() const noexcept { return refused_; }

private:
    struct Address {
        std::size_t links = 0;
        std::size_t handshakes = 0;
        TokenBucket tokens;
    };
    struct Hash {
        std::size_t operator()(const IpAddress& ip) const noexcept;
    };
    static IpAddress group(const IpAddress& ip) noexcept;
    void sweep(Instant now);
    Error refuse(std::string_view why);

    GateConfig config_;
    std::unordered_map<IpAddress, Address, Hash> addresses_;
    TokenBucket tokens_;
    std::size_t links_ = 0;
    std::size_t handshakes_ = 0;
    std::uint64_t refused_ = 0;
};

}  // namespace kith::peer
