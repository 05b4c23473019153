// SPDX-License-Identifier: Apache-2.0
// Two yamux sessions that talk to each other under a schedule of the fuzzer's choice. Without mutation neither may ever fail, bytes
// arrive in order, and after both finish every stream nothing is left. With mutation (one input in four) a byte on the way is
// changed: then anything may fail, but nothing may crash, hang or grow.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>

#include "mux/session.hpp"

namespace {

using namespace kith;
using mux::Event;

void require(bool condition) {
    if (!condition) std::abort();
}

struct Stream {
    std::uint32_t wanted = 0;
    std::uint32_t sent = 0;
    std::uint32_t received = 0;
    std::uint32_t unread = 0;
    bool finish = false;
};

struct Side {
    explicit Side(mux::Role role, const mux::Config& config) : session(role, config) {}

    mux::Session session;
    std::map<StreamId, Stream> streams;
    Bytes out;
};

class Fuzz {
public:
    explicit Fuzz(ByteView input) : rest_(input) {}

    void run() {
        mutate_ = u8() % 4 == 0;
        for (int steps = 0; !rest_.empty() && steps < 500; ++steps) step();
        mutate_now_ = false;
        wind_down();
    }

private:
    std::uint8_t u8() {
        if (rest_.empty()) return 0;
        const std::uint8_t value = rest_.front();
        rest_ = rest_.subspan(1);
        return value;
    }

    static mux::Config config() {
        mux::Config config;
        config.max_inbound_streams = config.max_outbound_streams = 5;
        config.max_unacked_opens = 4;
        config.max_early_opens = 2;
        config.max_frame_payload = 1000;
        config.initial_window = 8 * 1024;  // on both sides: windows run out early and inputs stay fast
        return config;
    }

    void step() {
        const std::uint8_t op = u8();
        Side& side = sides_[op & 1U];
        const std::uint8_t value = u8();
        now_.steady += std::chrono::milliseconds{value};
        auto it = side.streams.begin();
        if (!side.streams.empty()) std::advance(it, value % side.streams.size());
        const bool some = it != side.streams.end();
        switch ((op >> 1U) % 9) {
            case 0:
                if (const auto id = side.session.open()) require(side.streams.emplace(*id, Stream{}).second);
                break;
            case 1:
                if (!some || it->second.finish) break;
                it->second.wanted += 1U + value * 40U;
                side.session.want_write(it->first);
                break;
            case 2:
                if (some) finish(side, it->first, it->second);
                break;
            case 3:
                if (!some || value < 200) break;
                side.session.reset(it->first, value);
                side.streams.erase(it);
                break;
            case 4:
                if (some) take(side, it->first, it->second);
                break;
            case 5:
                side.session.ping(now_, value);
                break;
            case 6:
                pull(side, value * 20U);
                break;
            case 7:
                side.session.set_priority(some ? it->first : StreamId{}, value);
                break;
            default:
                mutate_now_ = mutate_ && value > 250;
                deliver(side, value * 50U);
                mutate_now_ = false;
                break;
        }
        if (side.session.failed()) side.streams.clear();
        require(side.session.memory() < 16 * 1024);
    }

    static void finish(Side& side, StreamId id, Stream& stream) {
        stream.finish = true;
        side.session.want_write(id, stream.sent == stream.wanted);
    }
    void take(Side& side, StreamId id, Stream& stream) {
        side.session.consumed(id, stream.unread, now_);
        stream.unread = 0;
    }

    void pull(Side& side, std::size_t room) {
        Bytes record(room);
        std::size_t used = side.session.write_control(record);
        while (const auto grant = side.session.next_grant(room - used)) {
            const auto it = side.streams.find(grant->stream);
            require(it != side.streams.end());
            Stream& stream = it->second;
            const std::uint32_t n = std::min(grant->max, stream.wanted - stream.sent);
            for (std::uint32_t i = 0; i < n; ++i) record[used + mux::header_size + i] = static_cast<std::uint8_t>((stream.sent + i) * 7);
            stream.sent += n;
            const bool more = stream.sent != stream.wanted;
            const std::size_t written = side.session.commit(*grant, n, !more && stream.finish, more, MutableBytes{record}.subspan(used));
            require(written == (n == 0 && !stream.finish ? 0 : mux::header_size + n));
            if (!side.session.exists(grant->stream)) side.streams.erase(it);
            used += written;
        }
        side.out.insert(side.out.end(), record.begin(), record.begin() + static_cast<std::ptrdiff_t>(used));
    }

    void deliver(Side& from, std::size_t most) {
        Side& to = &from == &sides_[0] ? sides_[1] : sides_[0];
        const auto n = static_cast<std::ptrdiff_t>(std::min(most, from.out.size()));
        Bytes input(from.out.begin(), from.out.begin() + n);
        from.out.erase(from.out.begin(), from.out.begin() + n);
        if (mutate_now_ && !input.empty()) {
            input[u8() % input.size()] ^= u8();
            mutated_ = true;
        }
        ByteView view = input;
        for (Event event = to.session.next(view, now_); event.kind != Event::Kind::need_more; event = to.session.next(view, now_)) {
            on_event(to, event);
        }
        require(view.empty());
    }

    void on_event(Side& side, const Event& event) {
        if (event.kind == Event::Kind::failed || event.kind == Event::Kind::go_away) require(mutated_);
        if (event.kind == Event::Kind::failed) side.streams.clear();
        if (event.kind == Event::Kind::opened) require(side.streams.emplace(event.stream, Stream{}).second);
        if (event.kind == Event::Kind::reset) require(side.streams.erase(event.stream) == 1);
        if (event.kind == Event::Kind::finished && !side.session.exists(event.stream)) require(side.streams.erase(event.stream) == 1);
        if (event.kind != Event::Kind::data) return;
        Stream& stream = side.streams.at(event.stream);
        for (const std::uint8_t byte : event.data) require(mutated_ || byte == static_cast<std::uint8_t>(stream.received++ * 7));
        stream.unread += static_cast<std::uint32_t>(event.data.size());
    }

    void wind_down() {
        if (mutated_) return;
        for (int round = 0; round < 1000; ++round) {
            bool busy = false;
            for (Side& side : sides_) {
                for (auto& [id, stream] : side.streams) {
                    if (!stream.finish) finish(side, id, stream);
                    take(side, id, stream);
                }
                pull(side, 4000);
                deliver(side, 1'000'000);
            }
            for (const Side& side : sides_) busy = busy || side.session.wants_pull() || !side.streams.empty() || !side.out.empty();
            if (!busy) break;
        }
        for (const Side& side : sides_) {
            require(!side.session.failed() && side.session.streams() == 0 && side.streams.empty() && side.session.total_window() == 0);
            require(side.session.unacked_opens() == 0 && !side.session.ping_in_flight());
        }
    }

    ByteView rest_;
    Instant now_{};
    bool mutate_ = false;
    bool mutate_now_ = false;
    bool mutated_ = false;
    std::array<Side, 2> sides_{Side{mux::Role::client, config()}, Side{mux::Role::server, config()}};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 4096) return 0;
    Fuzz{ByteView{data, size}}.run();
    return 0;
}
