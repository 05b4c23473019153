// SPDX-License-Identifier: Apache-2.0
// What one node believes, and of whom.
#include <random>

#include "base/hex.hpp"
#include "support.hpp"

namespace kith::discovery {
namespace {

namespace dns = wire::dns;

struct Listener {
    Mdns mdns = node(1, "/ip4/192.0.2.1/tcp/4001");
    Instant now = at({});

    Listener() { mdns.start(now); }
    std::vector<FoundPeer> hear(ByteView packet, InterfaceIndex interface = 3, const Endpoint& from = endpoint("192.0.2.2")) {
        mdns.received(interface, from, packet, now);
        return mdns.take_found();
    }
    std::vector<FoundPeer> hear(const dns::Message& message, InterfaceIndex interface = 3) { return hear(encoded(message), interface); }
};

void append(Bytes& out, std::string_view text) {
    out.push_back(static_cast<std::uint8_t>(text.size()));
    out.insert(out.end(), text.begin(), text.end());
}

// As js-libp2p 3.3 writes it: PTR and one TXT for each address, all answers, names not compressed, no cache-flush bit.
TEST(MdnsPeers, AJsPacket) {
    const std::string js_name(63, 'j');
    const auto service_name = from_hex("045f703270045f756470056c6f63616c00").value();
    Bytes packet = from_hex("000084000000000300000000").value();
    packet.insert(packet.end(), service_name.begin(), service_name.end());
    const auto ptr = from_hex("000c0001000000780051").value();  // 64 + 17 bytes
    packet.insert(packet.end(), ptr.begin(), ptr.end());
    append(packet, js_name);
    packet.insert(packet.end(), service_name.begin(), service_name.end());
    for (const auto* text : {"/ip4/127.0.0.1/tcp/40001", "/ip4/192.0.2.2/tcp/40001"}) {
        append(packet, js_name);
        packet.insert(packet.end(), service_name.begin(), service_name.end());
        const auto data = dnsaddr(text, 2);
        const Bytes head{0, 0x10, 0, 1, 0, 0, 0, 0x78, 0, static_cast<std::uint8_t>(data.size() + 1)};
        packet.insert(packet.end(), head.begin(), head.end());
        append(packet, data);
    }
    Listener listener;
    const auto found = listener.hear(packet);
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].peer, peer(2));
    EXPECT_EQ(found[0].addresses, (std::vector<Multiaddr>{address("/ip4/127.0.0.1/tcp/40001"), address("/ip4/192.0.2.2/tcp/40001")}));
    EXPECT_EQ(found[0].expires - listener.now, seconds{120});
}

// As go's zeroconf writes it: compressed names, PTR answered, SRV, one TXT of many strings and A as additional records.
TEST(MdnsPeers, AGoPacket) {
    Bytes packet = from_hex("000084000000000100000003").value();
    const auto service_name = from_hex("045f703270045f756470056c6f63616c00").value();
    packet.insert(packet.end(), service_name.begin(), service_name.end());  // at 12; "local" at 22
    const std::string go_name(32, 'g');
    const auto ptr = from_hex("000c000100000c800023").value();  // 33 + 2 bytes; 3200 s
    packet.insert(packet.end(), ptr.begin(), ptr.end());
    const auto instance_at = packet.size();
    append(packet, go_name);
    packet.insert(packet.end(), {0xc0, 12});
    const auto point = [&] { packet.insert(packet.end(), {0xc0, static_cast<std::uint8_t>(instance_at)}); };
    point();
    const auto srv = from_hex("0021000100000c800029000000000fa1").value();  // 6 + 33 + 2
    packet.insert(packet.end(), srv.begin(), srv.end());
    append(packet, go_name);
    packet.insert(packet.end(), {0xc0, 22});
    point();
    Bytes strings;
    append(strings, dnsaddr("/ip4/192.0.2.2/tcp/4001", 2));
    append(strings, dnsaddr("/ip4/192.0.2.2/udp/4001/quic-v1", 2));
    const Bytes txt{0, 0x10, 0x80, 1, 0, 0, 0x0c, 0x80, 0, static_cast<std::uint8_t>(strings.size())};
    packet.insert(packet.end(), txt.begin(), txt.end());
    packet.insert(packet.end(), strings.begin(), strings.end());
    append(packet, go_name);
    packet.insert(packet.end(), {0xc0, 22});
    const auto a = from_hex("0001000100000c800004c0000202").value();
    packet.insert(packet.end(), a.begin(), a.end());
    Listener listener;
    const auto found = listener.hear(packet);
    ASSERT_EQ(found.size(), 1u) << listener.mdns.stats().packets_malformed;
    EXPECT_EQ(found[0].addresses, (std::vector<Multiaddr>{address("/ip4/192.0.2.2/tcp/4001"), address("/ip4/192.0.2.2/udp/4001/quic-v1")}));
    EXPECT_EQ(found[0].expires - listener.now, MdnsPeers::max_ttl) << "3200 s is more than a stranger's word is good for";
}

TEST(MdnsPeers, WhatDoesNotCount) {
    Listener listener;
    const auto good = dnsaddr("/ip4/192.0.2.2/tcp/1", 2);
    EXPECT_TRUE(listener.hear(response('c', {})).empty());
    EXPECT_TRUE(listener.hear(response('c', {"dnsaddr=/ip4/192.0.2.2/tcp/1"})).empty()) << "no /p2p";
    EXPECT_TRUE(listener.hear(response('c', {"/ip4/192.0.2.2/tcp/1/p2p/" + peer(2).text()})).empty()) << "no dnsaddr=";
    EXPECT_TRUE(listener.hear(response('c', {"dnsaddr=nonsense"})).empty());
    EXPECT_TRUE(listener.hear(response('c', {good, dnsaddr("/ip4/192.0.2.2/tcp/1", 3)})).empty()) << "two ids in one instance";
    EXPECT_TRUE(listener.hear(response('c', {dnsaddr("/ip4/192.0.2.2/tcp/1", 1)})).empty()) << "our own id";
    EXPECT_TRUE(listener.hear(response('b', {good})).empty()) << "our own name";
    auto query_with_answers = response('c', {good});
    query_with_answers.response = false;
    EXPECT_TRUE(listener.hear(query_with_answers).empty());
    auto elsewhere = response('c', {good});
    elsewhere.additionals[0].name = name("x._http._tcp.local");
    EXPECT_TRUE(listener.hear(elsewhere).empty()) << "a TXT of another service";
    for (const auto* text : {"/ip4/192.0.2.2/tcp/1/ws", "/dns/example.com/tcp/1", "/ip4/0.0.0.0/tcp/1", "/ip4/224.0.0.1/tcp/1",
                             "/ip6/::/tcp/1", "/unix/tmp/s"}) {
        EXPECT_TRUE(listener.hear(response('c', {dnsaddr(text, 2)})).empty()) << text;
    }
    const auto relayed = "dnsaddr=/ip4/192.0.2.2/tcp/1/p2p/" + peer(9).text() + "/p2p-circuit/p2p/" + peer(2).text();
    EXPECT_TRUE(listener.hear(response('c', {relayed})).empty());
    EXPECT_EQ(listener.mdns.peers(), 0u);
    ASSERT_EQ(listener.hear(response('c', {"dnsaddr=/new-thing/1", good})).size(), 1u) << "what is unknown does not hide the rest";
}

TEST(MdnsPeers, AnySectionAndAnyPort) {
    for (int section = 0; section < 3; ++section) {
        Listener listener;
        auto message = response('c', {dnsaddr("/ip4/192.0.2.2/tcp/1", 2)});
        auto record = std::move(message.additionals[0]);
        message.additionals.clear();
        (section == 0 ? message.answers : section == 1 ? message.authorities : message.additionals).push_back(std::move(record));
        EXPECT_EQ(listener.hear(encoded(message), 3, endpoint("192.0.2.2", 40000)).size(), 1u) << section;
    }
}

TEST(MdnsPeers, LinkLocalMeansTheReceivingInterface) {
    Listener listener;
    const auto found = listener.hear(response('c', {dnsaddr("/ip6/fe80::2/tcp/1", 2), dnsaddr("/ip6zone/9/ip6/fe80::3/tcp/1", 2),
                                                    dnsaddr("/ip6zone/9/ip6/2001:db8::2/tcp/1", 2)}),
                                     7);
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].addresses, (std::vector<Multiaddr>{address("/ip6zone/7/ip6/fe80::2/tcp/1"), address("/ip6zone/7/ip6/fe80::3/tcp/1"),
                                                          address("/ip6/2001:db8::2/tcp/1")}));
    Listener nowhere;
    EXPECT_TRUE(nowhere.hear(response('c', {dnsaddr("/ip6/fe80::2/tcp/1", 2)}), 0).empty());
}

TEST(MdnsPeers, SameNewsIsNoNews) {
    Listener listener;
    const auto message = response('c', {dnsaddr("/ip4/192.0.2.2/tcp/1", 2)});
    EXPECT_EQ(listener.hear(message).size(), 1u);
    for (int i = 0; i < 5; ++i) {
        listener.now = listener.now + seconds{10};
        EXPECT_TRUE(listener.hear(message).empty()) << i;
    }
    listener.now = listener.now + seconds{10};
    const auto again = listener.hear(message);
    ASSERT_EQ(again.size(), 1u) << "half of the time has gone";
    EXPECT_EQ(again[0].expires - listener.now, seconds{120});
}

TEST(MdnsPeers, CacheFlushReplacesOnTheSameInterface) {
    Listener listener;
    EXPECT_EQ(listener.hear(response('c', {dnsaddr("/ip4/192.0.2.2/tcp/1", 2)}), 3).size(), 1u);
    EXPECT_EQ(listener.hear(response('c', {dnsaddr("/ip4/198.51.100.2/tcp/1", 2)}), 4).at(0).addresses.size(), 2u);
    listener.now = listener.now + seconds{5};
    auto flush = response('c', {dnsaddr("/ip4/192.0.2.2/tcp/2", 2)});
    flush.additionals[0].cache_flush = true;
    const auto found = listener.hear(flush, 3);
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].addresses, (std::vector<Multiaddr>{address("/ip4/198.51.100.2/tcp/1"), address("/ip4/192.0.2.2/tcp/2")}));
}

TEST(MdnsPeers, GoodbyeByPtrOrTxt) {
    for (const bool by_txt : {false, true}) {
        Listener listener;
        ASSERT_EQ(listener.hear(response('c', {dnsaddr("/ip4/192.0.2.2/tcp/1", 2)})).size(), 1u);
        auto bye = response('c', {dnsaddr("/ip4/192.0.2.2/tcp/1", 2)}, 0);
        (by_txt ? bye.answers : bye.additionals).clear();
        EXPECT_TRUE(listener.hear(bye).empty());
        listener.mdns.tick(listener.now + seconds{1});
        EXPECT_EQ(listener.mdns.take_lost(), (std::vector<PeerId>{peer(2)}));
    }
}

// A peer that came again at the same address has another instance name: who waits to dial it learns that it is back.
TEST(MdnsPeers, AnotherRunOfAPeerIsNews) {
    Listener listener;
    EXPECT_EQ(listener.hear(response('c', {dnsaddr("/ip4/192.0.2.2/tcp/1", 2)})).size(), 1u);
    EXPECT_TRUE(listener.hear(response('c', {dnsaddr("/ip4/192.0.2.2/tcp/1", 2)})).empty());
    EXPECT_EQ(listener.hear(response('d', {dnsaddr("/ip4/192.0.2.2/tcp/1", 2)})).size(), 1u);
    EXPECT_TRUE(listener.hear(response('d', {dnsaddr("/ip4/192.0.2.2/tcp/1", 2)})).empty());
}

TEST(MdnsPeers, GoodbyeOfANeverSeenPeerSaysNothing) {
    Listener listener;
    EXPECT_TRUE(listener.hear(response('c', {dnsaddr("/ip4/192.0.2.2/tcp/1", 2)}, 0)).empty());
    listener.mdns.tick(listener.now + seconds{200});
    EXPECT_TRUE(listener.mdns.take_lost().empty());
}

TEST(MdnsPeers, TheTableHasASize) {
    auto c = config(1, {});
    c.max_peers = 1024;
    auto mdns = std::move(Mdns::create(c).value());
    const auto now = at({});
    mdns.start(now);
    std::size_t found = 0;
    for (unsigned i = 0; i < 5000; ++i) {
        Bytes multihash{0x00, 4, 0xff, static_cast<std::uint8_t>(i >> 16), static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)};
        const auto id = PeerId::from_multihash(multihash).value();
        const auto message = response('c', {"dnsaddr=/ip4/192.0.2.2/tcp/1/p2p/" + id.text()});
        mdns.received(1, endpoint("192.0.2.2"), encoded(message), now);
        found += mdns.take_found().size();
    }
    EXPECT_EQ(mdns.peers(), 1024u);
    EXPECT_EQ(found, 1024u);
    EXPECT_EQ(mdns.stats().peers_refused, 5000u - 1024u);
    mdns.tick(now + seconds{121});
    EXPECT_EQ(mdns.peers(), 0u) << "room again when they expire";
    EXPECT_EQ(mdns.take_lost().size(), 1024u);
}

TEST(MdnsPeers, APeerHasThirtyTwoAddresses) {
    Listener listener;
    std::vector<FoundPeer> found;
    for (int i = 1; i <= 100; ++i) {
        listener.now = listener.now + milliseconds{10};
        found = listener.hear(response('c', {dnsaddr("/ip4/192.0.2.2/tcp/" + std::to_string(i), 2)}));
        ASSERT_EQ(found.size(), 1u);
    }
    ASSERT_EQ(found[0].addresses.size(), MdnsPeers::max_addresses);
    EXPECT_EQ(found[0].addresses.back(), address("/ip4/192.0.2.2/tcp/100"));
    EXPECT_EQ(found[0].addresses.front(), address("/ip4/192.0.2.2/tcp/69")) << "the oldest gave way";
}

TEST(MdnsPeers, HostilePacketsChangeNothing) {
    Listener listener;
    const auto good = encoded(response('c', {dnsaddr("/ip4/192.0.2.2/tcp/1", 2)}));
    for (std::size_t cut = 0; cut < good.size(); ++cut) EXPECT_TRUE(listener.hear(ByteView{good}.first(cut)).empty());
    EXPECT_EQ(listener.mdns.stats().packets_malformed, good.size());
    EXPECT_TRUE(listener.hear(Bytes(9001, 0)).empty());
    EXPECT_TRUE(listener.hear(from_hex("0000840000000001000000000161c00e000c000100000078000100").value()).empty());
    EXPECT_EQ(listener.mdns.peers(), 0u);
    // Damage of any kind never crashes, never finds more than one peer per packet.
    std::mt19937 random{7};
    for (int i = 0; i < 20000; ++i) {
        auto bad = good;
        for (int flips = 0; flips < 3; ++flips) bad[random() % bad.size()] = static_cast<std::uint8_t>(random());
        EXPECT_LE(listener.hear(bad).size(), 1u);
    }
    EXPECT_LE(listener.mdns.peers(), 1024u);
}

TEST(MdnsPeers, InterfacesAreBounded) {
    Listener listener;
    for (InterfaceIndex i = 1; i <= 1000; ++i) {
        listener.mdns.received(i, endpoint("192.0.2.9"), encoded(query(service())), listener.now);
    }
    listener.mdns.tick(listener.now + milliseconds{200});
    EXPECT_LE(listener.mdns.take_packets().size(), Mdns::max_interfaces + 2);
}

TEST(MdnsPeers, NothingBeforeStart) {
    auto mdns = node(1, "/ip4/192.0.2.1/tcp/4001");
    mdns.received(1, endpoint("192.0.2.2"), encoded(response('c', {dnsaddr("/ip4/192.0.2.2/tcp/1", 2)})), at({}));
    mdns.tick(at(seconds{5}));
    mdns.set_addresses({}, at(seconds{5}));
    mdns.stop();
    EXPECT_TRUE(mdns.take_packets().empty());
    EXPECT_TRUE(mdns.take_found().empty());
    EXPECT_FALSE(mdns.next_deadline());
}

}  // namespace
}  // namespace kith::discovery
