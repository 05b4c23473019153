// SPDX-License-Identifier: Apache-2.0
// One link as the engine sees it, and the table of all.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/endpoint.hpp"
#include "base/strong_id.hpp"
#include "connection/connection.hpp"
#include "kith/event.hpp"
#include "kith/time.hpp"
#include "protocol/handler.hpp"

namespace kith::engine {

// dialing --LinkUp--> handshaking --keys proved--> open --> closing --link_closed--> (removed)
//    +------------------------+--------------------------------^
enum class LinkState : std::uint8_t { dialing, handshaking, open, closing };

// Who handles a stream: an index into the registry; the first two are the engine's own.
inline constexpr connection::Tag messages_tag = 0;
inline constexpr connection::Tag carrier_tag = 1;
inline constexpr connection::Tag first_handler = 2;

struct StreamState {
    connection::Tag tag = 0;
    Direction direction = Direction::outbound;
    std::uint64_t cookie = 0;
    bool told = false;  // the handler's opened() was called
    bool local_fin = false;
    bool remote_fin = false;
    LinkId carries{};             // carrier_tag: the link on this stream
    connection::Tag leaving = 0;  // carrier_tag: the handler whose last bytes go first; 0: none left
    std::string protocol;
};

struct Link {
    LinkId id;
    LinkState state = LinkState::dialing;
    Direction direction = Direction::outbound;
    Endpoint local;
    Endpoint remote;
    std::uint64_t dial = 0;  // of a dialled link, until it is open
    std::uint64_t slot = 0;  // the dial whose outgoing slot it uses, to its end; 0: slots are not limited, or not dialled
    bool gated = false;      // counted by the gate as accepted
    StreamRef carrier{};     // set: this link lies on a stream
    std::unique_ptr<connection::Connection> connection;
    std::unordered_map<std::uint32_t, StreamState> streams;
    Bytes head;    // the beginning of a record whose rest has not come
    Bytes sealed;  // of a carried link: records that are not yet on the stream below
    Instant up_at{};
    Instant received_at{};
    // The silence since received_at: when it was pinged, when it is judged, and how often our own pause was to blame.
    Instant pinged_at{};
    Instant judge_at{};
    bool looked_again = false;
    std::uint8_t pardons = 0;
    // For outgoing slots.
    Instant used_at{};                      // bytes of messages moved; at first, up_at
    std::uint64_t acknowledged_before = 0;  // messages, when it came up
    bool carried = false;                   // messages of ours
    bool given_up = false;                  // its slot was needed
    bool write_told = false;                // the driver knows that there is something to pull
    bool initiator = true;                  // of the handshake
    protocol::LinkCaps caps{};

    std::string_view path() const noexcept {
        if (caps.limited || carrier) return "relay";
        return remote.ip.is_private() ? "LAN" : "direct";
    }
};

class LinkTable {
public:
    Link& add(LinkId id) {
        auto link = std::make_unique<Link>();
        link->id = id;
        return *(links_[id] = std::move(link));
    }
    Link* find(LinkId id) noexcept {
        const auto it = links_.find(id);
        return it == links_.end() ? nullptr : it->second.get();
    }
    // Not closing.
    Link* live(LinkId id) noexcept {
        auto* link = find(id);
        return link != nullptr && link->state != LinkState::closing ? link : nullptr;
    }
    void erase(LinkId id) { links_.erase(id); }
    std::unique_ptr<Link> extract(LinkId id) {
        const auto it = links_.find(id);
        if (it == links_.end()) return nullptr;
        auto link = std::move(it->second);
        links_.erase(it);
        return link;
    }
    std::size_t size() const noexcept { return links_.size(); }
    auto begin() { return links_.begin(); }
    auto end() { return links_.end(); }

private:
    std::unordered_map<LinkId, std::unique_ptr<Link>> links_;
};

}  // namespace kith::engine
