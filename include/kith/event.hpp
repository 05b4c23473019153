// SPDX-License-Identifier: Apache-2.0
// What a node tells: peers come and go, and what is known of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kith/error.hpp"
#include "kith/multiaddr.hpp"
#include "kith/peer_id.hpp"
#include "kith/time.hpp"

namespace kith {
inline namespace v0 {

enum class PeerState : std::uint8_t {
    found,         // an address became known (LAN); nothing is connected
    connecting,    // being dialled
    connected,     // an authenticated link is up
    identified,    // as connected, and the peer told its protocols and addresses; again when it tells something new
    disconnected,  // the last link ended; `error` says why
    lost,          // no longer announced on the LAN and not connected
};
std::string_view name(PeerState state) noexcept;  // "connected"

enum class Direction : std::uint8_t { outbound, inbound };

struct PeerEvent {
    PeerId peer;
    PeerState state = PeerState::found;
    std::string path;                  // "LAN", "direct"; empty when not connected
    std::optional<Multiaddr> address;  // the other end, when connected
    Direction direction = Direction::outbound;
    std::optional<Error> error;
};

// Something about durable messages that a person should hear of.
struct Notice {
    enum class Kind : std::uint8_t {
        receiver_restored,  // the peer lacks messages that it had acknowledged: its database was restored
        sender_restored,    // our database is older than what the peer has from us; what waits is sent again, marked
        receiver_lost,      // the peer knows nothing of what it had taken: what was on the wire is sent again, marked
        store_opened,       // our database was new, repaired or moved aside
        store_failed,       // our disk refuses; durable messages wait, or end as `failed`
        store_reopened,     // it works again
    };
    Kind kind{};
    PeerId peer;          // of the first three
    std::string channel;  // likewise
    std::string text;     // for people
};
std::string_view name(Notice::Kind kind) noexcept;  // "receiver_lost"

// A snapshot.
struct PeerInfo {
    PeerId peer;
    PeerState state = PeerState::found;
    std::string path;
    std::vector<Multiaddr> addresses;    // where it can be dialled, as far as known
    std::vector<std::string> protocols;  // from identify
    std::string agent;                   // from identify: clean it before showing
    std::string name;                    // the kith name, if it told one: clean it before showing
    std::optional<Multiaddr> observed;   // our address as this peer sees it
    std::optional<Duration> rtt;
    std::size_t links = 0;
    bool on_lan = false;  // announced by mDNS
};

}  // namespace v0
}  // namespace kith
