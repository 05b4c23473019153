// SPDX-License-Identifier: Apache-2.0
// The sending half of /kith/msg for ONE peer: lanes with queues, numbers, credit and acknowledgements. Sans-IO.
//
// Owner: the engine, one per peer that was ever sent to. A message stays here from enqueue() until the peer acknowledged
// it, across any number of streams; a durable one stays on disk as well. Attachment to a stream:
//
//   detached --attach()--> attaching --RESUME--> attached
//       ^                      |                     |
//       +------detach()--------+---------------------+
//
// While attaching, nothing but HELLO leaves: an older HELLO may still be on its way on another link, and only RESUME tells that
// the peer has seen ours. A lane that is new on an attached stream may send up to 64 KiB behind its ADD.
// The files: sender.cpp attachment and acknowledgements; sender_queue.cpp what the application does to the queue; sender_write.cpp
// whose turn it is and the bytes; sender_durable.cpp what the disk answered.
// Promise and mechanism: docs/delivery.md; the bytes: docs/wire-protocol.md.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mutant.hpp"
#include "delivery/journal.hpp"
#include "delivery/lane.hpp"
#include "kith/error.hpp"

namespace kith::delivery {

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
    std::size_t max_awaited = 65'536;                   // receipts `processed` of a lane that are waited for; the oldest ends as `unknown`
    Duration ask_after = std::chrono::seconds{10};      // the oldest unacknowledged message is so old: MARK
    Duration ask_when_empty = std::chrono::seconds{1};  // MARK for what the receiver may forget
    Duration unknown_after = std::chrono::seconds{60};  // behind its ttl a message that was on the wire ends as `unknown`
    std::size_t memory_messages = 1024;                 // of a durable lane; what is more lies on disk alone
    std::size_t memory_bytes = 1u << 20;
    Duration restored_at_most_every = std::chrono::minutes{1};  // a peer that claims it of us again and again
};

// What enqueue() takes. `owned`, when not null, is taken instead of `bytes`.
struct Outgoing {
    ByteView bytes{};
    Bytes* owned = nullptr;
    std::uint64_t token = 0;  // 0: nobody waits for the outcome
    std::uint64_t key = 0;    // coalescing; 0: none
    Duration ttl{};           // 0: none
    bool processed = false;   // the second receipt is wanted
    std::uint64_t mid = 0;    // durable: a random number
    std::uint64_t tag = 0;    // durable: the application's own number for it
};

// Messages that left the queue of a lane: what admission gives back.
struct Released {
    LaneIndex lane = 0;
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
};

// What became of a message whose sender wanted to know. `stored` and `delivered` may be followed by another.
struct Outcome {
    std::uint64_t token = 0;
    Receipt::Outcome outcome = Receipt::Outcome::delivered;
    Duration after{};
};

// Something that a person should hear of.
struct Notice {
    enum class Kind : std::uint8_t {
        receiver_restored,  // the peer lacks messages that it had acknowledged
        sender_restored,    // our own database is older than what the peer has from us
        receiver_lost,      // the peer knows nothing of a lane it had answered for: what was on the wire is sent again, marked
    };
    Kind kind{};
    std::string channel;
};

// A message in a queue.
struct Place {
    LaneIndex lane = 0;
    std::uint64_t seq = 0;
};

class Sender {
public:
    // `peer`: as durable rows name it.
    Sender(const SenderConfig& config, Journal& journal, ByteView peer = {});
    ~Sender();
    Sender(const Sender&) = delete;
    Sender& operator=(const Sender&) = delete;

    // ---- messages (sender_queue.cpp)
    // Finds or makes the lane. `random` becomes the epoch of a new one. limit_exceeded: max_lanes.
    Result<LaneIndex> lane(std::string_view channel, Strength strength, Priority priority, std::uint64_t random);
    // Sizes and queue limits were checked at admission.
    void enqueue(LaneIndex lane, const Outgoing& message, Instant now);
    // unreliable: refused (false) when the datagram queue is full.
    bool enqueue_datagram(std::string_view channel, ByteView bytes);
    // The message ends as `cancelled` if it certainly was not and will not be handed over; else as it ends.
    void cancel(std::uint64_t token, Instant now);
    // Everything that is queued ends as `failed`, or `unknown` when it was on the wire. Durable messages stay on disk and have no
    // outcome, unless `durable_too`.
    void abandon(Instant now, bool durable_too = false);

    // ---- the stream
    enum class State : std::uint8_t { detached, attaching, attached };
    State state() const noexcept { return state_; }
    // `random`: becomes the epoch of lanes whose database turns out to be a restored one.
    void attach(std::uint64_t random = 0);
    void detach();
    // Frames of the answering side. protocol_error: reset the stream and attach() again on a new one.
    Status received(ByteView bytes, Instant now);
    struct Filled {
        std::size_t bytes = 0;
        bool more = false;  // more could be written at once
        bool data = false;  // messages are among it, not only questions
    };
    Filled fill(MutableBytes out, Instant now);
    bool wants_fill() const noexcept;
    // True when there is something for which a stream is needed.
    bool has_work() const noexcept { return queued_ != 0 || !datagrams_.empty(); }
    // Something is not completely written on this attachment.
    bool has_unsent() const noexcept;
    // The lanes have to be announced anew: detach, then attach. True once.
    bool take_reattach() noexcept { return std::exchange(reattach_, false); }

    // ---- time: ttl and the watchdog
    Instant deadline() const noexcept;
    // timeout: the peer does not answer on this link; close it.
    Status tick(Instant now);

    // ---- the disk (sender_durable.cpp)
    void restore(const storage::OutLane& row);
    void committed(storage::Ticket ticket);
    // The store was reopened after a failure, with these rows: what was on its way to the disk has failed unless they show it. The
    // stream must be detached.
    void reopened(const std::vector<storage::OutLane>& rows, Instant now);
    void fetched(storage::LaneKey lane, const std::vector<storage::OutMessage>& messages, Instant now);
    // Reads that are wanted, to be taken and cleared by the owner.
    std::vector<storage::FetchOut>& fetches() noexcept { return fetches_; }
    bool owns(storage::LaneKey key) const noexcept;

    // ---- what happened, to be taken and cleared by the owner after each call
    std::vector<Released>& released() noexcept { return released_; }
    std::vector<Outcome>& outcomes() noexcept { return outcomes_; }
    std::vector<Notice>& notices() noexcept { return notices_; }

    std::uint64_t sent() const noexcept { return sent_; }  // messages completely written, repeats included
    std::uint64_t acknowledged() const noexcept { return acknowledged_; }
    std::size_t queued() const noexcept { return queued_; }
    std::size_t lanes() const noexcept { return lanes_.size(); }
    std::size_t memory() const noexcept;
    std::uint64_t peer_max_message() const noexcept { return peer_max_message_; }
    const Lane& view(LaneIndex lane) const noexcept { return *lanes_[lane]; }
    // The peer's CLOSE, if it said one.
    const wire::CloseFrame* closed() const noexcept { return closed_.get(); }

private:
    struct Due {  // a ttl that ends; void when the message's Extra::due says something else
        Duration at{};
        LaneIndex lane = 0;
        std::uint64_t seq = 0;
    };
    // Told when the ticket is committed. `seq`: of a message that replaced the one of the outcome.
    struct Pending {
        storage::Ticket ticket = 0;
        Outcome outcome;
        Place place;
        std::optional<Parked> version;  // the message whose end this is: it leaves its queue with the commit
        bool buried = false;            // and nothing takes its place
    };
    struct KeyHash {
        std::size_t operator()(const std::pair<std::uint64_t, std::uint64_t>& k) const noexcept {
            return static_cast<std::size_t>((k.first * 0x9E3779B97F4A7C15ULL) ^ k.second);
        }
    };
    using Key = std::pair<std::uint64_t, std::uint64_t>;  // channel and strength, key

    // sender.cpp
    Status on_resume(const wire::Resume& resume, Instant now);
    Status resume_lane(Lane& lane, const wire::ResumeLane& row, Instant now);
    Status continue_partial(Lane& lane, const wire::ResumeLane& row);
    Status on_ack(Lane& lane, std::uint64_t done, std::uint64_t processed, Instant now);
    void resolve_to(Lane& lane, std::uint64_t done, Instant now);
    void announce(Lane& lane);
    wire::HelloLane describe(const Lane& lane) const;
    // sender_queue.cpp
    bool coalesce(Lane& lane, const Outgoing& message, Instant now);
    void bury(Lane& lane, std::size_t index, Receipt::Outcome outcome, Instant now);
    void compact(Lane& lane);
    bool certain(const Lane& lane, std::uint64_t seq) const noexcept;
    void decide(Lane& lane, Instant now);
    void expire(Instant now);
    void push_due(Duration at, LaneIndex lane, std::uint64_t seq, Extra& extra);
    bool is_due(const Due& due) const noexcept;
    // Now, or with a ticket when that is committed.
    void say(std::uint64_t token, Receipt::Outcome outcome, Duration after, storage::Ticket ticket, Place place = {});
    void leave(Lane& lane, std::size_t size) noexcept;  // one live message less
    void forget_key(const Lane& lane, std::uint64_t key, std::uint64_t seq);
    std::uint64_t channel_of(const Lane& lane) const noexcept;
    // sender_write.cpp
    bool ready(const Lane& lane) const noexcept;
    void note_written(Lane& lane, std::uint64_t seq) noexcept;
    Lane* pick() noexcept;
    bool can_send(const Lane& lane) const noexcept;
    std::size_t put_data(Lane& lane, MutableBytes out, Instant now);
    std::size_t put_skip(Lane& lane, MutableBytes out);
    void watch(Instant at) noexcept {
        if (at < watch_at_ && !planted(Mutant::watchdog_off)) watch_at_ = at;
    }
    // sender_durable.cpp
    storage::Ticket append(Lane& lane, const Outgoing& message, std::uint64_t seq, Instant now);
    void open_row(Lane& lane, std::uint64_t epoch);
    void set_row(Lane& lane);
    void load_more(Lane& lane);
    void load(Lane& lane, const storage::OutMessage& message, Instant now);
    Status resume_durable(Lane& lane, const wire::ResumeLane& row, Instant now);
    void judge(Lane& lane, std::uint64_t mid, Instant now);
    void restored_here(Lane& lane, Instant now);
    void end_with(storage::Ticket ticket, Place place, Parked version, Receipt::Outcome outcome, bool buried, Instant now);
    void reopen(Lane& lane, const storage::OutLane* row, Instant now);
    void fail(Lane& lane, const Parked& lost, Instant now);
    void settle_doubt(Lane& lane, std::uint64_t seq, Doubt doubt, const storage::OutMessage& message, Instant now);

    SenderConfig config_;
    Journal& journal_;
    Bytes peer_;
    std::vector<std::unique_ptr<Lane>> lanes_;
    State state_ = State::detached;
    Bytes control_;  // HELLO, ADD, datagrams: written before data, perhaps in pieces
    std::size_t control_sent_ = 0;
    Ring<Bytes> datagrams_;
    std::size_t datagram_bytes_ = 0;
    wire::FrameReader reader_;
    std::vector<Released> released_;
    std::vector<Outcome> outcomes_;
    std::vector<Notice> notices_;
    std::vector<storage::FetchOut> fetches_;
    std::deque<Pending> pending_;
    std::unordered_map<std::uint64_t, Place> tokens_;
    std::unordered_map<Key, Place, KeyHash> keys_;
    std::vector<Due> due_;  // a heap
    std::unique_ptr<wire::CloseFrame> closed_;
    std::size_t queued_ = 0;  // messages not acknowledged
    std::uint64_t sent_ = 0;
    std::uint64_t acknowledged_ = 0;
    std::uint64_t peer_max_message_ = 0;
    std::uint64_t peer_instance_ = 0;  // of the receiver that answered on this stream
    std::uint64_t random_ = 0;
    bool reattach_ = false;
    storage::Ticket committed_ = 0;
    std::optional<Instant> restored_at_;
    Instant watch_at_{Duration::max(), Duration::max()};
    std::size_t higher_bytes_ = 0;  // since a waiting lower lane had its turn
    std::size_t turn_ = 0;          // rotation among lanes of one priority
};

}  // namespace kith::delivery
