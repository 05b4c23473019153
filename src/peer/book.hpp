// SPDX-License-Identifier: Apache-2.0
// What is known of peers: addresses with their source and age, what identify told, back-off of dials. In memory. Sans-IO.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "kith/multiaddr.hpp"
#include "kith/peer_id.hpp"
#include "kith/time.hpp"

namespace kith::peer {

enum class Source : std::uint8_t { user, lan, identify, link };

struct KnownAddress {
    Multiaddr address;               // without /p2p
    Source source = Source::user;    // the most trusted of those that told it
    std::optional<Instant> expires;  // of what the LAN alone told
    std::uint8_t told = 0;           // who told it: a bit for each source
};

// Full jitter: a random time up to first * 2^failures, at most `most`.
class Backoff {
public:
    void failed(Instant now, Duration most, std::uint64_t random) noexcept;
    void reset() noexcept { failures_ = 0, until_ = {}; }
    Instant until() const noexcept { return until_; }
    std::uint32_t failures() const noexcept { return failures_; }

private:
    std::uint32_t failures_ = 0;
    Instant until_{};
};

struct Known {
    std::vector<KnownAddress> addresses;
    std::vector<std::string> protocols;
    std::string agent;
    std::optional<Multiaddr> observed;
    Backoff backoff;
    bool identified = false;
    bool on_lan = false;
    bool keep = false;    // the user connected or sent: dial again when the link is lost
    bool pinned = false;  // has links or queued messages: not forgotten when the book is full
    Instant used{};
};

// Bounded in peers and in addresses of each; when full, the peer that was used longest ago and is neither pinned nor kept goes.
class Book {
public:
    Book(std::size_t max_peers, std::size_t max_addresses) : max_peers_(max_peers), max_addresses_(max_addresses) {}

    Known* find(const PeerId& peer);
    const Known* find(const PeerId& peer) const;
    // Null when the book is full of peers that cannot be forgotten.
    Known* get(const PeerId& peer, Instant now);
    // True when the address is new for the peer. A full list drops its oldest address of the least trusted source.
    bool add(const PeerId& peer, const Multiaddr& address, Source source, std::optional<Instant> expires, Instant now);
    // The LAN announces the peer no longer: what nothing else told goes.
    void expire_lan(const PeerId& peer);
    void erase(const PeerId& peer) { peers_.erase(peer); }
    std::size_t size() const noexcept { return peers_.size(); }

    const std::unordered_map<PeerId, Known>& all() const noexcept { return peers_; }

private:
    std::size_t max_peers_;
    std::size_t max_addresses_;
    std::unordered_map<PeerId, Known> peers_;
};

}  // namespace kith::peer
