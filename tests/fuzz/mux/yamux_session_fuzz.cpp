// SPDX-License-Identifier: Apache-2.0
// One yamux session against a peer that sends frames of the fuzzer's choice, well-formed ones and garbage, in pieces of any size,
// while the application opens, writes, takes, resets and pulls.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <utility>
#include <vector>

#include "mux/session.hpp"

namespace {

using namespace kith;
using mux::Event;

void require(bool condition) {
    if (!condition) std::abort();
}

class Bits {
public:
    explicit Bits(ByteView bytes) : rest_(bytes) {}
    bool empty() const { return rest_.empty(); }
    std::uint8_t u8() {
        if (rest_.empty()) return 0;
        const std::uint8_t value = rest_.front();
        rest_ = rest_.subspan(1);
        return value;
    }
    std::uint32_t u32() {
        std::uint32_t value = 0;
        for (int i = 0; i < 4; ++i) value = value << 8 | u8();
        return value;
    }

private:
    ByteView rest_;
};

mux::Config small_limits() {
    mux::Config config;
    config.max_inbound_streams = 6;
    config.max_outbound_streams = 6;
    config.max_unacked_opens = 4;
    config.max_queued_control = 8;
    config.max_pending_pongs = 4;
    config.max_window = 1024 * 1024;
    config.max_total_window = 4 * 1024 * 1024;
    return config;
}

struct Fuzz {
    explicit Fuzz(Bits input) : bits(input) {
        while (!bits.empty()) {
            step();
            check();
        }
    }

    void step() {
        const std::uint8_t op = bits.u8();
        const StreamId id{bits.u8() % 16U};
        now.steady += std::chrono::milliseconds{op};
        switch (op % 12) {
            case 0: {
                const auto opened = session.open();
                if (opened) require(state.emplace(*opened, State{}).second);
                break;
            }
            case 1:
                session.want_write(id, (bits.u8() & 1U) != 0);
                break;
            case 2:
                consume(id);
                break;
            case 3:
                session.reset(id, bits.u8());
                require(!session.exists(id));
                if (session.failed()) {
                    state.clear();
                } else {
                    state.erase(id);
                }
                break;
            case 4:
                session.ping(now, bits.u8());
                break;
            case 5:
                session.set_priority(id, bits.u8());
                break;
            case 6:
                pull(bits.u8() * 64U);
                break;
            case 7:
                if (bits.u8() == 0xAA) session.go_away(op);
                break;
            case 8:
                garbage();
                break;
            default:
                frame(id);
                break;
        }
    }

    void consume(StreamId id) {
        const auto it = state.find(id);
        const std::uint64_t most = it == state.end() ? 10 : it->second.unread;
        const std::uint64_t n = most * bits.u8() / 255;
        session.consumed(id, n, now);
        if (it != state.end()) it->second.unread -= n;
    }

    void garbage() {
        Bytes input(bits.u8());
        for (std::uint8_t& byte : input) byte = bits.u8();
        receive(input);
    }

    void frame(StreamId id) {
        const std::uint8_t shape = bits.u8();
        const auto flags = static_cast<std::uint16_t>(bits.u8() & 0xFU);
        std::uint32_t length = bits.u8();
        if ((shape & 0xC0U) == 0x40U) length *= 2048;
        if ((shape & 0xC0U) == 0x80U) length = bits.u32();
        mux::Header header = mux::make_header(mux::FrameType::data, flags, id, length);
        header.type = shape % 8 < 4 ? shape % 4 : (shape & 1U);
        Bytes input(mux::header_size);
        mux::encode_header(header, input.data());
        // A payload longer than this is left hanging: what comes next is its continuation.
        if (header.type == 0) input.resize(mux::header_size + std::min<std::uint32_t>(length, 512 * 1024), shape);
        receive(input);
    }

    void receive(ByteView input) {
        const std::size_t cut = bits.u8();
        while (!input.empty()) {
            ByteView piece = input.first(cut == 0 ? input.size() : std::min(cut * 257, input.size()));
            input = input.subspan(piece.size());
            for (;;) {
                const ByteView before = piece;
                const Event event = session.next(piece, now);
                require(piece.size() <= before.size());
                if (event.kind == Event::Kind::need_more) break;
                on_event(event, before);
            }
            require(piece.empty());
        }
    }

    void on_event(const Event& event, ByteView before) {
        require(!dead);
        const auto it = state.find(event.stream);
        switch (event.kind) {
            case Event::Kind::opened:
                require(it == state.end() && state.emplace(event.stream, State{}).second);
                break;
            case Event::Kind::data:
                require(it != state.end() && !it->second.peer_finished && !event.data.empty());
                require(event.data.data() >= before.data() && event.data.data() + event.data.size() <= before.data() + before.size());
                it->second.unread += event.data.size();
                require(it->second.unread <= session.receive_window(event.stream));
                break;
            case Event::Kind::finished:
                require(it != state.end() && !std::exchange(it->second.peer_finished, true));
                require(session.exists(event.stream) == !it->second.we_finished);
                if (it->second.we_finished) state.erase(it);
                break;
            case Event::Kind::reset:
                require(state.erase(event.stream) == 1);
                break;
            case Event::Kind::writable:
            case Event::Kind::acked:
                require(it != state.end());
                break;
            case Event::Kind::failed:
                dead = true;
                state.clear();
                require(event.error == Errc::protocol_error && !event.error.what.empty());
                break;
            case Event::Kind::pong:
            case Event::Kind::go_away:
            case Event::Kind::need_more:
                break;
        }
    }

    void pull(std::size_t room) {
        Bytes record(room);
        std::size_t used = session.write_control(record);
        require(used <= room && used % mux::header_size == 0);
        while (const auto grant = session.next_grant(room - used)) {
            const auto it = state.find(grant->stream);
            require(it != state.end() && !it->second.we_finished);
            require(grant->max <= session.send_window(grant->stream) && grant->max + mux::header_size <= room - used);
            const std::uint8_t how = bits.u8();
            const std::size_t n = grant->max * (how >> 4U) / 15;
            const bool fin = (how & 1U) != 0;
            const std::size_t written = session.commit(*grant, n, fin, (how & 2U) != 0, MutableBytes{record}.subspan(used));
            require(written == (n == 0 && !fin ? 0 : mux::header_size + n));
            used += written;
            if (fin) {
                it->second.we_finished = true;
                require(session.exists(grant->stream) == !it->second.peer_finished);
                if (it->second.peer_finished) state.erase(it);
            }
            if (written == 0) break;
        }
        require(used <= room);
    }

    void check() const {
        require(session.streams() == state.size());
        require(session.inbound_streams() <= 6 && session.outbound_streams() <= 6 && session.unacked_opens() <= 4);
        require(session.memory() < 8 * 1024);
        std::uint64_t windows = 0;
        for (const auto& [id, stream] : state) {
            require(session.exists(id));
            windows += session.receive_window(id);
        }
        require(windows == session.total_window());
    }

    struct State {
        std::uint64_t unread = 0;
        bool peer_finished = false;
        bool we_finished = false;
    };

    Bits bits;
    mux::Session session{mux::Role::server, small_limits()};
    Instant now{};
    std::map<StreamId, State> state;
    bool dead = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 4096) return 0;
    Fuzz{Bits{ByteView{data, size}}};
    return 0;
}
