// SPDX-License-Identifier: Apache-2.0
#include "mux/frame.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/hex.hpp"

namespace kith::mux {
namespace {

struct Vector {
    const char* hex;
    Header header;
};

// Written down by hand from the specification's drawing of the header.
const std::array vectors{
    Vector{"000000010000000100000005", {0, 0, flag::syn, 1, 5}},                       // data, SYN, stream 1, 5 bytes
    Vector{"000100020000000200040000", {0, 1, flag::ack, 2, 262144}},                  // window update, ACK, stream 2
    Vector{"000200010000000001020304", {0, 2, flag::syn, 0, 0x01020304}},              // ping request
    Vector{"000200020000000001020304", {0, 2, flag::ack, 0, 0x01020304}},              // ping answer
    Vector{"000300000000000000000001", {0, 3, 0, 0, 1}},                               // go away: protocol error
    Vector{"0000000400000007ffffffff", {0, 0, flag::fin, 7, 0xFFFFFFFF}},              // data, FIN, longest length
    Vector{"00010008fffffffe00001002", {0, 1, flag::rst, 0xFFFFFFFE, 0x1002}},         // RST with an application code
    Vector{"ff7f800f8000000180000000", {0xFF, 0x7F, 0x800F, 0x80000001, 0x80000000}},  // every top bit
};

TEST(Frame, EncodesAndDecodesTheVectors) {
    for (const Vector& vector : vectors) {
        const Bytes bytes = *from_hex(vector.hex);
        ASSERT_EQ(bytes.size(), header_size);
        EXPECT_EQ(decode_header(bytes.data()), vector.header) << vector.hex;
        Bytes out(header_size, 0xAA);
        encode_header(vector.header, out.data());
        EXPECT_EQ(to_hex(out), vector.hex);
    }
}

TEST(Frame, MakesHeadersOfVersionZero) {
    const Header header = make_header(FrameType::window_update, flag::syn | flag::ack, StreamId{9}, 3);
    EXPECT_EQ(header, (Header{0, 1, 3, 9, 3}));
    EXPECT_TRUE(header.has(flag::syn));
    EXPECT_FALSE(header.has(flag::rst));
}

}  // namespace
}  // namespace kith::mux
