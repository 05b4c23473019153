// SPDX-License-Identifier: Apache-2.0
// Two connections joined in memory.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>
#include <vector>

#include "connection/connection.hpp"
#include "crypto/ed25519.hpp"
#include "wire/keys.hpp"

namespace kith::connection {

using namespace std::chrono_literals;

inline crypto::Secret32 secret(std::uint8_t n) {
    std::array<std::uint8_t, 32> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(n * 37 + i * 11 + 1);
    return crypto::Secret32{std::span<const std::uint8_t, 32>{bytes}};
}

struct Who {
    explicit Who(std::uint8_t n) : key(secret(n)), identity(make_identity(key, secret(static_cast<std::uint8_t>(n + 100)))) {
        id = wire::peer_id_of(wire::encode_public_key(crypto::KeyType::ed25519, key.public_key()));
    }
    crypto::SigningKey key;
    NoiseIdentity identity;
    PeerId id;
};

// One end: a connection and a small application. Protocols that begin with "/no" are refused; what comes on an inbound stream is
// sent back when `echo`.
struct End {
    End(const Who& who, Role role, std::uint8_t ephemeral, bool early = true, std::optional<PeerId> expected = {}) {
        Config config;
        config.role = role;
        config.identity = &who.identity;
        config.early_muxer = early;
        config.expected = expected;
        connection = std::make_unique<Connection>(config, secret(ephemeral));
    }
    // All that can be written now.
    Bytes write() {
        Bytes out;
        Bytes room(4 * record_room);
        for (;;) {
            std::size_t n = 0;
            if (!connection->is_open() && !connection->failed()) n = connection->pull_setup(room);
            if (connection->take_established()) established = true;
            if (n == 0 && (connection->is_open() || connection->failed()) && connection->wants_pull()) {
                connection->begin_record(room);
                while (const auto grant = connection->next_grant()) {
                    auto& text = to_write[grant->stream.value];
                    const auto take = std::min(text.size(), grant->room.size());
                    std::copy_n(text.begin(), take, grant->room.begin());
                    text.erase(0, take);
                    const bool fin = text.empty() && finish[grant->stream.value];
                    connection->commit(*grant, take, fin, !text.empty());
                }
                const auto size = connection->end_record();
                if (size) n = *size;
            }
            if (n == 0) return out;
            out.insert(out.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(n));
        }
    }
    void read(ByteView bytes) {
        held.insert(held.end(), bytes.begin(), bytes.end());
        MutableBytes in{held};
        for (;;) {
            auto event = connection->next(in, now);
            if (connection->take_established()) established = true;
            if (event.kind == Event::Kind::need_more) break;
            if (event.kind == Event::Kind::failed) {
                error = event.error;
                held.clear();
                return;
            }
            on(event);
        }
        held.erase(held.begin(), held.end() - static_cast<std::ptrdiff_t>(in.size()));
    }
    void on(Event& event) {
        switch (event.kind) {
            case Event::Kind::proposal:
                proposals.emplace_back(event.protocol);
                if (event.protocol.starts_with("/no")) {
                    connection->reject(event.stream);
                } else {
                    connection->accept(event.stream, 7);
                }
                break;
            case Event::Kind::data: {
                auto& text = got[event.stream.value];
                text += as_text(event.data);
                connection->consumed(event.stream, event.data.size(), now);
                if (echo) say(event.stream, std::string{as_text(event.data)});
                break;
            }
            case Event::Kind::finished:
                finished.push_back(event.stream.value);
                if (echo) end(event.stream);
                break;
            case Event::Kind::refused:
                refused.push_back(event.stream.value);
                break;
            case Event::Kind::agreed:
                agreed.push_back(event.stream.value);
                break;
            case Event::Kind::reset:
                resets.push_back(event.stream.value);
                break;
            default:
                break;
        }
    }
    void say(StreamId stream, const std::string& text) {
        to_write[stream.value] += text;
        connection->want_write(stream);
    }
    void end(StreamId stream) {
        finish[stream.value] = true;
        connection->want_write(stream);
    }

    std::unique_ptr<Connection> connection;
    Instant now{1s, 1s};
    Bytes held;
    bool established = false;
    bool echo = false;
    std::optional<Error> error;
    std::vector<std::string> proposals;
    std::vector<std::uint32_t> finished, refused, agreed, resets;
    std::map<std::uint32_t, std::string> got, to_write;
    std::map<std::uint32_t, bool> finish;
};

// Moves bytes both ways in pieces until nothing moves.
inline void run(End& a, End& b, std::size_t piece = 1 << 20) {
    for (bool moved = true; moved;) {
        moved = false;
        for (auto [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
            const auto bytes = from->write();
            for (std::size_t i = 0; i < bytes.size(); i += piece) to->read(ByteView{bytes}.subspan(i, std::min(piece, bytes.size() - i)));
            moved = moved || !bytes.empty();
        }
    }
}

}  // namespace kith::connection
