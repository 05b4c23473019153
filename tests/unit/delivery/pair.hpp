// SPDX-License-Identifier: Apache-2.0
// A sender and a receiver with nothing between them but byte queues; and hand-made frames for either.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "delivery/receiver.hpp"
#include "delivery/sender.hpp"

namespace kith::delivery {

using namespace std::chrono_literals;

struct Got {
    std::string text;
    std::uint64_t seq = 0;
    std::uint32_t row = 0;
    std::uint32_t generation = 0;
    bool repeat = false;
};

inline Instant at(Duration d) { return Instant{d, d}; }

// The receiving side with its application, which consumes when told.
struct Sink {
    explicit Sink(ReceiverConfig config = {}) : receiver(config, journal, PeerId{}) {}

    Status feed(StreamRef stream, ByteView bytes, Instant now) {
        const auto ok = receiver.received(stream, bytes, now, packer, batch);
        for (const auto& m : batch.messages) {
            got.push_back({std::string{as_text(m.bytes)}, m.seq, m.row, m.generation, m.repeat});
            channels.emplace_back(detail::origin_channel(*m.origin));
        }
        batch.clear();
        packer.end_batch();
        return ok;
    }
    // The frames that it answers with.
    struct Answer {
        std::uint8_t type = 0;
        std::uint32_t lane = 0;
        Bytes body;
    };
    std::vector<Answer> answer(Instant now) {
        Bytes out(64 * 1024);
        const auto filled = receiver.fill(out, now);
        ByteView in = ByteView{out}.first(filled.bytes);
        std::vector<Answer> answers;
        wire::FrameReader reader;
        wire::Frame frame;
        while (reader.next(in, frame) == wire::FrameReader::State::frame) {
            answers.push_back({frame.type, frame.lane, Bytes(frame.body.begin(), frame.body.end())});
        }
        return answers;
    }
    void consume_all(Instant now) {
        for (const auto& m : got) {
            if (m.seq != 0) receiver.consumed(m.row, m.generation, m.seq, now);
        }
    }

    Journal journal;
    Packer packer;
    Batch batch;
    Receiver receiver;
    std::vector<Got> got;
    std::vector<std::string> channels;
};

struct Pair {
    explicit Pair(SenderConfig sc = {}, ReceiverConfig rc = {})
        : sender(sc, journal), sink((rc.instance = rc.instance == 0 ? 77 : rc.instance, rc)) {}

    LaneIndex lane(std::string_view channel = "chat", Priority priority = Priority::normal) {
        return *sender.lane(channel, Strength::reliable, priority, 1000 + static_cast<std::uint64_t>(priority));
    }
    void send(LaneIndex l, std::string_view text, std::uint64_t token = 0) {
        sender.enqueue(l, {.bytes = as_bytes(text), .token = token}, now);
    }
    void attach() {
        stream = StreamRef{LinkId{1}, StreamId{++streams}};
        sender.attach();
        ASSERT_TRUE(sink.receiver.opened(stream, "LAN"));
    }
    void cut() {
        sender.detach();
        sink.receiver.closed(stream);
    }
    Bytes pull(std::size_t room = 16 * 1024) {
        Bytes out(room);
        const auto filled = sender.fill(out, now);
        out.resize(filled.bytes);
        return out;
    }
    // One exchange in both directions with records of `room` bytes, cut into pieces of `piece`. True when anything moved.
    bool exchange(std::size_t room = 16 * 1024, std::size_t piece = 1 << 20) {
        bool moved = false;
        for (;;) {
            const auto bytes = pull(room);
            if (bytes.empty()) break;
            moved = true;
            for (std::size_t i = 0; i < bytes.size(); i += piece) {
                const auto n = std::min(piece, bytes.size() - i);
                const auto ok = sink.feed(stream, ByteView{bytes}.subspan(i, n), now);
                EXPECT_TRUE(ok) << ok.error();
                if (!ok) return false;
            }
        }
        if (consume) sink.consume_all(now);
        Bytes out(room);
        while (sink.receiver.wants_fill(now)) {
            const auto filled = sink.receiver.fill(out, now);
            if (filled.bytes == 0) break;
            moved = true;
            for (std::size_t i = 0; i < filled.bytes; i += piece) {
                const auto n = std::min(piece, filled.bytes - i);
                const auto ok = sender.received(ByteView{out}.subspan(i, n), now);
                EXPECT_TRUE(ok) << ok.error();
                if (!ok) return false;
            }
        }
        return moved;
    }
    void run(std::size_t room = 16 * 1024, std::size_t piece = 1 << 20) {
        for (int idle = 0; idle < 3;) {
            idle = exchange(room, piece) ? 0 : idle + 1;
            now = now + 5ms;
        }
    }
    std::uint64_t released() {
        std::uint64_t sum = 0;
        for (const auto& r : sender.released()) sum += r.messages;
        return sum;
    }

    Journal journal;
    Sender sender;
    Sink sink;
    StreamRef stream{};
    std::uint32_t streams = 0;
    Instant now = at(1s);
    bool consume = true;
};

// ---- frames by hand
inline Bytes hello(std::vector<wire::HelloLane> lanes) {
    Bytes out;
    wire::Hello h;
    h.max_message = 1 << 20;
    h.lanes = std::move(lanes);
    wire::append_hello(out, h);
    return out;
}
inline wire::HelloLane described(std::uint32_t id, std::string channel, std::uint64_t epoch = 5, std::uint64_t first = 1) {
    return {.id = id,
            .channel = std::move(channel),
            .strength = 1,
            .priority = 1,
            .epoch = epoch,
            .first = first,
            .settled = first - 1,
            .next = first};
}
inline Bytes data(std::uint32_t lane, std::uint64_t seq, std::string_view text, std::uint8_t flags = 0) {
    Bytes body{flags};
    wire::append_varint(body, seq);
    body.insert(body.end(), text.begin(), text.end());
    Bytes out(20);
    out.resize(wire::put_frame_head(out.data(), wire::FrameType::data, lane, body.size()));
    out.insert(out.end(), body.begin(), body.end());
    return out;
}
inline Bytes fragment(std::uint32_t lane, std::uint64_t seq, std::uint64_t total, std::uint64_t offset, std::string_view text) {
    Bytes body{wire::data_flag::fragment};
    wire::append_varint(body, seq);
    wire::append_varint(body, total);
    wire::append_varint(body, offset);
    body.insert(body.end(), text.begin(), text.end());
    Bytes out(20);
    out.resize(wire::put_frame_head(out.data(), wire::FrameType::data, lane, body.size()));
    out.insert(out.end(), body.begin(), body.end());
    return out;
}
inline Bytes resume(std::vector<wire::ResumeLane> lanes, std::uint64_t instance = 77) {
    Bytes out;
    wire::append_resume(out, {0, 1 << 20, instance, std::move(lanes)});
    return out;
}
inline Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

}  // namespace kith::delivery
