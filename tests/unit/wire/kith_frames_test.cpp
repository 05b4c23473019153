// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "wire/kith_frames.hpp"

namespace kith::wire {
namespace {

Bytes frame(std::uint8_t type, std::uint32_t lane, ByteView body) {
    Bytes out(20);
    out.resize(put_frame_head(out.data(), static_cast<FrameType>(type), lane, body.size()));
    out.insert(out.end(), body.begin(), body.end());
    return out;
}

struct Seen {
    std::uint8_t type;
    std::uint32_t lane;
    Bytes body;
    friend bool operator==(const Seen&, const Seen&) = default;
};

// All frames of `bytes` given in pieces of `piece`; `bad` when the reader says so.
std::vector<Seen> read(ByteView bytes, std::size_t piece, bool* bad = nullptr) {
    FrameReader reader;
    std::vector<Seen> out;
    for (std::size_t i = 0; i < bytes.size(); i += piece) {
        auto in = bytes.subspan(i, std::min(piece, bytes.size() - i));
        for (;;) {
            Frame f;
            const auto state = reader.next(in, f);
            if (state == FrameReader::State::need_more) break;
            if (state == FrameReader::State::bad) {
                if (bad != nullptr) *bad = true;
                EXPECT_EQ(reader.error().code, Errc::protocol_error);
                return out;
            }
            out.push_back({f.type, f.lane, Bytes(f.body.begin(), f.body.end())});
        }
        EXPECT_TRUE(in.empty());
    }
    return out;
}

TEST(FrameReader, FramesSplitAtEveryByte) {
    Bytes all;
    std::vector<Seen> expected;
    const std::size_t sizes[] = {0, 1, 2, 127, 128, 300, 5000, 16384};
    const std::uint32_t lanes[] = {0, 3, 4, 65535};
    std::uint8_t n = 0;
    for (const auto size : sizes) {
        for (const auto lane : lanes) {
            const Bytes body(size, ++n);
            const auto one = frame(n % 32, lane, body);
            all.insert(all.end(), one.begin(), one.end());
            expected.push_back({static_cast<std::uint8_t>(n % 32), lane, body});
        }
    }
    for (const std::size_t piece :
         {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{5}, std::size_t{8}, std::size_t{9}, std::size_t{1000}, all.size()}) {
        EXPECT_EQ(read(all, piece), expected) << piece;
    }
    for (std::size_t cut = 1; cut < 600; ++cut) {  // two pieces
        FrameReader reader;
        std::vector<Seen> got;
        for (auto part : {ByteView{all}.first(cut), ByteView{all}.subspan(cut)}) {
            Frame f;
            while (reader.next(part, f) == FrameReader::State::frame) got.push_back({f.type, f.lane, Bytes(f.body.begin(), f.body.end())});
        }
        ASSERT_EQ(got, expected) << cut;
    }
}

TEST(FrameReader, HostileHeads) {
    const std::pair<const char*, Bytes> table[] = {
        {"a lane above 65535", Bytes{0x80, 0x80, 0x80, 0x01, 0x00}},
        {"a head that does not end", Bytes(12, 0x80)},
        {"a head that is not minimal", Bytes{0x84, 0x00, 0x00}},
        {"a size that is not minimal", Bytes{0x04, 0x81, 0x00}},
        {"a body of 64 KiB and 1", Bytes{0x04, 0x81, 0x80, 0x04}},
        {"an enormous body", Bytes{0x04, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}},
    };
    for (const auto& [name, bytes] : table) {
        for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
            bool bad = false;
            EXPECT_TRUE(read(bytes, piece, &bad).empty()) << name;
            EXPECT_TRUE(bad) << name << ", pieces of " << piece;
        }
    }
    bool bad = false;
    EXPECT_EQ(read(frame(4, 0, Bytes(max_frame_body, 1)), 4096, &bad).size(), 1U);
    EXPECT_FALSE(bad);
}

// Decodes the body of the only frame in `bytes`.
template <class F>
auto body_of(const Bytes& bytes, F decode) {
    ByteView in{bytes};
    FrameReader reader;
    Frame f;
    EXPECT_EQ(reader.next(in, f), FrameReader::State::frame);
    EXPECT_TRUE(in.empty());
    return decode(f.body);
}

// A decoder must refuse every proper beginning of a body that needs all of it.
template <class F>
void every_beginning_fails(ByteView body, F decode) {
    for (std::size_t n = 0; n < body.size(); ++n) EXPECT_FALSE(decode(body.first(n))) << n;
}

Bytes whole_body(const Bytes& bytes) {
    return body_of(bytes, [](ByteView b) { return Bytes(b.begin(), b.end()); });
}

TEST(KithFrames, Hello) {
    Hello hello;
    hello.features = 7;
    hello.max_message = 1 << 20;
    hello.lanes = {
        {.id = 0, .channel = "chat", .strength = 1, .priority = 2, .epoch = 99, .first = 5, .settled = 4, .next = 9},
        {.id = 65535, .channel = std::string(64, 'n'), .strength = 2, .priority = 3, .epoch = ~0ULL, .first = 1, .settled = 0, .next = 1}};
    Bytes bytes;
    append_hello(bytes, hello);
    const auto back = body_of(bytes, decode_hello);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->features, 7U);
    EXPECT_EQ(back->max_message, 1U << 20);
    ASSERT_EQ(back->lanes.size(), 2U);
    EXPECT_EQ(back->lanes[0].channel, "chat");
    EXPECT_EQ(back->lanes[0].first, 5U);
    EXPECT_EQ(back->lanes[0].settled, 4U);
    EXPECT_EQ(back->lanes[0].next, 9U);
    EXPECT_EQ(back->lanes[1].id, 65535U);
    EXPECT_EQ(back->lanes[1].epoch, ~0ULL);
    auto body = whole_body(bytes);
    every_beginning_fails(body, decode_hello);
    body.push_back(0);
    EXPECT_FALSE(decode_hello(body));
}

TEST(KithFrames, ImpossibleLanesAreRefused) {
    const HelloLane good{.id = 1, .channel = "a", .strength = 1, .priority = 1, .epoch = 1, .first = 1, .settled = 0, .next = 1};
    const auto refused = [](HelloLane lane) {
        Bytes bytes;
        append_add(bytes, lane);
        return !decode_add(1, whole_body(bytes));
    };
    EXPECT_FALSE(refused(good));
    auto lane = good;
    lane.strength = 0;
    EXPECT_TRUE(refused(lane));
    lane.strength = 3;
    EXPECT_TRUE(refused(lane));
    lane = good;
    lane.priority = 4;
    EXPECT_TRUE(refused(lane));
    lane = good;
    lane.first = 0;
    EXPECT_TRUE(refused(lane));
    lane = good;
    lane.first = 2;  // above next
    EXPECT_TRUE(refused(lane));
    lane = good;
    lane.settled = 1;  // not below first
    EXPECT_TRUE(refused(lane));
    lane = good;
    lane.channel = std::string(65, 'x');
    EXPECT_TRUE(refused(lane));
}

TEST(KithFrames, TooManyLanesAreRefusedBeforeMemoryIsTaken) {
    const Bytes body{0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F};
    const auto hello = decode_hello(body);
    ASSERT_FALSE(hello);
    EXPECT_EQ(hello.error().what, "HELLO has more than 256 lanes");
    const Bytes answer{0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F};
    EXPECT_FALSE(decode_resume(answer));
}

TEST(KithFrames, Resume) {
    Resume resume;
    resume.features = 1;
    resume.max_message = 77;
    resume.instance = 0x0102030405060708;
    resume.lanes = {
        {.id = 3, .state = ResumeState::known, .have = 9, .done = 8, .processed = 7, .mid = 6, .partial = 5, .limit = 4, .gap = 1}};
    Bytes bytes;
    append_resume(bytes, resume);
    const auto back = body_of(bytes, decode_resume);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->instance, 0x0102030405060708U);
    ASSERT_EQ(back->lanes.size(), 1U);
    const auto& lane = back->lanes[0];
    EXPECT_EQ(lane.id, 3U);
    EXPECT_EQ(lane.state, ResumeState::known);
    EXPECT_EQ(lane.have, 9U);
    EXPECT_EQ(lane.done, 8U);
    EXPECT_EQ(lane.processed, 7U);
    EXPECT_EQ(lane.mid, 6U);
    EXPECT_EQ(lane.partial, 5U);
    EXPECT_EQ(lane.limit, 4U);
    EXPECT_EQ(lane.gap, 1U);
    every_beginning_fails(whole_body(bytes), decode_resume);

    resume.lanes[0].done = 10;  // above have
    Bytes bad;
    append_resume(bad, resume);
    EXPECT_FALSE(decode_resume(whole_body(bad)));
}

TEST(KithFrames, Numbers) {
    Bytes bytes;
    append_ack(bytes, 7, 300, 299);
    const auto ack = body_of(bytes, decode_two);
    ASSERT_TRUE(ack);
    EXPECT_EQ(ack->first, 300U);
    EXPECT_EQ(ack->second, 299U);
    every_beginning_fails(whole_body(bytes), decode_two);
    Bytes limit;
    append_limit(limit, 7, ~0ULL >> 1);
    const auto value = body_of(limit, decode_one);
    ASSERT_TRUE(value);
    EXPECT_EQ(*value, ~0ULL >> 1);
    EXPECT_FALSE(decode_one(Bytes{1, 1}));
    EXPECT_FALSE(decode_two(Bytes{1, 1, 1}));
    EXPECT_FALSE(decode_one(Bytes{}));
}

TEST(KithFrames, CloseAndDatagram) {
    Bytes bytes;
    append_close(bytes, 5, "too many channels");
    const auto close = body_of(bytes, decode_close);
    ASSERT_TRUE(close);
    EXPECT_EQ(close->code, 5U);
    EXPECT_EQ(close->text, "too many channels");
    EXPECT_FALSE(decode_close(Bytes{}));
    EXPECT_FALSE(decode_close(Bytes(1026, 1)));

    Bytes datagram;
    append_datagram(datagram, "state", as_bytes("x=1"));
    const auto back = body_of(datagram, [](ByteView b) {
        const auto d = decode_datagram(b);
        return d ? std::pair{std::string{d->channel}, std::string{as_text(d->bytes)}} : std::pair<std::string, std::string>{};
    });
    EXPECT_EQ(back, (std::pair<std::string, std::string>{"state", "x=1"}));
    EXPECT_FALSE(decode_datagram(Bytes{}));
    EXPECT_FALSE(decode_datagram(Bytes{0, 1}));
    EXPECT_FALSE(decode_datagram(Bytes{5, 'a'}));
    EXPECT_FALSE(decode_datagram(Bytes(70, 65)));
}

TEST(KithFrames, DataThatIsWrong) {
    EXPECT_FALSE(decode_data(Bytes{}));
    EXPECT_FALSE(decode_data(Bytes{0}));
    EXPECT_FALSE(decode_data(Bytes{0, 0}));           // number 0
    EXPECT_FALSE(decode_data(Bytes{0x20, 1}));        // unknown flag
    EXPECT_FALSE(decode_data(Bytes{8, 1, 1, 2, 3}));  // mid ends too early
    EXPECT_FALSE(decode_data(Bytes{4, 1, 5, 2}));     // an empty fragment
    EXPECT_FALSE(decode_data(Bytes{4, 1, 5, 6, 1}));  // behind the end
    EXPECT_FALSE(decode_data(Bytes{4, 1, 5, 4, 1, 1}));
    EXPECT_FALSE(decode_data(Bytes{0, 0x81, 0x00}));  // not minimal
    const Bytes whole{1, 2, 'h', 'i'};
    const auto data = decode_data(whole);
    ASSERT_TRUE(data);
    EXPECT_EQ(data->total, 2U);
    EXPECT_EQ(as_text(data->bytes), "hi");
    const Bytes empty{0, 1};
    ASSERT_TRUE(decode_data(empty));
    EXPECT_TRUE(decode_data(empty)->bytes.empty());
}

}  // namespace
}  // namespace kith::wire
