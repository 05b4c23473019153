// SPDX-License-Identifier: Apache-2.0
// The secure channel of libp2p, "/noise": Noise_XX_25519_ChaChaPoly_SHA256 with signed identity keys, then records. Sans-IO.
// Every message of the handshake and every record is: length (2 bytes, big-endian), then that many bytes.
// Spec: github.com/libp2p/specs, noise/README.md. Early muxer negotiation: connections/inlined-muxer-negotiation.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/ed25519.hpp"
#include "crypto/secret.hpp"
#include "crypto/x25519.hpp"
#include "handshake/noise_state.hpp"
#include "handshake/role.hpp"
#include "kith/bytes.hpp"
#include "kith/error.hpp"
#include "kith/peer_id.hpp"

namespace kith::handshake {

inline constexpr std::string_view noise_protocol = "/noise";

// What a node shows in every handshake. Made once per node: the static key is signed here, not per handshake. Owned by the caller;
// outlives the handshakes that use it.
struct NoiseIdentity {
    crypto::Secret32 static_secret;
    crypto::PublicKey32 static_public{};
    Bytes identity_key;  // serialized PublicKey
    Bytes identity_sig;  // over "noise-libp2p-static-key:" and static_public
};

// `static_secret`: 32 random bytes, new at each start of the node.
NoiseIdentity make_noise_identity(const crypto::SigningKey& key, crypto::Secret32 static_secret);

// The records of one link, both directions. Any error is final for its direction: close the link.
class NoiseSession {
public:
    static constexpr std::size_t header_size = 2;
    static constexpr std::size_t overhead = header_size + CipherState::tag_size;
    static constexpr std::size_t max_plain = 65519;
    static constexpr std::size_t max_record = max_plain + overhead;

    NoiseSession(CipherState send, CipherState receive) noexcept;

    // `record` = [2 bytes][`n` bytes of plaintext][room for the tag], at least n + overhead bytes. Seals in place, writes length
    // and tag; answers n + overhead, the bytes to send. Errors: too_large (n > max_plain), invalid_argument (too little room),
    // limit_exceeded (2^64 - 1 records were sent; nothing was written).
    Result<std::size_t> seal(MutableBytes record, std::size_t n) noexcept;

    // `in` begins where a record begins. A complete record is opened in place, `in` moves behind it and the plaintext (maybe empty)
    // is answered; it lies in the same memory. Without a complete record: nullopt, `in` untouched. Errors: decrypt_failed, also on
    // every later call; protocol_error (too short for a tag); limit_exceeded.
    Result<std::optional<MutableBytes>> open(MutableBytes& in) noexcept;

    // How many bytes are missing, at least, until the record at the front of `in` is complete; 0 = open() will not say nullopt.
    static std::size_t missing(ByteView in) noexcept;

    // Gives back what only speeds up large records (about 1 KiB per direction); for a link that fell idle.
    void trim() noexcept;

private:
    CipherState send_;
    CipherState receive_;
    bool broken_ = false;
};

struct NoiseConfig {
    Role role = Role::initiator;
    const NoiseIdentity* identity = nullptr;  // borrowed, never null
    std::optional<PeerId> expected;           // anyone else is refused
    std::vector<std::string> muxers;          // offered early, by preference; empty = negotiate the muxer by multistream-select
};

// One handshake.
//
//   initiator: writing(1) -> reading(2) -> writing(3) -> done
//   responder: reading(1) -> writing(2) -> reading(3) -> done
//   any --error--> failed
//
// The deadline is the caller's. Before the peer has proved its key it can make this object hold at most `max_message` bytes, and
// only as many as it sent.
class NoiseHandshake {
public:
    // Largest message read: an RSA key of 8192 bits with its signature and a long list of muxers fit.
    static constexpr std::size_t max_message = 8192;

    // `ephemeral_secret`: 32 fresh random bytes, never used for another handshake.
    NoiseHandshake(NoiseConfig config, crypto::Secret32 ephemeral_secret);

    bool wants_pull() const noexcept { return state_ == State::writing; }
    std::size_t pull(MutableBytes out) noexcept;  // how many bytes were written to `out`; any room is fine

    // How many bytes were consumed: all of `in`, except what follows the last message (records for the session). Errors, all final;
    // close the link without sending anything more:
    //   wrong_peer        the proved key is not `expected`; `detail` holds both ids. The initiator has not shown its own identity
    //   bad_signature     the identity key did not sign the peer's static key
    //   decrypt_failed    changed on the way
    //   handshake_failed  an identity key that is refused (`detail` says why), or both sides offered muxers and none is common
    //   protocol_error    a broken rule of the framing or payload (more than 100 muxers too), or bytes that came out of turn
    Result<std::size_t> received(ByteView in);

    bool done() const noexcept { return state_ == State::done; }

    struct Outcome {
        NoiseSession session;
        PeerId peer;                    // proved
        Bytes remote_key;               // its serialized PublicKey
        std::string muxer;              // agreed early; empty: negotiate it by multistream-select
        crypto::Digest handshake_hash;  // the same on both sides and in no other handshake: for channel binding
    };
    Outcome take_outcome();  // once, when done()

private:
    enum class State : std::uint8_t { writing, reading, done, failed };

    Status frame_header();
    Status message(MutableBytes bytes);
    Status check_payload(ByteView payload);
    Status choose_muxer(const std::vector<std::string>& theirs);
    Status write_message();

    NoiseConfig config_;
    XxState xx_;
    Bytes frame_;  // the message being read, or the one being pulled
    std::size_t pulled_ = 0;
    std::optional<PeerId> peer_;
    Bytes remote_key_;
    std::string muxer_;
    State state_ = State::writing;
};

}  // namespace kith::handshake
