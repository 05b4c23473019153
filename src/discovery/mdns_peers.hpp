// SPDX-License-Identifier: Apache-2.0
// The peers that multicast DNS told of, with their addresses and expiry. Part of Mdns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "discovery/mdns_records.hpp"
#include "kith/multiaddr.hpp"
#include "kith/peer_id.hpp"
#include "kith/time.hpp"
#include "wire/dns.hpp"

namespace kith::discovery {

// All current addresses of a peer, without /p2p. Reported when they change, and again when half of the time to `expires`
// has gone and the peer was heard again; a peer not heard until then is reported lost.
struct FoundPeer {
    PeerId peer;
    std::vector<Multiaddr> addresses;
    Instant expires;
};

class MdnsPeers {
public:
    static constexpr std::size_t max_addresses = 32;  // of one peer; the one that expires first gives way
    static constexpr std::chrono::seconds max_ttl{600};
    static constexpr std::chrono::seconds goodbye_delay{1};  // RFC 6762 10.1: another node may still contradict

    MdnsPeers(const PeerId& self, const wire::dns::Name& service, const wire::dns::Name& own_instance, std::size_t max_peers);

    // Every TXT of an instance of the service, in whatever section (go and rust write additionals, js answers). All its
    // addresses must end in /p2p with one and the same id, or the instance is ignored.
    void on_response(InterfaceIndex interface, const wire::dns::Message& response, Instant now);
    void expire(Instant now);
    void clear();

    // PTR records for a query, so that peers that we know do not answer it; up to `room` bytes.
    void add_known_answers(wire::dns::Message& query, std::size_t room, Instant now) const;

    std::optional<Instant> next_expiry() const noexcept { return next_expiry_; }
    std::size_t size() const noexcept { return peers_.size(); }
    std::uint64_t refused() const noexcept { return refused_; }
    std::vector<PeerId> take_lost();
    std::vector<FoundPeer> take_found();

private:
    struct Address {
        Multiaddr address;
        InterfaceIndex interface = 0;
        Instant heard;
        Instant expires;
    };
    struct Peer {
        std::vector<Address> addresses;
        wire::dns::Name instance;   // the last one it used
        std::uint32_t ptr_ttl = 0;  // seconds, of the last PTR; 0: none was heard
        Instant ptr_heard;
        Instant reported_at;
        Instant reported_expiry;
        bool reported = false;
        bool changed = false;
    };
    // What one response says of one instance.
    struct Claim {
        wire::dns::Name instance;
        PeerId peer;
        std::vector<Multiaddr> addresses;
        std::uint32_t ttl = 0;      // of the TXT, the smallest
        std::uint32_t ptr_ttl = 0;  // of the PTR
        bool flush = false;
        bool goodbye = false;
        bool contradictory = false;
    };

    void read_record(InterfaceIndex interface, const wire::dns::Record& record, std::vector<Claim>& claims) const;
    static void read_txt(InterfaceIndex interface, const wire::dns::Txt& txt, Claim& claim);
    Claim* claim_of(const wire::dns::Name& instance, std::vector<Claim>& claims) const;
    void apply(InterfaceIndex interface, Claim& claim, Instant now);
    void apply_goodbye(const Claim& claim, Instant now);
    void expect(Instant at);
    static Instant expiry_of(const Peer& peer);

    PeerId self_;
    wire::dns::Name service_;
    wire::dns::Name own_instance_;
    std::size_t max_peers_;
    std::unordered_map<PeerId, Peer> peers_;
    std::vector<PeerId> lost_;            // each was reported before, so no more than max_peers between two calls of take_found()
    std::vector<PeerId> changed_;         // may name peers that are gone
    std::optional<Instant> next_expiry_;  // not later than the first expiry
    std::uint64_t refused_ = 0;
};

}  // namespace kith::discovery
