// SPDX-License-Identifier: Apache-2.0
#include "kith/multiaddr.hpp"

#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "base/hex.hpp"
#include "wire/address.hpp"

namespace kith {
namespace {

Bytes hex(std::string_view digits) { return from_hex(digits).value(); }
Multiaddr address(std::string_view text) {
    auto out = Multiaddr::parse(text);
    EXPECT_TRUE(out) << text << ": " << (out ? "" : out.error().message());
    return out ? *out : Multiaddr{};
}

constexpr std::string_view id = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB";
constexpr std::string_view id_hex = "00240801122003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
const std::string onion = "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd";

struct Pair {
    std::string text;
    std::string bytes;
};

// Every protocol once; the bytes by the code table and, for onion3, go-multiaddr's test.
TEST(Multiaddr, EveryProtocolBothWays) {
    const Pair pairs[]{
        {"/ip4/192.0.2.1", "04c0000201"},
        {"/tcp/4001", "060fa1"},
        {"/ip6/2001:db8::1", "2920010db8000000000000000000000001"},
        {"/ip6zone/eth0", "2a0465746830"},
        {"/ipcidr/24", "2b18"},
        {"/dns/a.b", "3503612e62"},
        {"/dns4/a.b", "3603612e62"},
        {"/dns6/a.b", "3703612e62"},
        {"/dnsaddr/a.b", "3803612e62"},
        {"/sctp/1", "84010001"},
        {"/udp/65535", "9102ffff"},
        {"/webrtc-direct", "9802"},
        {"/webrtc", "9902"},
        {"/p2p-circuit", "a202"},
        {"/unix/%2Fa%2Fb%20c", "9003062f612f622063"},
        {"/p2p/" + std::string{id}, "a50326" + std::string{id_hex}},
        {"/onion3/" + onion + ":1234", "bd03adadec040be047f9658668b11a504f3155001f231a37f54c4476c07fb4cc139ed7e30304d2"},
        {"/tls", "c003"},
        {"/sni/a.b", "c10303612e62"},
        {"/noise", "c603"},
        {"/quic", "cc03"},
        {"/quic-v1", "cd03"},
        {"/webtransport", "d103"},
        {"/certhash/uEgNhYmM", "d203051203616263"},
        {"/ws", "dd03"},
        {"/wss", "de03"},
        {"/http", "e003"},
        {"/http-path/a%2Fb", "e10303612f62"},
        {"/memory/12", "8906023132"},
    };
    std::set<std::uint32_t> codes;
    for (const auto& [text, bytes] : pairs) {
        const auto from_text = address(text);
        EXPECT_EQ(to_hex(from_text.bytes()), bytes) << text;
        const auto from_binary = Multiaddr::from_bytes(hex(bytes));
        ASSERT_TRUE(from_binary) << text << ": " << from_binary.error().message();
        EXPECT_EQ(from_binary->text(), text);
        EXPECT_EQ(*from_binary, from_text);
        const auto parts = from_text.parts();
        EXPECT_EQ(std::distance(parts.begin(), parts.end()), 1) << text;
        EXPECT_EQ(parts.begin()->text(), text);
        codes.insert(parts.begin()->code);
    }
    EXPECT_EQ(codes.size(), 29u);
}

TEST(Multiaddr, CanonicalText) {
    const Pair pairs[]{
        {"/ipfs/" + std::string{id}, "/p2p/" + std::string{id}},
        {"/p2p/bafzaajaiaejcaa5ba677htqqxyoxbxiy45f4bglh4tldbg5fbvpr3xegmqjfkmny", "/p2p/" + std::string{id}},
        {"/ip6/2001:0DB8:0:0:0:0:0:1/tcp/080", "/ip6/2001:db8::1/tcp/80"},
        {"/ip4/1.2.3.4/tcp/1/", "/ip4/1.2.3.4/tcp/1"},
        {"/unix/tmp/s", "/unix/%2Ftmp%2Fs"},                                                     // go's form: the rest is the path
        {"/unix/%2ftmp%2fs/p2p/" + std::string{id}, "/unix/%2Ftmp%2Fs/p2p/" + std::string{id}},  // js's: it can go on
        {"/unix/a%20b", "/unix/%2Fa%2520b"},                                                     // go does not decode
        {"/certhash/f1203616263", "/certhash/uEgNhYmM"},
        {"/http-path/%61b", "/http-path/ab"},
    };
    for (const auto& [text, canonical] : pairs) {
        EXPECT_EQ(address(text).text(), canonical) << text;
        EXPECT_EQ(address(canonical), address(text));
    }
}

struct Bad {
    std::string text;
    std::string_view what;
    std::string detail;
};

TEST(Multiaddr, BadTextsSayWhatIsWrong) {
    std::string long_name = "/dns/" + std::string(254, 'a');
    std::string parts;
    for (int i = 0; i < 33; ++i) parts += "/ws";
    std::string bytes;
    for (int i = 0; i < 5; ++i) bytes += "/memory/" + std::string(250, 'm');
    const Bad cases[]{
        {"", "an address has at least one component", ""},
        {"/", "an address has at least one component", "/"},
        {"ip4/1.2.3.4", "an address starts with a slash", "ip4/1.2.3.4"},
        {"1.2.3.4:80", "an address starts with a slash", "1.2.3.4:80"},
        {"/foo/1", "no such protocol", "foo"},
        {"//ip4/1.2.3.4", "no such protocol", ""},
        {"/ip4/1.2.3.4//tcp/1", "no such protocol", ""},
        {"/IP4/1.2.3.4", "no such protocol", "IP4"},
        {"/ws/80", "no such protocol", "80"},
        {"/ip4", "ip4 wants an IPv4 address", "/ip4"},
        {"/ip4/1.2.3", "ip4 wants an IPv4 address", "/ip4/1.2.3"},
        {"/ip4/1.2.3.256", "ip4 wants an IPv4 address", "/ip4/1.2.3.256"},
        {"/ip4/01.2.3.4", "ip4 wants an IPv4 address", "/ip4/01.2.3.4"},
        {"/ip4/::1", "ip4 wants an IPv4 address", "/ip4/::1"},
        {"/ip6/1.2.3.4", "ip6 wants an IPv6 address", "/ip6/1.2.3.4"},
        {"/ip6/1::2::3", "ip6 wants an IPv6 address", "/ip6/1::2::3"},
        {"/ip6/fe80::1%1", "a zone stands in front, as /ip6zone/Z/ip6/A", "/ip6/fe80::1%1"},
        {"/ip4/1.2.3.4/tcp", "tcp wants a number 0-65535", "/ip4/1.2.3.4/tcp"},
        {"/tcp/", "tcp wants a number 0-65535", "/tcp/"},
        {"/tcp/65536", "tcp wants a number 0-65535", "/tcp/65536"},
        {"/tcp/-1", "tcp wants a number 0-65535", "/tcp/-1"},
        {"/tcp/+1", "tcp wants a number 0-65535", "/tcp/+1"},
        {"/tcp/1a", "tcp wants a number 0-65535", "/tcp/1a"},
        {"/tcp/000001", "tcp wants a number 0-65535", "/tcp/000001"},
        {"/udp/x", "udp wants a number 0-65535", "/udp/x"},
        {"/sctp/x", "sctp wants a number 0-65535", "/sctp/x"},
        {"/ipcidr/256", "ipcidr wants a number 0-255", "/ipcidr/256"},
        {"/dns/", "a host name is 1-253 visible ASCII characters without a slash", "/dns/"},
        {"/dns/a b", "a host name is 1-253 visible ASCII characters without a slash", "/dns/a b"},
        {"/sni/\x1b[2J", "a host name is 1-253 visible ASCII characters without a slash", "/sni/\x1b[2J"},
        {long_name, "a host name is 1-253 visible ASCII characters without a slash", long_name.substr(0, 64)},
        {"/ip6zone/", "a name is visible ASCII characters without a slash", "/ip6zone/"},
        {"/memory", "a name is visible ASCII characters without a slash", "/memory"},
        {"/unix", "unix wants an absolute path", "/unix"},
        {"/unix/", "unix wants an absolute path", "/unix/"},
        {"/unix/%2Fa%2", "a percent sign wants two hex digits", "/unix/%2Fa%2"},
        {"/http-path/%g0", "a percent sign wants two hex digits", "/http-path/%g0"},
        {"/http-path", "http-path wants a path", "/http-path"},
        {"/p2p/hello", "p2p wants a peer id", "/p2p/hello"},
        {"/p2p", "p2p wants a peer id", "/p2p"},
        {"/onion3/short:1", "onion3 wants 56 base32 characters, a colon and a port 1-65535", "/onion3/short:1"},
        {"/onion3/" + onion, "onion3 wants 56 base32 characters, a colon and a port 1-65535", ("/onion3/" + onion).substr(0, 64)},
        {"/onion3/" + onion + ":0", "onion3 wants a port 1-65535", ("/onion3/" + onion).substr(0, 64)},
        {"/certhash/!", "certhash wants a multihash in multibase", "/certhash/!"},
        {"/certhash/f12036162", "certhash wants a multihash", "/certhash/f12036162"},
        {parts, "more than 32 components", parts.substr(0, 64)},
        {bytes, "longer than 1024 bytes", bytes.substr(0, 64)},
        {"/memory/" + std::string(5000, 'm'), "too long", ("/memory/" + std::string(56, 'm'))},
    };
    for (const auto& [text, what, detail] : cases) {
        const auto out = Multiaddr::parse(text);
        ASSERT_FALSE(out) << text;
        EXPECT_EQ(out.error().code, Errc::invalid_multiaddr) << text;
        EXPECT_EQ(out.error().what, what) << text;
        EXPECT_EQ(out.error().detail, detail) << text;
    }
    EXPECT_NE(Multiaddr::parse("/foo/1").error().message().find("no such protocol: foo"), std::string::npos);
}

TEST(Multiaddr, BadBytesSayWhatIsWrong) {
    const Bad cases[]{
        {"", "an address has at least one component", ""},
        {"80", "a protocol code is cut off or no minimal varint", ""},
        {"8400", "a protocol code is cut off or no minimal varint", ""},
        {"ffffffffffffffffff01", "a protocol code is cut off or no minimal varint", ""},
        {"03", "no such protocol", "3"},
        {"ffffffffffffffff7f", "no such protocol", "9223372036854775807"},
        {"047f0000", "a value is cut off", "ip4"},
        {"06", "a value is cut off", "tcp"},
        {"2a", "a length is cut off or no minimal varint", "ip6zone"},
        {"2a8000", "a length is cut off or no minimal varint", "ip6zone"},
        {"2a0261", "a value is cut off", "ip6zone"},
        {"35ffffffffffffffff7f", "a value is cut off", "dns"},
        {"3500", "a host name is 1-253 visible ASCII characters without a slash", "dns"},
        {"3503612f62", "a host name is 1-253 visible ASCII characters without a slash", "dns"},
        {"35030a1b62", "a host name is 1-253 visible ASCII characters without a slash", "dns"},
        {"a5030100", "p2p wants a peer id", "p2p"},
        {"a50300", "p2p wants a peer id", "p2p"},
        {"90030161", "unix wants an absolute path", "unix"},
        {"e10300", "http-path wants a path", "http-path"},
        {"d203021203", "certhash wants a multihash", "certhash"},
        {"060fa103", "no such protocol", "3"},
    };
    for (const auto& [digits, what, detail] : cases) {
        const auto out = Multiaddr::from_bytes(hex(digits));
        ASSERT_FALSE(out) << digits;
        EXPECT_EQ(out.error().what, what) << digits;
        EXPECT_EQ(out.error().detail, detail) << digits;
    }
    Bytes many;
    for (int i = 0; i < 33; ++i) many.insert(many.end(), {0xdd, 0x03});
    EXPECT_EQ(Multiaddr::from_bytes(many).error().what, "more than 32 components");
    many.resize(64);
    EXPECT_TRUE(Multiaddr::from_bytes(many));
    EXPECT_EQ(Multiaddr::from_bytes(Bytes(1025, 0)).error().what, "longer than 1024 bytes");
}

TEST(Multiaddr, Peer) {
    const auto plain = address("/ip4/1.2.3.4/tcp/1");
    EXPECT_FALSE(plain.peer());
    EXPECT_EQ(plain.without_peer(), plain);
    const auto peer = PeerId::parse(id).value();
    const auto full = plain.with_peer(peer);
    EXPECT_EQ(full.text(), "/ip4/1.2.3.4/tcp/1/p2p/" + std::string{id});
    EXPECT_EQ(full.peer(), peer);
    EXPECT_EQ(full.without_peer(), plain);
    EXPECT_EQ(full.with_peer(peer), full) << "replaced, not added";
    EXPECT_EQ(plain.with_peer(PeerId{}), plain);
    const auto other = PeerId::parse("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N").value();
    const auto relayed = address("/ip4/1.2.3.4/tcp/1/p2p/" + other.text() + "/p2p-circuit/p2p/" + std::string{id});
    EXPECT_EQ(relayed.peer(), peer) << "the last one";
    EXPECT_EQ(relayed.without_peer().text(), "/ip4/1.2.3.4/tcp/1/p2p/" + other.text() + "/p2p-circuit");
    EXPECT_FALSE(relayed.without_peer().peer()) << "the relay is not the peer";
    EXPECT_EQ(address("/p2p/" + std::string{id}).without_peer(), Multiaddr{});
    EXPECT_EQ(Multiaddr{}.with_peer(peer).text(), "/p2p/" + std::string{id});
}

TEST(Multiaddr, WithPeerStaysInTheLimits) {
    const auto peer = PeerId::parse(id).value();
    const auto big = address("/memory/" + std::string(1018, 'm'));
    ASSERT_EQ(big.bytes().size(), 1022u);
    EXPECT_EQ(big.with_peer(peer), big);
    std::string parts;
    for (int i = 0; i < 32; ++i) parts += "/ws";
    EXPECT_EQ(address(parts).with_peer(peer), address(parts));
}

TEST(Multiaddr, IteratesTheParts) {
    const auto full = address("/dns4/a.b/tcp/443/tls/ws");
    std::vector<std::string> texts;
    std::vector<std::string> names;
    for (const auto& part : full.parts()) {
        texts.push_back(part.text());
        names.emplace_back(part.name());
    }
    EXPECT_EQ(texts, (std::vector<std::string>{"/dns4/a.b", "/tcp/443", "/tls", "/ws"}));
    EXPECT_EQ(names, (std::vector<std::string>{"dns4", "tcp", "tls", "ws"}));
    const Multiaddr none;
    EXPECT_TRUE(none.empty());
    EXPECT_EQ(none.text(), "");
    EXPECT_TRUE(none.parts().begin() == none.parts().end());
    std::ostringstream out;
    out << full;
    EXPECT_EQ(out.str(), full.text());
    EXPECT_NE(std::hash<Multiaddr>{}(full), std::hash<Multiaddr>{}(none));
    EXPECT_LT(none, full);
}

TEST(Address, TcpEndpoint) {
    const Pair good[]{
        {"/ip4/1.2.3.4/tcp/80", "1.2.3.4:80"},
        {"/ip6/::1/tcp/80", "[::1]:80"},
        {"/ip6zone/3/ip6/fe80::1/tcp/80", "[fe80::1%3]:80"},
        {"/ip4/1.2.3.4/tcp/80/p2p/" + std::string{id}, "1.2.3.4:80"},
    };
    for (const auto& [text, endpoint] : good) {
        const auto out = wire::tcp_endpoint(address(text));
        ASSERT_TRUE(out) << text;
        EXPECT_EQ(out->text(), endpoint);
        EXPECT_EQ(wire::from_tcp(*out), address(text).without_peer());
    }
    for (const auto& text :
         {std::string{"/ip4/1.2.3.4"}, std::string{"/tcp/80"}, std::string{"/ip4/1.2.3.4/udp/80"}, std::string{"/ip4/1.2.3.4/tcp/80/ws"},
          std::string{"/ip4/1.2.3.4/tcp/80/tls/ws"}, std::string{"/dns/a.b/tcp/80"}, std::string{"/ip6zone/3/ip4/1.2.3.4/tcp/80"},
          std::string{"/ip6zone/eth0/ip6/fe80::1/tcp/80"}, std::string{"/ip6zone/0/ip6/fe80::1/tcp/80"}, std::string{"/ip6zone/3"},
          "/ip4/1.2.3.4/tcp/80/p2p/" + std::string{id} + "/p2p-circuit", "/p2p/" + std::string{id}}) {
        EXPECT_FALSE(wire::tcp_endpoint(address(text))) << text;
    }
    EXPECT_FALSE(wire::tcp_endpoint(Multiaddr{}));
}

TEST(Address, UdpEndpoint) {
    const auto out = wire::udp_endpoint(address("/ip4/1.2.3.4/udp/9"));
    ASSERT_TRUE(out);
    EXPECT_EQ(wire::from_udp(*out).text(), "/ip4/1.2.3.4/udp/9");
    EXPECT_FALSE(wire::udp_endpoint(address("/ip4/1.2.3.4/udp/9/quic-v1")));
    EXPECT_FALSE(wire::udp_endpoint(address("/ip4/1.2.3.4/tcp/9")));
}

TEST(Address, DnsTcp) {
    using Kind = wire::DnsName::Kind;
    EXPECT_EQ(wire::dns_tcp(address("/dns/a.b/tcp/80")), (wire::DnsName{Kind::dns, "a.b", 80}));
    EXPECT_EQ(wire::dns_tcp(address("/dns4/a.b/tcp/1")), (wire::DnsName{Kind::dns4, "a.b", 1}));
    EXPECT_EQ(wire::dns_tcp(address("/dns6/a.b/tcp/1/p2p/" + std::string{id})), (wire::DnsName{Kind::dns6, "a.b", 1}));
    for (const auto* text : {"/dnsaddr/a.b/tcp/1", "/dns/a.b", "/dns/a.b/udp/1", "/dns/a.b/tcp/1/ws", "/ip4/1.2.3.4/tcp/1"}) {
        EXPECT_FALSE(wire::dns_tcp(address(text))) << text;
    }
    EXPECT_FALSE(wire::dns_tcp(Multiaddr{}));
}

TEST(Address, Circuit) {
    EXPECT_TRUE(wire::is_circuit(address("/ip4/1.2.3.4/tcp/1/p2p/" + std::string{id} + "/p2p-circuit")));
    EXPECT_FALSE(wire::is_circuit(address("/ip4/1.2.3.4/tcp/1")));
}

}  // namespace
}  // namespace kith
