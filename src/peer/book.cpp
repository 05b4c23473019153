// SPDX-License-Identifier: Apache-2.0
#include "peer/book.hpp"

#include <algorithm>
#include <bit>
#include <chrono>

namespace kith::peer {
namespace {

constexpr std::uint8_t bit(Source source) noexcept { return static_cast<std::uint8_t>(1U << static_cast<unsigned>(source)); }

}  // namespace

void Backoff::failed(Instant now, Duration most, std::uint64_t random) noexcept {
    constexpr Duration first = std::chrono::milliseconds{100};
    const auto shift = std::min<std::uint32_t>(failures_, 20);
    const Duration span = std::min<Duration>(most, first * (std::int64_t{1} << shift));
    ++failures_;
    const auto jitter = static_cast<std::int64_t>(random % static_cast<std::uint64_t>(std::max<std::int64_t>(1, span.count())));
    until_ = now + std::max<Duration>(Duration{jitter}, span / 8);  // never quite at once
}

Known* Book::find(const PeerId& peer) {
    const auto it = peers_.find(peer);
    return it == peers_.end() ? nullptr : &it->second;
}

const Known* Book::find(const PeerId& peer) const {
    const auto it = peers_.find(peer);
    return it == peers_.end() ? nullptr : &it->second;
}

Known* Book::get(const PeerId& peer, Instant now) {
    if (auto* known = find(peer)) {
        known->used = now;
        return known;
    }
    if (peers_.size() >= max_peers_) {
        auto oldest = peers_.end();
        for (auto it = peers_.begin(); it != peers_.end(); ++it) {
            if (it->second.pinned || it->second.keep) continue;
            if (oldest == peers_.end() || it->second.used < oldest->second.used) oldest = it;
        }
        if (oldest == peers_.end()) return nullptr;
        peers_.erase(oldest);
    }
    auto& known = peers_[peer];
    known.used = now;
    return &known;
}

bool Book::add(const PeerId& peer, const Multiaddr& address, Source source, std::optional<Instant> expires, Instant now) {
    auto* known = get(peer, now);
    if (known == nullptr) return false;
    const auto bare = address.without_peer();
    for (auto& entry : known->addresses) {
        if (entry.address != bare) continue;
        entry.source = std::min(entry.source, source);
        entry.told |= bit(source);
        entry.expires = entry.told == bit(Source::lan) ? expires : std::nullopt;
        return false;
    }
    if (known->addresses.size() >= max_addresses_) {
        auto worst = std::max_element(known->addresses.begin(), known->addresses.end(),
                                      [](const auto& a, const auto& b) { return a.source < b.source; });
        if (worst->source < source) return false;
        known->addresses.erase(worst);
    }
    known->addresses.push_back({bare, source, expires, bit(source)});
    return true;
}

void Book::expire_lan(const PeerId& peer) {
    auto* known = find(peer);
    if (known == nullptr) return;
    known->on_lan = false;
    std::erase_if(known->addresses, [](const auto& a) { return a.told == bit(Source::lan); });
    for (auto& entry : known->addresses) {
        entry.told &= static_cast<std::uint8_t>(~bit(Source::lan));
        entry.source = static_cast<Source>(std::countr_zero(entry.told));
    }
}

}  // namespace kith::peer
