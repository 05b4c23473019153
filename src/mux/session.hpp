// SPDX-License-Identifier: Apache-2.0
// One yamux session (/yamux/1.0.0): many ordered, flow-controlled byte streams in one. No I/O, no clock, no random bytes and no
// buffer: payload is lent to the caller where it was received and put by the caller where it is sent from.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/strong_id.hpp"
#include "kith/bytes.hpp"
#include "kith/error.hpp"
#include "kith/time.hpp"
#include "mux/frame.hpp"
#include "mux/stream.hpp"

namespace kith::mux {

enum class Role : std::uint8_t { client, server };  // the dialer is the client: odd ids

struct Config {
    std::uint32_t initial_window = 256 * 1024;          // per stream and direction; fixed by the spec
    std::uint32_t max_window = 16 * 1024 * 1024;        // a stream's receive window grows up to this
    std::uint64_t max_total_window = 64 * 1024 * 1024;  // windows grow only while the sum of all stays within this
    std::uint32_t max_inbound_streams = 256;            // one more is answered with RST
    std::uint32_t max_outbound_streams = 1024;          // open() refuses
    std::uint32_t max_unacked_opens = 256;              // open() refuses; rust-yamux and go-yamux hold no more
    std::uint32_t max_early_opens = 0xFFFFFFFF;         // before the peer spoke on any stream; more are held until then
    std::uint32_t max_frame_payload = 16 * 1024;        // what next_grant gives at most, 1 byte to 64 KiB; also the share of one turn
    std::uint32_t max_queued_control = 1024;            // RST frames that the peer causes and does not read; more fails the session
    std::uint32_t max_pending_pongs = 32;               // pings beyond are not answered
};

struct Event {
    enum class Kind : std::uint8_t {
        need_more,  // the input is used up
        opened,     // the peer opened `stream`
        data,       // `data` of `stream`, a view into the input: take it, then call consumed()
        finished,   // the peer half-closed `stream`; comes after its last data
        reset,      // the peer reset `stream` with `code`; it is forgotten, data not taken yet is void
        writable,   // `stream` had no window and has again; its want_write stands, nothing must be done but pull
        acked,      // the peer answered our open of `stream` for the first time
        pong,       // our ping came back after `rtt`
        go_away,    // the peer ends the session with `code`; the common implementations close at once. Given once
        failed,     // the peer broke the protocol: write what is pending (a GoAway) and close. Given once, nothing follows
    };
    Kind kind = Kind::need_more;
    StreamId stream{};
    ByteView data{};
    std::uint32_t code = 0;
    Duration rtt{};
    Error error{};
};

// Owned by one connection; not thread-safe; one call at a time. Calls that name an unknown stream are harmless: a stream may end
// by the peer's RST while the caller still works on it. After `failed` only write_control does anything.
class Session {
public:
    static constexpr std::uint8_t levels = 4;
    static constexpr std::uint8_t default_level = 1;
    static constexpr std::uint32_t patience = 16;  // a level that wants to write is passed over by at most about so many frames

    Session(Role role, const Config& config);
    Session(Session&&) noexcept = default;
    Session& operator=(Session&&) noexcept = default;
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session() = default;

    // Receiving ------------------------------------------------------------------------------------------------------

    // Call until need_more; `plain` is advanced past what was read. A data frame larger than the input gives several data events.
    // A header split over inputs is kept inside (12 bytes), payload never is. Between two calls every other method may be called.
    Event next(ByteView& plain, Instant now);

    // The application took n bytes of what data events gave. Makes a window update due when at least half of the window was
    // taken; the window doubles first if that took less than four round trips.
    void consumed(StreamId stream, std::size_t n, Instant now);

    // Streams --------------------------------------------------------------------------------------------------------

    // A new stream. Its SYN travels with the first frame; without data write_control sends it alone. Over max_early_opens nothing
    // of it is written until the peer has sent data, a SYN, FIN or RST: js-libp2p drops a link that opens more than 10 streams
    // before it has set itself up. When all that was written is reset, nobody is left to answer: then one more goes.
    // limit_exceeded: too many streams, or too many that the peer has not answered yet: try again when one ends or is acked.
    // going_away: no more streams on this session: make a new link.
    Result<StreamId> open();

    // Ends both directions at once and forgets the stream; what the peer still sends on it is skipped. `code` is for the peer's
    // application. Without a frame on the wire yet nothing is sent at all.
    void reset(StreamId stream, std::uint32_t code = 0);

    // Sending by pull: write_control first, then grants until the record is full --------------------------------------

    // The stream has data or a FIN to send and joins the rotation (once). It holds until a commit with more == false. A stream
    // without window waits for it, except with `fin_only`: nothing but a FIN is left.
    void want_write(StreamId stream, bool fin_only = false);

    // Something can be written now: a control frame, or a stream that wants to write and may.
    bool wants_pull() const noexcept;

    // Writes whole control frames (acks, window updates, pings, pongs, RST, GoAway), as many as fit; returns the bytes written.
    std::size_t write_control(MutableBytes out);

    struct Grant {
        StreamId stream;
        std::uint32_t max = 0;  // payload bytes: min(window, max_frame_payload, room - 12); 0 if only a FIN may go
    };
    // Whose turn it is. Round robin within a level, about max_frame_payload bytes a turn, a share cut short by the end of a record
    // is made up for. `room` includes the 12-byte header. Changes nothing: a grant not committed is given again.
    std::optional<Grant> next_grant(std::size_t room) const noexcept;

    // n <= grant.max bytes were put behind the header; fin: half-close after them; more: the stream still wants to write.
    // Writes the 12-byte header and returns 12 + n. Returns 0 and writes nothing when n == 0 && !fin, when the stream is gone,
    // or when an argument is out of range. After (0, false, more) the stream waits at the end of the rotation: stop this record.
    std::size_t commit(const Grant& grant, std::size_t n, bool fin, bool more, MutableBytes header);

    // 0 (bulk) to 3 (first served), default 1. Local only, nothing on the wire. Higher levels go first, but see `patience`.
    void set_priority(StreamId stream, std::uint8_t level);

    // Keepalive and end ----------------------------------------------------------------------------------------------

    // False when one is in flight (the caller decides how long is too long). `opaque` is random, so that pongs cannot be guessed.
    bool ping(Instant now, std::uint32_t opaque);
    bool ping_in_flight() const noexcept { return ping_ != Ping::idle; }
    std::optional<Duration> rtt() const noexcept { return rtt_; }  // smoothed over pings

    // Says goodbye: no stream can be opened afterwards, by either side. The common implementations drop the connection on receipt,
    // so to lose nothing finish the streams first. Only the first call counts.
    void go_away(std::uint32_t code);

    // What is there --------------------------------------------------------------------------------------------------

    struct Counters {
        std::uint64_t streams_refused = 0;  // inbound over the limit
        std::uint64_t pings_dropped = 0;    // not answered, too many waited
        std::uint64_t frames_ignored = 0;   // of unknown streams, unasked pongs, repeated go-aways
    };
    const Counters& counters() const noexcept { return counters_; }

    bool failed() const noexcept { return life_ != Life::running; }
    bool exists(StreamId stream) const noexcept { return streams_.find(stream) != nullptr; }
    std::size_t streams() const noexcept { return streams_.size(); }
    std::size_t inbound_streams() const noexcept { return inbound_; }
    std::size_t outbound_streams() const noexcept { return streams_.size() - inbound_; }
    std::size_t unacked_opens() const noexcept { return unacked_; }
    std::uint32_t send_window(StreamId stream) const noexcept;     // 0 for an unknown stream
    std::uint32_t receive_window(StreamId stream) const noexcept;  // its size as tuned; 0 for an unknown stream
    std::uint64_t total_window() const noexcept { return total_window_; }
    std::size_t memory() const noexcept;  // bytes of this object and of everything it owns

private:
    enum class Life : std::uint8_t { running, failing, failed };  // failing: the event was not given yet
    enum class Ping : std::uint8_t { idle, due, in_flight };
    enum class GoAway : std::uint8_t { none, due, written };
    struct PendingReset {
        StreamId stream;
        std::uint32_t code;
    };
    using TurnList = SlotList<&Stream::turn_links>;
    using DueList = SlotList<&Stream::due_links>;

    // session_receive.cpp
    bool take_header(ByteView& plain, Header& header) noexcept;
    bool on_frame(const Header& header, Instant now, Event& event);
    bool on_stream_frame(const Header& header, Instant now, Event& event);
    bool on_syn(const Header& header, Event& event);
    bool on_ping(const Header& header, Instant now, Event& event);
    bool on_go_away(const Header& header, Event& event);
    bool fail(Event& event, StreamId stream, std::string_view what);
    bool next_pending(Event& event);
    void skip_payload(const Header& header) noexcept;

    // session.cpp
    bool ours(StreamId stream) const noexcept { return (stream.value & 1U) == (role_ == Role::client ? 1U : 0U); }
    Stream& add(StreamId stream, Opening opening);
    void remove(Stream& stream);
    bool queue_reset(StreamId stream, std::uint32_t code);  // false: the limit was reached
    void collapse(std::string_view what);

    // session_send.cpp
    void join(Stream& stream);
    void leave(Stream& stream);
    void owe(Stream& stream);
    void settle(Stream& stream);
    void answered();
    void account_turn(std::uint8_t level) noexcept;
    const TurnList* next_level() const noexcept;
    std::uint16_t opening_flags(Stream& stream);
    bool early_room() const noexcept { return early_ < config_.max_early_opens || outbound_streams() == held_.size(); }
    void let_go(Stream& stream);

    Role role_;
    Config config_;
    Life life_ = Life::running;
    Ping ping_ = Ping::idle;
    GoAway go_away_ = GoAway::none;
    bool peer_gone_ = false;
    bool answered_ = false;  // the peer sent something on a stream

    // The frame being read: what it still has to say, in this order: pending_ events, payload, finished.
    std::uint8_t pending_ = 0;
    bool finish_ = false;
    std::uint8_t head_size_ = 0;
    std::array<std::uint8_t, header_size> head_{};
    StreamId current_{};  // none: the payload is skipped
    std::uint32_t payload_left_ = 0;

    std::uint32_t ping_opaque_ = 0;
    std::uint32_t go_away_code_ = 0;
    Duration ping_began_{};
    std::optional<Duration> rtt_;
    std::string_view failure_;

    StreamTable streams_;
    std::uint64_t next_id_;
    std::uint64_t total_window_ = 0;
    std::uint32_t inbound_ = 0;
    std::uint32_t unacked_ = 0;

    std::array<TurnList, levels> turns_{};
    std::array<std::uint32_t, levels> passed_{};  // frames of higher levels since the level's last one
    DueList due_;
    std::vector<StreamId> held_;  // over max_early_opens, until the peer answered
    std::uint32_t early_ = 0;     // before that: opens that the peer hears of
    std::vector<PendingReset> resets_;
    std::uint32_t peer_resets_ = 0;  // those of resets_ whose stream the peer opened
    std::vector<std::uint32_t> pongs_;
    Counters counters_;
};

}  // namespace kith::mux
