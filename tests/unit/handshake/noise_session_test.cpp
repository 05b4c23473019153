// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <limits>
#include <numeric>

#include "fuzz/handshake/noise_peers.hpp"
#include "handshake/noise.hpp"

namespace kith::handshake {
namespace {

using testing::secret;

struct Sessions {
    NoiseSession a{CipherState{secret(1)}, CipherState{secret(2)}};
    NoiseSession b{CipherState{secret(2)}, CipherState{secret(1)}};
};

Bytes plain(std::size_t n) {
    Bytes bytes(n);
    std::iota(bytes.begin(), bytes.end(), static_cast<std::uint8_t>(n));
    return bytes;
}

Bytes record(NoiseSession& from, ByteView text) {
    Bytes out(text.size() + NoiseSession::overhead);
    std::copy(text.begin(), text.end(), out.begin() + NoiseSession::header_size);
    const auto n = from.seal(out, text.size());
    EXPECT_EQ(n.value_or(0U), out.size());
    return out;
}

TEST(NoiseSession, EverySizeThatMatters) {
    Sessions s;
    for (const std::size_t n :
         {std::size_t{0}, std::size_t{1}, std::size_t{511}, std::size_t{512}, std::size_t{16384}, NoiseSession::max_plain}) {
        const Bytes text = plain(n);
        Bytes wire = record(s.a, text);
        EXPECT_EQ(wire.size(), n + 18);
        EXPECT_EQ(static_cast<std::size_t>(wire[0]) << 8 | wire[1], n + 16);
        EXPECT_EQ(NoiseSession::missing(wire), 0U);
        MutableBytes in = wire;
        const auto opened = s.b.open(in);
        ASSERT_TRUE(opened && *opened) << n;
        EXPECT_EQ(Bytes((*opened)->begin(), (*opened)->end()), text);
        EXPECT_EQ((*opened)->data(), wire.data() + 2) << "in place";
        EXPECT_TRUE(in.empty());
        s.a.trim();
        s.b.trim();
    }
}

TEST(NoiseSession, Limits) {
    Sessions s;
    Bytes big(70000);
    EXPECT_EQ(s.a.seal(big, NoiseSession::max_plain + 1).error(), Errc::too_large);
    EXPECT_EQ(s.a.seal(MutableBytes{big}.first(117), 100).error(), Errc::invalid_argument);
    EXPECT_EQ(s.a.seal(big, 100).value_or(0U), 118U) << "more room than needed is fine, and nothing was used up by the refusals";
    MutableBytes in = MutableBytes{big}.first(118);
    EXPECT_TRUE(s.b.open(in));
}

TEST(NoiseSession, EverySplitOfTwoRecords) {
    for (std::size_t cut = 0; cut <= 2 * 18 + 10 + 20; ++cut) {
        Sessions s;
        Bytes wire = record(s.a, plain(10));
        const Bytes second = record(s.a, plain(20));
        wire.insert(wire.end(), second.begin(), second.end());
        std::size_t start = 0;
        std::size_t opened = 0;
        for (const std::size_t end : {cut, wire.size()}) {
            MutableBytes in = MutableBytes{wire}.subspan(start, end - start);
            while (true) {
                const std::size_t missing = NoiseSession::missing(in);
                const auto before = in.size();
                const auto text = s.b.open(in);
                ASSERT_TRUE(text);
                EXPECT_EQ(missing == 0, text->has_value());
                if (!*text) {
                    EXPECT_EQ(in.size(), before);
                    break;
                }
                ++opened;
                EXPECT_EQ((*text)->size(), opened * 10);
            }
            start = end - in.size();
        }
        EXPECT_EQ(opened, 2U) << cut;
    }
}

TEST(NoiseSession, Missing) {
    EXPECT_EQ(NoiseSession::missing({}), 18U);
    EXPECT_EQ(NoiseSession::missing(Bytes{0}), 17U);
    EXPECT_EQ(NoiseSession::missing(Bytes{0, 20}), 20U);
    EXPECT_EQ(NoiseSession::missing(Bytes{0xFF, 0xFF}), 65535U);
    EXPECT_EQ(NoiseSession::missing(Bytes(22, 0)), 0U);
}

TEST(NoiseSession, AnyFlippedBitIsRefusedForGood) {
    for (std::size_t at = 0; at < 28; ++at) {
        Sessions s;
        Bytes wire = record(s.a, plain(10));
        Bytes next = record(s.a, plain(10));
        wire[at] ^= 1;
        wire.resize(wire.size() + (at < 2 ? 400 : 0));
        MutableBytes in = wire;
        const auto opened = s.b.open(in);
        ASSERT_FALSE(opened) << at;
        EXPECT_EQ(opened.error(), Errc::decrypt_failed);
        in = next;
        EXPECT_EQ(s.b.open(in).error(), Errc::decrypt_failed);
    }
}

TEST(NoiseSession, TooShortReplayedSwappedReflected) {
    for (std::uint8_t length = 0; length < 16; ++length) {
        Sessions s;
        Bytes wire{0, length};
        wire.resize(40);
        EXPECT_EQ(NoiseSession::missing(ByteView{wire}.first(2)), 0U) << "refused without waiting";
        MutableBytes in = MutableBytes{wire}.first(2);
        EXPECT_EQ(s.b.open(in).error(), Errc::protocol_error);
        in = wire;
        EXPECT_EQ(s.b.open(in).error(), Errc::decrypt_failed) << "final";
    }
    {
        Sessions s;
        Bytes first = record(s.a, plain(5));
        Bytes again = first;
        MutableBytes in = first;
        ASSERT_TRUE(s.b.open(in));
        in = again;
        EXPECT_EQ(s.b.open(in).error(), Errc::decrypt_failed);
    }
    {
        Sessions s;
        record(s.a, plain(5));
        Bytes second = record(s.a, plain(5));
        MutableBytes in = second;
        EXPECT_EQ(s.b.open(in).error(), Errc::decrypt_failed);
    }
    {
        Sessions s;
        Bytes own = record(s.a, plain(5));
        MutableBytes in = own;
        EXPECT_EQ(s.a.open(in).error(), Errc::decrypt_failed);
    }
}

TEST(NoiseSession, NumbersRunOut) {
    CipherState send{secret(1)};
    CipherState receive{secret(1)};
    send.set_nonce(std::numeric_limits<std::uint64_t>::max() - 1);
    receive.set_nonce(std::numeric_limits<std::uint64_t>::max() - 1);
    NoiseSession a{std::move(send), CipherState{secret(2)}};
    NoiseSession b{CipherState{secret(2)}, std::move(receive)};
    Bytes last = record(a, plain(3));
    MutableBytes in = last;
    ASSERT_TRUE(b.open(in));
    Bytes more(30);
    const Bytes before = more;
    EXPECT_EQ(a.seal(more, 3).error(), Errc::limit_exceeded);
    EXPECT_EQ(more, before);
    in = last;
    EXPECT_EQ(b.open(in).error(), Errc::limit_exceeded);
}

}  // namespace
}  // namespace kith::handshake
