// SPDX-License-Identifier: Apache-2.0
#include "wire/identify.hpp"

#include <gtest/gtest.h>

#include "base/hex.hpp"
#include "wire/keys.hpp"
#include "wire/proto.hpp"

namespace kith::wire {
namespace {

Multiaddr address(int port) { return Multiaddr::parse("/ip4/192.0.2.1/tcp/" + std::to_string(port)).value(); }

Identify small() {
    Identify out;
    out.public_key = encode_public_key(crypto::KeyType::ed25519, Bytes(32, 9));
    out.listen_addrs = {address(1), address(2)};
    out.protocols = {"/ipfs/ping/1.0.0", "/kith/msg/1.0.0"};
    out.observed = address(3);
    out.protocol_version = "ipfs/0.1.0";
    out.agent_version = "kith/0.1";
    out.signed_record = Bytes(200, 5);
    return out;
}

Result<Identify> read(ByteView bytes, std::size_t step) {
    IdentifyReader reader;
    while (!bytes.empty()) {
        const auto n = std::min(step, bytes.size());
        if (auto status = reader.feed(bytes.first(n)); !status) return std::move(status).error();
        bytes = bytes.subspan(n);
    }
    return reader.finish();
}

std::vector<std::size_t> message_sizes(ByteView bytes) {
    std::vector<std::size_t> out;
    LpReader reader{1u << 20};
    while (!bytes.empty()) {
        const auto before = bytes.size();
        EXPECT_EQ(reader.feed(bytes), LpReader::State::message);
        out.push_back(before - bytes.size());
    }
    return out;
}

TEST(Identify, RoundTripWhateverThePieces) {
    const auto bytes = encode_identify(small());
    EXPECT_EQ(message_sizes(bytes).size(), 1u);
    for (std::size_t step = 1; step <= bytes.size(); step += 7) EXPECT_EQ(read(bytes, step).value(), small()) << step;
}

TEST(Identify, AboveTwoKibibytesTheRecordGetsItsOwnMessage) {
    auto info = small();
    for (int i = 0; i < 60; ++i) info.protocols.push_back("/test/protocol/number/" + std::to_string(i) + "/1.0.0");
    const auto bytes = encode_identify(info);
    const auto sizes = message_sizes(bytes);
    ASSERT_EQ(sizes.size(), 2u);
    EXPECT_EQ(sizes[1], 2 + 3 + 200u);
    EXPECT_EQ(read(bytes, 100).value(), info);
    info.signed_record.clear();
    EXPECT_EQ(message_sizes(encode_identify(info)).size(), 1u) << "without a record one message will do";
}

TEST(Identify, WritesNoMessageOfFourKibibytes) {
    auto info = small();
    for (int i = 0; i < 300; ++i) info.protocols.push_back("/long/protocol/name/" + std::string(200, 'p') + std::to_string(i));
    for (int i = 0; i < 100; ++i) info.listen_addrs.push_back(address(i + 10));
    info.agent_version = std::string(10000, 'a');
    info.signed_record = Bytes(4000, 5);
    const auto bytes = encode_identify(info);
    for (const auto size : message_sizes(bytes)) EXPECT_LT(size, 4096u);
    const auto back = read(bytes, bytes.size()).value();
    EXPECT_EQ(back.signed_record, info.signed_record);
    EXPECT_EQ(back.listen_addrs.front(), info.listen_addrs.front()) << "one address before the protocols";
    EXPECT_GT(back.protocols.size(), 10u);
    EXPECT_TRUE(std::equal(back.protocols.begin(), back.protocols.end(), info.protocols.begin())) << "left out from the end";
    EXPECT_EQ(back.agent_version.size(), Identify::max_version_size);
    EXPECT_EQ(back.observed, info.observed);
    info.signed_record = Bytes(5000, 5);
    EXPECT_TRUE(read(encode_identify(info), 4096).value().signed_record.empty()) << "a record that is too long is left out";
}

TEST(Identify, CutsAVersionAtACharacter) {
    auto info = small();
    info.agent_version = std::string(255, 'a') + "\xc3\xa9";
    EXPECT_EQ(read(encode_identify(info), 4096).value().agent_version, std::string(255, 'a'));
}

TEST(Identify, MergesMessages) {
    Bytes stream;
    Identify a;
    a.protocols = {"/a"};
    a.agent_version = "one";
    Identify b;
    b.protocols = {"/b"};
    b.agent_version = "two";
    b.listen_addrs = {address(1)};
    for (const auto& info : {a, b}) {
        const auto bytes = encode_identify(info);
        stream.insert(stream.end(), bytes.begin(), bytes.end());
    }
    const auto out = read(stream, 3).value();
    EXPECT_EQ(out.protocols, (std::vector<std::string>{"/a", "/b"}));
    EXPECT_EQ(out.agent_version, "two");
    EXPECT_EQ(out.listen_addrs.size(), 1u);
}

TEST(Identify, FloodIsTruncatedAtTheCaps) {
    Bytes stream;
    int number = 0;
    for (std::size_t i = 0; i < Identify::max_messages; ++i) {
        Bytes body;
        while (body.size() < 8000) {
            put_bytes_field(body, 3, as_bytes("/p" + std::to_string(number)));
            put_bytes_field(body, 2, address(number++ % 65536).bytes());
        }
        append_lp(stream, body);
    }
    ASSERT_GT(number, 3000);
    const auto out = read(stream, 1000).value();
    EXPECT_EQ(out.protocols.size(), Identify::max_protocols);
    EXPECT_EQ(out.listen_addrs.size(), Identify::max_addresses);
    EXPECT_EQ(out.protocols.front(), "/p0");
}

TEST(Identify, LeavesOutWhatIsTooLongOrNoAddress) {
    Bytes body;
    put_bytes_field(body, 3, as_bytes(std::string(257, 'p')));
    put_bytes_field(body, 3, as_bytes(std::string(256, 'q')));
    put_bytes_field(body, 2, as_bytes("not an address"));
    put_bytes_field(body, 2, address(7).bytes());
    put_bytes_field(body, 4, as_bytes("nor this"));
    put_bytes_field(body, 1, Bytes(5000, 1));
    put_number_field(body, 5, 7);
    put_bytes_field(body, 6, as_bytes(std::string(300, 'v')));
    Bytes stream;
    append_lp(stream, body);
    const auto out = read(stream, 100).value();
    EXPECT_EQ(out.protocols, (std::vector<std::string>{std::string(256, 'q')}));
    EXPECT_EQ(out.listen_addrs, (std::vector<Multiaddr>{address(7)}));
    EXPECT_FALSE(out.observed);
    EXPECT_TRUE(out.public_key.empty());
    EXPECT_TRUE(out.protocol_version.empty());
    EXPECT_EQ(out.agent_version.size(), 256u);
}

TEST(Identify, AnEleventhMessageIsAnError) {
    Bytes stream;
    for (std::size_t i = 0; i < Identify::max_messages; ++i) append_lp(stream, {});
    EXPECT_TRUE(read(stream, 1));
    append_lp(stream, {});
    EXPECT_EQ(read(stream, 100).error().what, "more than 10 identify messages");
}

TEST(Identify, BrokenStreams) {
    EXPECT_EQ(read({}, 1).error().code, Errc::truncated);
    const auto good = encode_identify(small());
    for (std::size_t cut = 0; cut < good.size(); ++cut) EXPECT_EQ(read(ByteView{good}.first(cut), 50).error().code, Errc::truncated);
    EXPECT_EQ(read(from_hex("8140").value(), 1).error().code, Errc::protocol_error) << "8193 bytes";
    EXPECT_EQ(read(from_hex("ffffffffffffffff7f").value(), 1).error().code, Errc::protocol_error);
    EXPECT_EQ(read(from_hex("8000").value(), 1).error().code, Errc::protocol_error);
    EXPECT_EQ(read(from_hex("020aff").value(), 1).error().code, Errc::malformed);
    IdentifyReader reader;
    EXPECT_FALSE(reader.feed(from_hex("8000").value()));
    EXPECT_FALSE(reader.feed(good)) << "an error is final";
    EXPECT_FALSE(reader.finish());
}

}  // namespace
}  // namespace kith::wire
