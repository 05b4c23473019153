// SPDX-License-Identifier: Apache-2.0
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <memory>
#include <utility>

#include "io/fd.hpp"
#include "io/interfaces.hpp"

namespace kith::io {
namespace {

constexpr Duration burst = std::chrono::milliseconds{200};

Fd open_notifications() noexcept {
    Fd fd{::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE)};
    if (!fd) return fd;
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fd.reset();
    return fd;
}

}  // namespace

struct NetworkMonitor::Impl : std::enable_shared_from_this<Impl> {
    EventLoop& loop;
    Function<void()> changed;
    Duration poll_interval;
    Fd fd;
    WatchId watch;
    TimerId timer;
    std::vector<Interface> seen;

    Impl(EventLoop& l, Function<void()> c, Duration interval) : loop(l), changed(std::move(c)), poll_interval(interval) {}

    void close() {
        loop.cancel(timer);
        loop.unwatch(watch);
    }

    // Notifications also come for things that make no difference here (wireless statistics, route lifetimes): only a
    // changed list counts. The callback may destroy the monitor; this lives until it returned.
    void compare() {
        const auto keep = shared_from_this();
        auto now = list_interfaces();
        if (!now || *now == seen) return;
        seen = *std::move(now);
        changed();
    }

    // What a message says does not matter, only that there was one; also when the kernel dropped some (ENOBUFS).
    void drain() {
        std::array<std::uint8_t, 8192> room;
        for (;;) {
            const auto n = ::recv(fd.get(), room.data(), room.size(), 0);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0 && errno == EAGAIN) break;
            if (!timer) {
                timer = loop.after(burst, [this] {
                    timer = {};
                    compare();
                });
            }
            if (n <= 0 && errno != ENOBUFS) break;
        }
    }

    void look() {
        timer = loop.after(poll_interval, [this] {
            look();
            compare();
        });
    }
};

NetworkMonitor::NetworkMonitor(EventLoop& loop, Function<void()> changed, Source wanted, Duration poll_interval)
    : impl_(std::make_shared<Impl>(loop, std::move(changed), poll_interval)) {
    if (wanted == Source::notifications) impl_->fd = open_notifications();
    if (impl_->fd) {
        auto watch = loop.watch(impl_->fd.get(), {.readable = true}, [impl = impl_.get()](Ready) { impl->drain(); });
        if (watch) {
            impl_->watch = *watch;
        } else {
            impl_->fd.reset();
        }
    }
    if (!impl_->fd) impl_->look();
    // After the subscription, so that nothing falls between.
    impl_->seen = list_interfaces().value_or(std::vector<Interface>{});
}

NetworkMonitor::~NetworkMonitor() { impl_->close(); }

NetworkMonitor::Source NetworkMonitor::source() const noexcept { return impl_->fd ? Source::notifications : Source::polling; }

}  // namespace kith::io
