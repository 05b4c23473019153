// SPDX-License-Identifier: Apache-2.0
// Several instances against each other.
#include <algorithm>

#include "support.hpp"

namespace kith::discovery {
namespace {

using Log = std::vector<std::string>;

TEST(MdnsLan, TwoNodesFindEachOther) {
    auto a = node(1, "/ip4/192.0.2.1/tcp/4001");
    auto b = node(2, "/ip4/192.0.2.2/tcp/4002");
    Lan lan;
    const auto ia = lan.join(a, "192.0.2.1");
    const auto ib = lan.join(b, "192.0.2.2");
    a.start(lan.now());
    b.start(lan.now());
    lan.run_until(at(milliseconds{150}));
    ASSERT_EQ(lan[ia].known.size(), 1u) << "within the delay of one answer";
    ASSERT_EQ(lan[ib].known.size(), 1u);
    EXPECT_EQ(lan[ia].known.at(peer(2)).addresses, (std::vector<Multiaddr>{address("/ip4/192.0.2.2/tcp/4002")}));
    EXPECT_EQ(lan[ib].known.at(peer(1)).addresses, (std::vector<Multiaddr>{address("/ip4/192.0.2.1/tcp/4001")}));
    const auto left = lan[ia].known.at(peer(2)).expires - lan.now();
    EXPECT_GT(left, seconds{119});
    EXPECT_LE(left, seconds{120});
}

TEST(MdnsLan, StayFoundWithoutNoise) {
    auto a = node(1, "/ip4/192.0.2.1/tcp/4001");
    auto b = node(2, "/ip4/192.0.2.2/tcp/4002");
    Lan lan;
    const auto ia = lan.join(a, "192.0.2.1");
    lan.join(b, "192.0.2.2");
    a.start(lan.now());
    b.start(lan.now());
    lan.run_until(at(seconds{600}));
    EXPECT_EQ(std::count(lan[ia].log.begin(), lan[ia].log.end(), "lost"), 0);
    // Reported at first, then only when half of its time has gone.
    EXPECT_GE(lan[ia].log.size(), 2u);
    EXPECT_LE(lan[ia].log.size(), 12u);
    EXPECT_GT(lan[ia].known.at(peer(2)).expires, lan.now()) << "what was reported last still holds";
    // Each node: 62 queries and as many answers, plus what the other's queries ask for. Silence would be fewer; a storm more.
    EXPECT_LT(lan.packets(), 2 * 62 * 4u);
}

TEST(MdnsLan, GoodbyeTakesOneSecond) {
    auto a = node(1, "/ip4/192.0.2.1/tcp/4001");
    auto b = node(2, "/ip4/192.0.2.2/tcp/4002");
    Lan lan;
    const auto ia = lan.join(a, "192.0.2.1");
    lan.join(b, "192.0.2.2");
    a.start(lan.now());
    b.start(lan.now());
    lan.run_until(at(seconds{20}));
    ASSERT_EQ(lan[ia].log, (Log{"found"}));
    b.stop();
    EXPECT_EQ(b.peers(), 0u);
    EXPECT_FALSE(b.next_deadline()) << "nothing to wake up for";
    lan.run_until(at(seconds{20} + milliseconds{900}));
    EXPECT_EQ(lan[ia].log, (Log{"found"}));
    lan.run_until(at(seconds{22}));
    EXPECT_EQ(lan[ia].log, (Log{"found", "lost"}));
    EXPECT_EQ(a.peers(), 0u);
}

TEST(MdnsLan, RestartWithANewName) {
    auto a = node(1, "/ip4/192.0.2.1/tcp/4001");
    auto b = node(2, "/ip4/192.0.2.2/tcp/4002");
    Lan lan;
    const auto ia = lan.join(a, "192.0.2.1");
    lan.join(b, "192.0.2.2");
    a.start(lan.now());
    b.start(lan.now());
    lan.run_until(at(seconds{5}));
    // The old run crashed. The new one has the same id, another name and another port.
    auto again = config(2, {address("/ip4/192.0.2.2/tcp/5555")});
    again.peer_name = run_name('z');
    b = std::move(Mdns::create(again).value());
    b.start(lan.now());
    lan.run_until(at(seconds{6}));
    EXPECT_EQ(a.peers(), 1u);
    const auto& addresses = lan[ia].known.at(peer(2)).addresses;
    EXPECT_NE(std::find(addresses.begin(), addresses.end(), address("/ip4/192.0.2.2/tcp/5555")), addresses.end());
    // A late goodbye of the old run does not end the new one.
    wire::dns::Message late;
    late.response = true;
    late.answers = {{service(), false, 0, wire::dns::Ptr{instance('c')}}};
    a.received(1, endpoint("192.0.2.2"), encoded(late), lan.now());
    lan.run_until(at(seconds{130}));
    EXPECT_EQ(std::count(lan[ia].log.begin(), lan[ia].log.end(), "lost"), 0);
    EXPECT_EQ(lan[ia].known.at(peer(2)).addresses, (std::vector<Multiaddr>{address("/ip4/192.0.2.2/tcp/5555")}))
        << "the address of the old run has expired";
}

TEST(MdnsLan, SameObjectStopsAndStartsAgain) {
    auto a = node(1, "/ip4/192.0.2.1/tcp/4001");
    auto b = node(2, "/ip4/192.0.2.2/tcp/4002");
    Lan lan;
    const auto ia = lan.join(a, "192.0.2.1");
    lan.join(b, "192.0.2.2");
    a.start(lan.now());
    b.start(lan.now());
    lan.run_until(at(seconds{5}));
    b.stop();
    lan.run_until(at(seconds{7}));
    b.start(lan.now());
    lan.run_until(at(seconds{8}));
    EXPECT_EQ(lan[ia].log, (Log{"found", "lost", "found"}));
    EXPECT_EQ(b.peers(), 1u) << "a is found again as well";
}

TEST(MdnsLan, ASilentPeerExpires) {
    auto a = node(1, "/ip4/192.0.2.1/tcp/4001");
    Lan lan;
    const auto ia = lan.join(a, "192.0.2.1");
    a.start(lan.now());
    {
        auto b = node(2, "/ip4/192.0.2.2/tcp/4002");
        b.start(lan.now());
        for (const auto& sent : run(b, at(milliseconds{200}))) a.received(1, endpoint("192.0.2.2"), sent.packet.bytes, lan.now());
    }
    lan.run_until(at(seconds{119}));
    EXPECT_EQ(lan[ia].log, (Log{"found"}));
    lan.run_until(at(seconds{121}));
    EXPECT_EQ(lan[ia].log, (Log{"found", "lost"}));
}

TEST(MdnsLan, NewAddressesAreAnnouncedAndReplaceTheOld) {
    auto a = node(1, "/ip4/192.0.2.1/tcp/4001");
    auto b = node(2, "/ip4/192.0.2.2/tcp/4002");
    Lan lan;
    const auto ia = lan.join(a, "192.0.2.1");
    lan.join(b, "192.0.2.2");
    a.start(lan.now());
    b.start(lan.now());
    lan.run_until(at(seconds{8}));
    b.set_addresses({{0, {address("/ip4/192.0.2.2/tcp/7777")}}}, lan.now());
    lan.run_until(at(seconds{8} + milliseconds{200}));
    EXPECT_EQ(lan[ia].known.at(peer(2)).addresses, (std::vector<Multiaddr>{address("/ip4/192.0.2.2/tcp/7777")}));
}

TEST(MdnsLan, FiftyNodesFindAllWithinSeconds) {
    std::vector<Mdns> nodes;
    for (std::uint8_t i = 0; i < 50; ++i) {
        auto c = config(i, {address("/ip4/192.0.2." + std::to_string(i + 1) + "/tcp/4001")});
        c.peer_name = run_name('a').substr(0, 36) + std::to_string(1000 + i);
        nodes.push_back(std::move(Mdns::create(c).value()));
    }
    Lan lan;
    for (std::size_t i = 0; i < nodes.size(); ++i) lan.join(nodes[i], "192.0.2." + std::to_string(i + 1));
    for (auto& one : nodes) one.start(lan.now());
    lan.run_until(at(seconds{4}));
    for (auto& one : nodes) EXPECT_EQ(one.peers(), 49u);
    const auto busy = lan.packets();
    lan.run_until(at(seconds{64}));
    EXPECT_LT(lan.packets() - busy, 50u * 61u) << "an answer is multicast at most once per second, whoever asks";
}

}  // namespace
}  // namespace kith::discovery
