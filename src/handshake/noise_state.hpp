// SPDX-License-Identifier: Apache-2.0
// The states of the Noise framework (revision 34, section 5) for Noise_XX_25519_ChaChaPoly_SHA256, with any prologue and
// payloads. `NoiseHandshake` puts the libp2p payload and framing on top; nothing else should need this header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "crypto/aead.hpp"
#include "crypto/hash.hpp"
#include "crypto/secret.hpp"
#include "crypto/x25519.hpp"
#include "handshake/role.hpp"
#include "kith/bytes.hpp"
#include "kith/error.hpp"

namespace kith::handshake {

// A key and the number of the next record. The number 2^64 - 1 is never used: there every call answers limit_exceeded.
class CipherState {
public:
    static constexpr std::size_t tag_size = crypto::Aead::tag_size;

    explicit CipherState(const crypto::Secret32& key) noexcept : aead_(key) {}

    // `sealed` is text followed by `tag_size` bytes, both when it is plain (the tag is written) and when it is sealed.
    Status seal(ByteView ad, MutableBytes sealed) noexcept;
    // The text inside `sealed`. decrypt_failed: the text is zeroed and the number stays, so the link must end.
    Result<MutableBytes> open(ByteView ad, MutableBytes sealed) noexcept;

    std::uint64_t nonce() const noexcept { return nonce_; }
    void set_nonce(std::uint64_t nonce) noexcept { nonce_ = nonce; }
    void trim() noexcept { aead_.trim(); }

private:
    crypto::Aead aead_;
    std::uint64_t nonce_ = 0;
};

class SymmetricState {
public:
    // `protocol_name` has at most 32 bytes here (longer ones would be hashed).
    SymmetricState(std::string_view protocol_name, ByteView prologue) noexcept;

    void mix_hash(ByteView data) noexcept;
    void mix_key(ByteView key_material) noexcept;

    // Bytes that sealing adds now: 0 until the first mix_key, then the tag.
    std::size_t overhead() const noexcept { return cipher_ ? CipherState::tag_size : 0; }
    // `sealed` is text followed by `overhead()` bytes; see CipherState.
    Status encrypt_and_hash(MutableBytes sealed) noexcept;
    Result<MutableBytes> decrypt_and_hash(MutableBytes sealed) noexcept;

    const crypto::Digest& handshake_hash() const noexcept { return hash_; }

    struct Ciphers {
        CipherState of_initiator;  // what the initiator sends
        CipherState of_responder;
    };
    Ciphers split() const noexcept;

private:
    crypto::Digest hash_{};
    crypto::Secret32 chaining_key_;
    std::optional<CipherState> cipher_;
};

// The pattern XX:   -> e      <- e, ee, s, es      -> s, se
// Messages alternate, the initiator begins; `write` and `read` check whose turn it is. Any error is final.
class XxState {
public:
    static constexpr std::string_view protocol_name = "Noise_XX_25519_ChaChaPoly_SHA256";
    static constexpr unsigned messages = 3;

    // `static_secret` is borrowed and must outlive the object. `ephemeral_secret` is 32 fresh random bytes, never used twice.
    XxState(Role role, ByteView prologue, const crypto::Secret32& static_secret, const crypto::PublicKey32& static_public,
            crypto::Secret32 ephemeral_secret) noexcept;

    unsigned next_message() const noexcept { return next_; }  // 0, 1, 2; 3 = all done
    bool finished() const noexcept { return next_ == messages; }
    bool my_turn() const noexcept { return !finished() && (next_ % 2 == 0) == (role_ == Role::initiator); }

    // Bytes of message 0, 1 or 2 beside its payload.
    static constexpr std::size_t overhead(unsigned message) noexcept { return message == 0 ? 32 : message == 1 ? 96 : 64; }

    // Writes the next message, `overhead` + payload bytes, to the front of `out`. Errors: invalid_argument (not this side's turn,
    // or too little room), protocol_error (the peer's key is a point of small order).
    Result<std::size_t> write(ByteView payload, MutableBytes out);
    // Reads the peer's next message and decrypts it in place; answers the payload inside it. Errors: invalid_argument (not the
    // peer's turn), protocol_error (too short, or a point of small order), decrypt_failed.
    Result<MutableBytes> read(MutableBytes message);

    const crypto::PublicKey32& remote_static() const noexcept { return remote_static_; }           // once it was read
    const crypto::Digest& handshake_hash() const noexcept { return symmetric_.handshake_hash(); }  // final when finished()
    SymmetricState::Ciphers split() const noexcept { return symmetric_.split(); }                  // when finished()

private:
    Status mix_dh(const crypto::Secret32& secret, const crypto::PublicKey32& theirs);

    SymmetricState symmetric_;
    const crypto::Secret32* static_secret_;
    crypto::PublicKey32 static_public_;
    crypto::Secret32 ephemeral_secret_;
    crypto::PublicKey32 ephemeral_public_;
    crypto::PublicKey32 remote_ephemeral_{};
    crypto::PublicKey32 remote_static_{};
    Role role_;
    unsigned next_ = 0;
};

}  // namespace kith::handshake
