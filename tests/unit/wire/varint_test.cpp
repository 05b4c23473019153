// SPDX-License-Identifier: Apache-2.0
#include "wire/varint.hpp"

#include <gtest/gtest.h>

#include <array>

#include "base/hex.hpp"
#include "wire/lp.hpp"

namespace kith::wire {
namespace {

Bytes hex(std::string_view digits) { return from_hex(digits).value(); }

TEST(Varint, WritesAndReadsTheEdgesOfEveryLength) {
    for (unsigned bits = 0; bits <= 63; ++bits) {
        const auto top = std::uint64_t{1} << bits;
        for (const auto value : {top - 1, top, top + 1}) {
            if (value > max_varint) continue;
            Bytes out;
            append_varint(out, value);
            EXPECT_EQ(out.size(), varint_size(value)) << value;
            const auto back = get_varint(out);
            ASSERT_EQ(back.state, VarintState::ok) << value;
            EXPECT_EQ(back.value, value);
            EXPECT_EQ(back.size, out.size());
            for (std::size_t cut = 0; cut < out.size(); ++cut) {
                EXPECT_EQ(get_varint(ByteView{out}.first(cut)).state, VarintState::need_more) << value << " cut at " << cut;
            }
            out.push_back(0xff);  // what follows is not looked at
            EXPECT_EQ(get_varint(out).size, out.size() - 1);
        }
    }
    EXPECT_EQ(varint_size(0), 1u);
    EXPECT_EQ(varint_size(127), 1u);
    EXPECT_EQ(varint_size(128), 2u);
    EXPECT_EQ(varint_size(max_varint), 9u);
    EXPECT_EQ(varint_size(~std::uint64_t{0}), 10u);
}

TEST(Varint, RefusesWhatIsNotMinimal) {
    for (const auto* digits : {"8000", "8100", "ff00", "808000", "ffffffffffffffff00"}) {
        EXPECT_EQ(get_varint(hex(digits)).state, VarintState::bad) << digits;
    }
}

TEST(Varint, RefusesTenBytesAsSoonAsTheNinthContinues) {
    EXPECT_EQ(get_varint(hex("ffffffffffffffffff")).state, VarintState::bad);
    EXPECT_EQ(get_varint(hex("ffffffffffffffffff01")).state, VarintState::bad);
    EXPECT_EQ(get_varint(hex("ffffffffffffffff7f")).value, max_varint);
}

TEST(Varint, ChecksTheRoom) {
    std::array<std::uint8_t, 2> room{0xaa, 0xaa};
    EXPECT_EQ(put_varint(MutableBytes{room}, 16384), 0u);
    EXPECT_EQ(room[0], 0xaa);
    EXPECT_EQ(put_varint(MutableBytes{room}, 300), 2u);
    EXPECT_EQ(room, (std::array<std::uint8_t, 2>{0xac, 0x02}));
}

std::vector<Bytes> read_all(LpReader& reader, ByteView in, std::size_t step, LpReader::State& last) {
    std::vector<Bytes> out;
    while (!in.empty()) {
        auto piece = in.first(std::min(step, in.size()));
        in = in.subspan(piece.size());
        do {
            last = reader.feed(piece);
            if (last == LpReader::State::message) out.emplace_back(reader.message().begin(), reader.message().end());
        } while (last == LpReader::State::message && !piece.empty());
        if (last == LpReader::State::too_large || last == LpReader::State::bad_length) break;
    }
    return out;
}

TEST(Lp, CutsTheSameMessagesWhateverThePieces) {
    const std::vector<Bytes> messages{Bytes(1, 7), Bytes{}, Bytes(127, 1), Bytes(128, 2), Bytes(1000, 3)};
    Bytes stream;
    for (const auto& message : messages) append_lp(stream, message);
    for (std::size_t step = 1; step <= stream.size(); ++step) {
        LpReader reader{1000};
        auto last = LpReader::State::need_more;
        ASSERT_EQ(read_all(reader, stream, step, last), messages) << step;
        EXPECT_FALSE(reader.midway());
    }
}

TEST(Lp, LeavesWhatBelongsToTheNext) {
    LpReader reader{10};
    const auto bytes = hex("0201020304");
    ByteView in{bytes};
    ASSERT_EQ(reader.feed(in), LpReader::State::message);
    EXPECT_EQ(to_hex(reader.message()), "0102");
    EXPECT_EQ(to_hex(in), "0304");
    EXPECT_EQ(reader.message().data(), bytes.data() + 1) << "a whole message is borrowed, not copied";
}

TEST(Lp, RefusesALengthBeforeItAllocates) {
    for (const auto* digits : {"65", "ffffffffffffffff7f", "8008"}) {  // 101, 2^63 - 1, 1024
        LpReader reader{100};
        const auto bytes = hex(digits);
        ByteView in{bytes};
        EXPECT_EQ(reader.feed(in), LpReader::State::too_large) << digits;
        EXPECT_EQ(reader.buffered(), 0u);
        EXPECT_EQ(reader.feed(in), LpReader::State::too_large) << "final";
    }
}

TEST(Lp, AnnouncedLengthAloneTakesNoMemory) {
    LpReader reader{1u << 30};
    const auto bytes = hex("8080808004aabb");  // 1 GiB, of which two bytes came
    ByteView in{bytes};
    EXPECT_EQ(reader.feed(in), LpReader::State::need_more);
    EXPECT_EQ(reader.buffered(), 2u);
    EXPECT_TRUE(reader.midway());
}

TEST(Lp, RefusesABadPrefixInPieces) {
    for (const std::size_t step : {1u, 16u}) {
        LpReader reader{100};
        auto last = LpReader::State::need_more;
        EXPECT_TRUE(read_all(reader, hex("8000"), step, last).empty());
        EXPECT_EQ(last, LpReader::State::bad_length);
        LpReader longer{100};
        EXPECT_TRUE(read_all(longer, hex("80808080808080808080"), step, last).empty());
        EXPECT_EQ(last, LpReader::State::bad_length);
    }
}

TEST(Lp, KnowsThatItIsMidway) {
    LpReader reader{1000};
    EXPECT_FALSE(reader.midway());
    const auto bytes = hex("80018001");
    ByteView in = ByteView{bytes}.first(1);
    EXPECT_EQ(reader.feed(in), LpReader::State::need_more);
    EXPECT_TRUE(reader.midway()) << "inside the prefix";
    in = ByteView{bytes}.subspan(1, 1);
    EXPECT_EQ(reader.feed(in), LpReader::State::need_more);
    EXPECT_TRUE(reader.midway()) << "behind the prefix";
}

}  // namespace
}  // namespace kith::wire
