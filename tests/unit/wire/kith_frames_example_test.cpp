// SPDX-License-Identifier: Apache-2.0
// The example of docs/wire-protocol.md, byte for byte.
#include <gtest/gtest.h>

#include "base/hex.hpp"
#include "wire/kith_frames.hpp"

namespace {

using namespace kith;
using namespace kith::wire;

constexpr std::string_view hello_hex =
    "0018"
    "0080804001"
    "0004636861740101"
    "1122334455667788"
    "010002";
constexpr std::string_view data_hex =
    "0404"
    "0101"
    "6869";
constexpr std::string_view resume_hex =
    "0220"
    "00808040"
    "99aabbccddeeff00"
    "01"
    "0000000000"
    "0000000000000000"
    "008080800200";
constexpr std::string_view ack_hex = "0a020101";

TEST(KithFramesExample, TheSenderWritesTheBytesOfTheDocument) {
    Hello hello;
    hello.max_message = 1u << 20;
    hello.lanes.push_back(
        {.id = 0, .channel = "chat", .strength = 1, .priority = 1, .epoch = 0x1122334455667788, .first = 1, .settled = 0, .next = 2});
    Bytes out;
    append_hello(out, hello);
    EXPECT_EQ(to_hex(out), hello_hex);
}

TEST(KithFramesExample, TheReceiverWritesTheBytesOfTheDocument) {
    Resume resume;
    resume.max_message = 1u << 20;
    resume.instance = 0x99AABBCCDDEEFF00;
    ResumeLane lane;
    lane.limit = 4u << 20;
    resume.lanes.push_back(lane);
    Bytes out;
    append_resume(out, resume);
    append_ack(out, 0, 1, 1);
    EXPECT_EQ(to_hex(out), std::string{resume_hex} + std::string{ack_hex});
}

TEST(KithFramesExample, TheBytesOfTheDocumentAreRead) {
    const auto bytes = *from_hex(std::string{hello_hex} + std::string{data_hex});
    ByteView in{bytes};
    FrameReader reader;
    Frame frame;
    ASSERT_EQ(reader.next(in, frame), FrameReader::State::frame);
    ASSERT_EQ(frame.type, static_cast<std::uint8_t>(FrameType::hello));
    const auto hello = decode_hello(frame.body);
    ASSERT_TRUE(hello);
    ASSERT_EQ(hello->lanes.size(), 1U);
    EXPECT_EQ(hello->lanes[0].channel, "chat");
    EXPECT_EQ(hello->lanes[0].epoch, 0x1122334455667788U);
    ASSERT_EQ(reader.next(in, frame), FrameReader::State::frame);
    ASSERT_EQ(frame.type, static_cast<std::uint8_t>(FrameType::data));
    const auto data = decode_data(frame.body);
    ASSERT_TRUE(data);
    EXPECT_EQ(data->flags, data_flag::ack_now);
    EXPECT_EQ(data->seq, 1U);
    EXPECT_EQ(as_text(data->bytes), "hi");
    EXPECT_EQ(reader.next(in, frame), FrameReader::State::need_more);
}

}  // namespace
