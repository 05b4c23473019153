// SPDX-License-Identifier: Apache-2.0
#include "wire/kith_frames.hpp"

#include <algorithm>

#include "base/reader.hpp"

namespace kith::wire {
namespace {

constexpr std::size_t max_head = 8;  // lane up to 65535 and type: 3 bytes; body size: 3 bytes

bool varint(Reader& in, std::uint64_t& out) {
    const auto v = get_varint(in.rest());
    if (!v) return false;
    out = v.value;
    return in.skip(v.size);
}

Error malformed(std::string_view what) { return {Errc::protocol_error, what}; }

void append_u64(Bytes& out, std::uint64_t value) {
    for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(value >> shift));
}

void append_frame(Bytes& out, FrameType type, std::uint32_t lane, ByteView body) {
    std::uint8_t head[20];
    const auto n = put_frame_head(head, type, lane, body.size());
    out.insert(out.end(), head, head + n);
    out.insert(out.end(), body.begin(), body.end());
}

void append_lane(Bytes& out, const HelloLane& lane) {
    append_varint(out, lane.channel.size());
    out.insert(out.end(), lane.channel.begin(), lane.channel.end());
    out.push_back(lane.strength);
    out.push_back(lane.priority);
    append_u64(out, lane.epoch);
    append_varint(out, lane.first);
    append_varint(out, lane.settled);
    append_varint(out, lane.next);
}

Status read_lane(Reader& in, HelloLane& lane) {
    std::uint64_t size = 0;
    ByteView name;
    if (!varint(in, size)) return malformed("HELLO: a lane ends too early");
    if (size == 0 || size > max_channel_name) return malformed("HELLO: a channel name has 1 to 64 bytes");
    if (!in.take(static_cast<std::size_t>(size), name) || !in.u8(lane.strength) || !in.u8(lane.priority) || !in.u64(lane.epoch) ||
        !varint(in, lane.first) || !varint(in, lane.settled) || !varint(in, lane.next)) {
        return malformed("HELLO: a lane ends too early");
    }
    if (lane.strength < 1 || lane.strength > 2) return malformed("HELLO: no such strength");
    if (lane.priority > 3) return malformed("HELLO: no such priority");
    if (lane.first == 0 || lane.first > lane.next || lane.settled >= lane.first) return malformed("HELLO: impossible numbers of a lane");
    lane.channel.assign(as_text(name));
    return {};
}

}  // namespace

FrameReader::State FrameReader::fail(std::string_view what) {
    error_ = malformed(what);
    return State::bad;
}

FrameReader::State FrameReader::next(ByteView& in, Frame& out) {
    if (served_) {
        held_.clear();
        if (held_.capacity() > 4096) held_ = Bytes{};
        served_ = false;
    }
    // With a beginning held back, the frame is completed in held_; else it is read where it lies.
    const bool joining = !held_.empty();
    std::size_t taken = 0;
    if (joining) {
        taken = std::min(in.size(), max_head);
        held_.insert(held_.end(), in.begin(), in.begin() + static_cast<std::ptrdiff_t>(taken));
        in = in.subspan(taken);
    }
    const ByteView whole = joining ? ByteView{held_} : in;
    const auto keep_all = [&] {
        if (!joining) held_.assign(in.begin(), in.end());
        in = in.subspan(in.size());
        return State::need_more;
    };

    const auto head = get_varint(whole);
    if (head.state == VarintState::bad || (head && (head.value >> 5) > max_lane)) return fail("the head of a frame is malformed");
    if (!head) return whole.size() > max_head ? fail("the head of a frame is malformed") : keep_all();
    const auto size = get_varint(whole.subspan(head.size));
    if (size.state == VarintState::bad || (size && size.value > max_frame_body)) return fail("a frame is longer than 64 KiB");
    if (!size) return whole.size() > head.size + 3U ? fail("a frame is longer than 64 KiB") : keep_all();

    const std::size_t head_size = static_cast<std::size_t>(head.size) + size.size;
    const std::size_t total = head_size + static_cast<std::size_t>(size.value);
    out.type = static_cast<std::uint8_t>(head.value & 31);
    out.lane = static_cast<std::uint32_t>(head.value >> 5);
    if (!joining) {
        if (in.size() < total) return keep_all();
        out.body = in.subspan(head_size, total - head_size);
        in = in.subspan(total);
        return State::frame;
    }
    if (held_.size() > total) {  // took too much: give the rest back
        const auto extra = held_.size() - total;
        in = ByteView{in.data() - extra, in.size() + extra};
        held_.resize(total);
    }
    const auto more = std::min(total - held_.size(), in.size());
    held_.insert(held_.end(), in.begin(), in.begin() + static_cast<std::ptrdiff_t>(more));
    in = in.subspan(more);
    if (held_.size() < total) return State::need_more;
    out.body = ByteView{held_}.subspan(head_size);
    served_ = true;
    return State::frame;
}

Result<Data> decode_data(ByteView body) {
    Reader in(body);
    Data out;
    if (!in.u8(out.flags) || !varint(in, out.seq)) return malformed("DATA ends too early");
    if ((out.flags & ~data_flag::known) != 0) return malformed("DATA has an unknown flag");
    if (out.seq == 0) return malformed("DATA has number 0");
    if ((out.flags & data_flag::mid) != 0 && !in.u64(out.mid)) return malformed("DATA ends too early");
    if ((out.flags & data_flag::fragment) != 0) {
        if (!varint(in, out.total) || !varint(in, out.offset)) return malformed("DATA ends too early");
        if (out.offset > out.total || in.left() > out.total - out.offset) return malformed("DATA: a fragment lies outside its message");
        if (in.empty()) return malformed("DATA: an empty fragment");
    } else {
        out.total = in.left();
    }
    out.bytes = in.rest();
    return out;
}

void append_hello(Bytes& out, const Hello& hello) {
    Bytes body;
    append_varint(body, hello.features);
    append_varint(body, hello.max_message);
    append_varint(body, hello.lanes.size());
    for (const auto& lane : hello.lanes) {
        append_varint(body, lane.id);
        append_lane(body, lane);
    }
    append_frame(out, FrameType::hello, 0, body);
}

void append_add(Bytes& out, const HelloLane& lane) {
    Bytes body;
    append_lane(body, lane);
    append_frame(out, FrameType::add, lane.id, body);
}

Result<Hello> decode_hello(ByteView body) {
    Reader in(body);
    Hello out;
    std::uint64_t count = 0;
    if (!varint(in, out.features) || !varint(in, out.max_message) || !varint(in, count)) return malformed("HELLO ends too early");
    if (count > max_lanes_in_hello) return malformed("HELLO has more than 256 lanes");
    out.lanes.reserve(static_cast<std::size_t>(count));
    for (std::uint64_t i = 0; i < count; ++i) {
        HelloLane lane;
        std::uint64_t id = 0;
        if (!varint(in, id)) return malformed("HELLO: a lane ends too early");
        if (id > max_lane) return malformed("HELLO: a lane's number is above 65535");
        lane.id = static_cast<std::uint32_t>(id);
        if (auto ok = read_lane(in, lane); !ok) return ok.error();
        out.lanes.push_back(std::move(lane));
    }
    if (!in.empty()) return malformed("HELLO has bytes behind its lanes");
    return out;
}

Result<HelloLane> decode_add(std::uint32_t lane, ByteView body) {
    Reader in(body);
    HelloLane out;
    out.id = lane;
    if (auto ok = read_lane(in, out); !ok) return ok.error();
    if (!in.empty()) return malformed("ADD has bytes behind its lane");
    return out;
}

void append_resume(Bytes& out, const Resume& resume) {
    Bytes body;
    append_varint(body, resume.features);
    append_varint(body, resume.max_message);
    append_u64(body, resume.instance);
    append_varint(body, resume.lanes.size());
    for (const auto& lane : resume.lanes) {
        append_varint(body, lane.id);
        body.push_back(static_cast<std::uint8_t>(lane.state));
        append_varint(body, lane.have);
        append_varint(body, lane.done);
        append_varint(body, lane.processed);
        append_u64(body, lane.mid);
        append_varint(body, lane.partial);
        append_varint(body, lane.limit);
        body.push_back(lane.gap);
    }
    append_frame(out, FrameType::resume, 0, body);
}

Result<Resume> decode_resume(ByteView body) {
    Reader in(body);
    Resume out;
    std::uint64_t count = 0;
    if (!varint(in, out.features) || !varint(in, out.max_message) || !in.u64(out.instance) || !varint(in, count)) {
        return malformed("RESUME ends too early");
    }
    if (count > max_lanes_in_hello) return malformed("RESUME has more than 256 lanes");
    out.lanes.reserve(static_cast<std::size_t>(count));
    for (std::uint64_t i = 0; i < count; ++i) {
        ResumeLane lane;
        std::uint64_t id = 0;
        std::uint8_t state = 0;
        if (!varint(in, id) || !in.u8(state) || !varint(in, lane.have) || !varint(in, lane.done) || !varint(in, lane.processed) ||
            !in.u64(lane.mid) || !varint(in, lane.partial) || !varint(in, lane.limit) || !in.u8(lane.gap)) {
            return malformed("RESUME: a lane ends too early");
        }
        if (id > max_lane) return malformed("RESUME: a lane's number is above 65535");
        if (state > 3) return malformed("RESUME: no such state");
        if (lane.done > lane.have) return malformed("RESUME: a lane is done beyond what it has");
        lane.id = static_cast<std::uint32_t>(id);
        lane.state = static_cast<ResumeState>(state);
        out.lanes.push_back(lane);
    }
    if (!in.empty()) return malformed("RESUME has bytes behind its lanes");
    return out;
}

namespace {

void append_numbers(Bytes& out, FrameType type, std::uint32_t lane, std::uint64_t a, const std::uint64_t* b) {
    std::uint8_t body[20];
    auto n = put_varint(body, a);
    if (b != nullptr) n += put_varint(body + n, *b);
    append_frame(out, type, lane, {body, n});
}

}  // namespace

void append_ack(Bytes& out, std::uint32_t lane, std::uint64_t done, std::uint64_t processed) {
    append_numbers(out, FrameType::ack, lane, done, &processed);
}

void append_mark(Bytes& out, std::uint32_t lane, std::uint64_t next, std::uint64_t settled) {
    append_numbers(out, FrameType::mark, lane, next, &settled);
}

void append_busy(Bytes& out, std::uint32_t lane, std::uint64_t reason, std::uint64_t retry_ms) {
    append_numbers(out, FrameType::busy, lane, reason, &retry_ms);
}

void append_skip(Bytes& out, std::uint32_t lane, std::uint64_t from, std::uint64_t count, const std::uint64_t* mid) {
    Bytes body;
    append_varint(body, from);
    append_varint(body, count);
    if (mid != nullptr) append_u64(body, *mid);
    append_frame(out, FrameType::skip, lane, body);
}

void append_limit(Bytes& out, std::uint32_t lane, std::uint64_t bytes) { append_numbers(out, FrameType::limit, lane, bytes, nullptr); }

void append_close(Bytes& out, std::uint64_t code, std::string_view text) {
    Bytes body;
    append_varint(body, code);
    const auto shown = as_bytes(text.substr(0, 200));
    body.insert(body.end(), shown.begin(), shown.end());
    append_frame(out, FrameType::close, 0, body);
}

void append_datagram(Bytes& out, std::string_view channel, ByteView bytes) {
    std::uint8_t head[40];
    const auto name = varint_size(channel.size());
    auto n = put_frame_head(head, FrameType::datagram, 0, name + channel.size() + bytes.size());
    n += put_varint(head + n, channel.size());
    out.insert(out.end(), head, head + n);
    out.insert(out.end(), channel.begin(), channel.end());
    out.insert(out.end(), bytes.begin(), bytes.end());
}

Result<Numbers> decode_two(ByteView body) {
    Reader in(body);
    Numbers out;
    if (!varint(in, out.first) || !varint(in, out.second) || !in.empty()) return malformed("a frame of two numbers is malformed");
    return out;
}

Result<std::uint64_t> decode_one(ByteView body) {
    Reader in(body);
    std::uint64_t out = 0;
    if (!varint(in, out) || !in.empty()) return malformed("a frame of one number is malformed");
    return out;
}

Result<Skip> decode_skip(ByteView body) {
    Reader in(body);
    Skip out;
    if (!varint(in, out.from) || !varint(in, out.count)) return malformed("SKIP ends too early");
    if (!in.empty() && (!in.u64(out.mid) || !in.empty())) return malformed("SKIP has bytes behind its end");
    if (out.from == 0 || out.count == 0 || out.count > ~out.from) return malformed("SKIP: impossible numbers");
    return out;
}

Result<CloseFrame> decode_close(ByteView body) {
    Reader in(body);
    CloseFrame out;
    if (!varint(in, out.code)) return malformed("CLOSE ends too early");
    if (in.left() > 1024) return malformed("CLOSE: the text is longer than 1024 bytes");
    out.text.assign(as_text(in.rest()));
    return out;
}

Result<Datagram> decode_datagram(ByteView body) {
    Reader in(body);
    std::uint64_t size = 0;
    ByteView name;
    if (!varint(in, size) || size == 0 || size > max_channel_name || !in.take(static_cast<std::size_t>(size), name)) {
        return malformed("DGRAM: a channel name has 1 to 64 bytes");
    }
    return Datagram{as_text(name), in.rest()};
}

}  // namespace kith::wire
