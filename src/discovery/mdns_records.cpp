// SPDX-License-Identifier: Apache-2.0
#include "discovery/mdns_records.hpp"

#include <algorithm>
#include <utility>

namespace kith::discovery {

namespace dns = wire::dns;

namespace {

constexpr std::uint32_t legacy_ttl = 10;
constexpr std::string_view service_text = "_p2p._udp.local";
constexpr std::string_view meta_text = "_services._dns-sd._udp.local";

dns::Name name(std::string_view text) { return dns::Name::parse(text).value_or(dns::Name{}); }

bool ends_in_local(ByteView host) {
    auto text = as_text(host);
    if (text.ends_with('.')) text.remove_suffix(1);
    constexpr std::string_view local = ".local";
    if (text.size() < local.size()) return false;
    text.remove_prefix(text.size() - local.size());
    return std::equal(text.begin(), text.end(), local.begin(), [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
}

// The zone of a link-local address is our own number for the interface; on another machine it means something else.
Multiaddr without_zone(const Multiaddr& address) {
    const auto parts = address.parts();
    const auto first = parts.begin();
    if (first == parts.end() || first->code != Multiaddr::ip6zone) return address;
    return Multiaddr::from_bytes(first.rest()).value_or(Multiaddr{});
}

// A, AAAA and the port of a SRV. go-libp2p drops an answer whose SRV target has no address record beside it, though it
// dials only what the TXT says.
struct Hosts {
    std::vector<dns::Data> ips;
    std::uint16_t port = 0;
};

Hosts hosts_of(const std::vector<Multiaddr>& addresses) {
    constexpr std::size_t max_ips = 8;
    Hosts out;
    for (const auto& address : addresses) {
        const auto parts = address.parts();
        auto it = parts.begin();
        if (it == parts.end()) continue;
        std::optional<dns::Data> ip;
        if (it->code == Multiaddr::ip4) {
            dns::A a;
            std::copy(it->value.begin(), it->value.end(), a.ip.begin());
            ip = a;
        } else if (it->code == Multiaddr::ip6) {
            dns::Aaaa aaaa;
            std::copy(it->value.begin(), it->value.end(), aaaa.ip.begin());
            ip = aaaa;
        }
        if (ip && out.ips.size() < max_ips && std::find(out.ips.begin(), out.ips.end(), *ip) == out.ips.end()) out.ips.push_back(*ip);
        ++it;
        if (out.port == 0 && it != parts.end() && (it->code == Multiaddr::tcp || it->code == Multiaddr::udp)) {
            out.port = static_cast<std::uint16_t>(it->value[0] * 256u + it->value[1]);
        }
    }
    return out;
}

}  // namespace

bool is_suitable(const Multiaddr& address) {
    bool first = true;
    for (const auto& part : address.parts()) {
        switch (part.code) {
            case Multiaddr::ip4:
            case Multiaddr::ip6:
            case Multiaddr::ip6zone:
                break;
            case Multiaddr::dns:
            case Multiaddr::dns4:
            case Multiaddr::dns6:
            case Multiaddr::dnsaddr:
                if (!ends_in_local(part.value)) return false;
                break;
            case Multiaddr::p2p_circuit:
            case Multiaddr::ws:
            case Multiaddr::wss:
            case Multiaddr::webrtc:
            case Multiaddr::webrtc_direct:
            case Multiaddr::webtransport:
                return false;
            default:
                if (first) return false;
        }
        first = false;
    }
    return !first;
}

MdnsRecords::MdnsRecords(const PeerId& self, std::string_view peer_name, std::uint32_t ttl)
    : self_(self),
      ttl_(ttl),
      service_(name(service_text)),
      meta_(name(meta_text)),
      instance_(dns::Name::join(peer_name, service_).value_or(dns::Name{})),
      host_(dns::Name::join(peer_name, name("local")).value_or(dns::Name{})) {}

bool MdnsRecords::set_addresses(std::vector<InterfaceAddresses> addresses) {
    for (auto& entry : addresses) {
        std::vector<Multiaddr> kept;
        for (const auto& address : entry.addresses) {
            auto plain = without_zone(address.without_peer());
            if (is_suitable(plain) && std::find(kept.begin(), kept.end(), plain) == kept.end()) kept.push_back(std::move(plain));
        }
        entry.addresses = std::move(kept);
    }
    if (addresses == addresses_) return false;
    addresses_ = std::move(addresses);
    return true;
}

const InterfaceAddresses* MdnsRecords::find(InterfaceIndex interface) const {
    const InterfaceAddresses* fallback = nullptr;
    for (const auto& entry : addresses_) {
        if (entry.interface == interface) return &entry;
        if (entry.interface == 0) fallback = &entry;
    }
    return fallback;
}

std::optional<RecordGroup> MdnsRecords::asked(const dns::Question& question) const {
    const auto wants = [&](dns::Type a, dns::Type b) {
        return question.type == a || question.type == b || question.type == dns::Type::any;
    };
    if (question.name == service_ && wants(dns::Type::ptr, dns::Type::ptr)) return RecordGroup::service;
    if (question.name == meta_ && wants(dns::Type::ptr, dns::Type::ptr)) return RecordGroup::meta;
    if (question.name == instance_ && wants(dns::Type::srv, dns::Type::txt)) return RecordGroup::instance;
    if (question.name == host_ && wants(dns::Type::a, dns::Type::aaaa)) return RecordGroup::host;
    return std::nullopt;
}

bool MdnsRecords::is_probe_of_ours(const dns::Message& query) const {
    return std::any_of(query.authorities.begin(), query.authorities.end(),
                       [this](const auto& record) { return record.name == instance_ || record.name == host_; });
}

bool MdnsRecords::is_known(RecordGroup group, const dns::Message& query) const {
    if (group != RecordGroup::service && group != RecordGroup::meta) return false;
    const auto& owner = group == RecordGroup::service ? service_ : meta_;
    const auto& target = group == RecordGroup::service ? instance_ : service_;
    return std::any_of(query.answers.begin(), query.answers.end(), [&](const dns::Record& record) {
        const auto* const ptr = std::get_if<dns::Ptr>(&record.data);
        return ptr != nullptr && record.name == owner && ptr->name == target && record.ttl >= ttl_ / 2;
    });
}

std::optional<dns::Message> MdnsRecords::response(RecordGroup group, InterfaceIndex interface) const {
    const auto* const entry = find(interface);
    if (entry == nullptr || entry->addresses.empty()) return std::nullopt;
    dns::Message out;
    out.response = true;
    out.authoritative = true;
    if (group == RecordGroup::meta) {
        out.answers.push_back({meta_, false, ttl_, dns::Ptr{service_}});
        return out;
    }
    const auto hosts = hosts_of(entry->addresses);
    std::vector<dns::Record> ips;
    for (const auto& ip : hosts.ips) ips.push_back({host_, true, ttl_, ip});
    if (group == RecordGroup::host) {
        out.answers = std::move(ips);
        return out.answers.empty() ? std::nullopt : std::optional{std::move(out)};
    }
    if (group == RecordGroup::service) out.answers.push_back({service_, false, ttl_, dns::Ptr{instance_}});
    const dns::Record srv{instance_, true, ttl_, dns::Srv{0, 0, hosts.port, host_}};
    dns::Record text{instance_, true, ttl_, dns::Txt{}};
    std::size_t size = 12 + dns::encoded_size(srv) + dns::encoded_size(text);
    for (const auto* list : {&out.answers, &ips}) {
        for (const auto& record : *list) size += dns::encoded_size(record);
    }
    // One TXT with many strings: go keeps only the last TXT of an instance.
    auto& strings = std::get<dns::Txt>(text.data).strings;
    for (const auto& address : entry->addresses) {
        auto string = std::string{dnsaddr_prefix} + address.with_peer(self_).text();
        if (string.size() > dns::max_string) continue;
        if (size + 1 + string.size() > max_response) break;
        size += 1 + string.size();
        strings.push_back(std::move(string));
    }
    if (strings.empty()) return std::nullopt;
    // rust reads only additional TXT records, js and go read all sections: so they are additional where we may choose.
    auto& section = group == RecordGroup::service ? out.additionals : out.answers;
    section.push_back(srv);
    section.push_back(std::move(text));
    out.additionals.insert(out.additionals.end(), ips.begin(), ips.end());
    return out;
}

std::optional<dns::Message> MdnsRecords::legacy_response(RecordGroup group, InterfaceIndex interface, const dns::Message& query) const {
    auto out = response(group, interface);
    if (!out) return out;
    out->id = query.id;
    const auto question =
        std::find_if(query.questions.begin(), query.questions.end(), [&](const dns::Question& q) { return asked(q) == group; });
    if (question != query.questions.end()) out->questions.push_back({question->name, question->type, false});
    for (auto* list : {&out->answers, &out->additionals}) {
        for (auto& record : *list) {
            record.ttl = std::min(record.ttl, legacy_ttl);
            record.cache_flush = false;
        }
    }
    return out;
}

dns::Message MdnsRecords::goodbye() const {
    dns::Message out;
    out.response = true;
    out.authoritative = true;
    out.answers.push_back({service_, false, 0, dns::Ptr{instance_}});
    return out;
}

}  // namespace kith::discovery
