// SPDX-License-Identifier: Apache-2.0
// The sending half of /kith/msg for ONE peer: lanes with queues, numbers, credit and acknowledgements. Sans-IO.
//
// Owner: the engine, one per peer that was ever sent to. A message stays here from enqueue() until the peer acknowledged
// it, across any number of streams. Attachment to a stream:
//
//   detached --attach()--> attaching --RESUME--> attached
//       ^                      |                     |
//       +------detach()--------+---------------------+
//
// While attaching, nothing but HELLO leaves: an older HELLO may still be on its way on another link, and only RESUME tells that
// the peer has seen ours. A lane that is new on an attached stream may send up to 64 KiB behind its ADD.
// Promise and mechanism: docs/wire-protocol.md, "Messages".
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_ring.hpp"
#include "base/ring.hpp"
#include "kith/bytes.hpp"
#include "kith/error.hpp"
#include "kith/message.hpp"
#include "kith/time.hpp"
#include "wire/kith_frames.hpp"

namespace kith::delivery {

using LaneIndex = std::uint32_t;

inline constexpr std::size_t cost_per_message = 64;    // added to the bytes of a message when credit is counted
inline constexpr std::size_t early_bytes = 64 * 1024;  // what a new lane may send before its RESUME
inline constexpr std::size_t owned_from = 16 * 1024;   // messages of this size and more keep their own buffer
inline constexpr std::size_t fragment_limit = 16 * 1024;
inline constexpr std::size_t kept_control = 4096;  // bytes of an empty buffer that are not given back

struct SenderConfig {
    std::size_t max_message = 1u << 20;
    std::size_t max_lanes = 256;
    std::size_t lower_turn_after = 256 * 1024;  // bytes of higher priority before a waiting lower lane gets its turn
    std::size_t max_datagram_bytes = 256 * 1024;
};

// Messages that left the queue of a lane: what admission gives back.
struct Released {
    LaneIndex lane = 0;
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
};

// The end of a message whose sender wanted to know.
struct Outcome {
    std::uint64_t token = 0;
    Receipt::Outcome outcome = Receipt::Outcome::delivered;
    Duration after{};
};

class Sender {
public:
    explicit Sender(const SenderConfig& config);
    ~Sender();
    Sender(const Sender&) = delete;
    Sender& operator=(const Sender&) = delete;

    // ---- messages
    // Finds or makes the lane. `random` becomes the epoch of a new one. limit_exceeded: max_lanes.
    Result<LaneIndex> lane(std::string_view channel, Strength strength, Priority priority, std::uint64_t random);
    // `bytes` is copied; `owned`, when not null, is taken instead. `token` 0: nobody waits for the outcome. Sizes and queue
    // limits were checked at admission.
    void enqueue(LaneIndex lane, ByteView bytes, Bytes* owned, std::uint64_t token, Instant now);
    // unreliable: refused (false) when the datagram queue is full.
    bool enqueue_datagram(std::string_view channel, ByteView bytes);
    // Everything that is queued ends as `failed`, or `unknown` when it was on the wire; `outcomes()` and `released()` tell.
    void abandon(Instant now);

    // ---- the stream
    enum class State : std::uint8_t { detached, attaching, attached };
    State state() const noexcept { return state_; }
    void attach();
    void detach();
    // Frames of the answering side. protocol_error: reset the stream and attach() again on a new one.
    Status received(ByteView bytes, Instant now);
    struct Filled {
        std::size_t bytes = 0;
        bool more = false;  // more could be written at once
    };
    Filled fill(MutableBytes out, Instant now);
    bool wants_fill() const noexcept;
    // True when there is something for which a stream is needed.
    bool has_unsent() const noexcept { return unsent_ != 0 || !datagrams_.empty(); }
    bool has_unacknowledged() const noexcept { return queued_ != 0; }

    // ---- what happened, to be taken and cleared by the owner after each call
    std::vector<Released>& released() noexcept { return released_; }
    std::vector<Outcome>& outcomes() noexcept { return outcomes_; }

    std::uint64_t sent() const noexcept { return sent_; }  // messages completely written, repeats included
    std::uint64_t acknowledged() const noexcept { return acknowledged_; }
    std::size_t queued() const noexcept { return queued_; }
    std::size_t lanes() const noexcept { return lanes_.size(); }
    std::size_t memory() const noexcept;
    std::uint64_t peer_max_message() const noexcept { return peer_max_message_; }
    // The peer's CLOSE, if it said one.
    const wire::CloseFrame* closed() const noexcept { return closed_.get(); }

private:
    struct Lane;

    Status on_resume(const wire::Resume& resume, Instant now);
    Status on_ack(Lane& lane, std::uint64_t done, Instant now);
    Lane* pick() noexcept;
    bool can_send(const Lane& lane) const noexcept;
    std::size_t put_data(Lane& lane, MutableBytes out, Instant now);
    void pop(Lane& lane, Receipt::Outcome outcome, Instant now, Released& sum);
    void announce(Lane& lane);
    wire::HelloLane describe(const Lane& lane) const;

    SenderConfig config_;
    std::vector<std::unique_ptr<Lane>> lanes_;
    State state_ = State::detached;
    Bytes control_;  // HELLO, ADD, datagrams: written before data, perhaps in pieces
    std::size_t control_sent_ = 0;
    Ring<Bytes> datagrams_;
    std::size_t datagram_bytes_ = 0;
    wire::FrameReader reader_;
    std::vector<Released> released_;
    std::vector<Outcome> outcomes_;
    std::unique_ptr<wire::CloseFrame> closed_;
    std::size_t unsent_ = 0;  // messages not completely written on this attachment
    std::size_t queued_ = 0;  // messages not acknowledged
    std::uint64_t sent_ = 0;
    std::uint64_t acknowledged_ = 0;
    std::uint64_t peer_max_message_ = 0;
    std::uint64_t peer_instance_ = 0;  // of the receiver that answered on this stream
    std::size_t higher_bytes_ = 0;     // since a waiting lower lane had its turn
    std::size_t turn_ = 0;             // rotation among lanes of one priority
};

}  // namespace kith::delivery
