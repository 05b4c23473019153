// SPDX-License-Identifier: Apache-2.0
// The frames of /kith/msg/1.0.0; docs/wire-protocol.md is normative.
//
// frame = varint(lane << 5 | type), varint(body size), body. The type's lowest bit says what an unknown one means: even
// closes the stream, odd is skipped. Varints are minimal; a body has at most 64 KiB.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kith/bytes.hpp"
#include "kith/error.hpp"
#include "wire/varint.hpp"

namespace kith::wire {

enum class FrameType : std::uint8_t {
    hello = 0,
    mark = 1,
    resume = 2,
    busy = 3,
    data = 4,
    datagram = 5,
    skip = 6,
    add = 8,
    ack = 10,
    limit = 12,
    close = 14,
};

inline constexpr std::size_t max_frame_body = 64 * 1024;
inline constexpr std::uint64_t max_lane = 65'535;
inline constexpr std::size_t max_channel_name = 64;
inline constexpr std::size_t max_lanes_in_hello = 256;

struct Frame {
    std::uint8_t type = 0;
    std::uint32_t lane = 0;
    ByteView body;
};

// Cuts a byte stream into frames. Holds at most one frame that came in pieces (64 KiB); a whole frame is a view into the
// input.
class FrameReader {
public:
    enum class State : std::uint8_t { frame, need_more, bad };

    // Advances `in`. `out.body` lives until the next call. `bad`: error() says which rule was broken; final.
    State next(ByteView& in, Frame& out);
    const Error& error() const noexcept { return error_; }
    bool in_the_middle() const noexcept { return !held_.empty(); }

private:
    State fail(std::string_view what);

    Bytes held_;           // the beginning of a frame
    bool served_ = false;  // held_ was given out as a frame by the previous call
    Error error_;
};

// The size of the head of a frame, and the head itself.
inline std::size_t frame_head_size(std::uint32_t lane, std::size_t body) noexcept {
    return varint_size(static_cast<std::uint64_t>(lane) << 5) + varint_size(body);
}
inline std::size_t put_frame_head(std::uint8_t* out, FrameType type, std::uint32_t lane, std::size_t body) noexcept {
    const auto n = put_varint(out, (static_cast<std::uint64_t>(lane) << 5) | static_cast<std::uint64_t>(type));
    return n + put_varint(out + n, body);
}

// ---- DATA: flags, seq, [total, offset when `fragment`], bytes
namespace data_flag {
inline constexpr std::uint8_t ack_now = 1;
inline constexpr std::uint8_t repeat = 2;
inline constexpr std::uint8_t fragment = 4;
inline constexpr std::uint8_t mid = 8;  // a u64 follows seq (durable lanes)
inline constexpr std::uint8_t want_processed = 16;
inline constexpr std::uint8_t known = 31;
}  // namespace data_flag

struct Data {
    std::uint8_t flags = 0;
    std::uint64_t seq = 0;
    std::uint64_t mid = 0;
    std::uint64_t total = 0;
    std::uint64_t offset = 0;
    ByteView bytes;
};
Result<Data> decode_data(ByteView body);

// ---- HELLO and ADD
struct HelloLane {
    std::uint32_t id = 0;
    std::string channel;
    std::uint8_t strength = 0;
    std::uint8_t priority = 0;
    std::uint64_t epoch = 0;
    std::uint64_t first = 1;    // lowest unresolved
    std::uint64_t settled = 0;  // everything up to here is resolved for good
    std::uint64_t next = 1;     // the next number to be given
};
struct Hello {
    std::uint64_t features = 0;
    std::uint64_t max_message = 0;
    std::vector<HelloLane> lanes;
};
void append_hello(Bytes& out, const Hello& hello);   // the whole frame
void append_add(Bytes& out, const HelloLane& lane);  // the whole frame
Result<Hello> decode_hello(ByteView body);
Result<HelloLane> decode_add(std::uint32_t lane, ByteView body);

// ---- RESUME
enum class ResumeState : std::uint8_t { none = 0, known = 1, other = 2, gap = 3 };
struct ResumeLane {
    std::uint32_t id = 0;
    ResumeState state = ResumeState::none;
    std::uint64_t have = 0;
    std::uint64_t done = 0;
    std::uint64_t processed = 0;
    std::uint64_t mid = 0;
    std::uint64_t partial = 0;  // bytes held of message have + 1
    std::uint64_t limit = 0;    // first credit
    std::uint8_t gap = 0;
};
struct Resume {
    std::uint64_t features = 0;
    std::uint64_t max_message = 0;
    std::uint64_t instance = 0;  // of the answering side's memory: another number means that its rows were lost or forgotten
    std::vector<ResumeLane> lanes;
};
void append_resume(Bytes& out, const Resume& resume);
Result<Resume> decode_resume(ByteView body);

// ---- ACK {done, processed}, LIMIT {bytes}, SKIP {from, count, [mid]}, MARK {next, settled}, BUSY {reason, ms}, CLOSE {code, text}
void append_ack(Bytes& out, std::uint32_t lane, std::uint64_t done, std::uint64_t processed);
void append_limit(Bytes& out, std::uint32_t lane, std::uint64_t bytes);
void append_close(Bytes& out, std::uint64_t code, std::string_view text);
void append_mark(Bytes& out, std::uint32_t lane, std::uint64_t next, std::uint64_t settled);
void append_busy(Bytes& out, std::uint32_t lane, std::uint64_t reason, std::uint64_t retry_ms);
void append_skip(Bytes& out, std::uint32_t lane, std::uint64_t from, std::uint64_t count, const std::uint64_t* mid);
void append_datagram(Bytes& out, std::string_view channel, ByteView bytes);

struct Numbers {
    std::uint64_t first = 0;
    std::uint64_t second = 0;
};
Result<Numbers> decode_two(ByteView body);        // ACK, MARK, BUSY
Result<std::uint64_t> decode_one(ByteView body);  // LIMIT

struct Skip {
    std::uint64_t from = 0;
    std::uint64_t count = 0;
    std::uint64_t mid = 0;  // of the last, on durable lanes
};
Result<Skip> decode_skip(ByteView body);

struct CloseFrame {
    std::uint64_t code = 0;
    std::string text;
};
Result<CloseFrame> decode_close(ByteView body);

struct Datagram {
    std::string_view channel;
    ByteView bytes;
};
Result<Datagram> decode_datagram(ByteView body);

}  // namespace kith::wire
