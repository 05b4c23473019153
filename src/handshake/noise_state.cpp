// SPDX-License-Identifier: Apache-2.0
#include "handshake/noise_state.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace kith::handshake {
namespace {

constexpr std::uint64_t last_nonce = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t key_size = 32;
constexpr std::size_t sealed_key_size = key_size + CipherState::tag_size;

Error exhausted() { return {Errc::limit_exceeded, "noise: every record number of this key is used"}; }

void copy_to(MutableBytes out, ByteView from) { std::copy(from.begin(), from.end(), out.begin()); }

crypto::PublicKey32 key_from(ByteView bytes) {
    crypto::PublicKey32 key;
    std::copy_n(bytes.begin(), key.size(), key.begin());
    return key;
}

}  // namespace

Status CipherState::seal(ByteView ad, MutableBytes sealed) noexcept {
    if (nonce_ == last_nonce) return exhausted();
    const std::size_t n = sealed.size() - tag_size;
    aead_.seal(nonce_, ad, sealed.first(n), sealed.subspan(n).first<tag_size>());
    ++nonce_;
    return {};
}

Result<MutableBytes> CipherState::open(ByteView ad, MutableBytes sealed) noexcept {
    if (nonce_ == last_nonce) return exhausted();
    if (sealed.size() < tag_size) return Error{Errc::protocol_error, "noise: too short for a tag"};
    const MutableBytes text = sealed.first(sealed.size() - tag_size);
    const ByteView tag = sealed.last(tag_size);
    if (!aead_.open(nonce_, ad, text, tag.first<tag_size>())) return Error{Errc::decrypt_failed, "noise"};
    ++nonce_;
    return text;
}

SymmetricState::SymmetricState(std::string_view protocol_name, ByteView prologue) noexcept {
    copy_to(hash_, as_bytes(protocol_name.substr(0, hash_.size())));
    chaining_key_ = crypto::Secret32{hash_};
    mix_hash(prologue);
}

void SymmetricState::mix_hash(ByteView data) noexcept {
    crypto::Sha256 hash;
    hash.update(hash_).update(data);
    hash_ = hash.finish();
}

void SymmetricState::mix_key(ByteView key_material) noexcept {
    crypto::Secret32 key;
    crypto::noise_hkdf2(chaining_key_, key_material, chaining_key_, key);
    cipher_.emplace(key);
}

Status SymmetricState::encrypt_and_hash(MutableBytes sealed) noexcept {
    if (cipher_) {
        if (Status status = cipher_->seal(hash_, sealed); !status) return status;
    }
    mix_hash(sealed);
    return {};
}

Result<MutableBytes> SymmetricState::decrypt_and_hash(MutableBytes sealed) noexcept {
    const crypto::Digest before = hash_;
    mix_hash(sealed);  // of the sealed bytes, hence before they are opened in place
    return cipher_ ? cipher_->open(before, sealed) : Result<MutableBytes>{sealed};
}

SymmetricState::Ciphers SymmetricState::split() const noexcept {
    crypto::Secret32 first;
    crypto::Secret32 second;
    crypto::noise_hkdf2(chaining_key_, {}, first, second);
    return {CipherState{first}, CipherState{second}};
}

XxState::XxState(Role role, ByteView prologue, const crypto::Secret32& static_secret, const crypto::PublicKey32& static_public,
                 crypto::Secret32 ephemeral_secret) noexcept
    : symmetric_(protocol_name, prologue),
      static_secret_(&static_secret),
      static_public_(static_public),
      ephemeral_secret_(std::move(ephemeral_secret)),
      ephemeral_public_(crypto::x25519_public(ephemeral_secret_)),
      role_(role) {}

Status XxState::mix_dh(const crypto::Secret32& secret, const crypto::PublicKey32& theirs) {
    auto shared = crypto::x25519(secret, theirs);
    if (!shared) return Error{Errc::protocol_error, "noise: the peer's key is a point of small order"};
    symmetric_.mix_key(shared->view());
    return {};
}

Result<std::size_t> XxState::write(ByteView payload, MutableBytes out) {
    if (!my_turn()) return Error{Errc::invalid_argument, "noise: not this side's turn"};
    const std::size_t size = overhead(next_) + payload.size();
    if (out.size() < size) return Error{Errc::invalid_argument, "noise: too little room for the message"};
    MutableBytes rest = out.first(size);
    if (next_ < 2) {
        copy_to(rest, ephemeral_public_);
        symmetric_.mix_hash(ephemeral_public_);
        rest = rest.subspan(key_size);
    }
    if (next_ == 1) {
        if (Status status = mix_dh(ephemeral_secret_, remote_ephemeral_); !status) return std::move(status).error();
    }
    if (next_ > 0) {
        copy_to(rest, static_public_);
        if (Status status = symmetric_.encrypt_and_hash(rest.first(sealed_key_size)); !status) return std::move(status).error();
        rest = rest.subspan(sealed_key_size);
        // "es" for the responder, "se" for the initiator: in both the own static key meets the other's ephemeral key.
        if (Status status = mix_dh(*static_secret_, remote_ephemeral_); !status) return std::move(status).error();
    }
    copy_to(rest, payload);
    if (Status status = symmetric_.encrypt_and_hash(rest); !status) return std::move(status).error();
    if (++next_ == messages) ephemeral_secret_.clear();
    return size;
}

Result<MutableBytes> XxState::read(MutableBytes message) {
    if (finished() || my_turn()) return Error{Errc::invalid_argument, "noise: not the peer's turn"};
    if (message.size() < overhead(next_)) return Error{Errc::protocol_error, "noise: handshake message too short"};
    if (next_ < 2) {
        remote_ephemeral_ = key_from(message);
        symmetric_.mix_hash(remote_ephemeral_);
        message = message.subspan(key_size);
    }
    if (next_ == 1) {
        if (Status status = mix_dh(ephemeral_secret_, remote_ephemeral_); !status) return std::move(status).error();
    }
    if (next_ > 0) {
        auto opened = symmetric_.decrypt_and_hash(message.first(sealed_key_size));
        if (!opened) return std::move(opened).error();
        remote_static_ = key_from(*opened);
        message = message.subspan(sealed_key_size);
        if (Status status = mix_dh(ephemeral_secret_, remote_static_); !status) return std::move(status).error();
    }
    auto payload = symmetric_.decrypt_and_hash(message);
    if (payload && ++next_ == messages) ephemeral_secret_.clear();
    return payload;
}

}  // namespace kith::handshake
