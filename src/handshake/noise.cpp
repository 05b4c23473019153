// SPDX-License-Identifier: Apache-2.0
#include "handshake/noise.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "wire/keys.hpp"
#include "wire/noise_payload.hpp"

namespace kith::handshake {
namespace {

constexpr std::size_t header_size = NoiseSession::header_size;

Bytes signed_text(const crypto::PublicKey32& static_public) {
    const ByteView prefix = as_bytes(wire::noise_signature_prefix);
    Bytes text;
    text.reserve(prefix.size() + static_public.size());
    text.insert(text.end(), prefix.begin(), prefix.end());
    text.insert(text.end(), static_public.begin(), static_public.end());
    return text;
}

bool contains(const std::vector<std::string>& list, const std::string& item) {
    return std::find(list.begin(), list.end(), item) != list.end();
}

// The key's own errors blame the caller; here a peer sent it.
Error refused_key(const Error& why) { return {Errc::handshake_failed, "noise: identity key refused", std::string{why.what}}; }

}  // namespace

NoiseIdentity make_noise_identity(const crypto::SigningKey& key, crypto::Secret32 static_secret) {
    NoiseIdentity identity;
    identity.static_public = crypto::x25519_public(static_secret);
    identity.static_secret = std::move(static_secret);
    identity.identity_key = wire::encode_public_key(crypto::KeyType::ed25519, key.public_key());
    const crypto::Signature64 signature = key.sign(signed_text(identity.static_public));
    identity.identity_sig.assign(signature.begin(), signature.end());
    return identity;
}

NoiseHandshake::NoiseHandshake(NoiseConfig config, crypto::Secret32 ephemeral_secret)
    : config_(std::move(config)),
      xx_(config_.role, {}, config_.identity->static_secret, config_.identity->static_public, std::move(ephemeral_secret)),
      state_(State::reading) {
    if (config_.role == Role::initiator && !write_message()) state_ = State::failed;
}

std::size_t NoiseHandshake::pull(MutableBytes out) noexcept {
    if (state_ != State::writing) return 0;
    const std::size_t n = std::min(out.size(), frame_.size() - pulled_);
    if (n != 0) std::memcpy(out.data(), frame_.data() + pulled_, n);
    pulled_ += n;
    if (pulled_ == frame_.size()) {
        frame_ = Bytes{};
        state_ = xx_.finished() ? State::done : State::reading;
    }
    return n;
}

Result<std::size_t> NoiseHandshake::received(ByteView in) {
    if (state_ == State::failed) return Error{Errc::protocol_error, "noise: the handshake has failed before"};
    const std::size_t offered = in.size();
    if (state_ == State::done || offered == 0) return std::size_t{0};
    Status status;
    // Every message answers the one before, so nothing valid can come while ours is not sent.
    if (state_ == State::writing) status = Error{Errc::protocol_error, "noise: bytes out of turn"};
    while (status && state_ == State::reading && !in.empty()) {
        const bool in_header = frame_.size() < header_size;
        const std::size_t whole = in_header ? header_size : header_size + (static_cast<std::size_t>(frame_[0]) << 8 | frame_[1]);
        const ByteView piece = in.first(std::min(whole - frame_.size(), in.size()));
        frame_.insert(frame_.end(), piece.begin(), piece.end());
        in = in.subspan(piece.size());
        if (frame_.size() < whole) break;
        if (in_header) {
            status = frame_header();
        } else {
            Bytes frame = std::exchange(frame_, Bytes{});
            status = message(MutableBytes{frame}.subspan(header_size));
            if (status && state_ == State::writing && !in.empty()) status = Error{Errc::protocol_error, "noise: bytes out of turn"};
        }
    }
    if (status) return offered - in.size();
    state_ = State::failed;
    frame_ = Bytes{};
    return std::move(status).error();
}

Status NoiseHandshake::frame_header() {
    const std::size_t length = static_cast<std::size_t>(frame_[0]) << 8 | frame_[1];
    const unsigned index = xx_.next_message();
    if (length < XxState::overhead(index)) return Error{Errc::protocol_error, "noise: handshake message too short"};
    // Message 1 is in the clear, and libp2p puts nothing into it.
    if (length > (index == 0 ? XxState::overhead(0) : max_message)) return Error{Errc::protocol_error, "noise: handshake message too long"};
    return {};
}

Status NoiseHandshake::message(MutableBytes bytes) {
    const unsigned index = xx_.next_message();
    auto payload = xx_.read(bytes);
    if (!payload) return std::move(payload).error();
    if (index != 0) {
        if (Status status = check_payload(*payload); !status) return status;
    }
    if (xx_.finished()) {
        state_ = State::done;
        return {};
    }
    return write_message();
}

Status NoiseHandshake::check_payload(ByteView bytes) {
    auto payload = wire::decode_noise_payload(bytes);
    if (!payload) return Error{Errc::protocol_error, "noise: bad handshake payload", std::string{payload.error().what}};
    if (payload->identity_key.empty() || payload->identity_sig.empty()) return Error{Errc::bad_signature, "noise: no signed identity key"};
    const auto key = wire::decode_public_key(payload->identity_key);
    if (!key) return refused_key(key.error());
    if (Status status = crypto::verify(key->type, key->data, signed_text(xx_.remote_static()), payload->identity_sig); !status) {
        return status.error() == Errc::bad_signature ? Error{Errc::bad_signature, "noise: static key not signed by the identity"}
                                                     : refused_key(status.error());
    }
    // Only now, so that the id in this error is proved and not merely claimed.
    const PeerId peer = wire::peer_id_of(payload->identity_key);
    if (config_.expected && peer != *config_.expected) {
        return Error{Errc::wrong_peer, "noise", "expected " + config_.expected->text() + ", found " + peer.text()};
    }
    if (Status status = choose_muxer(payload->muxers); !status) return status;
    peer_ = peer;
    remote_key_ = std::move(payload->identity_key);
    return {};
}

Status NoiseHandshake::choose_muxer(const std::vector<std::string>& theirs) {
    const auto& ours = config_.muxers;
    if (ours.empty() || theirs.empty()) return {};
    const bool initiator = config_.role == Role::initiator;
    for (const auto& muxer : initiator ? ours : theirs) {
        if (!contains(initiator ? theirs : ours, muxer)) continue;
        muxer_ = muxer;
        return {};
    }
    return Error{Errc::handshake_failed, "noise: no common muxer"};
}

Status NoiseHandshake::write_message() {
    Bytes payload;
    const unsigned index = xx_.next_message();
    if (index != 0) {
        wire::NoisePayload content;
        content.identity_key = config_.identity->identity_key;
        content.identity_sig = config_.identity->identity_sig;
        content.muxers = config_.muxers;
        payload = wire::encode_noise_payload(content);
    }
    const std::size_t size = XxState::overhead(index) + payload.size();
    if (size > max_message) return Error{Errc::invalid_argument, "noise: the muxers offered make the message too long"};
    frame_.resize(header_size + size);
    frame_[0] = static_cast<std::uint8_t>(size >> 8);
    frame_[1] = static_cast<std::uint8_t>(size);
    const auto written = xx_.write(payload, MutableBytes{frame_}.subspan(header_size));
    if (!written) return written.error();
    pulled_ = 0;
    state_ = State::writing;
    return {};
}

NoiseHandshake::Outcome NoiseHandshake::take_outcome() {
    auto ciphers = xx_.split();
    const bool initiator = config_.role == Role::initiator;
    return {NoiseSession{std::move(initiator ? ciphers.of_initiator : ciphers.of_responder),
                         std::move(initiator ? ciphers.of_responder : ciphers.of_initiator)},
            *peer_, std::move(remote_key_), std::move(muxer_), xx_.handshake_hash()};
}

}  // namespace kith::handshake
