// SPDX-License-Identifier: Apache-2.0
// The receiving half of /kith/msg for ONE peer: rows that outlive streams, order, credit and acknowledgements. Sans-IO.
//
// Owner: the engine, one per peer that ever sent. A row (channel, strength, priority) remembers the epoch, the highest number
// taken from the wire (`have`) and the highest that is done: handed over and consumed, or for a durable row committed. A HELLO
// fences: the latest one processed wins, all later bytes of the former stream are ignored, so no message is taken twice and none
// out of order.
//
// A durable message goes from the wire to the disk, and only from there (kept in memory meanwhile, as far as there is room) to the
// application. The files: receiver.cpp streams and attachment; receiver_data.cpp messages, credit, answers; receiver_durable.cpp
// what the disk answered.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ring.hpp"
#include "base/strong_id.hpp"
#include "delivery/batch.hpp"
#include "delivery/journal.hpp"
#include "kith/error.hpp"
#include "kith/message.hpp"
#include "kith/peer_id.hpp"
#include "kith/time.hpp"
#include "wire/kith_frames.hpp"

namespace kith::delivery {

struct ReceiverConfig {
    std::size_t max_message = 1u << 20;
    std::size_t lane_window = 4u << 20;  // credit of a lane while the sum of all fits `peer_window`
    std::size_t peer_window = 16u << 20;
    std::size_t max_rows = 64;             // lanes of one peer; a settled one makes room, else more are refused with CLOSE
    std::size_t max_streams = 4;           // streams that have not said HELLO
    std::size_t kept_partials = 4u << 20;  // bytes of unfinished messages that are kept between two streams
    double hellos_per_second = 10;         // each makes rows, an answer and perhaps a fence; more are refused
    double hello_burst = 20;
    Duration ack_delay = std::chrono::milliseconds{5};
    std::uint64_t instance = 0;           // random, for each new receiver: tells the peer when rows were lost
    std::uint32_t source = 0;             // the composer's number of this peer, copied into every message
    bool durable = false;                 // there is a disk, and this peer may use it
    std::size_t inbox_bytes = 64u << 20;  // of a durable row: on disk, not processed; then no more credit
    std::size_t memory_messages = 1024;   // of a durable row, at the application; the rest is read back later
    std::size_t memory_bytes = 1u << 20;
};

// Why a row takes nothing at the moment, as BUSY tells it.
enum class Busy : std::uint8_t { no_handler = 1, quota = 2, disk = 3, stopping = 4 };

class Receiver {
public:
    Receiver(const ReceiverConfig& config, Journal& journal, const PeerId& peer, ByteView peer_bytes = {});
    ~Receiver();
    Receiver(const Receiver&) = delete;
    Receiver& operator=(const Receiver&) = delete;

    // ---- streams
    // A new stream of the peer. limit_exceeded: too many that did not say HELLO; reset it.
    Status opened(StreamRef stream, std::string_view path);
    void closed(StreamRef stream);
    // Frames of the data sender. Messages go to `batch`. An error: reset the stream. A HELLO may fence another stream off:
    // see take_fenced().
    Status received(StreamRef stream, ByteView bytes, Instant now, Packer& packer, Batch& batch);
    std::optional<StreamRef> take_fenced() noexcept { return std::exchange(fenced_, std::nullopt); }
    StreamRef current() const noexcept { return current_; }
    // Whether this peer's durable lanes are taken. Those that are not get no credit, and say nothing to the other lanes. When they
    // are taken after all, the stream is closed, so that the peer announces them again.
    void allow_durable(bool allowed);

    // ---- answers, on the current stream
    struct Filled {
        std::size_t bytes = 0;
        bool more = false;
    };
    bool wants_fill(Instant now) const noexcept;
    Filled fill(MutableBytes out, Instant now);
    // When an acknowledgement becomes due, if one waits.
    std::optional<Instant> deadline() const noexcept { return ack_at_; }

    // The application consumed everything of the row up to `mark`: the number of the message, or of a durable one its inbox id. Of a
    // generation that is unknown: ignored.
    void consumed(std::uint32_t row, std::uint32_t generation, std::uint64_t mark, Instant now);
    // Nobody takes this row's messages at the moment (tells the peer once).
    void busy(std::uint32_t row, Busy why, Instant now);

    // ---- the disk
    // `clean`: the last process ended in order, so nothing of what waits was handed over by it.
    void restore(const storage::InLane& row, bool clean);
    void committed(storage::Ticket ticket, Instant now, Batch& batch);
    // The disk failed: what was not committed has not come. Reset the current stream; nothing is answered until reopened().
    void failed();
    void reopened(const std::vector<storage::InLane>& rows, Batch& batch);
    void fetched(storage::LaneKey key, std::vector<storage::InMessage>& messages, Batch& batch);
    // Reads that are wanted, to be taken and cleared by the owner.
    std::vector<storage::FetchIn>& fetches() noexcept { return fetches_; }
    bool owns(storage::LaneKey key) const noexcept;

    std::uint64_t resyncs() const noexcept { return resyncs_; }
    std::uint64_t pieces() const noexcept { return pieces_; }        // DATA frames that came
    std::uint64_t forgotten() const noexcept { return forgotten_; }  // rows that had to go though their sender may go on with them
    std::uint64_t hellos_refused() const noexcept { return hellos_refused_; }
    std::size_t rows() const noexcept { return rows_.size(); }
    bool has_durable() const noexcept;
    std::size_t partials() const noexcept;  // bytes of unfinished messages of rows without a stream
    void drop_partials();
    std::size_t memory() const noexcept;  // unconsumed messages and partial ones, bytes
    const ReceiverConfig& config() const noexcept { return config_; }

private:
    struct Row;
    struct Stream {
        StreamRef ref;
        std::string path;
        wire::FrameReader reader;
        bool refused = false;  // CLOSE is on its way: what still comes is not looked at
    };
    struct Lane {  // of the current attachment
        std::uint32_t id = 0;
        std::uint32_t row = 0;
        std::uint64_t first = 1;
        std::uint64_t epoch = 0;
        bool added = false;  // by ADD: it may send a little before it knows its credit
        bool gap = false;    // numbers before `first` are missing here, and the sender knows
        bool taken = true;   // false: a durable one of a peer that may have none; there is no row
    };
    struct Uncommitted {
        storage::Ticket ticket = 0;
        Batch batch;
    };

    // receiver.cpp
    Status on_frame(Stream& stream, const wire::Frame& frame, Instant now, Packer& packer, Batch& batch);
    Status on_hello(Stream& stream, wire::Hello&& hello);
    Status on_add(wire::HelloLane&& lane);
    Status answer(const wire::Hello& hello);
    Status answer(const wire::HelloLane& added);
    Result<wire::ResumeLane> join(const wire::HelloLane& lane, bool added);
    Result<std::uint32_t> row_of(const wire::HelloLane& lane, bool added);
    void set_origin(Row& row);
    std::optional<std::uint32_t> forget_one(bool settled_only);
    void grant(Row& row);
    Status refuse(std::string_view why);
    bool hello_allowed(Instant now) noexcept;
    Lane* lane(std::uint32_t id) noexcept;
    // receiver_data.cpp
    Status on_data(const Lane& lane, const wire::Data& data, Instant now, Packer& packer, Batch& batch);
    Status on_skip(const Lane& lane, const wire::Skip& skip, Instant now);
    Status on_mark(const Lane& lane, const wire::Numbers& mark, Instant now);
    bool fresh(const Row& row, const Lane& lane) const noexcept;
    Status miscounted();
    void begin(Row& row, const Lane& lane);
    void answer_due(Row& row, Instant at);
    // receiver_durable.cpp
    void persist(Row& row, std::uint64_t to, std::uint64_t mid);
    Batch& to_disk(Row& row, Delivered& message, ByteView bytes);
    bool settled_on_disk() const noexcept;
    void hand_over(Batch& from, Batch& to);
    void load_more(Row& row);
    void processed(Row& row, std::uint64_t inbox, Instant now);

    ReceiverConfig config_;
    Journal& journal_;
    PeerId peer_;
    Bytes peer_bytes_;
    std::vector<std::unique_ptr<Row>> rows_;
    std::vector<Lane> lanes_;
    std::vector<std::unique_ptr<Stream>> streams_;
    StreamRef current_{};
    std::string path_;  // of the current stream
    std::optional<StreamRef> fenced_;
    std::optional<wire::Hello> hello_;    // waits until nothing is on its way to the disk
    std::vector<wire::HelloLane> added_;  // likewise, of the same stream
    Bytes control_;
    std::size_t control_sent_ = 0;
    std::vector<std::uint32_t> due_;  // rows with an answer due now or at ack_at_
    std::optional<Instant> ack_at_;
    std::uint64_t resyncs_ = 0;
    std::uint64_t pieces_ = 0;
    std::uint64_t forgotten_ = 0;
    std::uint64_t uses_ = 0;
    std::size_t granted_ = 0;         // sum of the windows of all rows
    std::unique_ptr<Packer> packer_;  // of durable messages
    std::deque<Uncommitted> uncommitted_;
    std::vector<storage::FetchIn> fetches_;
    bool broken_ = false;  // between failed() and reopened()
    std::uint64_t hellos_refused_ = 0;
    double hellos_ = 0;  // not yet paid off by time
    Instant hello_at_{};
};

}  // namespace kith::delivery
