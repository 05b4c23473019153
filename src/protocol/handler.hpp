// SPDX-License-Identifier: Apache-2.0
// What every protocol on a stream is: a state machine that the engine feeds and that answers with actions. Sans-IO.
//
// One handler object serves all streams of its protocol id in one engine, in both directions, and keeps its own state per
// stream. The engine owns it, calls it from its one thread, and carries out the actions after the call returned.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/strong_id.hpp"
#include "kith/bytes.hpp"
#include "kith/error.hpp"
#include "kith/event.hpp"
#include "kith/multiaddr.hpp"
#include "kith/peer_id.hpp"
#include "kith/time.hpp"
#include "wire/identify.hpp"

namespace kith::protocol {

// What a link is, to those who must not care how it is made.
struct LinkCaps {
    bool verified = true;  // the peer proved its key
    bool limited = false;  // relayed with a data or time limit
};

struct LinkInfo {
    LinkId link;
    PeerId peer;
    Direction direction = Direction::outbound;  // who dialled
    LinkCaps caps{};
    Multiaddr remote;     // the other end's socket address, without /p2p
    ByteView remote_key;  // serialized PublicKey that was proved
};

struct StreamInfo {
    StreamRef ref;
    PeerId peer;
    std::string_view protocol;
    Direction direction = Direction::outbound;  // outbound: we opened it
    LinkCaps caps{};
    std::uint64_t cookie = 0;  // of our OpenStream; 0 for an inbound stream
};

// ---- actions
// Opens a stream to `peer` on its best link, or on `link` when set. Answered by opened() or open_failed() with the cookie.
// `lazy`: the first data travels with the proposal (opened() comes at once; a refusal comes as closed()).
struct OpenStream {
    PeerId peer;
    LinkId link{};
    std::string protocol;
    std::uint64_t cookie = 0;
    bool lazy = true;
};
struct WantWrite {
    StreamRef stream;
};  // pull() will be called until it says that there is no more
struct Consumed {
    StreamRef stream;
    std::size_t bytes = 0;
};  // returns window for bytes that received() kept back
struct ResetStream {
    StreamRef stream;
    std::uint32_t code = 0;
};  // closed() is not called for it
struct SetTimer {
    std::uint64_t key = 0;
    Instant at{};
};  // one timer per key of the handler; a later one replaces it
struct ClearTimer {
    std::uint64_t key = 0;
};
struct Dial {
    PeerId peer;
    std::vector<Multiaddr> addresses;
};
struct Identified {
    LinkId link;
    wire::Identify info;
};
struct Disconnect {
    LinkId link;
    Error reason;
};
// Ends an operation that a caller waits for.
struct Complete {
    OpId op;
    std::variant<std::monostate, Error, Duration, PeerId, std::vector<std::uint64_t>> result;
};
// The rest of this stream, both directions, is a link of its own (relays): the handler is not called for it any more.
// `initiator`: we begin the handshake on it.
struct AdoptAsLink {
    StreamRef stream;
    bool initiator = false;
    std::optional<PeerId> expected;
};

using Action =
    std::variant<OpenStream, WantWrite, Consumed, ResetStream, SetTimer, ClearTimer, Dial, Identified, Disconnect, Complete, AdoptAsLink>;
using Actions = std::vector<Action>;

// How a stream ended.
struct StreamEnd {
    enum class Kind : std::uint8_t {
        finished,  // both sides half-closed
        reset,     // by the peer
        refused,   // the peer does not speak the protocol: nothing that was written has been read
        lost,      // with its link
    };
    Kind kind = Kind::finished;
    std::uint32_t code = 0;
    Error error{};
};

class Handler {
public:
    virtual ~Handler() = default;

    // Links, for handlers that act on their own (identify).
    virtual void link_up(const LinkInfo&, Instant, Actions&) {}
    virtual void link_down(const LinkInfo&, Instant, Actions&) {}

    // A stream is ours: the peer opened it, or our OpenStream succeeded. A handler refuses by ResetStream.
    virtual void opened(const StreamInfo& stream, Instant now, Actions& out) = 0;
    virtual void open_failed(const PeerId& peer, std::uint64_t cookie, const Error& error, Instant now, Actions& out) = 0;

    // Bytes, lent for the call. Returns how many are consumed at once; the rest must be named by Consumed later.
    virtual std::size_t received(StreamRef stream, ByteView bytes, Instant now, Actions& out) = 0;
    // The peer half-closed; no more bytes will come. We may still write.
    virtual void finished(StreamRef stream, Instant now, Actions& out) = 0;
    // The stream is gone; last call for it.
    virtual void closed(StreamRef stream, const StreamEnd& end, Instant now, Actions& out) = 0;

    // Writes up to out.size() bytes (which may be 0: then only `fin` can be told).
    struct Pulled {
        std::size_t bytes = 0;
        bool fin = false;   // half-close behind them
        bool more = false;  // call again as soon as there is room
    };
    virtual Pulled pull(StreamRef stream, MutableBytes out, Instant now) = 0;

    virtual void timer(std::uint64_t key, Instant now, Actions& out) { (void)key, (void)now, (void)out; }
};

}  // namespace kith::protocol
