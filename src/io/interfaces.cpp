// SPDX-License-Identifier: Apache-2.0
#include "io/interfaces.hpp"

#include <ifaddrs.h>
#include <net/if.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <map>
#include <memory>

#include "io/os_error.hpp"
#include "io/sockaddr.hpp"

namespace kith::io {
namespace {

std::uint8_t prefix_of(const sockaddr* mask) noexcept {
    const auto bits = ip_of(mask);
    if (!bits) return 0;
    int n = 0;
    for (const auto byte : bits->view()) n += std::popcount(byte);
    return static_cast<std::uint8_t>(n);
}

}  // namespace

Result<std::vector<Interface>> list_interfaces() {
    ifaddrs* first = nullptr;
    if (::getifaddrs(&first) != 0) return os_error(errno, "getifaddrs");
    const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner{first, ::freeifaddrs};
    std::map<std::uint32_t, Interface> found;
    for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
        const auto ip = ip_of(entry->ifa_addr);
        if (!ip) continue;
        const auto index = ::if_nametoindex(entry->ifa_name);
        if (index == 0) continue;  // went away meanwhile
        Interface& interface = found[index];
        interface.index = index;
        interface.name = entry->ifa_name;
        interface.up = (entry->ifa_flags & IFF_UP) != 0 && (entry->ifa_flags & IFF_RUNNING) != 0;
        interface.multicast = (entry->ifa_flags & IFF_MULTICAST) != 0;
        interface.loopback = (entry->ifa_flags & IFF_LOOPBACK) != 0;
        interface.point_to_point = (entry->ifa_flags & IFF_POINTOPOINT) != 0;
        interface.addresses.push_back({*ip, prefix_of(entry->ifa_netmask)});
    }
    std::vector<Interface> out;
    out.reserve(found.size());
    for (auto& [index, interface] : found) {
        std::sort(interface.addresses.begin(), interface.addresses.end());
        out.push_back(std::move(interface));
    }
    return out;
}

}  // namespace kith::io
