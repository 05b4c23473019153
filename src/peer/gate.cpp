// SPDX-License-Identifier: Apache-2.0
#include "peer/gate.hpp"

#include <algorithm>
#include <chrono>

namespace kith::peer {
namespace {

constexpr double address_burst_seconds = 3;

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

bool TokenBucket::take(double rate, double burst, Instant now) noexcept {
    used_ = std::max(0.0, used_ - std::max(0.0, seconds(now - at_)) * rate);
    at_ = now;
    if (used_ + 1 > burst) return false;
    used_ += 1;
    return true;
}

bool TokenBucket::full(double rate, double, Instant now) const noexcept { return used_ - std::max(0.0, seconds(now - at_)) * rate <= 0; }

std::size_t Gate::Hash::operator()(const IpAddress& ip) const noexcept {
    std::uint64_t h = ip.v6 ? 0x9E3779B97F4A7C15ULL : 0xcbf29ce484222325ULL;
    for (const auto b : ip.bytes) h = (h ^ b) * 0x100000001b3ULL;
    return static_cast<std::size_t>(h);
}

IpAddress Gate::group(const IpAddress& ip) noexcept {
    auto out = ip;
    out.scope = 0;
    if (out.v6) std::fill(out.bytes.begin() + 8, out.bytes.end(), std::uint8_t{0});
    return out;
}

Error Gate::refuse(std::string_view why) {
    ++refused_;
    return {Errc::limit_exceeded, why};
}

// Forgets addresses without links whose tokens have come back.
void Gate::sweep(Instant now) {
    const auto rate = config_.links_per_second_per_address;
    std::erase_if(addresses_, [&](const auto& item) {
        return item.second.links == 0 && item.second.tokens.full(rate, rate * address_burst_seconds, now);
    });
}

Status Gate::accepted(const IpAddress& from, Instant now) {
    if (links_ >= config_.max_links) return refuse("too many links");
    if (handshakes_ >= config_.max_handshakes) return refuse("too many links in the handshake");
    const auto key = group(from);
    auto it = addresses_.find(key);
    if (it == addresses_.end()) {
        if (addresses_.size() >= config_.max_links) sweep(now);
        if (addresses_.size() >= config_.max_links) return refuse("too many addresses");
        it = addresses_.emplace(key, Address{}).first;
    }
    auto& address = it->second;
    if (address.links >= config_.max_links_per_address) return refuse("too many links from one address");
    if (address.handshakes >= config_.max_handshakes_per_address) return refuse("too many links of one address in the handshake");
    const auto rate = config_.links_per_second_per_address;
    if (!address.tokens.take(rate, std::max(1.0, rate * address_burst_seconds), now)) return refuse("too many new links from one address");
    if (!tokens_.take(config_.links_per_second, std::max(1.0, config_.links_per_second), now)) return refuse("too many new links");
    ++links_;
    ++handshakes_;
    ++address.links;
    ++address.handshakes;
    return {};
}

void Gate::authenticated(const IpAddress& from) {
    const auto it = addresses_.find(group(from));
    if (it == addresses_.end() || it->second.handshakes == 0) return;
    --it->second.handshakes;
    --handshakes_;
}

void Gate::closed(const IpAddress& from, bool was_authenticated, Instant now) {
    if (!was_authenticated) authenticated(from);
    const auto it = addresses_.find(group(from));
    if (it == addresses_.end() || it->second.links == 0) return;
    --it->second.links;
    --links_;
    const auto rate = config_.links_per_second_per_address;
    if (it->second.links == 0 && it->second.tokens.full(rate, rate * address_burst_seconds, now)) addresses_.erase(it);
}

Status Gate::dialled() {
    if (links_ >= config_.max_links) return refuse("too many links");
    ++links_;
    return {};
}

void Gate::dial_closed() noexcept {
    if (links_ > 0) --links_;
}

}  // namespace kith::peer
