// SPDX-License-Identifier: Apache-2.0
// One instance under packets of anybody's making, with time going on between them. The input is a list of steps:
// a byte of time, a byte of interface, port and family, two bytes of length, the packet.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "base/reader.hpp"
#include "discovery/mdns.hpp"
#include "wire/dns.hpp"

namespace {

using namespace kith;
using namespace kith::discovery;

void check(bool ok) {
    if (!ok) std::abort();
}

Mdns make() {
    MdnsConfig config;
    Bytes multihash{0x00, 36, 8, 1, 0x12, 32};
    multihash.resize(38, 1);
    config.self = PeerId::from_multihash(multihash).value();
    config.peer_name = std::string(32, 'a');
    config.addresses = {{0, {Multiaddr::parse("/ip4/192.0.2.1/tcp/4001").value()}}};
    config.max_peers = 8;
    return std::move(Mdns::create(config).value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto mdns = make();
    Instant now{std::chrono::seconds{1000}, std::chrono::seconds{1790000000}};
    mdns.start(now);
    Reader in{{data, size}};
    std::size_t sent = 0;
    std::size_t steps = 0;
    for (;;) {
        std::uint8_t time = 0;
        std::uint8_t kind = 0;
        std::uint16_t length = 0;
        ByteView packet;
        if (!in.u8(time) || !in.u8(kind) || !in.u16(length) || !in.take(std::min<std::size_t>(length, in.left()), packet)) break;
        ++steps;
        now = now + std::chrono::milliseconds{time * 20};
        Endpoint from{IpAddress::v4(192, 0, 2, 9), static_cast<std::uint16_t>((kind & 1) != 0 ? 40000 : mdns_port)};
        if ((kind & 2) != 0) {
            from.ip = IpAddress{{0xfe, 0x80}, true, 3};
            from.ip.bytes[15] = 9;
        }
        mdns.received(kind >> 6, from, packet, now);
        mdns.tick(now);
        for (const auto& out : mdns.take_packets()) {
            ++sent;
            const auto message = wire::dns::decode(out.bytes);
            check(message.has_value());
            check(out.bytes.size() <= 1500);
        }
        for (const auto& id : mdns.take_lost()) check(static_cast<bool>(id));
        for (const auto& found : mdns.take_found()) {
            check(found.peer.kind() == PeerId::Kind::key && !found.addresses.empty());
            check(found.addresses.size() <= MdnsPeers::max_addresses);
            check(found.expires > now);
            for (const auto& address : found.addresses) check(is_suitable(address));
        }
        check(mdns.peers() <= 8);
        const auto next = mdns.next_deadline();
        check(next.has_value() && *next > now);
    }
    check(sent <= 2 + steps * 12);
    mdns.stop();
    check(!mdns.next_deadline());
    return 0;
}
