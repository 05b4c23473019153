// SPDX-License-Identifier: Apache-2.0
// Identities and pairs of handshakes for the fuzz targets and unit tests of Noise.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crypto/init.hpp"
#include "handshake/noise.hpp"
#include "wire/keys.hpp"
#include "wire/noise_payload.hpp"

namespace kith::handshake::testing {

inline const bool crypto_ready = crypto::init().has_value();

inline crypto::Secret32 secret(std::uint8_t fill) {
    crypto::Secret32 s;
    for (auto& byte : s.bytes()) byte = fill++;
    return s;
}

inline NoiseIdentity identity(std::uint8_t seed) {
    const crypto::SigningKey key{secret(seed)};
    return make_noise_identity(key, secret(static_cast<std::uint8_t>(seed + 100)));
}

inline PeerId id_of(const NoiseIdentity& who) { return wire::peer_id_of(who.identity_key); }

inline NoiseConfig config(Role role, const NoiseIdentity& who, std::vector<std::string> muxers = {}, std::optional<PeerId> expected = {}) {
    return NoiseConfig{role, &who, std::move(expected), std::move(muxers)};
}

inline Bytes pull_all(NoiseHandshake& side, std::size_t room = 16384) {
    Bytes out;
    Bytes buffer(room);
    while (side.wants_pull()) {
        const std::size_t n = side.pull(buffer);
        out.insert(out.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n));
    }
    return out;
}

struct Pair {
    NoiseIdentity alice = identity(1);
    NoiseIdentity bob = identity(50);
    NoiseHandshake initiator;
    NoiseHandshake responder;

    explicit Pair(std::vector<std::string> alice_muxers = {}, std::vector<std::string> bob_muxers = {}, std::optional<PeerId> expected = {})
        : initiator(config(Role::initiator, alice, std::move(alice_muxers), std::move(expected)), secret(7)),
          responder(config(Role::responder, bob, std::move(bob_muxers)), secret(77)) {}
    Pair(const Pair&) = delete;  // the handshakes borrow the identities
    Pair& operator=(const Pair&) = delete;

    // Carries all three messages; the first error ends it.
    Status run() {
        while (!initiator.done() || !responder.done()) {
            NoiseHandshake& from = initiator.wants_pull() ? initiator : responder;
            NoiseHandshake& to = initiator.wants_pull() ? responder : initiator;
            if (!from.wants_pull()) return Errc::internal;
            if (auto n = to.received(pull_all(from)); !n) return std::move(n).error();
        }
        return {};
    }
};

// A peer that does Noise by the rules and sends whatever payload a test wants.
class RawPeer {
public:
    explicit RawPeer(Role role, std::uint8_t seed = 150)
        : secret_(secret(seed)),
          public_(crypto::x25519_public(secret_)),
          xx_(role, {}, secret_, public_, secret(static_cast<std::uint8_t>(seed + 50))) {}
    RawPeer(const RawPeer&) = delete;
    RawPeer& operator=(const RawPeer&) = delete;

    const crypto::PublicKey32& static_public() const { return public_; }
    Bytes write(ByteView payload = {}) {
        const std::size_t size = XxState::overhead(xx_.next_message()) + payload.size();
        Bytes out(2 + size);
        out[0] = static_cast<std::uint8_t>(size >> 8);
        out[1] = static_cast<std::uint8_t>(size);
        if (!xx_.write(payload, MutableBytes{out}.subspan(2))) out.clear();
        return out;
    }
    std::optional<Bytes> read(Bytes frame) {
        auto payload = xx_.read(MutableBytes{frame}.subspan(2));
        if (!payload) return std::nullopt;
        return Bytes(payload->begin(), payload->end());
    }
    SymmetricState::Ciphers split() const { return xx_.split(); }

private:
    crypto::Secret32 secret_;
    crypto::PublicKey32 public_;
    XxState xx_;
};

inline Bytes text_to_sign(const crypto::PublicKey32& static_public) {
    Bytes text(wire::noise_signature_prefix.begin(), wire::noise_signature_prefix.end());
    text.insert(text.end(), static_public.begin(), static_public.end());
    return text;
}

// What `node` answers to a responder (as initiator) that sends `payload` made for its static key.
template <class MakePayload>
Result<std::size_t> answer_of_initiator(NoiseHandshake& node, MakePayload make) {
    RawPeer peer{Role::responder};
    if (!peer.read(pull_all(node))) return Errc::internal;
    return node.received(peer.write(make(peer.static_public())));
}

template <class MakePayload>
Result<std::size_t> answer_of_responder(NoiseHandshake& node, MakePayload make) {
    RawPeer peer{Role::initiator};
    if (auto n = node.received(peer.write()); !n) return n;
    if (!peer.read(pull_all(node))) return Errc::internal;
    return node.received(peer.write(make(peer.static_public())));
}

}  // namespace kith::handshake::testing
