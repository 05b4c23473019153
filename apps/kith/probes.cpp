// SPDX-License-Identifier: Apache-2.0
#include "probes.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>

#include "kith/bytes.hpp"

namespace kith::app {
namespace {

constexpr std::uint16_t mdns_port = 5353;

struct Socket {
    int fd = -1;
    explicit Socket(int f) : fd(f) {}
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    ~Socket() {
        if (fd >= 0) ::close(fd);
    }
};

Error failed(std::string_view what) {
    const int code = errno;
    Error error{Errc::io_error, what};
    error.os_error = code;
    return error;
}

template <class T>
bool set(const Socket& s, int level, int option, const T& value) {
    return ::setsockopt(s.fd, level, option, &value, sizeof value) == 0;
}

// A question for PTR "<token>._udp.local", RFC 1035 section 4.1.
Bytes question(std::string_view token) {
    Bytes out(12);
    out[5] = 1;  // one question
    for (const std::string_view label : {token, std::string_view{"_udp"}, std::string_view{"local"}}) {
        out.push_back(static_cast<std::uint8_t>(label.size()));
        out.insert(out.end(), label.begin(), label.end());
    }
    for (const int byte : {0, 0, 12, 0, 1}) out.push_back(static_cast<std::uint8_t>(byte));  // root, type PTR, class IN
    return out;
}

union Address {
    sockaddr any;
    sockaddr_in ip4;
    sockaddr_in6 ip6;
};

struct Group {
    Address bind{};
    Address group{};
    socklen_t size = 0;
};

Group group_of(Family family, unsigned index) {
    Group out;
    if (family == Family::ip4) {
        out.size = sizeof(sockaddr_in);
        out.bind.ip4 = {};
        out.bind.ip4.sin_family = AF_INET;
        out.bind.ip4.sin_port = htons(mdns_port);
        out.group.ip4 = out.bind.ip4;
        ::inet_pton(AF_INET, "224.0.0.251", &out.group.ip4.sin_addr);
    } else {
        out.size = sizeof(sockaddr_in6);
        out.bind.ip6 = {};
        out.bind.ip6.sin6_family = AF_INET6;
        out.bind.ip6.sin6_port = htons(mdns_port);
        out.group.ip6 = out.bind.ip6;
        out.group.ip6.sin6_scope_id = index;
        ::inet_pton(AF_INET6, "ff02::fb", &out.group.ip6.sin6_addr);
    }
    return out;
}

Status join(const Socket& s, Family family, unsigned index, const Group& where) {
    if (family == Family::ip4) {
        ip_mreqn request{};
        request.imr_multiaddr = where.group.ip4.sin_addr;
        request.imr_ifindex = static_cast<int>(index);
        if (!set(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, request)) return failed("cannot join the group 224.0.0.251");
        if (!set(s, IPPROTO_IP, IP_MULTICAST_IF, request)) return failed("cannot send multicast through it");
        if (!set(s, IPPROTO_IP, IP_MULTICAST_LOOP, 1)) return failed("cannot loop multicast");
        return {};
    }
    ipv6_mreq request{};
    request.ipv6mr_multiaddr = where.group.ip6.sin6_addr;
    request.ipv6mr_interface = index;
    if (!set(s, IPPROTO_IPV6, IPV6_JOIN_GROUP, request)) return failed("cannot join the group ff02::fb");
    if (!set(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, static_cast<int>(index))) return failed("cannot send multicast through it");
    if (!set(s, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1)) return failed("cannot loop multicast");
    return {};
}

}  // namespace

Result<std::vector<Interface>> interfaces() {
    ifaddrs* first = nullptr;
    if (::getifaddrs(&first) != 0) return failed("cannot list the network interfaces");
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner{first, &::freeifaddrs};
    std::vector<Interface> out;
    for (const auto* entry = first; entry != nullptr; entry = entry->ifa_next) {
        const std::string name{entry->ifa_name};
        auto it = std::find_if(out.begin(), out.end(), [&](const Interface& i) { return i.name == name; });
        if (it == out.end()) {
            Interface fresh;
            fresh.name = name;
            fresh.index = ::if_nametoindex(entry->ifa_name);
            fresh.up = (entry->ifa_flags & IFF_UP) != 0 && (entry->ifa_flags & IFF_RUNNING) != 0;
            fresh.loopback = (entry->ifa_flags & IFF_LOOPBACK) != 0;
            fresh.multicast = (entry->ifa_flags & IFF_MULTICAST) != 0;
            it = out.insert(out.end(), std::move(fresh));
        }
        if (entry->ifa_addr == nullptr) continue;
        std::array<char, INET6_ADDRSTRLEN> text{};
        Address address{};
        if (entry->ifa_addr->sa_family == AF_INET) {
            std::memcpy(&address.ip4, entry->ifa_addr, sizeof address.ip4);
            ::inet_ntop(AF_INET, &address.ip4.sin_addr, text.data(), text.size());
            it->has_ip4 = true;
        } else if (entry->ifa_addr->sa_family == AF_INET6) {
            std::memcpy(&address.ip6, entry->ifa_addr, sizeof address.ip6);
            ::inet_ntop(AF_INET6, &address.ip6.sin6_addr, text.data(), text.size());
            it->has_ip6 = true;
        } else {
            continue;
        }
        it->addresses.emplace_back(text.data());
    }
    return out;
}

bool usable_on_lan(const Interface& i) noexcept { return i.up && i.multicast && !i.loopback && (i.has_ip4 || i.has_ip6); }

Status probe_multicast(const Interface& on, Family family, Duration patience) {
    const Socket s{::socket(family == Family::ip4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (s.fd < 0) return failed("cannot make a UDP socket");
    const auto where = group_of(family, on.index);
    if (!set(s, SOL_SOCKET, SO_REUSEADDR, 1) || !set(s, SOL_SOCKET, SO_REUSEPORT, 1)) return failed("cannot share UDP port 5353");
    if (family == Family::ip6 && !set(s, IPPROTO_IPV6, IPV6_V6ONLY, 1)) return failed("cannot make an IPv6 socket");
    if (::bind(s.fd, &where.bind.any, where.size) != 0) return failed("cannot use UDP port 5353");
    if (auto ok = join(s, family, on.index, where); !ok) return ok;

    const auto start = std::chrono::steady_clock::now();
    const auto token = fmt::format("_kith-test-{}-{}", ::getpid(), start.time_since_epoch().count() % 1'000'000'000);
    const auto packet = question(token);
    if (::sendto(s.fd, packet.data(), packet.size(), 0, &where.group.any, where.size) < 0) return failed("cannot send to the group");

    std::array<std::uint8_t, 9000> buffer{};
    while (true) {
        const auto rest = std::chrono::ceil<std::chrono::milliseconds>(patience - (std::chrono::steady_clock::now() - start)).count();
        if (rest <= 0) return Error{Errc::timeout, "a packet to the group did not come back"};
        pollfd readable{s.fd, POLLIN, 0};
        if (::poll(&readable, 1, static_cast<int>(std::min<std::int64_t>(rest, 10'000))) <= 0) continue;
        const auto n = ::recv(s.fd, buffer.data(), buffer.size(), 0);
        if (n == static_cast<ssize_t>(packet.size()) && std::equal(packet.begin(), packet.end(), buffer.begin())) return {};
    }
}

std::optional<bool> clock_synchronized() {
    timex query{};
    const int state = ::adjtimex(&query);
    if (state < 0) return {};
    return state != TIME_ERROR && (static_cast<unsigned>(query.status) & static_cast<unsigned>(STA_UNSYNC)) == 0;
}

}  // namespace kith::app
