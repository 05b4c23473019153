// SPDX-License-Identifier: Apache-2.0
// A peer of any conduct against each role. Bytes 0 and 1 choose what it does:
//   raw       the input is sent as it is, at any point of the handshake: nobody is ever authenticated
//   payload   Noise by the rules, the input is the payload: authenticated only with a key that signed this static key
//   changed   two honest sides, the input changes bytes on the way: never both done after a change, both done without one
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "noise_peers.hpp"

namespace {

using namespace kith;
using namespace kith::handshake;
using namespace kith::handshake::testing;

void require(bool condition) {
    if (!condition) std::abort();
}

const NoiseIdentity& node() {
    static const NoiseIdentity who = identity(1);
    return who;
}

const NoiseIdentity& other() {
    static const NoiseIdentity who = identity(50);
    return who;
}

// Feeds in steps; false after an error. Consumes all unless it is done.
bool feed(NoiseHandshake& to, ByteView in, std::size_t step) {
    while (!in.empty()) {
        const ByteView piece = in.first(std::min(step, in.size()));
        const auto n = to.received(piece);
        if (!n) {
            require(!to.wants_pull() && !to.done());
            require(!to.received(piece));
            return false;
        }
        require(*n == piece.size() || to.done());
        if (*n == 0) return true;
        in = in.subspan(*n);
        if (to.wants_pull()) {
            require(in.empty() || !to.received(in));
            return in.empty();
        }
    }
    return true;
}

void raw(ByteView in, unsigned at, std::size_t step) {
    if (at == 1) {
        NoiseHandshake initiator{config(Role::initiator, node(), {"/yamux/1.0.0"}), secret(8)};  // no corpus holds an answer to this key
        pull_all(initiator);
        feed(initiator, in, step);
        require(!initiator.done() && !initiator.wants_pull());
        return;
    }
    NoiseHandshake responder{config(Role::responder, node(), {"/yamux/1.0.0"}), secret(7)};
    if (at == 2) {
        RawPeer peer{Role::initiator};
        require(feed(responder, peer.write(), step));
        pull_all(responder);
    }
    feed(responder, in, step);
    require(!responder.done());
}

void payload(ByteView content, bool as_initiator) {
    if (content.size() > 10000) return;
    crypto::PublicKey32 theirs{};
    const auto make = [&](const crypto::PublicKey32& key) {
        theirs = key;
        return Bytes(content.begin(), content.end());
    };
    NoiseHandshake side{config(as_initiator ? Role::initiator : Role::responder, node(), {"/yamux/1.0.0"}), secret(7)};
    const bool accepted = (as_initiator ? answer_of_initiator(side, make) : answer_of_responder(side, make)).has_value();
    require(accepted == (side.wants_pull() || side.done()));
    if (!accepted) return;
    pull_all(side);
    require(side.done());
    const auto outcome = side.take_outcome();
    const auto decoded = wire::decode_noise_payload(content);
    require(decoded.has_value());
    const auto key = wire::decode_public_key(decoded->identity_key);
    require(key && crypto::verify(key->type, key->data, text_to_sign(theirs), decoded->identity_sig).has_value());
    require(outcome.peer == wire::peer_id_of(decoded->identity_key) && outcome.remote_key == decoded->identity_key);
    require(outcome.muxer.empty() || outcome.muxer == "/yamux/1.0.0");
}

// Each three bytes of `changes`: where (two bytes, over all messages) and what to add.
void changed(ByteView changes, std::size_t step) {
    NoiseHandshake initiator{config(Role::initiator, node(), {"/yamux/1.0.0"}), secret(7)};
    NoiseHandshake responder{config(Role::responder, other(), {"/yamux/1.0.0"}), secret(77)};
    std::size_t offset = 0;
    bool any = false;
    for (int i = 0; i < 3; ++i) {
        NoiseHandshake& from = i == 1 ? responder : initiator;
        NoiseHandshake& to = i == 1 ? initiator : responder;
        const Bytes honest = pull_all(from, step);
        Bytes sent = honest;
        for (std::size_t c = 0; c + 2 < changes.size(); c += 3) {
            const std::size_t where = (static_cast<std::size_t>(changes[c]) << 8 | changes[c + 1]) % 500;
            if (where >= offset && where - offset < sent.size()) sent[where - offset] ^= changes[c + 2];
        }
        offset += honest.size();
        any = any || sent != honest;
        if (!feed(to, sent, step)) break;
    }
    require((initiator.done() && responder.done()) == !any);
    if (any) return;
    require(initiator.take_outcome().handshake_hash == responder.take_outcome().handshake_hash);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::size_t step = 1 + data[1];
    const ByteView in = ByteView{data, size}.subspan(2);
    switch (data[0] % 6) {
        case 0:
        case 1:
        case 2:
            raw(in, data[0] % 6, step);
            break;
        case 3:
            payload(in, true);
            break;
        case 4:
            payload(in, false);
            break;
        default:
            changed(in, step);
            break;
    }
    return 0;
}
