// SPDX-License-Identifier: Apache-2.0
#include "wire/record.hpp"

#include <algorithm>

#include "crypto/verify.hpp"
#include "wire/keys.hpp"
#include "wire/lp.hpp"
#include "wire/proto.hpp"

namespace kith::wire {
namespace {

constexpr std::uint32_t key_tag = 1;
constexpr std::uint32_t type_tag = 2;
constexpr std::uint32_t payload_tag = 3;
constexpr std::uint32_t signature_tag = 5;  // there is no field 4

constexpr std::uint32_t peer_tag = 1;
constexpr std::uint32_t seq_tag = 2;
constexpr std::uint32_t address_tag = 3;
constexpr std::uint32_t multiaddr_tag = 1;

Status take(Bytes& out, ByteView in, std::size_t max, std::string_view what) {
    if (in.size() > max) return Error{Errc::limit_exceeded, what};
    out.assign(in.begin(), in.end());
    return {};
}

Status read_address(PeerRecord& out, const Field& field) {
    if (!field.is_bytes(multiaddr_tag) || out.addresses.size() == PeerRecord::max_addresses) return {};
    if (auto address = Multiaddr::from_bytes(field.bytes)) out.addresses.push_back(std::move(*address));
    return {};
}

}  // namespace

Bytes encode_envelope(const Envelope& envelope) {
    Bytes out;
    put_bytes_field(out, key_tag, envelope.public_key);
    put_bytes_field(out, type_tag, envelope.payload_type);
    put_bytes_field(out, payload_tag, envelope.payload);
    put_bytes_field(out, signature_tag, envelope.signature);
    return out;
}

Result<Envelope> decode_envelope(ByteView bytes) {
    if (bytes.size() > Envelope::max_size) return Error{Errc::limit_exceeded, "the envelope is too long"};
    Envelope out;
    auto status = for_each_field(bytes, [&out](const Field& field) -> Status {
        if (field.is_bytes(key_tag)) return take(out.public_key, field.bytes, max_public_key_size, "the key of the envelope is too long");
        if (field.is_bytes(type_tag)) {
            return take(out.payload_type, field.bytes, Envelope::max_type_size, "the payload type of the envelope is too long");
        }
        if (field.is_bytes(payload_tag)) return take(out.payload, field.bytes, Envelope::max_size, "the payload is too long");
        if (field.is_bytes(signature_tag)) {
            return take(out.signature, field.bytes, Envelope::max_signature_size, "the signature of the envelope is too long");
        }
        return {};
    });
    if (!status) return std::move(status).error();
    if (out.public_key.empty() || out.payload_type.empty() || out.payload.empty() || out.signature.empty()) {
        return Error{Errc::malformed, "an envelope has a key, a payload type, a payload and a signature"};
    }
    return out;
}

Bytes envelope_to_sign(std::string_view domain, ByteView payload_type, ByteView payload) {
    Bytes out;
    append_lp(out, as_bytes(domain));
    append_lp(out, payload_type);
    append_lp(out, payload);
    return out;
}

Status verify_envelope(const Envelope& envelope, std::string_view domain, ByteView payload_type) {
    if (!std::equal(envelope.payload_type.begin(), envelope.payload_type.end(), payload_type.begin(), payload_type.end())) {
        return Error{Errc::malformed, "the envelope holds another type of payload"};
    }
    const auto key = decode_public_key(envelope.public_key);
    if (!key) return key.error();
    return crypto::verify(key->type, key->data, envelope_to_sign(domain, envelope.payload_type, envelope.payload), envelope.signature);
}

Bytes encode_peer_record(const PeerRecord& record) {
    Bytes out;
    put_bytes_field(out, peer_tag, record.peer.multihash());
    put_number_field(out, seq_tag, record.seq);
    for (const auto& address : record.addresses) {
        Bytes info;
        put_bytes_field(info, multiaddr_tag, address.bytes());
        put_bytes_field(out, address_tag, info);
    }
    return out;
}

Result<PeerRecord> decode_peer_record(ByteView bytes) {
    PeerRecord out;
    auto status = for_each_field(bytes, [&out](const Field& field) -> Status {
        if (field.is_number(seq_tag)) out.seq = field.number;
        if (field.is_bytes(peer_tag)) {
            const auto peer = PeerId::from_multihash(field.bytes);
            if (!peer) return peer.error();
            out.peer = *peer;
        }
        if (field.is_bytes(address_tag)) return for_each_field(field.bytes, [&out](const Field& f) { return read_address(out, f); });
        return {};
    });
    if (!status) return std::move(status).error();
    if (!out.peer) return Error{Errc::malformed, "the peer record names no peer"};
    return out;
}

Bytes seal_peer_record(const PeerRecord& record, ByteView encoded_public_key, Function<Bytes(ByteView)> sign) {
    Envelope out;
    out.public_key.assign(encoded_public_key.begin(), encoded_public_key.end());
    out.payload_type.assign(peer_record_type.begin(), peer_record_type.end());
    out.payload = encode_peer_record(record);
    out.signature = sign(envelope_to_sign(peer_record_domain, out.payload_type, out.payload));
    return encode_envelope(out);
}

Result<PeerRecord> open_peer_record(ByteView bytes) {
    const auto envelope = decode_envelope(bytes);
    if (!envelope) return envelope.error();
    if (auto status = verify_envelope(*envelope, peer_record_domain, peer_record_type); !status) return std::move(status).error();
    auto record = decode_peer_record(envelope->payload);
    if (!record) return record;
    if (peer_id_of(envelope->public_key) != record->peer)
        return Error{Errc::wrong_peer, "the record is signed by another peer than it names"};
    return record;
}

}  // namespace kith::wire
