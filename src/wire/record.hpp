// SPDX-License-Identifier: Apache-2.0
// Signed envelopes and the peer record inside them (libp2p RFC 0002 and 0003, as the implementations write them: the
// domain is "libp2p-peer-record" and the payload type the two bytes 03 01).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kith/bytes.hpp"
#include "kith/error.hpp"
#include "kith/function.hpp"
#include "kith/multiaddr.hpp"
#include "kith/peer_id.hpp"

namespace kith::wire {

inline constexpr std::string_view peer_record_domain = "libp2p-peer-record";
inline constexpr std::array<std::uint8_t, 2> peer_record_type{0x03, 0x01};
inline constexpr std::string_view relay_voucher_domain = "libp2p-relay-rsvp";
inline constexpr std::array<std::uint8_t, 2> relay_voucher_type{0x03, 0x02};

struct Envelope {
    static constexpr std::size_t max_size = 16 * 1024;
    static constexpr std::size_t max_type_size = 64;
    static constexpr std::size_t max_signature_size = 1024;

    Bytes public_key;  // serialized PublicKey
    Bytes payload_type;
    Bytes payload;
    Bytes signature;

    friend bool operator==(const Envelope&, const Envelope&) = default;
};

Bytes encode_envelope(const Envelope& envelope);
Result<Envelope> decode_envelope(ByteView bytes);  // form and limits only; all four fields are required

// What the signature is over: domain, type and payload, each with its length in front.
Bytes envelope_to_sign(std::string_view domain, ByteView payload_type, ByteView payload);

// Checks the signature for this domain and type. bad_signature, invalid_key, or malformed for another payload type.
Status verify_envelope(const Envelope& envelope, std::string_view domain, ByteView payload_type);

struct PeerRecord {
    static constexpr std::size_t max_addresses = 64;

    PeerId peer;
    std::uint64_t seq = 0;  // a record replaces only records with a smaller one; usually a Unix time
    std::vector<Multiaddr> addresses;

    friend bool operator==(const PeerRecord&, const PeerRecord&) = default;
};

Bytes encode_peer_record(const PeerRecord& record);
// Addresses that are not valid, and those behind the 64th, are left out.
Result<PeerRecord> decode_peer_record(ByteView bytes);

// The record in a signed envelope. `sign` makes the signature of `record.peer`'s key, whose serialized form is given.
Bytes seal_peer_record(const PeerRecord& record, ByteView encoded_public_key, Function<Bytes(ByteView)> sign);

// Decodes and verifies everything: signature, type, and that the key is the one of the peer the record names.
Result<PeerRecord> open_peer_record(ByteView envelope);

}  // namespace kith::wire
