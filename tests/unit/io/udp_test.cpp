// SPDX-License-Identifier: Apache-2.0
#include "io/udp.hpp"

#include <gtest/gtest.h>
#include <net/if.h>

#include "unit/io/support.hpp"

namespace {

using namespace kith::io::test;
using kith::Endpoint;
using kith::Errc;
using kith::EventLoop;
using kith::IpAddress;
using kith::io::IoState;
using kith::io::UdpSocket;

IpAddress ip(const char* text) { return *IpAddress::parse(text); }

UdpSocket::Received receive(UdpSocket& socket, kith::MutableBytes room) {
    EventLoop loop;
    UdpSocket::Received out;
    EXPECT_TRUE(loop.watch(socket.fd(), {.readable = true}, [&](kith::Ready) { out = socket.receive(room); }));
    EXPECT_TRUE(run_until(loop, [&] { return out.state != IoState::would_block; }));
    return out;
}

class Udp : public testing::TestWithParam<bool> {
protected:
    bool v6() const { return GetParam(); }
    IpAddress loopback() const { return ip(v6() ? "::1" : "127.0.0.1"); }
    IpAddress any() const { return ip(v6() ? "::" : "0.0.0.0"); }
    IpAddress group() const { return ip(v6() ? "ff02::6b69" : "239.255.107.105"); }
    std::uint32_t lo() const { return ::if_nametoindex("lo"); }
    std::array<std::uint8_t, 2048> room{};
};
INSTANTIATE_TEST_SUITE_P(Families, Udp, testing::Bool(), [](const auto& p) { return p.param ? "v6" : "v4"; });

TEST_P(Udp, UnicastTellsSenderAddressAndInterface) {
    auto a = *UdpSocket::bind({loopback(), 0}, {.share = false});
    auto b = *UdpSocket::bind({any(), 0}, {.share = false});
    EXPECT_EQ(b.receive(room).state, IoState::would_block);
    const Endpoint to{loopback(), b.local().port};
    EXPECT_EQ(a.send(kith::as_bytes("hello"), to).n, 5U);
    const auto got = receive(b, room);
    ASSERT_EQ(got.state, IoState::ok);
    EXPECT_EQ(kith::as_text(kith::ByteView{room}.first(got.n)), "hello");
    EXPECT_EQ(got.from, a.local());
    EXPECT_EQ(got.to, loopback());
    EXPECT_EQ(got.interface, lo());
    EXPECT_FALSE(got.truncated);
}

// Two programs on one port, as with mDNS; both hear it, the sender included.
void multicast_on(std::uint32_t interface, const IpAddress& any, const IpAddress& group) {
    std::array<std::uint8_t, 2048> room{};
    auto a = *UdpSocket::bind({any, 0});
    const auto port = a.local().port;
    auto b = *UdpSocket::bind({any, port});
    auto deaf = *UdpSocket::bind({any, port});
    ASSERT_TRUE(a.join(group, interface));
    ASSERT_TRUE(a.join(group, interface)) << "twice is fine";
    ASSERT_TRUE(b.join(group, interface));
    const auto sent = a.send(kith::as_bytes("query"), {group, port}, interface);
    ASSERT_EQ(sent.state, IoState::ok) << sent.error().message();
    for (UdpSocket* socket : {&a, &b}) {
        const auto got = receive(*socket, room);
        ASSERT_EQ(got.state, IoState::ok);
        EXPECT_EQ(got.n, 5U);
        EXPECT_EQ(got.to, group);
        EXPECT_EQ(got.interface, interface);
        EXPECT_EQ(got.from.port, port);
    }
    EXPECT_EQ(deaf.receive(room).state, IoState::would_block) << "it did not join";
    ASSERT_TRUE(b.leave(group, interface));
    ASSERT_EQ(a.send(kith::as_bytes("again"), {group, port}, interface).state, IoState::ok);
    EXPECT_EQ(receive(a, room).n, 5U);
    EXPECT_EQ(b.receive(room).state, IoState::would_block);
    EXPECT_FALSE(b.leave(group, interface)) << "not a member any more";
}

// IPv4 alone: Linux has no IPv6 multicast route on the loopback interface.
TEST(Multicast, OnTheLoopbackInterface) { multicast_on(::if_nametoindex("lo"), ip("0.0.0.0"), ip("239.255.107.105")); }

// Two interfaces (bridges without ports) and one socket that joined on both, as mDNS has it.
TEST(Multicast, GoesOutOnTheInterfaceThatWasAskedForAndSaysWhereItCameIn) {
    constexpr auto setup =
        "ip link add ka type bridge; ip link set ka up; ip link add kb type bridge; ip link set kb up;"
        "ip address add 10.9.1.1/24 dev ka; ip address add 10.9.2.1/24 dev kb;"
        "ip address add fe80::1/64 dev ka nodad; ip address add fe80::2/64 dev kb nodad";
    if (!inside_namespace("Multicast.GoesOutOnTheInterfaceThatWasAskedForAndSaysWhereItCameIn", setup)) return;
    const auto ka = ::if_nametoindex("ka");
    const auto kb = ::if_nametoindex("kb");
    ASSERT_TRUE(ka != 0 && kb != 0);
    std::array<std::uint8_t, 2048> room{};
    for (const bool v6 : {false, true}) {
        const auto any = ip(v6 ? "::" : "0.0.0.0");
        const auto group = ip(v6 ? "ff02::fb" : "224.0.0.251");
        multicast_on(ka, any, group);
        auto both = *UdpSocket::bind({any, 0});
        ASSERT_TRUE(both.join(group, ka));
        ASSERT_TRUE(both.join(group, kb));
        for (const auto out : {ka, kb, ka}) {
            ASSERT_EQ(both.send(kith::as_bytes("x"), {group, both.local().port}, out).state, IoState::ok);
            const auto got = receive(both, room);
            EXPECT_EQ(got.interface, out);
            EXPECT_TRUE(got.from.ip.v6 ? got.from.ip.scope == out : got.from.ip == IpAddress::v4(10, 9, out == ka ? 1 : 2, 1))
                << got.from.text() << ": answers go back the same way";
            EXPECT_EQ(both.receive(room).state, IoState::would_block) << "once";
        }
    }
}

TEST_P(Udp, RefusesWhatIsNotAGroupOrInterface) {
    auto socket = *UdpSocket::bind({any(), 0});
    EXPECT_EQ(socket.join(loopback(), lo()).error(), Errc::invalid_argument);
    EXPECT_EQ(socket.join(ip(v6() ? "224.0.0.251" : "ff02::fb"), lo()).error(), Errc::invalid_argument) << "the other family";
    const auto nowhere = socket.join(group(), 0x7ffffff0);
    ASSERT_FALSE(nowhere);
    EXPECT_NE(nowhere.error().os_error, 0);
    EXPECT_NE(nowhere.error().detail.find(group().text()), std::string::npos);
    EXPECT_EQ(socket.send(kith::as_bytes("x"), {group(), 9}, 0x7ffffff0).state, IoState::error);
    EXPECT_EQ(socket.send(kith::as_bytes("x"), {ip(v6() ? "127.0.0.1" : "::1"), 9}).error(), Errc::unsupported_address);
}

TEST_P(Udp, LongDatagramsAreMarkedAndTooLongOnesRefused) {
    auto a = *UdpSocket::bind({loopback(), 0});
    auto b = *UdpSocket::bind({loopback(), 0});
    const std::vector<std::uint8_t> data(1000, 7);
    ASSERT_EQ(a.send(data, b.local()).n, 1000U);
    const auto got = receive(b, kith::MutableBytes{room}.first(100));
    EXPECT_EQ(got.n, 100U);
    EXPECT_TRUE(got.truncated);
    const std::vector<std::uint8_t> huge(70'000, 7);
    EXPECT_EQ(a.send(huge, b.local()).error(), Errc::too_large);
    EXPECT_EQ(a.send(data, b.local()).state, IoState::ok) << "the socket stays usable";
}

TEST_P(Udp, AnAnswerThatNobodyListensIsNotAnErrorOfReceive) {
    auto a = *UdpSocket::bind({loopback(), 0});
    auto b = *UdpSocket::bind({loopback(), 0});
    const auto gone = [&] { return UdpSocket::bind({loopback(), 0})->local(); }();
    ASSERT_EQ(a.send(kith::as_bytes("x"), gone).state, IoState::ok);
    ASSERT_EQ(b.send(kith::as_bytes("y"), a.local()).state, IoState::ok);
    EXPECT_EQ(receive(a, room).n, 1U);
}

TEST(UdpBind, ErrorsNameTheAddress) {
    const auto a = UdpSocket::bind({IpAddress::v4(127, 0, 0, 1), 0}, {.share = false});
    ASSERT_TRUE(a);
    const auto b = UdpSocket::bind(a->local(), {.share = false});
    ASSERT_FALSE(b);
    EXPECT_EQ(b.error(), Errc::address_in_use);
    EXPECT_EQ(b.error().detail, a->local().text());
    EXPECT_EQ(UdpSocket::bind({IpAddress::v4(192, 0, 2, 99), 0}).error(), Errc::address_unavailable);
}

TEST(UdpBind, BroadcastNeedsTheOption) {
    auto plain = *UdpSocket::bind({IpAddress::v4(0, 0, 0, 0), 0});
    EXPECT_EQ(plain.send(kith::as_bytes("x"), {IpAddress::v4(127, 255, 255, 255), 9}).state, IoState::error);
    auto loud = *UdpSocket::bind({IpAddress::v4(0, 0, 0, 0), 0}, {.broadcast = true});
    EXPECT_EQ(loud.send(kith::as_bytes("x"), {IpAddress::v4(127, 255, 255, 255), 9}).state, IoState::ok);
}

}  // namespace
