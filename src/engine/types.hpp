// SPDX-License-Identifier: Apache-2.0
// What goes into the engine and what comes out of it, as values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/endpoint.hpp"
#include "base/strong_id.hpp"
#include "delivery/receiver.hpp"
#include "delivery/sender.hpp"
#include "kith/bytes.hpp"
#include "kith/error.hpp"
#include "kith/event.hpp"
#include "kith/multiaddr.hpp"
#include "kith/peer_id.hpp"
#include "peer/gate.hpp"
#include "protocol/handler.hpp"
#include "wire/address.hpp"

namespace kith::engine {

struct Config {
    PeerId self;
    Bytes identity_key;  // serialized PublicKey
    std::string name;    // told to authenticated peers
    std::string agent;
    peer::GateConfig gate;
    std::size_t max_links_per_peer = 8;
    std::size_t max_streams_per_link = 256;
    std::size_t max_window_per_link = 64u << 20;
    std::size_t max_channels_per_peer = 64;
    std::size_t max_peers_known = 4096;
    std::size_t max_addresses_per_peer = 16;
    std::size_t max_peers_remembered = 4096;  // whose received messages are remembered after their last link ended
    std::size_t max_message = 1u << 20;
    std::size_t max_stream_buffer = 1u << 20;          // unsent bytes of a raw stream
    std::size_t max_unread = 1u << 20;                 // raw stream bytes that the user has not read (bounded by the window as well)
    std::size_t max_outbound = 0;                      // links that we dialled, with those being dialled; 0: no limit
    Duration dial_timeout = std::chrono::seconds{10};  // at most 30 s
    Duration handshake_timeout = std::chrono::seconds{10};
    Duration negotiation_timeout = std::chrono::seconds{10};
    Duration ping_after_idle = std::chrono::seconds{10};
    Duration dead_after_silence = std::chrono::seconds{15};
    Duration spare_link_after = std::chrono::seconds{5};  // a second link of a peer that carries nothing is closed
    bool keep_connected = true;
    bool lan = true;
    bool lan_auto_connect = true;
    bool serve_perf = false;
    bool early_muxer = true;
    bool durable = false;                // the driver has a store: storage_loaded() comes before the first durable message
    bool durable_from_known = true;      // takes durable messages of peers that the user dialled, sent to or added ...
    bool durable_from_all = true;        // ... and of all others
    std::size_t lane_window = 4u << 20;  // credit of an incoming lane, bytes, while all of a peer's fit into `peer_window`
    std::size_t peer_window = 16u << 20;
    std::size_t inbox_bytes = 64u << 20;   // of a durable lane, on disk and not processed
    std::size_t max_partials = 32u << 20;  // bytes of unfinished messages kept for peers that are not connected
};

// What an engine holds, for tests and diagnosis: everything that could leak.
struct Load {
    std::size_t links = 0;
    std::size_t dialled = 0;  // of these
    std::size_t streams = 0;
    std::size_t connection_streams = 0;  // the same as the connections count them: with those being negotiated
    std::size_t timers = 0;
    std::size_t peers = 0;
    std::size_t peer_slots = 0;
    std::size_t dials = 0;
    std::size_t dials_waiting = 0;  // for a slot
    std::size_t queries = 0;
    std::size_t known = 0;           // peers in the address book
    std::size_t unacknowledged = 0;  // messages
    std::size_t sender_bytes = 0;
    std::size_t receiver_bytes = 0;
    std::size_t handler_streams = 0;  // of identify, ping, perf and raw streams
};

// ---- inputs with more than one part
struct LinkUp {
    Endpoint local;
    Endpoint remote;
};
// An interface on which peers are looked for.
struct LanInterface {
    std::uint32_t index = 0;
    std::vector<IpAddress> addresses;
};
struct ConnectTarget {
    PeerId peer;                       // none: whoever answers
    std::vector<Multiaddr> addresses;  // empty: those that are known
};
// A lane of a peer, for send(). Valid as long as the engine.
struct LaneHandle {
    std::uint32_t peer = 0;
    delivery::LaneIndex lane = 0;
};

// ---- outputs
struct OpenLink {
    LinkId link;
    Endpoint to;
};
// Write what pull() still gives, without waiting, then close the socket and say link_closed().
struct CloseLink {
    LinkId link;
};
struct Resolve {
    std::uint64_t query = 0;
    wire::DnsName name;
};
struct Packet {
    std::uint32_t interface = 0;  // 0: every interface
    std::optional<Endpoint> to;   // none: the multicast groups
    bool v4 = true;               // which of them
    bool v6 = true;
    Bytes bytes;
};
struct Released {
    LaneHandle lane;
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
};
// Whether send() to the peer can be accepted: it is connected or can be dialled, and speaks /kith/msg as far as known.
struct Reachability {
    PeerId peer;
    bool known = false;
    bool connected = false;
    bool unsupported = false;
};
// Raw streams.
struct StreamOpened {
    OpId op;  // 0: the peer opened it
    StreamRef stream;
    PeerId peer;
    std::string protocol;
};
struct StreamData {
    StreamRef stream;
    Bytes bytes;
};
struct StreamFinished {
    StreamRef stream;
};
struct StreamClosed {
    StreamRef stream;
    Error error;  // code stream_closed: both sides finished
};
struct StreamDrained {
    StreamRef stream;
    std::size_t bytes = 0;  // that left the send buffer
};
using StreamOutput = std::variant<StreamOpened, StreamData, StreamFinished, StreamClosed, StreamDrained>;

// What the store is asked to read. Carried out behind the request of the same turn, answered in order with the commits.
using Fetch = std::variant<storage::FetchOut, storage::FetchIn>;

struct DeliveryNotice {
    PeerId peer;
    delivery::Notice notice;
};

// Filled by the inputs, read in place and cleared by the driver before its next input.
struct Outputs {
    std::vector<OpenLink> open_links;
    std::vector<CloseLink> close_links;
    std::vector<LinkId> wants_write;
    std::vector<Resolve> resolve;
    std::vector<Packet> packets;
    delivery::Batch messages;
    std::vector<Released> released;
    std::vector<delivery::Outcome> outcomes;
    std::vector<Fetch> fetches;
    std::vector<DeliveryNotice> notices;
    std::vector<protocol::Complete> completions;
    std::vector<StreamOutput> streams;
    std::vector<PeerEvent> events;
    std::vector<Reachability> reachability;
};

}  // namespace kith::engine
