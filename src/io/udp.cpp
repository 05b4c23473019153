// SPDX-License-Identifier: Apache-2.0
#include "io/udp.hpp"

#include <array>
#include <cerrno>
#include <cstring>

#include "io/os_error.hpp"
#include "io/sockaddr.hpp"

namespace kith::io {
namespace {

bool set(int fd, int level, int option, int value) noexcept { return ::setsockopt(fd, level, option, &value, sizeof value) == 0; }

constexpr std::size_t control_room = 128;
static_assert(control_room >= CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(in_pktinfo)));

// Where the datagram is to leave: the packet information of its family.
template <class Info>
void put_info(msghdr& message, int level, int type, const Info& info) noexcept {
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(header), &info, sizeof info);
    message.msg_controllen = CMSG_SPACE(sizeof info);
}

}  // namespace

Result<UdpSocket> UdpSocket::bind(const Endpoint& at, const Options& options) {
    Fd fd{::socket(at.ip.v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (!fd) return os_error(errno, "socket", at.text());
    if (options.share) {
        set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
        set(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (options.broadcast) set(fd.get(), SOL_SOCKET, SO_BROADCAST, 1);
    if (at.ip.v6) {
        set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
        set(fd.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
        set(fd.get(), IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1);
        set(fd.get(), IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255);
#ifdef IPV6_MULTICAST_ALL
        set(fd.get(), IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
#endif
    } else {
        set(fd.get(), IPPROTO_IP, IP_PKTINFO, 1);
        set(fd.get(), IPPROTO_IP, IP_MULTICAST_LOOP, 1);
        set(fd.get(), IPPROTO_IP, IP_MULTICAST_TTL, 255);
        // Without this the socket hears every group that anybody on the machine joined.
        set(fd.get(), IPPROTO_IP, IP_MULTICAST_ALL, 0);
    }
    const SocketAddress address{at};
    if (::bind(fd.get(), address.data(), address.size) != 0) return os_error(errno, "bind", at.text());
    return UdpSocket{std::move(fd), at.ip.v6};
}

namespace {

Status membership(int fd, bool v6, bool join, const IpAddress& group, std::uint32_t interface) {
    if (group.v6 != v6 || !group.is_multicast()) return Error{Errc::invalid_argument, "not a group of the socket's family", group.text()};
    int failed = 0;
    if (v6) {
        ipv6_mreq request{};
        std::memcpy(&request.ipv6mr_multiaddr, group.bytes.data(), 16);
        request.ipv6mr_interface = interface;
        failed = ::setsockopt(fd, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &request, sizeof request);
    } else {
        ip_mreqn request{};
        std::memcpy(&request.imr_multiaddr, group.bytes.data(), 4);
        request.imr_ifindex = static_cast<int>(interface);
        failed = ::setsockopt(fd, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &request, sizeof request);
    }
    if (failed == 0 || (join && errno == EADDRINUSE)) return {};
    return os_error(errno, join ? "join" : "leave", group.text() + " on interface " + std::to_string(interface));
}

}  // namespace

Status UdpSocket::join(const IpAddress& group, std::uint32_t interface) { return membership(fd_.get(), v6_, true, group, interface); }
Status UdpSocket::leave(const IpAddress& group, std::uint32_t interface) { return membership(fd_.get(), v6_, false, group, interface); }

IoResult UdpSocket::send(ByteView datagram, const Endpoint& to, std::uint32_t interface) noexcept {
    if (to.ip.v6 != v6_) return {0, IoState::error, EAFNOSUPPORT};
    SocketAddress target{to};
    iovec data{const_cast<std::uint8_t*>(datagram.data()), datagram.size()};
    alignas(cmsghdr) std::array<std::uint8_t, control_room> control{};
    msghdr message{};
    message.msg_name = target.data();
    message.msg_namelen = target.size;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (interface != 0) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        if (v6_) {
            in6_pktinfo info{};
            info.ipi6_ifindex = interface;
            put_info(message, IPPROTO_IPV6, IPV6_PKTINFO, info);
        } else {
            in_pktinfo info{};
            info.ipi_ifindex = static_cast<int>(interface);
            put_info(message, IPPROTO_IP, IP_PKTINFO, info);
        }
    }
    for (;;) {
        const auto n = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
        if (n >= 0) return {static_cast<std::size_t>(n), IoState::ok, 0};
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == ENOBUFS) return {0, IoState::would_block, 0};
        return {0, IoState::error, errno};
    }
}

UdpSocket::Received UdpSocket::receive(MutableBytes room) noexcept {
    Received out;
    SocketAddress from;
    iovec data{room.data(), room.size()};
    alignas(cmsghdr) std::array<std::uint8_t, control_room> control{};
    msghdr message{};
    message.msg_name = from.data();
    message.msg_namelen = from.size;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t n = -1;
    // ECONNREFUSED: an ICMP answer to an earlier datagram of ours, not about this call.
    while ((n = ::recvmsg(fd_.get(), &message, 0)) < 0 && (errno == EINTR || errno == ECONNREFUSED))
        message.msg_controllen = control.size();
    if (n < 0) {
        out.os_error = errno;
        out.state = errno == EAGAIN ? IoState::would_block : IoState::error;
        return out;
    }
    out.n = static_cast<std::size_t>(n);
    out.state = IoState::ok;
    out.truncated = (message.msg_flags & MSG_TRUNC) != 0;
    out.from = from.endpoint();
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
            in_pktinfo info{};
            std::memcpy(&info, CMSG_DATA(header), sizeof info);
            out.interface = static_cast<std::uint32_t>(info.ipi_ifindex);
            std::memcpy(out.to.bytes.data(), &info.ipi_addr, 4);
        } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
            in6_pktinfo info{};
            std::memcpy(&info, CMSG_DATA(header), sizeof info);
            out.interface = info.ipi6_ifindex;
            out.to.v6 = true;
            std::memcpy(out.to.bytes.data(), &info.ipi6_addr, 16);
        }
    }
    return out;
}

Endpoint UdpSocket::local() const noexcept {
    SocketAddress address;
    return ::getsockname(fd_.get(), address.data(), &address.size) == 0 ? address.endpoint() : Endpoint{};
}

}  // namespace kith::io
