// SPDX-License-Identifier: Apache-2.0
// ONE secure link: multistream-select, Noise, the choice of the muxer, yamux, and the negotiation of each stream's protocol.
// Sans-IO: bytes in by next(), bytes out by pull_setup() and records. It cannot tell a socket from a stream that carries a link.
//
//   security --"/noise" agreed--> noise --keys, peer proved--> [muxer --"/yamux/1.0.0" agreed-->] open
//   any --error--> failed
//
// The state `muxer` is skipped when both sides named yamux inside the Noise handshake.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/strong_id.hpp"
#include "crypto/secret.hpp"
#include "handshake/multistream.hpp"
#include "handshake/noise.hpp"
#include "handshake/role.hpp"
#include "kith/bytes.hpp"
#include "kith/error.hpp"
#include "kith/peer_id.hpp"
#include "kith/time.hpp"
#include "mux/session.hpp"

namespace kith::connection {

using handshake::NoiseIdentity;
using handshake::Role;
inline NoiseIdentity make_identity(const crypto::SigningKey& key, crypto::Secret32 static_secret) {
    return handshake::make_noise_identity(key, std::move(static_secret));
}

inline constexpr std::string_view yamux_protocol = "/yamux/1.0.0";
inline constexpr std::size_t record_plain = 16 * 1024;  // bytes of plaintext in a record that we write
inline constexpr std::size_t record_overhead = handshake::NoiseSession::overhead;
inline constexpr std::size_t record_room = record_plain + record_overhead;
inline constexpr std::size_t max_record = handshake::NoiseSession::max_record;  // of one that we read

struct Config {
    Role role = Role::initiator;
    const NoiseIdentity* identity = nullptr;  // borrowed; outlives the connection
    std::optional<PeerId> expected;           // anyone else ends the connection with wrong_peer
    bool early_muxer = true;                  // offer yamux inside Noise
    mux::Config mux;
};

// What handlers are called by: the composer's own number, carried for it.
using Tag = std::uint64_t;

struct Event {
    enum class Kind : std::uint8_t {
        opened,     // the peer opened `stream`; its proposal is still to come
        need_more,  // the input is used up, or ends inside a record: keep the rest and call again with more behind it
        proposal,   // the peer opened `stream` and proposes `protocol`: call accept() or reject() before next()
        agreed,     // the peer accepted the protocol of our `stream`
        refused,    // the peer does not speak it (`error`); the stream is gone
        data,       // bytes of `stream`, lent until the next call: take them and call consumed()
        finished,   // the peer half-closed `stream`
        reset,      // `stream` is gone; `code` is the peer's
        pong,       // `rtt`
        go_away,    // the peer ends the link
        failed,     // the link is broken: `error`; write what is pending and close
    };
    Kind kind = Kind::need_more;
    StreamId stream{};
    Tag tag = 0;
    ByteView data{};
    std::string_view protocol{};
    std::uint32_t code = 0;
    Duration rtt{};
    Error error{};
};

class Connection {
public:
    // `ephemeral`: 32 fresh random bytes.
    Connection(const Config& config, crypto::Secret32 ephemeral);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    bool is_open() const noexcept { return state_ == State::open; }
    bool failed() const noexcept { return state_ == State::failed; }
    // True once, when the link became open: after next() or pull_setup(). peer() is proved then.
    bool take_established() noexcept { return std::exchange(established_, false); }
    const PeerId& peer() const noexcept { return peer_; }
    const Bytes& remote_key() const noexcept { return remote_key_; }
    Role role() const noexcept { return config_.role; }

    // ---- receiving
    // Call until need_more. `in` is advanced over what was used; plaintext lies in its memory.
    Event next(MutableBytes& in, Instant now);

    // ---- streams
    // Opens a stream and proposes `protocol`; `tag` comes back in its events. With `lazy`, data follows the proposal at once:
    // for a protocol that the peer is known to speak, or whose loss is harmless.
    Result<StreamId> open(std::string_view protocol, bool lazy, Tag tag);
    void accept(StreamId stream, Tag tag);
    void reject(StreamId stream);
    void consumed(StreamId stream, std::size_t n, Instant now) { mux_.consumed(stream, n, now); }
    void reset(StreamId stream, std::uint32_t code = 0);
    void want_write(StreamId stream);
    void set_tag(StreamId stream, Tag tag);
    void set_priority(StreamId stream, std::uint8_t level) { mux_.set_priority(stream, level); }

    // ---- sending
    bool wants_pull() const noexcept;
    // Handshake bytes; any room is fine. While !is_open() nothing else can be written.
    std::size_t pull_setup(MutableBytes out);
    // One record: begin_record, then next_grant / commit until no grant, then end_record. `out` must hold record_room bytes and
    // stay until end_record.
    void begin_record(MutableBytes out);
    struct Grant {
        StreamId stream;
        Tag tag = 0;
        MutableBytes room;  // payload goes here; may be empty: then only the end of the stream can be written
    };
    std::optional<Grant> next_grant();
    // n bytes are in grant.room; fin: half-close behind them; more: the stream has more to write.
    void commit(const Grant& grant, std::size_t n, bool fin, bool more);
    // The size of the sealed record; 0 when nothing was put into it.
    Result<std::size_t> end_record();

    // ---- link
    bool ping(Instant now, std::uint32_t opaque) { return is_open() && mux_.ping(now, opaque); }
    bool ping_in_flight() const noexcept { return mux_.ping_in_flight(); }
    std::optional<Duration> rtt() const noexcept { return mux_.rtt(); }
    void go_away(std::uint32_t code) { mux_.go_away(code); }
    std::size_t streams() const noexcept { return streams_.size(); }
    std::uint64_t streams_refused() const noexcept { return mux_.counters().streams_refused; }
    std::size_t memory() const noexcept;
    // Gives back what only speeds up a busy link.
    void trim() noexcept;

private:
    enum class State : std::uint8_t { security, noise, muxer, open, failed };
    struct Setup;
    struct Negotiation;
    struct Stream {
        Tag tag = 0;
        std::unique_ptr<Negotiation> negotiation;  // null when agreed and written
        bool wants_write = false;
    };

    Event fail(Error error);
    Event setup_next(MutableBytes& in);
    std::optional<Event> muxer_next(ByteView& plain);
    std::optional<Event> stream_event(const mux::Event& event, Instant now);
    std::optional<Event> negotiate(StreamId id, Stream& stream, Instant now);
    void noise_done();
    void opened();

    Config config_;
    State state_ = State::security;
    bool established_ = false;
    std::unique_ptr<Setup> setup_;
    std::optional<handshake::NoiseSession> session_;
    mux::Session mux_;
    PeerId peer_;
    Bytes remote_key_;
    std::unordered_map<std::uint32_t, Stream> streams_;

    Bytes lead_;            // the echo of /yamux/1.0.0, for the first record
    ByteView plain_;        // plaintext of the record being walked
    ByteView negotiating_;  // the rest of a data event that goes to a negotiation
    StreamId negotiating_stream_{};

    MutableBytes record_;  // being written
    std::size_t used_ = 0;
    std::size_t prefix_ = 0;  // negotiation bytes at the front of the current grant
    mux::Session::Grant grant_{};
};

}  // namespace kith::connection
