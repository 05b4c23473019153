// SPDX-License-Identifier: Apache-2.0
#include "wire/record.hpp"

#include <gtest/gtest.h>

#include "base/hex.hpp"
#include "crypto/ed25519.hpp"
#include "wire/keys.hpp"
#include "wire/proto.hpp"

namespace kith::wire {
namespace {

struct Signer {
    crypto::SigningKey key;
    Bytes encoded;
    PeerId id;

    explicit Signer(std::uint8_t fill)
        : key([fill] {
              std::array<std::uint8_t, 32> seed{};
              seed.fill(fill);
              return crypto::SigningKey{std::span<const std::uint8_t, 32>{seed}};
          }()),
          encoded(encode_public_key(crypto::KeyType::ed25519, key.public_key())),
          id(peer_id_of(encoded)) {}

    Bytes sign(ByteView message) const {
        const auto signature = key.sign(message);
        return {signature.begin(), signature.end()};
    }
    Bytes seal(const PeerRecord& record) const {
        return seal_peer_record(record, encoded, [this](ByteView message) { return sign(message); });
    }
};

PeerRecord record(const PeerId& peer) {
    return {peer, 1790000000000, {Multiaddr::parse("/ip4/192.0.2.1/tcp/1").value(), Multiaddr::parse("/ip6/::1/udp/9/quic-v1").value()}};
}

TEST(PeerRecord, SealAndOpen) {
    const Signer signer{1};
    const auto out = open_peer_record(signer.seal(record(signer.id)));
    ASSERT_TRUE(out) << out.error();
    EXPECT_EQ(*out, record(signer.id));
}

TEST(PeerRecord, LargestSequenceNumber) {
    const Signer signer{1};
    auto all = record(signer.id);
    all.seq = ~std::uint64_t{0};
    EXPECT_EQ(open_peer_record(signer.seal(all)).value().seq, all.seq);
}

TEST(PeerRecord, EveryFlippedBitIsRefusedOrHarmless) {
    const Signer signer{1};
    const auto good = signer.seal(record(signer.id));
    for (std::size_t i = 0; i < good.size() * 8; ++i) {
        auto bad = good;
        bad[i / 8] = static_cast<std::uint8_t>(bad[i / 8] ^ (1u << (i % 8)));
        const auto out = open_peer_record(bad);
        EXPECT_FALSE(out) << "bit " << i;
    }
}

TEST(PeerRecord, OfAnotherPeer) {
    const Signer signer{1};
    const Signer other{2};
    EXPECT_EQ(open_peer_record(signer.seal(record(other.id))).error().code, Errc::wrong_peer);
}

TEST(PeerRecord, SignedForAnotherPurpose) {
    const Signer signer{1};
    Envelope envelope{signer.encoded, {peer_record_type.begin(), peer_record_type.end()}, encode_peer_record(record(signer.id)), {}};
    envelope.signature = signer.sign(envelope_to_sign(relay_voucher_domain, peer_record_type, envelope.payload));
    EXPECT_EQ(open_peer_record(encode_envelope(envelope)).error().code, Errc::bad_signature);
    envelope.payload_type.assign(relay_voucher_type.begin(), relay_voucher_type.end());
    envelope.signature = signer.sign(envelope_to_sign(peer_record_domain, envelope.payload_type, envelope.payload));
    EXPECT_EQ(open_peer_record(encode_envelope(envelope)).error().code, Errc::malformed);
    EXPECT_TRUE(verify_envelope(envelope, peer_record_domain, relay_voucher_type));
}

TEST(PeerRecord, KeepsSixtyFourValidAddresses) {
    const Signer signer{1};
    auto payload = encode_peer_record({signer.id, 1, {}});
    for (int i = 0; i < 200; ++i) {
        Bytes info;
        put_bytes_field(info, 1, i % 2 == 0 ? as_bytes("broken") : Multiaddr::parse("/tcp/" + std::to_string(i)).value().bytes());
        put_bytes_field(payload, 3, info);
    }
    const auto out = decode_peer_record(payload).value();
    EXPECT_EQ(out.addresses.size(), PeerRecord::max_addresses);
    EXPECT_EQ(out.addresses.front().text(), "/tcp/1");
}

TEST(PeerRecord, NeedsAPeer) {
    EXPECT_EQ(decode_peer_record({}).error().what, "the peer record names no peer");
    Bytes bytes;
    put_bytes_field(bytes, 1, as_bytes("nobody"));
    EXPECT_EQ(decode_peer_record(bytes).error().code, Errc::invalid_peer_id);
    EXPECT_EQ(decode_peer_record(from_hex("0aff").value()).error().code, Errc::malformed);
}

TEST(Envelope, LimitsAndMissingFields) {
    const Envelope good{Bytes(36, 1), Bytes(2, 2), Bytes(3, 3), Bytes(4, 4)};
    EXPECT_EQ(decode_envelope(encode_envelope(good)).value(), good);
    for (int field = 0; field < 4; ++field) {
        auto bad = good;
        Bytes* const fields[]{&bad.public_key, &bad.payload_type, &bad.payload, &bad.signature};
        fields[field]->clear();
        EXPECT_EQ(decode_envelope(encode_envelope(bad)).error().code, Errc::malformed) << field;
        const std::size_t limits[]{max_public_key_size, Envelope::max_type_size, Envelope::max_size, Envelope::max_signature_size};
        fields[field]->assign(limits[field] + 1, 1);
        EXPECT_EQ(decode_envelope(encode_envelope(bad)).error().code, Errc::limit_exceeded) << field;
    }
    EXPECT_EQ(decode_envelope(Bytes(Envelope::max_size + 1, 0)).error().what, "the envelope is too long");
}

TEST(Envelope, KeyMustBeAKey) {
    const Signer signer{1};
    Envelope envelope{
        Bytes(36, 1), {peer_record_type.begin(), peer_record_type.end()}, encode_peer_record(record(signer.id)), Bytes(64, 1)};
    EXPECT_EQ(open_peer_record(encode_envelope(envelope)).error().code, Errc::invalid_key);
}

}  // namespace
}  // namespace kith::wire
