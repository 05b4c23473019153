// SPDX-License-Identifier: Apache-2.0
// What js-libp2p 3.3 makes of the same inputs, byte for byte.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/hex.hpp"
#include "crypto/ed25519.hpp"
#include "crypto/verify.hpp"
#include "kith/multiaddr.hpp"
#include "kith/peer_id.hpp"
#include "wire/keys.hpp"
#include "wire/noise_payload.hpp"
#include "wire/record.hpp"

namespace kith::wire {
namespace {

class JsVectors : public testing::Test {
protected:
    JsVectors() {
        std::ifstream file{KITH_TEST_DATA "/libp2p_js.json"};
        file >> json;
        seed = bytes("seed");
    }
    std::string text(const char* key) const { return json.at(key).get<std::string>(); }
    Bytes bytes(const char* key) const { return from_hex(text(key)).value(); }
    crypto::SigningKey key() const { return crypto::SigningKey{ByteView{seed}.first<32>()}; }

    nlohmann::json json;
    Bytes seed;
};

TEST_F(JsVectors, KeysAndPeerId) {
    const auto signing = key();
    const auto encoded = encode_public_key(crypto::KeyType::ed25519, signing.public_key());
    EXPECT_EQ(to_hex(encoded), text("publicKeyProtobuf"));
    EXPECT_EQ(decode_public_key(encoded).value().data, (Bytes{signing.public_key().begin(), signing.public_key().end()}));
    std::array<std::uint8_t, private_key_size> out{};
    encode_private_key(ByteView{seed}.first<32>(), signing.public_key(), out);
    EXPECT_EQ(to_hex(out), text("privateKeyProtobuf"));
    const auto private_key = decode_private_key(out).value();
    EXPECT_EQ(to_hex(private_key.seed), text("seed"));
    const auto id = peer_id_of(encoded);
    EXPECT_EQ(id.text(), text("peerId"));
    EXPECT_EQ(to_hex(id.multihash()), text("peerIdMultihash"));
    EXPECT_EQ(id.cid(), text("peerIdCIDv1"));
    EXPECT_EQ(PeerId::parse(text("peerId")).value(), id);
    EXPECT_EQ(PeerId::parse(text("peerIdCIDv1")).value(), id);
    EXPECT_EQ(PeerId::from_multihash(bytes("peerIdMultihash")).value(), id);
}

TEST_F(JsVectors, NoiseSignature) {
    const auto prefix = as_bytes(noise_signature_prefix);
    Bytes message{prefix.begin(), prefix.end()};
    const auto static_key = bytes("noiseSigStatic");
    message.insert(message.end(), static_key.begin(), static_key.end());
    EXPECT_EQ(to_hex(key().sign(message)), text("noiseSig"));
    EXPECT_TRUE(crypto::verify(crypto::KeyType::ed25519, key().public_key(), message, bytes("noiseSig")));
}

TEST_F(JsVectors, Multiaddrs) {
    ASSERT_EQ(json.at("multiaddrs").size(), 8u);
    for (const auto& [address, binary] : json.at("multiaddrs").items()) {
        const auto from_text = Multiaddr::parse(address);
        ASSERT_TRUE(from_text) << from_text.error();
        EXPECT_EQ(to_hex(from_text->bytes()), binary.get<std::string>()) << address;
        const auto from_binary = Multiaddr::from_bytes(from_hex(binary.get<std::string>()).value());
        ASSERT_TRUE(from_binary) << from_binary.error();
        EXPECT_EQ(from_binary->text(), address);
    }
}

TEST_F(JsVectors, PeerRecordEnvelope) {
    const auto& vector = json.at("peerRecordEnvelope");
    const auto envelope = from_hex(vector.at("envelope").get<std::string>()).value();
    const auto record = open_peer_record(envelope);
    ASSERT_TRUE(record) << record.error();
    EXPECT_EQ(record->peer.text(), text("peerId"));
    EXPECT_EQ(record->seq, vector.at("seq").get<std::uint64_t>());
    ASSERT_EQ(record->addresses.size(), vector.at("addrs").size());
    for (std::size_t i = 0; i < record->addresses.size(); ++i) {
        EXPECT_EQ(record->addresses[i].text(), vector.at("addrs").at(i).get<std::string>());
    }
    const auto parts = decode_envelope(envelope).value();
    EXPECT_EQ(to_hex(parts.payload_type), vector.at("payloadType").get<std::string>());
    EXPECT_EQ(to_hex(parts.payload), vector.at("payload").get<std::string>());
    // Ed25519 signatures are deterministic, so ours must be the same to the last byte.
    const auto signing = key();
    const auto ours = seal_peer_record(*record, bytes("publicKeyProtobuf"), [&signing](ByteView message) {
        const auto signature = signing.sign(message);
        return Bytes{signature.begin(), signature.end()};
    });
    EXPECT_EQ(to_hex(ours), to_hex(envelope));
}

}  // namespace
}  // namespace kith::wire
