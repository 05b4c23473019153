// SPDX-License-Identifier: Apache-2.0
// One connection against a peer that holds the keys and says anything: the plaintext of its records is the input. And, by the
// first byte, one that says anything instead of the handshake.
#include <array>
#include <cstdint>
#include <cstdlib>

#include "connection/connection.hpp"
#include "crypto/ed25519.hpp"

namespace {

using namespace kith;
using namespace kith::connection;

void require(bool ok) {
    if (!ok) std::abort();
}

crypto::Secret32 secret(std::uint8_t n) {
    std::array<std::uint8_t, 32> bytes{};
    bytes.fill(n);
    return crypto::Secret32{std::span<const std::uint8_t, 32>{bytes}};
}

struct Keys {
    Keys() : key(secret(1)), identity(make_identity(key, secret(2))) {}
    crypto::SigningKey key;
    NoiseIdentity identity;
};

const Keys& keys() {
    static const Keys made;
    return made;
}

// All that the connection has to write, with streams that echo nothing.
void write(Connection& c) {
    Bytes room(record_room);
    for (int i = 0; i < 64; ++i) {
        std::size_t n = 0;
        if (!c.is_open() && !c.failed()) n = c.pull_setup(room);
        if (n == 0 && (c.is_open() || c.failed()) && c.wants_pull()) {
            c.begin_record(room);
            while (const auto grant = c.next_grant()) c.commit(*grant, 0, false, false);
            const auto size = c.end_record();
            n = size ? *size : 0;
        }
        require(n <= room.size());
        if (n == 0) return;
    }
}

void read(Connection& c, Bytes& held) {
    MutableBytes in{held};
    const Instant now{std::chrono::seconds{1}, {}};
    for (;;) {
        const auto event = c.next(in, now);
        if (event.kind == Event::Kind::need_more) break;
        if (event.kind == Event::Kind::failed) {
            held.clear();
            return;
        }
        if (event.kind == Event::Kind::proposal) {
            if (event.protocol.size() % 2 == 0) {
                c.accept(event.stream, 3);
            } else {
                c.reject(event.stream);
            }
        }
        if (event.kind == Event::Kind::data) c.consumed(event.stream, event.data.size(), now);
    }
    held.erase(held.begin(), held.end() - static_cast<std::ptrdiff_t>(in.size()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size < 2 || size > 16'000) return 0;
    Config config;
    config.role = (bytes[0] & 1) != 0 ? Role::initiator : Role::responder;
    config.identity = &keys().identity;
    config.early_muxer = (bytes[0] & 2) != 0;
    config.mux.max_inbound_streams = 16;
    Connection c(config, secret(3));
    Bytes held(bytes + 1, bytes + size);
    if ((bytes[0] & 4) == 0) {
        write(c);
        read(c, held);
        write(c);
        require(!c.is_open());
        require(c.memory() < 100'000);
        return 0;
    }
    // The peer: an honest handshake, then records of its own making (a yamux frame of stream 0.. is what the input says).
    Config other = config;
    other.role = config.role == Role::initiator ? Role::responder : Role::initiator;
    Connection peer(other, secret(4));
    Bytes to_peer, to_us;
    Bytes room(record_room);
    const auto setup = [&](Connection& from, Bytes& to) {
        for (;;) {
            const auto n = from.is_open() ? 0 : from.pull_setup(room);
            if (n == 0) return;
            to.insert(to.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(n));
        }
    };
    for (int i = 0; i < 6 && !(c.is_open() && peer.is_open()); ++i) {
        setup(c, to_peer);
        read(peer, to_peer);
        setup(peer, to_us);
        read(c, to_us);
    }
    if (!c.is_open() || !peer.is_open()) return 0;
    // Streams of the peer carry the input: the negotiation of each is attacked.
    ByteView in{held};
    const auto stream = peer.open("/a/1.0.0", true, 1);
    if (!stream) return 0;
    peer.want_write(*stream);
    while (!in.empty() && peer.wants_pull()) {
        peer.begin_record(room);
        while (const auto grant = peer.next_grant()) {
            const auto n = std::min({grant->room.size(), in.size(), static_cast<std::size_t>(1 + in.size() / 2)});
            std::copy_n(in.begin(), n, grant->room.begin());
            in = in.subspan(n);
            peer.commit(*grant, n, false, !in.empty());
            if (in.empty()) break;
        }
        const auto sealed = peer.end_record();
        if (!sealed || *sealed == 0) break;
        if (!in.empty() && in[0] == 0x55 && *sealed > 20) room[*sealed / 2] ^= 1;  // and records that are damaged
        to_us.insert(to_us.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(*sealed));
        read(c, to_us);
        write(c);
    }
    require(c.streams() <= 17);
    require(c.memory() < 1'000'000);
    return 0;
}
