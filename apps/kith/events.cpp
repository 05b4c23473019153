// SPDX-License-Identifier: Apache-2.0
#include "events.hpp"

#include <fmt/format.h>

#include <ctime>

#include "parse.hpp"
#include "sanitize.hpp"

namespace kith::app {
namespace {

Json addresses(const std::vector<Multiaddr>& list) {
    Json out = Json::array();
    for (const auto& address : list) out.push_back(address.text());
    return out;
}

}  // namespace

void put_payload(Json& json, ByteView bytes) {
    if (valid_utf8(as_text(bytes))) {
        json["text"] = as_text(bytes);
    } else {
        json["base64"] = base64(bytes);
    }
}

Json ready_json(const Node& node) {
    auto out = object("ready");
    out["peer"] = node.id().text();
    out["addresses"] = addresses(node.addresses());
    out["name"] = node.name();
    return out;
}

Json to_json(const Message& message) {
    auto out = object("message");
    out["from"] = message.from.text();
    out["channel"] = message.channel;
    put_payload(out, message.bytes());
    out["path"] = message.path;
    if (message.maybe_repeat) out["maybe_repeat"] = true;
    return out;
}

Json to_json(const PeerEvent& event, const PeerInfo* info) {
    auto out = object("peer");
    out["state"] = name(event.state);
    out["peer"] = event.peer.text();
    if (!event.path.empty()) out["path"] = event.path;
    if (event.address) out["address"] = event.address->text();
    if (event.state == PeerState::connected || event.state == PeerState::identified) {
        out["direction"] = event.direction == Direction::inbound ? "inbound" : "outbound";
    }
    if (info != nullptr && !info->name.empty()) out["name"] = info->name;
    if (info != nullptr && !info->agent.empty()) out["agent"] = info->agent;
    if (event.error) {
        out["code"] = name(event.error->code);
        out["message"] = event.error->message();
    }
    return out;
}

Json to_json(const PeerInfo& info) {
    auto out = object("peer");
    out["peer"] = info.peer.text();
    out["state"] = name(info.state);
    out["addresses"] = addresses(info.addresses);
    if (!info.name.empty()) out["name"] = info.name;
    if (!info.path.empty()) out["path"] = info.path;
    if (info.rtt) out["rtt_ms"] = milliseconds(*info.rtt);
    if (!info.agent.empty()) out["agent"] = info.agent;
    if (!info.protocols.empty()) out["protocols"] = info.protocols;
    out["on_lan"] = info.on_lan;
    return out;
}

std::string shown(const PeerInfo& info) {
    auto name = clean_name(info.name);
    return name.empty() ? info.peer.short_id() : name;
}

std::string shown(const Node& node, const PeerId& peer) {
    const auto info = node.peer(peer);
    return info ? shown(*info) : peer.short_id();
}

std::string path_text(const PeerInfo& info) {
    if (info.path.empty()) return "not connected";
    return info.rtt ? fmt::format("{} {}", info.path, duration_text(*info.rtt)) : info.path;
}

std::string clock_text() {
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    ::localtime_r(&now, &local);
    return fmt::format("{:02}:{:02}", local.tm_hour, local.tm_min);
}

}  // namespace kith::app
