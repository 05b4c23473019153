// SPDX-License-Identifier: Apache-2.0
// The DNS records of this node, and which question asks for which of them. Part of Mdns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kith/multiaddr.hpp"
#include "kith/peer_id.hpp"
#include "wire/dns.hpp"

namespace kith::discovery {

using InterfaceIndex = std::uint32_t;  // the system's; 0: none or all

// The addresses that can be reached by one interface, without /p2p. Interface 0 stands for all
// interfaces; it should then be the only entry.
struct InterfaceAddresses {
    InterfaceIndex interface = 0;
    std::vector<Multiaddr> addresses;

    friend bool operator==(const InterfaceAddresses&, const InterfaceAddresses&) = default;
};

// Records that are asked for, and limited in rate, together.
//   service   _p2p._udp.local                PTR to the instance; the rest comes along as additional records
//   meta      _services._dns-sd._udp.local   PTR to the service
//   instance  NAME._p2p._udp.local           SRV, TXT
//   host      NAME.local                     A, AAAA
enum class RecordGroup : std::uint8_t { service, meta, instance, host };
inline constexpr std::size_t record_groups = 4;

inline constexpr std::string_view dnsaddr_prefix = "dnsaddr=";

// Whether mDNS should carry this address: begins with an IP address or a name in .local, and is dialed directly (no relay)
// by something else than a browser (no WebSocket, WebRTC, WebTransport). The same rule as go-libp2p's.
bool is_suitable(const Multiaddr& address);

class MdnsRecords {
public:
    // A response stays within one Ethernet frame; addresses that do not fit are left out, the last first.
    static constexpr std::size_t max_response = 1400;

    MdnsRecords(const PeerId& self, std::string_view peer_name, std::uint32_t ttl);

    // False when that changed nothing.
    bool set_addresses(std::vector<InterfaceAddresses> addresses);
    const std::vector<InterfaceAddresses>& addresses() const noexcept { return addresses_; }

    std::optional<RecordGroup> asked(const wire::dns::Question& question) const;
    bool is_probe_of_ours(const wire::dns::Message& query) const;
    // The query lists the group's PTR as an answer that it knows, with at least half of its time left (RFC 6762 7.1).
    bool is_known(RecordGroup group, const wire::dns::Message& query) const;

    // nullopt when there is no address on this interface: then nothing is answered.
    std::optional<wire::dns::Message> response(RecordGroup group, InterfaceIndex interface) const;
    // To a resolver that is no mDNS node (RFC 6762 6.7): its id and question repeated, short times, no cache-flush bits.
    std::optional<wire::dns::Message> legacy_response(RecordGroup group, InterfaceIndex interface, const wire::dns::Message& query) const;
    // Only the PTR: js-libp2p reports every response with a TXT as a peer found, whatever its time to live.
    wire::dns::Message goodbye() const;

    const wire::dns::Name& service() const noexcept { return service_; }
    const wire::dns::Name& instance() const noexcept { return instance_; }

private:
    const InterfaceAddresses* find(InterfaceIndex interface) const;

    PeerId self_;
    std::uint32_t ttl_;
    wire::dns::Name service_;
    wire::dns::Name meta_;
    wire::dns::Name instance_;
    wire::dns::Name host_;
    std::vector<InterfaceAddresses> addresses_;  // suitable ones only
};

}  // namespace kith::discovery
