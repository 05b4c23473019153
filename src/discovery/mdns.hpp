// SPDX-License-Identifier: Apache-2.0
// Peers of the local network by multicast DNS (github.com/libp2p/specs discovery/mdns; RFC 6762, RFC 6763).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/endpoint.hpp"
#include "discovery/mdns_peers.hpp"
#include "discovery/mdns_records.hpp"
#include "kith/bytes.hpp"
#include "kith/error.hpp"
#include "kith/multiaddr.hpp"
#include "kith/peer_id.hpp"
#include "kith/time.hpp"

namespace kith::discovery {

inline constexpr std::uint16_t mdns_port = 5353;  // groups 224.0.0.251 and ff02::fb, TTL 255

struct MdnsConfig {
    PeerId self;            // of kind key
    std::string peer_name;  // 32 to 63 random characters of a-z0-9, new for every run: it names the run, not the peer
    std::vector<InterfaceAddresses> addresses;
    std::uint64_t seed = 0;  // of the delays, random
    Duration query_interval = std::chrono::seconds{10};
    std::chrono::seconds ttl{120};
    std::size_t max_peers = 1024;
};

// A datagram to send from port 5353, by the interface with this index; 0: by each interface.
struct MdnsPacket {
    enum class To : std::uint8_t { ipv4_group, ipv6_group, both_groups, unicast };
    InterfaceIndex interface = 0;
    To to = To::both_groups;
    Endpoint unicast;  // when to == unicast
    Bytes bytes;
};

struct MdnsStats {
    std::uint64_t packets_received = 0;
    std::uint64_t packets_malformed = 0;
    std::uint64_t answers_limited = 0;  // unicast answers not given because of the rate limit
    std::uint64_t peers_refused = 0;    // the table was full
};

// A pure state machine. It proposes addresses and dials nobody: what it reports is the claim of anybody on the network
// until a handshake has proved it. Apply an input, then take all outputs, then sleep until next_deadline().
//
// What keeps it quiet and bounded: a record is multicast at most once per second on an interface and address family
// (four times for a probe), unicast answers at most 20 per second on an interface, and the table of peers has a size.
class Mdns {
public:
    static constexpr std::size_t max_interfaces = 64;

    // invalid_argument when the name, the id or a duration is not as MdnsConfig says.
    static Result<Mdns> create(MdnsConfig config);

    // Queries at 0, 1 and 3 s, then in every interval; each query is also answered by ourselves, so that the others
    // learn of us. Nothing happens before start().
    void start(Instant now);

    // A datagram of port 5353 that arrived on this interface. Malformed ones are counted and dropped.
    void received(InterfaceIndex interface, const Endpoint& from, ByteView packet, Instant now);

    void tick(Instant now);

    // Replaces all addresses; announces them if that changed something.
    void set_addresses(std::vector<InterfaceAddresses> addresses, Instant now);

    // Says goodbye and forgets all peers, without reporting them lost. start() may follow.
    void stop();

    std::optional<Instant> next_deadline() const;

    // Outputs; each call hands over what came up since the last one. Take lost peers before found ones.
    std::vector<MdnsPacket> take_packets();
    std::vector<PeerId> take_lost();
    std::vector<FoundPeer> take_found();

    bool started() const noexcept { return started_; }
    std::size_t peers() const noexcept { return peers_.size(); }
    MdnsStats stats() const noexcept;

private:
    enum class Family : std::uint8_t { v4, v6 };

    // One group of records on one interface and address family: when it was and when it will be multicast.
    struct Answer {
        std::optional<Instant> due;
        std::optional<Instant> last;
        Endpoint asker;       // of the first question that made it due
        bool shared = false;  // others asked as well, or nobody: known answers of the asker must not cancel it
    };
    struct Interface {
        InterfaceIndex index = 0;
        std::array<std::array<Answer, 2>, record_groups> answers;  // by group, by family
        unsigned tokens = 0;
        std::optional<Instant> refilled;
    };

    explicit Mdns(MdnsConfig config);

    void on_query(InterfaceIndex index, const Endpoint& from, const wire::dns::Message& query, Instant now);
    void answer_unicast(Interface& interface, RecordGroup group, const Endpoint& from, const wire::dns::Message& query, Instant now);
    void schedule(Answer& answer, const Endpoint* asker, Duration delay, Duration spacing, Instant now);
    bool is_named(const Interface& interface) const;
    void announce(Instant now, Duration delay);
    void send_query(Instant now);
    void send_due(Interface& interface, Instant now);
    void push(InterfaceIndex interface, MdnsPacket::To to, const Endpoint& unicast, const wire::dns::Message& message);
    Interface* find_interface(InterfaceIndex index);
    bool may_unicast(Interface& interface, Instant now);
    Duration random_delay(Duration low, Duration high);

    MdnsConfig config_;
    MdnsRecords records_;
    MdnsPeers peers_;
    std::vector<Interface> interfaces_;  // never shrinks while started: it remembers when answers were sent
    std::vector<MdnsPacket> packets_;
    std::optional<Instant> next_query_;
    std::optional<Instant> next_announcement_;
    unsigned queries_sent_ = 0;
    std::uint64_t random_;
    MdnsStats stats_;
    bool started_ = false;
};

}  // namespace kith::discovery
