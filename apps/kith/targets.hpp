// SPDX-License-Identifier: Apache-2.0
// From what a person wrote to a connected peer.
#pragma once

#include <string>
#include <string_view>

#include "kith/error.hpp"
#include "kith/peer_id.hpp"
#include "session.hpp"

namespace kith::app {

// A multiaddr; a whole peer id; the beginning or end of one, at least 4 characters; or a name of a peer on the LAN.
enum class TargetKind : std::uint8_t { address, id, part };
TargetKind kind_of(std::string_view target);

// What a session needs to find such a target.
Needs needs_for(std::string_view target);

// Finds and connects; says on standard error what it waits for. On failure the error was already printed and `exit` is set.
struct Reached {
    PeerId peer;
    Exit exit = Exit::ok;
    explicit operator bool() const noexcept { return exit == Exit::ok; }
};
Reached reach(Session& session, const std::string& target, Deadline deadline);

}  // namespace kith::app
