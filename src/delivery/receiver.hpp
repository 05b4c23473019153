// SPDX-License-Identifier: Apache-2.0
// The receiving half of /kith/msg for ONE peer: rows that outlive streams, order, credit and acknowledgements. Sans-IO.
//
// Owner: the engine, one per peer that ever sent. A row (channel, strength, priority) remembers the epoch, the highest number
// taken from the wire (`have`) and the highest that the application consumed (`done`). A HELLO fences: the latest one
// processed wins, all later bytes of the former stream are ignored, so no message is taken twice and none out of order.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/chunk.hpp"
#include "base/ring.hpp"
#include "base/strong_id.hpp"
#include "kith/bytes.hpp"
#include "kith/error.hpp"
#include "kith/message.hpp"
#include "kith/peer_id.hpp"
#include "kith/time.hpp"
#include "wire/kith_frames.hpp"

namespace kith {
inline namespace v0 {
namespace detail {

// What all messages of a row on one link share.
struct Origin {
    PeerId peer;
    std::string channel;
    std::string path;
    std::atomic<std::uint32_t> refs{1};

    void release() noexcept {
        if (refs.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace kith

namespace kith::delivery {

struct ReceiverConfig {
    std::size_t max_message = 1u << 20;
    std::size_t lane_window = 4u << 20;  // credit of a lane while the sum of all fits `peer_window`
    std::size_t peer_window = 16u << 20;
    std::size_t max_rows = 64;      // lanes of one peer; more are refused with CLOSE
    std::size_t max_streams = 4;    // streams that have not said HELLO
    double hellos_per_second = 10;  // each makes rows, an answer and perhaps a fence; more are refused
    double hello_burst = 20;
    Duration ack_delay = std::chrono::milliseconds{5};
    std::uint64_t instance = 0;  // random, for each new receiver: tells the peer when rows were lost
    std::uint32_t source = 0;    // the composer's number of this peer, copied into every message
};

// One received message inside a batch. `row` and `generation` name it to consumed().
struct Delivered {
    detail::Chunk* chunk = nullptr;    // the batch holds one reference per entry of Batch::chunks, none here
    detail::Origin* origin = nullptr;  // likewise, Batch::origins
    ByteView bytes{};
    std::uint64_t seq = 0;     // 0: unreliable, nothing to consume
    std::uint32_t source = 0;  // ReceiverConfig::source
    std::uint32_t row = 0;
    std::uint32_t generation = 0;
    bool repeat = false;
};

// Messages on their way to the callbacks. Owns references; movable. Reused by its owner, so that a steady flow allocates nothing.
struct Batch {
    std::vector<Delivered> messages;
    std::vector<detail::Chunk*> chunks;
    std::vector<detail::Origin*> origins;

    Batch() = default;
    Batch(Batch&&) noexcept = default;
    Batch& operator=(Batch&& other) noexcept {
        clear();
        std::swap(messages, other.messages);
        std::swap(chunks, other.chunks);
        std::swap(origins, other.origins);
        return *this;
    }
    ~Batch() { clear(); }
    bool empty() const noexcept { return messages.empty(); }
    void clear() noexcept;
    void hold(detail::Origin* origin);
};

// The chunk that small messages are copied into; shared by all peers of an engine, one per batch at a time.
class Packer {
public:
    // Copies `bytes` into the current chunk (a new one when it is full) and adds the message to `batch`.
    void add(Batch& batch, ByteView bytes, Delivered message);
    // Adds a message that has a buffer of its own.
    static void adopt(Batch& batch, Bytes&& bytes, Delivered message);
    // Call when a batch is handed over: the next one starts in a new reference.
    void end_batch() noexcept { listed_ = nullptr; }
    ~Packer();
    Packer() = default;
    Packer(const Packer&) = delete;
    Packer& operator=(const Packer&) = delete;

private:
    ChunkPool pool_;
    detail::Chunk* chunk_ = nullptr;         // held by the packer
    const detail::Chunk* listed_ = nullptr;  // the chunk that the current batch already holds
};

class Receiver {
public:
    Receiver(const ReceiverConfig& config, const PeerId& peer);
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

    // ---- answers, on the current stream
    struct Filled {
        std::size_t bytes = 0;
        bool more = false;
    };
    bool wants_fill(Instant now) const noexcept;
    Filled fill(MutableBytes out, Instant now);
    // When an acknowledgement becomes due, if one waits.
    std::optional<Instant> deadline() const noexcept { return ack_at_; }

    // The application consumed everything of the row up to `seq`. Of a generation that is unknown: ignored.
    void consumed(std::uint32_t row, std::uint32_t generation, std::uint64_t seq, Instant now);

    std::uint64_t resyncs() const noexcept { return resyncs_; }
    std::uint64_t hellos_refused() const noexcept { return hellos_refused_; }
    std::size_t rows() const noexcept { return rows_.size(); }
    std::size_t memory() const noexcept;  // unconsumed messages and partial ones, bytes
    const ReceiverConfig& config() const noexcept { return config_; }

private:
    struct Row;
    struct Stream {
        StreamRef ref;
        std::string path;
        wire::FrameReader reader;
    };
    struct Lane {  // of the current attachment
        std::uint32_t id = 0;
        std::uint32_t row = 0;
        std::uint64_t first = 1;
        std::uint64_t epoch = 0;
        bool added = false;  // by ADD: it may send a little before it knows its credit
    };

    Status on_frame(Stream& stream, const wire::Frame& frame, Instant now, Packer& packer, Batch& batch);
    Status on_hello(Stream& stream, const wire::Hello& hello);
    bool hello_allowed(Instant now) noexcept;
    Result<wire::ResumeLane> join(const Stream& stream, const wire::HelloLane& lane, bool added);
    Status on_data(const Lane& lane, const wire::Data& data, Instant now, Packer& packer, Batch& batch);
    void answer_due(Row& row, Instant at);
    Lane* lane(std::uint32_t id) noexcept;

    ReceiverConfig config_;
    PeerId peer_;
    std::vector<std::unique_ptr<Row>> rows_;
    std::vector<Lane> lanes_;
    std::vector<std::unique_ptr<Stream>> streams_;
    StreamRef current_{};
    std::optional<StreamRef> fenced_;
    Bytes control_;
    std::size_t control_sent_ = 0;
    std::vector<std::uint32_t> due_;  // rows with an answer due now or at ack_at_
    std::optional<Instant> ack_at_;
    bool ack_now_ = false;
    std::uint64_t resyncs_ = 0;
    std::uint64_t hellos_refused_ = 0;
    double hellos_ = 0;  // not yet paid off by time
    Instant hello_at_{};
    std::size_t granted_ = 0;  // sum of the windows of all rows
};

}  // namespace kith::delivery
