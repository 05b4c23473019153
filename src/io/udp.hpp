// SPDX-License-Identifier: Apache-2.0
// UDP by readiness, with multicast per interface.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/endpoint.hpp"
#include "io/fd.hpp"
#include "io/tcp.hpp"
#include "kith/bytes.hpp"
#include "kith/error.hpp"

namespace kith::io {

// Owns a non-blocking datagram socket. Multicast is looped back to this machine and sent with TTL (hop limit) 255, as mDNS
// wants it.
class UdpSocket {
public:
    struct Options {
        bool share = true;       // several sockets and programs may bind the same port (each gets every multicast)
        bool broadcast = false;  // may send to broadcast addresses
    };
    struct Received {
        std::size_t n = 0;
        IoState state = IoState::would_block;  // ok, would_block, error (eof never)
        bool truncated = false;                // longer than the room; the rest is lost
        int os_error = 0;
        Endpoint from;
        IpAddress to;                 // the address it was sent to: a group, or one of ours
        std::uint32_t interface = 0;  // where it came in, 0: unknown. Not always one that was joined: Linux gives an IPv6
                                      // multicast to every socket that joined the group anywhere
    };

    // IPv6 sockets take IPv6 only. Errors: address_in_use, address_unavailable, unsupported_address, limit_exceeded, io_error.
    static Result<UdpSocket> bind(const Endpoint& at, const Options& options);
    static Result<UdpSocket> bind(const Endpoint& at) { return bind(at, Options{}); }

    // `group` of the socket's family on the interface with this index. Joining twice is fine.
    // limit_exceeded: net.ipv4.igmp_max_memberships; io_error: no such interface.
    Status join(const IpAddress& group, std::uint32_t interface);
    Status leave(const IpAddress& group, std::uint32_t interface);

    // Whole datagram or nothing; `interface` 0 lets the system choose. would_block: drop it or wait. Errors are of this one
    // datagram (no route, interface gone, larger than the system allows): the socket stays usable.
    IoResult send(ByteView datagram, const Endpoint& to, std::uint32_t interface = 0) noexcept;
    Received receive(MutableBytes room) noexcept;

    Endpoint local() const noexcept;
    int fd() const noexcept { return fd_.get(); }

private:
    UdpSocket(Fd fd, bool v6) noexcept : fd_(std::move(fd)), v6_(v6) {}
    Fd fd_;
    bool v6_;
};

}  // namespace kith::io
