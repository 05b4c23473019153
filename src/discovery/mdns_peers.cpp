// SPDX-License-Identifier: Apache-2.0
#include "discovery/mdns_peers.hpp"

#include <algorithm>
#include <utility>

#include "base/endpoint.hpp"

namespace kith::discovery {

namespace dns = wire::dns;

namespace {

// The address as it is good for us, or nothing: a link-local address means the link it was heard on.
std::optional<Multiaddr> seen_from_here(const Multiaddr& address, InterfaceIndex interface) {
    if (!is_suitable(address)) return std::nullopt;
    auto it = address.parts().begin();
    auto rest = address.bytes();
    if (it->code == Multiaddr::ip6zone) {
        rest = it.rest();
        ++it;
        if (it == Multiaddr::Iterator{}) return std::nullopt;
    }
    if (it->code != Multiaddr::ip4 && it->code != Multiaddr::ip6) return address;
    IpAddress ip;
    ip.v6 = it->code == Multiaddr::ip6;
    std::copy(it->value.begin(), it->value.end(), ip.bytes.begin());
    if (ip.is_unspecified() || ip.is_multicast()) return std::nullopt;
    Bytes bytes;
    if (ip.v6 && ip.is_link_local()) {
        if (interface == 0) return std::nullopt;
        const auto zone = std::to_string(interface);
        bytes = {static_cast<std::uint8_t>(Multiaddr::ip6zone), static_cast<std::uint8_t>(zone.size())};
        bytes.insert(bytes.end(), zone.begin(), zone.end());
    }
    bytes.insert(bytes.end(), rest.begin(), rest.end());
    auto out = Multiaddr::from_bytes(bytes);
    return out ? std::optional{std::move(*out)} : std::nullopt;
}

}  // namespace

MdnsPeers::MdnsPeers(const PeerId& self, const dns::Name& service, const dns::Name& own_instance, std::size_t max_peers)
    : self_(self), service_(service), own_instance_(own_instance), max_peers_(max_peers) {}

void MdnsPeers::on_response(InterfaceIndex interface, const dns::Message& response, Instant now) {
    std::vector<Claim> claims;  // no more than the packet has records
    for (const auto* section : {&response.answers, &response.authorities, &response.additionals}) {
        for (const auto& record : *section) read_record(interface, record, claims);
    }
    for (auto& claim : claims) {
        if (claim.goodbye) {
            apply_goodbye(claim, now);
        } else if (!claim.contradictory && !claim.addresses.empty() && claim.peer != self_) {
            apply(interface, claim, now);
        }
    }
}

MdnsPeers::Claim* MdnsPeers::claim_of(const dns::Name& instance, std::vector<Claim>& claims) const {
    if (instance == own_instance_ || instance.parent() != service_) return nullptr;
    const auto found = std::find_if(claims.begin(), claims.end(), [&](const Claim& claim) { return claim.instance == instance; });
    if (found != claims.end()) return &*found;
    claims.emplace_back().instance = instance;
    return &claims.back();
}

void MdnsPeers::read_record(InterfaceIndex interface, const dns::Record& record, std::vector<Claim>& claims) const {
    if (const auto* const ptr = std::get_if<dns::Ptr>(&record.data); ptr != nullptr && record.name == service_) {
        if (auto* const claim = claim_of(ptr->name, claims)) {
            claim->ptr_ttl = record.ttl;
            claim->goodbye = claim->goodbye || record.ttl == 0;
        }
    } else if (const auto* const txt = std::get_if<dns::Txt>(&record.data); txt != nullptr) {
        auto* const claim = claim_of(record.name, claims);
        if (claim == nullptr) return;
        claim->goodbye = claim->goodbye || record.ttl == 0;
        claim->ttl = claim->ttl == 0 ? record.ttl : std::min(claim->ttl, record.ttl);
        claim->flush = claim->flush || record.cache_flush;
        read_txt(interface, *txt, *claim);
    }
}

void MdnsPeers::read_txt(InterfaceIndex interface, const dns::Txt& txt, Claim& claim) {
    for (const auto& string : txt.strings) {
        if (claim.contradictory || claim.addresses.size() == max_addresses) return;
        if (!string.starts_with(dnsaddr_prefix)) continue;
        const auto address = Multiaddr::parse(std::string_view{string}.substr(dnsaddr_prefix.size()));
        if (!address) continue;  // a protocol that we do not know: js would drop the whole answer
        const auto peer = address->peer();
        if (!peer) continue;
        if (claim.peer && claim.peer != *peer) claim.contradictory = true;
        claim.peer = *peer;
        if (auto ours = seen_from_here(address->without_peer(), interface)) claim.addresses.push_back(std::move(*ours));
    }
}

Instant MdnsPeers::expiry_of(const Peer& peer) {
    Instant out{};
    for (const auto& address : peer.addresses) out = std::max(out, address.expires);
    return out;
}

void MdnsPeers::expect(Instant at) { next_expiry_ = next_expiry_ ? std::min(*next_expiry_, at) : at; }

void MdnsPeers::apply(InterfaceIndex interface, Claim& claim, Instant now) {
    auto found = peers_.find(claim.peer);
    if (found == peers_.end()) {
        if (peers_.size() >= max_peers_) {
            ++refused_;
            return;
        }
        found = peers_.try_emplace(claim.peer).first;
    }
    auto& peer = found->second;
    const auto expires = now + std::min(std::chrono::seconds{claim.ttl}, max_ttl);
    bool changed = false;
    if (claim.flush) {
        // RFC 6762 10.2: what is older than a second goes; what came just before belongs to the same answer.
        changed = std::erase_if(peer.addresses, [&](const Address& old) {
                      const bool again = std::find(claim.addresses.begin(), claim.addresses.end(), old.address) != claim.addresses.end();
                      return !again && old.interface == interface && now - old.heard > goodbye_delay;
                  }) > 0;
    }
    for (auto& address : claim.addresses) {
        const auto same = [&](const Address& old) { return old.address == address; };
        if (const auto old = std::find_if(peer.addresses.begin(), peer.addresses.end(), same); old != peer.addresses.end()) {
            *old = {std::move(address), interface, now, expires};
            continue;
        }
        if (peer.addresses.size() == max_addresses) {
            peer.addresses.erase(std::min_element(peer.addresses.begin(), peer.addresses.end(),
                                                  [](const Address& a, const Address& b) { return a.expires < b.expires; }));
        }
        peer.addresses.push_back({std::move(address), interface, now, expires});
        changed = true;
    }
    expect(expires);
    // Another instance is another run of the peer: news, even at the same addresses, for who waits to dial it again.
    changed = changed || (peer.reported && peer.instance != claim.instance);
    if (peer.instance != claim.instance || claim.ptr_ttl != 0) {
        peer.instance = claim.instance;
        peer.ptr_ttl = claim.ptr_ttl;
        peer.ptr_heard = now;
    }
    const bool stale = peer.reported && now - peer.reported_at >= (peer.reported_expiry - peer.reported_at) / 2;
    if ((changed || stale) && !std::exchange(peer.changed, true)) changed_.push_back(claim.peer);
}

void MdnsPeers::apply_goodbye(const Claim& claim, Instant now) {
    const auto limit = now + goodbye_delay;
    for (auto& [id, peer] : peers_) {
        // Only of the run that it names: the goodbye of an earlier run may be late.
        if (peer.instance != claim.instance) continue;
        for (auto& address : peer.addresses) address.expires = std::min(address.expires, limit);
        peer.ptr_ttl = 0;
        expect(limit);
    }
}

void MdnsPeers::expire(Instant now) {
    if (!next_expiry_ || now < *next_expiry_) return;
    next_expiry_.reset();
    for (auto it = peers_.begin(); it != peers_.end();) {
        auto& peer = it->second;
        const auto gone = std::erase_if(peer.addresses, [&](const Address& address) { return address.expires <= now; });
        if (peer.addresses.empty()) {
            if (peer.reported) lost_.push_back(it->first);
            it = peers_.erase(it);
            continue;
        }
        if (gone > 0 && !std::exchange(peer.changed, true)) changed_.push_back(it->first);
        for (const auto& address : peer.addresses) expect(address.expires);
        ++it;
    }
}

void MdnsPeers::clear() {
    peers_.clear();
    lost_.clear();
    changed_.clear();
    next_expiry_.reset();
}

void MdnsPeers::add_known_answers(dns::Message& query, std::size_t room, Instant now) const {
    for (const auto& [id, peer] : peers_) {
        const auto age = std::chrono::duration_cast<std::chrono::seconds>(now - peer.ptr_heard);
        if (age >= std::chrono::seconds{peer.ptr_ttl} / 2) continue;  // RFC 6762 7.1: not with less than half of its time
        const auto left = static_cast<std::uint32_t>(peer.ptr_ttl - age.count());
        dns::Record known{service_, false, left, dns::Ptr{peer.instance}};
        const auto size = encoded_size(known);
        if (size > room || query.answers.size() + query.questions.size() >= dns::max_entries) return;
        room -= size;
        query.answers.push_back(std::move(known));
    }
}

std::vector<PeerId> MdnsPeers::take_lost() { return std::exchange(lost_, {}); }

std::vector<FoundPeer> MdnsPeers::take_found() {
    std::vector<FoundPeer> out;
    for (const auto& id : std::exchange(changed_, {})) {
        const auto found = peers_.find(id);
        if (found == peers_.end() || !std::exchange(found->second.changed, false)) continue;
        auto& peer = found->second;
        FoundPeer item{id, {}, expiry_of(peer)};
        for (const auto& address : peer.addresses) item.addresses.push_back(address.address);
        peer.reported = true;
        peer.reported_at = std::max_element(peer.addresses.begin(), peer.addresses.end(), [](const Address& a, const Address& b) {
                               return a.heard < b.heard;
                           })->heard;
        peer.reported_expiry = item.expires;
        out.push_back(std::move(item));
    }
    return out;
}

}  // namespace kith::discovery
