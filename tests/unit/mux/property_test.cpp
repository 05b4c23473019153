// SPDX-License-Identifier: Apache-2.0
// Two sessions, random calls, random cuts of the bytes between them, random room for what they write; compared with a model.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "support.hpp"

namespace kith::mux::test {
namespace {

using namespace std::chrono_literals;

// Byte number `offset` of one direction of a stream.
std::uint8_t byte_at(std::uint32_t stream, bool by_client, std::uint64_t offset) {
    return static_cast<std::uint8_t>((offset * 131) ^ (offset >> 8) ^ stream ^ (by_client ? 0x80U : 0U));
}

// What one side knows of one stream, kept apart from the session under test.
struct Half {
    std::uint64_t wanted = 0;    // bytes the application means to send
    std::uint64_t sent = 0;      // bytes put into frames
    std::uint64_t received = 0;  // bytes of data events
    std::uint64_t consumed = 0;
    std::uint64_t window = mux::test::window;  // may be sent in total, from the window updates read
    bool finish = false;
    bool finished = false;       // FIN written
    bool peer_finished = false;  // FIN read
    bool gone = false;           // reset by either side
};

struct Side {
    Side(Session s, bool by_client) : session(std::move(s)), is_client(by_client) {}

    Session session;
    bool is_client;
    std::map<std::uint32_t, Half> streams;
    Bytes out;  // written, not yet on its way

    Bytes head;  // of the model's own reader
    std::uint64_t skip = 0;
    std::map<std::uint32_t, std::uint64_t> updates_read;
};

class Pair {
public:
    explicit Pair(std::uint32_t seed) : random_(seed) {
        Config config;
        config.max_inbound_streams = 8;
        config.max_outbound_streams = 8;
        config.max_unacked_opens = 6;
        config.max_early_opens = pick(1, 8);
        config.max_frame_payload = pick(1, 20'000);
        config.max_window = pick(0, 1) == 0 ? mux::test::window : 1024 * 1024;
        sides_.emplace_back(client(config), true);
        sides_.emplace_back(server(config), false);
    }

    void run(int steps) {
        for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) {
            now_ += std::chrono::microseconds{pick(0, 3000)};
            Side& side = sides_[pick(0, 1)];
            switch (pick(0, 9)) {
                case 0:
                    open(side);
                    break;
                case 1:
                    more_data(side);
                    break;
                case 2:
                    if (pick(0, 3) == 0) finish(side);
                    break;
                case 3:
                    if (pick(0, 9) == 0) reset(side);
                    break;
                case 4:
                    consume(side, pick(1, 100'000));
                    break;
                case 5:
                    side.session.ping(at(now_), pick(0, 0xFFFFFF));
                    break;
                case 6:
                case 7:
                    pull(side, pick(0, 40'000));
                    break;
                default:
                    deliver(side, pick(1, 50'000));
                    break;
            }
        }
        wind_down();
    }

private:
    std::uint32_t pick(std::uint32_t low, std::uint32_t high) { return std::uniform_int_distribution<std::uint32_t>{low, high}(random_); }
    Side& other(const Side& side) { return sides_[side.is_client ? 1 : 0]; }

    std::pair<const std::uint32_t, Half>* any(Side& side) {
        if (side.streams.empty()) return nullptr;
        auto it = side.streams.begin();
        std::advance(it, pick(0, static_cast<std::uint32_t>(side.streams.size()) - 1));
        return &*it;
    }

    void open(Side& side) {
        const auto id = side.session.open();
        if (!id) {
            ASSERT_TRUE(id.error() == Errc::limit_exceeded);
            ASSERT_TRUE(side.session.outbound_streams() == 8 || side.session.unacked_opens() == 6);
            return;
        }
        ASSERT_TRUE(side.streams.emplace(id->value, Half{}).second);
    }
    void more_data(Side& side) {
        auto* stream = any(side);
        if (stream == nullptr || stream->second.finish) return;
        stream->second.wanted += pick(1, 100'000);
        side.session.want_write(StreamId{stream->first});
        if (pick(0, 4) == 0) side.session.set_priority(StreamId{stream->first}, static_cast<std::uint8_t>(pick(0, 3)));
    }
    void finish(Side& side) {
        if (auto* stream = any(side)) finish(side, stream->first, stream->second);
    }
    static void finish(Side& side, std::uint32_t id, Half& half) {
        half.finish = true;
        side.session.want_write(StreamId{id}, half.sent == half.wanted);
    }
    void reset(Side& side) {
        auto* stream = any(side);
        if (stream == nullptr) return;
        side.session.reset(StreamId{stream->first}, pick(0, 5));
        ASSERT_FALSE(side.session.exists(StreamId{stream->first}));
        side.streams.erase(stream->first);
    }
    void consume(Side& side, std::uint64_t most) {
        auto* stream = any(side);
        if (stream == nullptr) return;
        Half& half = stream->second;
        const std::uint64_t n = std::min(most, half.received - half.consumed);
        half.consumed += n;
        side.session.consumed(StreamId{stream->first}, n, at(now_));
    }

    void pull(Side& side, std::size_t room) {
        Bytes record(room);
        std::size_t used = side.session.write_control(record);
        while (const auto grant = side.session.next_grant(room - used)) {
            const std::uint32_t id = grant->stream.value;
            ASSERT_TRUE(side.streams.contains(id));
            Half& half = side.streams[id];
            ASSERT_EQ(side.session.send_window(grant->stream), half.window - half.sent) << "stream " << id;
            ASSERT_LE(grant->max, half.window - half.sent);
            ASSERT_LE(grant->max + header_size, room - used);
            std::uint64_t n = std::min<std::uint64_t>(grant->max, half.wanted - half.sent);
            if (n > 1 && pick(0, 4) == 0) n = pick(1, static_cast<std::uint32_t>(n));
            for (std::uint64_t i = 0; i < n; ++i) record[used + header_size + i] = byte_at(id, side.is_client, half.sent + i);
            const bool all = half.sent + n == half.wanted;
            const bool fin = all && half.finish;
            const std::size_t written = side.session.commit(*grant, n, fin, !all, MutableBytes{record}.subspan(used));
            ASSERT_EQ(written, n == 0 && !fin ? 0 : header_size + n);
            used += written;
            half.sent += n;
            half.finished = half.finished || fin;
            if (fin && half.peer_finished) {
                ASSERT_FALSE(side.session.exists(grant->stream));
                side.streams.erase(id);
            }
            if (written == 0 && !all) break;
        }
        note_updates(side, ByteView{record}.first(used));
        side.out.insert(side.out.end(), record.begin(), record.begin() + static_cast<std::ptrdiff_t>(used));
    }

    // The model of the receiver's promise: what it announces is what it has taken, never more than the windows allow.
    void note_updates(Side& side, ByteView bytes) {
        while (!bytes.empty()) {
            ASSERT_GE(bytes.size(), header_size);
            const Header header = decode_header(bytes.data());
            bytes = bytes.subspan(header_size);
            if (header.type == 0) {
                ASSERT_LE(header.length, bytes.size());
                bytes = bytes.subspan(header.length);
            }
            if (header.type != 1 || header.has(flag::rst) || header.length == 0) continue;
            ASSERT_TRUE(side.streams.contains(header.stream)) << "a window update for a stream that is over";
            promised_[{side.is_client, header.stream}] += header.length;
            const Half& half = side.streams[header.stream];
            const std::uint64_t promised = mux::test::window + promised_[{side.is_client, header.stream}];
            ASSERT_LE(promised, half.consumed + side.session.receive_window(StreamId{header.stream}));
        }
    }

    void deliver(Side& to, std::size_t most) {
        Side& from = other(to);
        const std::size_t n = std::min(most, from.out.size());
        Bytes input(from.out.begin(), from.out.begin() + static_cast<std::ptrdiff_t>(n));
        from.out.erase(from.out.begin(), from.out.begin() + static_cast<std::ptrdiff_t>(n));
        for (ByteView rest = input;;) {
            const Event event = to.session.next(rest, at(now_));
            if (event.kind == Event::Kind::need_more) {
                ASSERT_TRUE(rest.empty());
                break;
            }
            on_event(to, event);
            if (testing::Test::HasFatalFailure()) return;
        }
        parse(to, input);
        for (auto& [id, half] : to.streams) {
            half.window = mux::test::window + to.updates_read[id];
            const std::uint64_t promised = mux::test::window + promised_[{!to.is_client, id}];
            ASSERT_LE(half.window, promised);
            ASSERT_EQ(to.session.send_window(StreamId{id}), half.window - half.sent) << "stream " << id;
        }
    }

    // A second, plain reader of the same bytes: sums the window updates.
    static void parse(Side& to, const Bytes& input) {
        for (const std::uint8_t byte : input) {
            if (to.skip != 0) {
                --to.skip;
                continue;
            }
            to.head.push_back(byte);
            if (to.head.size() < header_size) continue;
            const Header header = decode_header(to.head.data());
            to.head.clear();
            if (header.type == 0) to.skip = header.length;
            if (header.type == 1 && !header.has(flag::rst)) to.updates_read[header.stream] += header.length;
        }
    }

    void on_event(Side& side, const Event& event) {
        const std::uint32_t id = event.stream.value;
        switch (event.kind) {
            case Event::Kind::opened:
                ASSERT_TRUE(side.streams.emplace(id, Half{}).second);
                break;
            case Event::Kind::data: {
                ASSERT_TRUE(side.streams.contains(id));
                Half& half = side.streams[id];
                ASSERT_FALSE(half.peer_finished);
                for (const std::uint8_t byte : event.data) ASSERT_EQ(byte, byte_at(id, !side.is_client, half.received++));
                break;
            }
            case Event::Kind::finished: {
                Half& half = side.streams.at(id);
                half.peer_finished = true;
                const auto& peer = other(side).streams;
                if (const auto it = peer.find(id); it != peer.end()) {
                    ASSERT_EQ(half.received, it->second.sent);
                }
                ASSERT_EQ(side.session.exists(event.stream), !half.finished);
                if (half.finished) side.streams.erase(id);
                break;
            }
            case Event::Kind::reset:
                ASSERT_EQ(side.streams.erase(id), 1U);
                ASSERT_FALSE(side.session.exists(event.stream));
                break;
            case Event::Kind::writable:
            case Event::Kind::acked:
                ASSERT_TRUE(side.session.exists(event.stream));
                break;
            case Event::Kind::pong:
                ASSERT_EQ(side.session.ping_in_flight(), false);
                break;
            case Event::Kind::need_more:
            case Event::Kind::go_away:
            case Event::Kind::failed:
                FAIL() << show(event);
        }
    }

    // Everything that is open is finished, everything sent is delivered and taken: nothing may be left.
    void wind_down() {
        for (int round = 0; round < 2000 && !testing::Test::HasFatalFailure(); ++round) {
            bool busy = false;
            for (Side& side : sides_) {
                for (auto& [id, half] : side.streams) {
                    if (!half.finish) finish(side, id, half);
                    side.session.consumed(StreamId{id}, half.received - half.consumed, at(now_));
                    half.consumed = half.received;
                }
                pull(side, 64 * 1024);
                deliver(other(side), 1'000'000);
            }
            for (const Side& side : sides_) busy = busy || side.session.wants_pull() || !side.out.empty() || !side.streams.empty();
            now_ += 1ms;
            if (!busy) break;
        }
        for (Side& side : sides_) {
            ASSERT_FALSE(side.session.failed());
            ASSERT_EQ(side.session.streams(), 0U);
            ASSERT_EQ(side.streams.size(), 0U);
            ASSERT_EQ(side.session.inbound_streams(), 0U);
            ASSERT_EQ(side.session.unacked_opens(), 0U);
            ASSERT_EQ(side.session.total_window(), 0U);
            ASSERT_FALSE(side.session.ping_in_flight());
            ASSERT_LT(side.session.memory(), 8 * 1024U);
        }
    }

    std::mt19937 random_;
    Duration now_{1s};
    std::vector<Side> sides_;
    std::map<std::pair<bool, std::uint32_t>, std::uint64_t> promised_;  // by whom, stream: sum of announced deltas
};

TEST(Property, TwoSessionsAgreeUnder500Seeds) {
    for (std::uint32_t seed = 0; seed < 500; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Pair{seed}.run(400);
        if (HasFatalFailure()) return;
    }
}

}  // namespace
}  // namespace kith::mux::test
