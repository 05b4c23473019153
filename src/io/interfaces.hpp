// SPDX-License-Identifier: Apache-2.0
// The machine's network interfaces, and when they change.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/endpoint.hpp"
#include "kith/error.hpp"
#include "kith/event_loop.hpp"

namespace kith::io {

struct InterfaceAddress {
    IpAddress ip;
    std::uint8_t prefix = 0;  // bits of the network

    friend auto operator<=>(const InterfaceAddress&, const InterfaceAddress&) noexcept = default;
};

struct Interface {
    std::uint32_t index = 0;
    std::string name;
    std::vector<InterfaceAddress> addresses;  // sorted
    bool up = false;                          // administratively up, with a carrier
    bool multicast = false;
    bool loopback = false;
    bool point_to_point = false;

    friend bool operator==(const Interface&, const Interface&) noexcept = default;
};

// All of them that have an IP address, sorted by index. Blocks for some microseconds.
Result<std::vector<Interface>> list_interfaces();

// Calls `changed` on the loop's thread, once per burst of changes (200 ms), when addresses or interfaces came, went, or went
// up or down. From the system's notifications (netlink); where they cannot be had it looks every `poll_interval`. The callback may
// destroy the monitor. Owner: the caller, on the loop's thread; the loop outlives it.
class NetworkMonitor {
public:
    enum class Source : std::uint8_t { notifications, polling };

    NetworkMonitor(EventLoop& loop, Function<void()> changed, Source wanted = Source::notifications,
                   Duration poll_interval = std::chrono::seconds{2});
    ~NetworkMonitor();
    NetworkMonitor(const NetworkMonitor&) = delete;
    NetworkMonitor& operator=(const NetworkMonitor&) = delete;

    Source source() const noexcept;  // what it got

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace kith::io
