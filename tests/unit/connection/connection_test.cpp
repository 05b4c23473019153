// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "unit/connection/link_pair.hpp"

namespace kith::connection {
namespace {

struct ConnectionTest : ::testing::Test {
    Who alice{1};
    Who bob{2};
    End dialler(bool early = true, std::optional<PeerId> expected = {}) { return End(alice, Role::initiator, 11, early, expected); }
    End acceptor(bool early = true) { return End(bob, Role::responder, 12, early); }
};

TEST_F(ConnectionTest, BothKnowEachOther) {
    auto a = dialler(true, bob.id);
    auto b = acceptor();
    run(a, b);
    EXPECT_TRUE(a.established && b.established);
    EXPECT_EQ(a.connection->peer(), bob.id);
    EXPECT_EQ(b.connection->peer(), alice.id);
    EXPECT_EQ(wire::peer_id_of(a.connection->remote_key()), bob.id);
}

// Early muxer on or off on either side, against pieces of every small size; then an echo of 40 KB.
TEST_F(ConnectionTest, EveryMuxerChoiceAndEverySplit) {
    const std::string text(40'000, 'x');
    for (const bool early_a : {true, false}) {
        for (const bool early_b : {true, false}) {
            for (const std::size_t piece : {1UL, 2UL, 3UL, 5UL, 17UL, 100UL, 1000UL, 1UL << 20}) {
                auto a = dialler(early_a);
                auto b = acceptor(early_b);
                b.echo = true;
                run(a, b, piece);
                ASSERT_TRUE(a.established && b.established) << early_a << early_b << piece;
                const auto stream = a.connection->open("/echo/1", false, 3);
                ASSERT_TRUE(stream);
                a.say(*stream, text);
                a.end(*stream);
                run(a, b, piece);
                ASSERT_EQ(a.got[stream->value], text);
                ASSERT_EQ(a.agreed.size(), 1U);
                ASSERT_EQ(a.finished.size(), 1U);
                ASSERT_FALSE(a.error || b.error);
                ASSERT_EQ(a.connection->streams(), 0U);
                ASSERT_EQ(b.connection->streams(), 0U);
            }
        }
    }
}

TEST_F(ConnectionTest, AnotherPeerThanExpected) {
    auto a = dialler(true, alice.id);
    auto b = acceptor();
    run(a, b);
    ASSERT_TRUE(a.error);
    EXPECT_EQ(a.error->code, Errc::wrong_peer);
    EXPECT_FALSE(a.established);
    EXPECT_FALSE(b.established);
}

// One bit of one byte of the handshake, each in turn, in both directions: somebody notices, and never do both open with other
// peers than these.
TEST_F(ConnectionTest, AFlippedBitInEveryByteOfTheHandshake) {
    for (const bool early : {true, false}) {
        for (const bool from_dialler : {true, false}) {
            std::size_t total = 0;
            {
                auto a = dialler(early);
                auto b = acceptor(early);
                for (bool moved = true; moved && !(a.established && b.established);) {
                    const auto first = a.write();
                    b.read(first);
                    const auto second = b.write();
                    a.read(second);
                    total += from_dialler ? first.size() : second.size();
                    moved = !first.empty() || !second.empty();
                }
                ASSERT_TRUE(a.established && b.established);
            }
            for (std::size_t at = 0; at < total; ++at) {
                auto a = dialler(early);
                auto b = acceptor(early);
                std::size_t seen = 0;
                bool hit = false;
                for (int turn = 0; turn < 12; ++turn) {
                    for (auto [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
                        auto bytes = from->write();
                        if ((from == &a) == from_dialler) {
                            if (at >= seen && at - seen < bytes.size()) {
                                bytes[at - seen] ^= static_cast<std::uint8_t>(1U << (at % 8));
                                hit = true;
                            }
                            seen += bytes.size();
                        }
                        if (!bytes.empty()) to->read(bytes);
                    }
                }
                ASSERT_TRUE(hit) << at;
                const bool both = a.established && b.established && !a.error && !b.error;
                ASSERT_FALSE(both) << "byte " << at << (from_dialler ? " of the dialler" : " of the acceptor");
                if (a.established) {
                    ASSERT_EQ(a.connection->peer(), bob.id);
                }
                if (b.established) {
                    ASSERT_EQ(b.connection->peer(), alice.id);
                }
            }
            EXPECT_GT(total, 200U);
        }
    }
}

// Ends after every byte: nobody is established by half of a handshake, nobody takes it for an error.
TEST_F(ConnectionTest, TruncatedAfterEveryByte) {
    auto a = dialler();
    auto b = acceptor();
    Bytes first = a.write();
    b.read(first);
    const Bytes answer = b.write();
    for (std::size_t n = 0; n < answer.size(); ++n) {
        auto again = dialler();
        again.write();
        again.read(ByteView{answer}.first(n));
        EXPECT_FALSE(again.established) << n;
        EXPECT_FALSE(again.error) << n;
    }
}

TEST_F(ConnectionTest, NotAKithNorAnyLibp2pPeer) {
    for (const std::string& text : {std::string("GET / HTTP/1.1\r\n\r\n") + std::string(100, ' '), std::string(100, '\0'),
                                    std::string(100, '\xff'), std::string("SSH-2.0-x\r\n") + std::string(100, ' ')}) {
        auto a = dialler();
        a.write();
        a.read(as_bytes(text));
        EXPECT_TRUE(a.error) << text;
        auto b = acceptor();
        b.read(as_bytes(text));
        EXPECT_TRUE(b.error) << text;
        EXPECT_LT(b.connection->memory(), 10'000U);
    }
}

TEST_F(ConnectionTest, ProposalsAreLimited) {
    auto b = acceptor();
    std::string text;
    handshake::mss::append_message(text, handshake::mss::header);
    for (int i = 0; i < 10'000; ++i) handshake::mss::append_message(text, "/unknown/" + std::to_string(i));
    b.read(as_bytes(text));
    ASSERT_TRUE(b.error);
    EXPECT_EQ(b.error->code, Errc::protocol_error);
}

TEST_F(ConnectionTest, ARefusedProtocol) {
    auto a = dialler();
    auto b = acceptor();
    run(a, b);
    const auto stream = a.connection->open("/no/1", false, 3);
    ASSERT_TRUE(stream);
    a.say(*stream, "lost");
    run(a, b);
    EXPECT_EQ(a.refused.size(), 1U);
    EXPECT_TRUE(b.got.empty());
    EXPECT_EQ(a.connection->streams(), 0U);
}

// Lazy data travels with the proposal; when the answer is "na" it was never read.
TEST_F(ConnectionTest, LazyDataBehindARefusedProposal) {
    auto a = dialler();
    auto b = acceptor();
    run(a, b);
    const auto stream = a.connection->open("/no/1", true, 3);
    ASSERT_TRUE(stream);
    a.say(*stream, "lost");
    run(a, b);
    EXPECT_EQ(a.refused.size() + a.resets.size(), 1U);
    EXPECT_TRUE(b.got.empty());
    EXPECT_FALSE(a.error || b.error);
    // The link lives.
    const auto next = a.connection->open("/yes/1", true, 4);
    ASSERT_TRUE(next);
    a.say(*next, "read");
    run(a, b);
    EXPECT_EQ(b.got[next->value], "read");
}

TEST_F(ConnectionTest, LazyDataIsReadAtOnce) {
    auto a = dialler();
    auto b = acceptor();
    run(a, b);
    const auto stream = a.connection->open("/yes/1", true, 3);
    a.say(*stream, "hello");
    b.read(a.write());  // one flight
    EXPECT_EQ(b.got[stream->value], "hello");
}

TEST_F(ConnectionTest, StreamsOfBothSidesAndResets) {
    auto a = dialler();
    auto b = acceptor();
    a.echo = b.echo = true;
    run(a, b);
    const auto x = a.connection->open("/x/1", false, 3);
    const auto y = b.connection->open("/y/1", false, 3);
    ASSERT_TRUE(x && y);
    EXPECT_NE(x->value, y->value);
    run(a, b);
    EXPECT_EQ(a.agreed.size(), 1U);
    EXPECT_EQ(b.agreed.size(), 1U);
    a.connection->reset(*x, 5);
    run(a, b);
    EXPECT_EQ(b.resets, std::vector<std::uint32_t>{x->value});
    EXPECT_EQ(a.connection->streams(), 1U);
    EXPECT_EQ(b.connection->streams(), 1U);
}

TEST_F(ConnectionTest, ADamagedRecordEndsTheLink) {
    auto a = dialler();
    auto b = acceptor();
    run(a, b);
    const auto stream = a.connection->open("/x/1", true, 3);
    a.say(*stream, "hello");
    auto bytes = a.write();
    bytes[bytes.size() / 2] ^= 1;
    b.read(bytes);
    ASSERT_TRUE(b.error);
    EXPECT_EQ(b.error->code, Errc::decrypt_failed);
    EXPECT_TRUE(b.got.empty());
}

TEST_F(ConnectionTest, ManyStreamsAtOnce) {
    auto a = dialler();
    auto b = acceptor();
    b.echo = true;
    run(a, b);
    std::vector<StreamId> streams;
    for (int i = 0; i < 100; ++i) {
        const auto stream = a.connection->open("/echo/1", true, 3);
        ASSERT_TRUE(stream);
        a.say(*stream, std::string(static_cast<std::size_t>(i) * 100, static_cast<char>('a' + i % 26)));
        a.end(*stream);
        streams.push_back(*stream);
    }
    run(a, b, 777);
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(a.got[streams[static_cast<std::size_t>(i)].value],
                  std::string(static_cast<std::size_t>(i) * 100, static_cast<char>('a' + i % 26)));
    }
    EXPECT_EQ(a.connection->streams(), 0U);
    EXPECT_EQ(b.connection->streams(), 0U);
}

}  // namespace
}  // namespace kith::connection
