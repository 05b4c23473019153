// SPDX-License-Identifier: Apache-2.0
// Frames by hand, and what a session says about them as text that a test can compare.
#pragma once

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "kith/bytes.hpp"
#include "mux/session.hpp"

namespace kith::mux::test {

inline constexpr std::uint32_t window = 256 * 1024;

inline Instant at(Duration d) { return {d, d}; }

inline Bytes frame(FrameType type, std::uint16_t flags, std::uint32_t stream, std::uint32_t length) {
    Bytes out(header_size);
    encode_header(make_header(type, flags, StreamId{stream}, length), out.data());
    return out;
}
inline Bytes data(std::uint32_t stream, std::string_view payload, std::uint16_t flags = 0) {
    Bytes out = frame(FrameType::data, flags, stream, static_cast<std::uint32_t>(payload.size()));
    out.insert(out.end(), payload.begin(), payload.end());
    return out;
}
inline Bytes update(std::uint32_t stream, std::uint32_t delta, std::uint16_t flags = 0) {
    return frame(FrameType::window_update, flags, stream, delta);
}
inline Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

// "opened 1", "data 1 abc", "reset 1 code 7", "failed: yamux: ..."
inline std::string show(const Event& event) {
    const std::string id = std::to_string(event.stream.value);
    switch (event.kind) {
        case Event::Kind::need_more:
            return "need_more";
        case Event::Kind::opened:
            return "opened " + id;
        case Event::Kind::data:
            return "data " + id + " " + (event.data.size() > 40 ? std::to_string(event.data.size()) : std::string{as_text(event.data)});
        case Event::Kind::finished:
            return "finished " + id;
        case Event::Kind::reset:
            return "reset " + id + " code " + std::to_string(event.code);
        case Event::Kind::writable:
            return "writable " + id;
        case Event::Kind::acked:
            return "acked " + id;
        case Event::Kind::pong:
            return "pong " + std::to_string(event.rtt.count());
        case Event::Kind::go_away:
            return "go_away " + std::to_string(event.code);
        case Event::Kind::failed:
            return "failed: " + std::string{event.error.what};
    }
    return "?";
}

using Lines = std::vector<std::string>;

inline Lines read(Session& session, ByteView input, Instant now = {}) {
    Lines out;
    for (;;) {
        const Event event = session.next(input, now);
        if (event.kind == Event::Kind::need_more) {
            if (!input.empty()) out.emplace_back("input left");
            return out;
        }
        out.push_back(show(event));
    }
}

// "syn|ack update 1 +5", "data 1 3 fin", "ping syn 7"
inline std::string show(const Header& header) {
    std::string flags;
    const auto add = [&](std::uint16_t bit, std::string_view name) {
        if (header.has(bit)) flags.append(" ").append(name);
    };
    add(flag::syn, "syn");
    add(flag::ack, "ack");
    add(flag::fin, "fin");
    add(flag::rst, "rst");
    const std::string id = std::to_string(header.stream);
    const std::string length = std::to_string(header.length);
    switch (header.type) {
        case 0:
            return "data " + id + " " + length + flags;
        case 1:
            return "update " + id + " +" + length + flags;
        case 2:
            return "ping " + length + flags;
        case 3:
            return "go_away " + length;
        default:
            return "type " + std::to_string(header.type);
    }
}

inline Lines frames(ByteView bytes) {
    Lines out;
    while (bytes.size() >= header_size) {
        const Header header = decode_header(bytes.data());
        out.push_back(show(header));
        bytes = bytes.subspan(header_size);
        if (header.type == 0) bytes = bytes.subspan(std::min<std::size_t>(bytes.size(), header.length));
    }
    if (!bytes.empty()) out.emplace_back("bytes left");
    return out;
}

inline Bytes control(Session& session, std::size_t room = 64 * 1024) {
    Bytes out(room);
    out.resize(session.write_control(out));
    return out;
}

// One frame of one stream that is alone in the rotation; empty when the session grants nothing.
inline Bytes send(Session& session, StreamId stream, std::string_view payload, bool fin = false) {
    session.want_write(stream, payload.empty() && fin);
    const auto grant = session.next_grant(64 * 1024);
    if (!grant || grant->stream != stream) return {};
    const std::size_t n = std::min<std::size_t>(grant->max, payload.size());
    Bytes out(header_size + n);
    if (n != 0) std::memcpy(out.data() + header_size, payload.data(), n);
    out.resize(session.commit(*grant, n, fin && n == payload.size(), n < payload.size(), out));
    return out;
}

inline Session client(const Config& config = {}) { return Session{Role::client, config}; }
inline Session server(const Config& config = {}) { return Session{Role::server, config}; }

// Everything each side has to say in control frames reaches the other; events of `b` and `a` are dropped.
inline void settle(Session& a, Session& b, Instant now = {}) {
    while (a.wants_pull() || b.wants_pull()) {
        const Bytes to_b = control(a);
        const Bytes to_a = control(b);
        if (to_a.empty() && to_b.empty()) return;
        read(b, to_b, now);
        read(a, to_a, now);
    }
}

}  // namespace kith::mux::test
