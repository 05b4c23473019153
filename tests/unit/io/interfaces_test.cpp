// SPDX-License-Identifier: Apache-2.0
#include "io/interfaces.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "unit/io/support.hpp"

namespace {

using namespace kith::io::test;
using kith::EventLoop;
using kith::IpAddress;
using kith::io::list_interfaces;
using kith::io::NetworkMonitor;

TEST(Interfaces, TheLoopbackIsListed) {
    const auto list = list_interfaces();
    ASSERT_TRUE(list);
    const auto lo = std::find_if(list->begin(), list->end(), [](const auto& i) { return i.loopback; });
    ASSERT_NE(lo, list->end());
    EXPECT_EQ(lo->index, ::if_nametoindex(lo->name.c_str()));
    EXPECT_TRUE(lo->up);
    EXPECT_FALSE(lo->point_to_point);
    const kith::io::InterfaceAddress self{IpAddress::v4(127, 0, 0, 1), 8};
    EXPECT_NE(std::find(lo->addresses.begin(), lo->addresses.end(), self), lo->addresses.end());
    EXPECT_TRUE(std::is_sorted(list->begin(), list->end(), [](const auto& a, const auto& b) { return a.index < b.index; }));
    for (const auto& interface : *list) {
        for (const auto& address : interface.addresses) {
            EXPECT_LE(address.prefix, address.ip.v6 ? 128 : 32);
            EXPECT_EQ(address.ip.scope, address.ip.v6 && address.ip.is_link_local() ? interface.index : 0);
        }
    }
}

class Lo {
public:
    Lo() { std::strcpy(request_.ifr_name, "lo"); }
    void up(bool on) {
        request_.ifr_flags = static_cast<short>(on ? IFF_UP | IFF_RUNNING : 0);
        ASSERT_EQ(::ioctl(fd_.get(), SIOCSIFFLAGS, &request_), 0);
    }
    void address(const char* text) {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        ASSERT_EQ(::inet_pton(AF_INET, text, &in.sin_addr), 1);
        std::memcpy(&request_.ifr_addr, &in, sizeof in);
        ASSERT_EQ(::ioctl(fd_.get(), SIOCSIFADDR, &request_), 0);
    }

private:
    kith::io::Fd fd_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    ifreq request_{};
};

void changes_are_told(NetworkMonitor::Source source) {
    EventLoop loop;
    int changes = 0;
    NetworkMonitor monitor{loop, [&] { ++changes; }, source, std::chrono::milliseconds{50}};
    EXPECT_EQ(monitor.source(), source);
    Lo lo;
    lo.up(true);
    lo.address("10.1.2.3");
    lo.address("10.1.2.4");
    ASSERT_TRUE(run_until(loop, [&] { return changes > 0; }));
    EXPECT_EQ(changes, 1) << "one burst";
    auto list = *list_interfaces();
    ASSERT_FALSE(list.empty());
    EXPECT_TRUE(list[0].up);
    EXPECT_TRUE(
        std::any_of(list[0].addresses.begin(), list[0].addresses.end(), [](const auto& a) { return a.ip == IpAddress::v4(10, 1, 2, 4); }));
    lo.up(false);
    ASSERT_TRUE(run_until(loop, [&] { return changes == 2; }));
}

TEST(NetworkMonitor, TellsChangesByNotification) {
    if (inside_namespace("NetworkMonitor.TellsChangesByNotification")) changes_are_told(NetworkMonitor::Source::notifications);
}

TEST(NetworkMonitor, TellsChangesByPolling) {
    if (inside_namespace("NetworkMonitor.TellsChangesByPolling")) changes_are_told(NetworkMonitor::Source::polling);
}

TEST(NetworkMonitor, MayBeDestroyedInItsCallback) {
    if (!inside_namespace("NetworkMonitor.MayBeDestroyedInItsCallback")) return;
    EventLoop loop;
    std::unique_ptr<NetworkMonitor> monitor;
    bool told = false;
    monitor = std::make_unique<NetworkMonitor>(loop, [&, token = std::make_unique<bool>(true)] {
        monitor.reset();
        told = *token;
    });
    Lo{}.up(true);
    ASSERT_TRUE(run_until(loop, [&] { return told; }));
    EXPECT_EQ(loop.count(), 0U);
}

}  // namespace
