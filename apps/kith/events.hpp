// SPDX-License-Identifier: Apache-2.0
// Peers and messages as JSON objects and as text for people.
#pragma once

#include <string>

#include "kith/event.hpp"
#include "kith/message.hpp"
#include "kith/node.hpp"
#include "output.hpp"

namespace kith::app {

// Bytes of a peer go under "text" when they are UTF-8, else under "base64".
void put_payload(Json& json, ByteView bytes);

Json ready_json(const Node& node);  // the first line of a program that listens
Json to_json(const Message& message);
// `info` adds the name and agent, as far as they are known.
Json to_json(const PeerEvent& event, const PeerInfo* info);
Json to_json(const PeerInfo& info);

// The cleaned name, else the short id.
std::string shown(const PeerInfo& info);
std::string shown(const Node& node, const PeerId& peer);
std::string path_text(const PeerInfo& info);  // "LAN 0.42 ms", "direct", "not connected"

std::string clock_text();  // "10:02"

}  // namespace kith::app
