// SPDX-License-Identifier: Apache-2.0
// Nodes on one virtual link, in virtual time.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "discovery/mdns.hpp"

namespace kith::discovery {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline Instant at(Duration since_start) { return {seconds{1000} + since_start, seconds{1'790'000'000} + since_start}; }

inline PeerId peer(std::uint8_t number) {
    Bytes multihash{0x00, 36, 8, 1, 0x12, 32};
    multihash.resize(38, number);
    return PeerId::from_multihash(multihash).value();
}

inline std::string run_name(char c) { return std::string(40, c); }
inline Multiaddr address(std::string_view text) { return Multiaddr::parse(text).value(); }
inline Endpoint endpoint(std::string_view ip, std::uint16_t port = mdns_port) { return {IpAddress::parse(ip).value(), port}; }

inline MdnsConfig config(std::uint8_t number, std::vector<Multiaddr> addresses, InterfaceIndex interface = 0) {
    MdnsConfig out;
    out.self = peer(number);
    out.peer_name = run_name(static_cast<char>('a' + number));
    out.addresses = {{interface, std::move(addresses)}};
    out.seed = number;
    return out;
}

inline Mdns node(std::uint8_t number, std::string_view text) { return std::move(Mdns::create(config(number, {address(text)})).value()); }

inline wire::dns::Name name(std::string_view text) { return wire::dns::Name::parse(text).value(); }
inline wire::dns::Name service() { return name("_p2p._udp.local"); }
inline wire::dns::Name instance(char c) { return wire::dns::Name::join(run_name(c), service()).value(); }

inline wire::dns::Message query(const wire::dns::Name& owner, wire::dns::Type type = wire::dns::Type::ptr, bool unicast = false) {
    wire::dns::Message out;
    out.questions = {{owner, type, unicast}};
    return out;
}

inline Bytes encoded(const wire::dns::Message& message) { return wire::dns::encode(message).value(); }

// A response as a peer with these dnsaddr strings sends it.
inline wire::dns::Message response(char run, std::vector<std::string> strings, std::uint32_t ttl = 120) {
    wire::dns::Message out;
    out.response = true;
    out.answers = {{service(), false, ttl, wire::dns::Ptr{instance(run)}}};
    out.additionals = {{instance(run), false, ttl, wire::dns::Txt{std::move(strings)}}};
    return out;
}

inline std::string dnsaddr(std::string_view address_text, std::uint8_t number) {
    return "dnsaddr=" + std::string{address_text} + "/p2p/" + peer(number).text();
}

// Runs `mdns` alone up to `end`, and gives all packets with their times.
struct Sent {
    Instant when;
    MdnsPacket packet;
    wire::dns::Message message;
};
inline std::vector<Sent> drain(Mdns& mdns, Instant when) {
    std::vector<Sent> out;
    for (auto& packet : mdns.take_packets()) {
        auto message = wire::dns::decode(packet.bytes);
        EXPECT_TRUE(message) << "our own packet: " << (message ? "" : message.error().message());
        if (message) out.push_back({when, std::move(packet), std::move(*message)});
    }
    return out;
}
inline std::vector<Sent> run(Mdns& mdns, Instant end) {
    std::vector<Sent> out;
    for (int turns = 0; turns < 100000; ++turns) {
        const auto next = mdns.next_deadline();
        if (!next || *next > end) return out;
        mdns.tick(*next);
        for (auto& sent : drain(mdns, *next)) out.push_back(std::move(sent));
    }
    ADD_FAILURE() << "time does not advance";
    return out;
}

// All nodes hear every multicast packet, their own too, at once.
class Lan {
public:
    struct Member {
        Mdns* mdns = nullptr;
        Endpoint endpoint;
        std::map<PeerId, FoundPeer> known;
        std::vector<std::string> log;
    };

    std::size_t join(Mdns& mdns, std::string_view ip) {
        members_.push_back({&mdns, discovery::endpoint(ip), {}, {}});
        return members_.size() - 1;
    }
    Member& operator[](std::size_t i) { return members_[i]; }
    Instant now() const { return now_; }
    std::size_t packets() const { return packets_; }

    void run_until(Instant end) {
        deliver();
        for (int turns = 0; turns < 1000000; ++turns) {
            std::optional<Instant> next;
            for (const auto& member : members_) {
                const auto deadline = member.mdns->next_deadline();
                if (deadline && (!next || *deadline < *next)) next = deadline;
            }
            if (!next || *next > end) {
                now_ = end;
                return;
            }
            now_ = std::max(now_, *next);
            for (auto& member : members_) member.mdns->tick(now_);
            deliver();
        }
        ADD_FAILURE() << "time does not advance";
    }

private:
    void deliver() {
        for (bool more = true; more;) {
            more = false;
            for (std::size_t from = 0; from < members_.size(); ++from) {
                for (const auto& packet : members_[from].mdns->take_packets()) {
                    more = true;
                    ++packets_;
                    for (auto& to : members_) {
                        const bool here = packet.to != MdnsPacket::To::unicast || packet.unicast == to.endpoint;
                        if (here) to.mdns->received(1, members_[from].endpoint, packet.bytes, now_);
                    }
                }
            }
        }
        for (auto& member : members_) {
            for (const auto& id : member.mdns->take_lost()) {
                EXPECT_EQ(member.known.erase(id), 1u) << "lost, but never found";
                member.log.push_back("lost");
            }
            for (auto& found : member.mdns->take_found()) {
                member.log.push_back("found");
                const auto id = found.peer;
                member.known[id] = std::move(found);
            }
        }
    }

    std::vector<Member> members_;
    Instant now_ = at({});
    std::size_t packets_ = 0;
};

}  // namespace kith::discovery
