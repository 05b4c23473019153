// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "unit/node/support.hpp"

namespace kith::node::test {
namespace {

constexpr std::string_view echo = "/test/echo/1";

// Sends back what it reads; keeps itself alive through its callbacks.
class Echo : public std::enable_shared_from_this<Echo> {
public:
    explicit Echo(Stream stream) : stream_(std::move(stream)) {}
    void read() {
        stream_.async_read([self = shared_from_this()](Result<Bytes> got) {
            if (!got) return;
            if (got->empty()) return self->stream_.close_write();
            self->stream_.async_write(std::move(*got), [self](const Status& ok) {
                if (ok) self->read();
            });
        });
    }

private:
    Stream stream_;
};

void serve_echo(Node& node) {
    node.handle_protocol(echo, [](Stream stream) { std::make_shared<Echo>(std::move(stream))->read(); });
}

struct Streams : testing::TestWithParam<Mode> {
    Pair pair{GetParam()};
    Log<Stream> accepted;
    void SetUp() override {
        serve_echo(*pair.b);
        pair.b->handle_protocol("/test/keep", [this](Stream stream) { accepted.add(std::move(stream)); });
        pair.start();
        pair.connect();
    }
    void TearDown() override { pair.stop(); }
    Stream open(std::string_view protocol) {
        auto stream = pair.a->open_stream(pair.b->id(), protocol, patient);
        EXPECT_TRUE(stream) << stream.error();
        return stream ? std::move(*stream) : Stream{};
    }
    std::pair<Stream, Stream> both() {
        auto ours = open("/test/keep");
        EXPECT_TRUE(accepted.wait_count(1));
        return {ours, accepted.all().back()};
    }
};

Result<Bytes> read_all(Stream& stream) {
    Bytes all;
    for (;;) {
        auto some = stream.read(patient);
        if (!some) return some.error();
        if (some->empty()) return all;
        all.insert(all.end(), some->begin(), some->end());
    }
}

TEST_P(Streams, EchoAndHalfClose) {
    for (const std::size_t size : {0U, 1U, 1'000U, 3'000'000U}) {
        auto stream = open(echo);
        EXPECT_EQ(stream.peer(), pair.b->id());
        EXPECT_EQ(stream.protocol(), echo);
        EXPECT_EQ(stream.direction(), Direction::outbound);
        const auto sent = pattern(size);
        std::thread writer([&] {
            EXPECT_TRUE(stream.write(sent, patient));
            stream.close_write();
        });
        const auto got = read_all(stream);
        writer.join();
        ASSERT_TRUE(got) << got.error();
        EXPECT_TRUE(*got == sent);
        EXPECT_EQ(stream.write(as_bytes("late"), patient).error(), Errc::stream_closed);
    }
}

TEST_P(Streams, UnknownProtocol) {
    EXPECT_EQ(pair.a->open_stream(pair.b->id(), "/test/nobody", patient).error(), Errc::not_supported);
    EXPECT_EQ(pair.a->open_stream(Identity::generate()->peer_id(), echo, patient).error(), Errc::not_connected);
    std::stop_source stop;
    stop.request_stop();
    EXPECT_EQ(pair.a->open_stream(pair.b->id(), echo, Wait{patience, stop.get_token()}).error(), Errc::cancelled);
    EXPECT_EQ(pair.a->open_stream(pair.b->id(), echo, Wait{Duration{}}).error(), Errc::timeout);
    // What was opened and not waited for any more is reset, on both sides.
    while (pair.a->stats().streams_now > 1 || pair.b->stats().streams_now > 1) std::this_thread::yield();
}

TEST_P(Streams, Reset) {
    auto [ours, theirs] = both();
    ASSERT_TRUE(ours.write(as_bytes("x"), patient));
    EXPECT_EQ(as_text(*theirs.read(patient)), "x");
    theirs.reset();
    EXPECT_EQ(ours.read(patient).error(), Errc::stream_reset);
    EXPECT_EQ(ours.write(as_bytes("x"), patient).error(), Errc::stream_reset);
    EXPECT_FALSE(theirs.read(patient));
}

TEST_P(Streams, DroppedHandleResets) {
    auto ours = open("/test/keep");
    ASSERT_TRUE(accepted.wait_count(1));
    auto theirs = accepted.all().back();
    ours = {};
    EXPECT_EQ(theirs.read(patient).error(), Errc::stream_reset);
}

TEST_P(Streams, DroppedHandleAfterItsEndLosesNothing) {
    auto [ours, theirs] = both();
    const auto sent = pattern(900'000);
    ASSERT_TRUE(ours.write(sent, patient));
    ours.close_write();
    ours = {};
    ASSERT_TRUE(theirs.write(pattern(2'000'000), patient));  // read by nobody
    theirs.close_write();
    const auto got = read_all(theirs);
    ASSERT_TRUE(got) << got.error();
    EXPECT_TRUE(*got == sent);
}

TEST_P(Streams, WritesWaitForTheReader) {
    auto [ours, theirs] = both();
    const auto sent = pattern(8u << 20u);
    Flag written;
    ours.async_write(sent, [&](const Status& ok) {
        EXPECT_TRUE(ok) << ok.error();
        written.set();
    });
    EXPECT_EQ(ours.write(as_bytes("behind"), Wait{std::chrono::milliseconds{20}}).error(), Errc::timeout);  // never sent
    EXPECT_FALSE(written.is_set());
    Bytes got;
    while (got.size() < sent.size()) {
        auto some = theirs.read(patient, 10'000);
        ASSERT_TRUE(some) << some.error();
        ASSERT_LE(some->size(), 10'000U);
        got.insert(got.end(), some->begin(), some->end());
    }
    EXPECT_TRUE(got == sent);
    EXPECT_TRUE(written.wait());
    ours.close_write();
    EXPECT_TRUE(theirs.read(patient)->empty());
}

TEST_P(Streams, ReadsEnd) {
    auto [ours, theirs] = both();
    EXPECT_EQ(ours.read(Wait{std::chrono::milliseconds{10}}).error(), Errc::timeout);
    std::stop_source stop;
    std::thread other([&] { stop.request_stop(); });
    EXPECT_EQ(ours.read(Wait{patience, stop.get_token()}).error(), Errc::cancelled);
    other.join();
    Log<Errc> ends;
    ours.async_read([&](const Result<Bytes>& r) { ends.add(r.error().code); });
    ours.async_read([&](const Result<Bytes>& r) { ends.add(r.error().code); });  // one at a time
    ASSERT_TRUE(ends.wait_count(1));
    ours.cancel();
    ASSERT_TRUE(ends.wait_count(2));
    EXPECT_EQ(ends.all(), (std::vector{Errc::invalid_argument, Errc::cancelled}));
    ASSERT_TRUE(theirs.write(as_bytes("still there"), patient));
    EXPECT_EQ(as_text(*ours.read(patient)), "still there");
    pair.a->disconnect(pair.b->id());
    const auto end = theirs.read(patient);
    EXPECT_FALSE(end);
    EXPECT_FALSE(ours.read(patient));
}

INSTANTIATE_TEST_SUITE_P(Modes, Streams, testing::Values(Mode::own, Mode::executor, Mode::manual, Mode::loop, Mode::polled),
                         [](const auto& test) { return mode_name(test.param); });

TEST(StreamHandles, Empty) {
    Stream none;
    EXPECT_FALSE(none);
    EXPECT_EQ(none.read().error(), Errc::stream_closed);
    EXPECT_EQ(none.write(as_bytes("x")).error(), Errc::stream_closed);
    none.close_write();
    none.reset();
    none.cancel();
    none.async_read([](const Result<Bytes>&) { FAIL(); });
    none.async_write({}, [](const Status&) { FAIL(); });
    EXPECT_EQ(none.protocol(), "");
}

TEST(StreamHandles, OutliveTheNode) {
    Stream kept;
    {
        Pair pair;
        serve_echo(*pair.b);
        pair.start();
        pair.connect();
        kept = *pair.a->open_stream(pair.b->id(), echo, patient);
    }
    EXPECT_FALSE(kept.read(patient));
    kept.reset();
}

// Streams that were dropped leave nothing in the node.
TEST(StreamHandles, ManyComeAndGo) {
    Pair pair;
    serve_echo(*pair.b);
    pair.start();
    pair.connect();
    for (int i = 0; i < 500; ++i) {
        auto stream = pair.a->open_stream(pair.b->id(), echo, patient);
        ASSERT_TRUE(stream) << stream.error();
        if (i % 2 == 0) continue;
        ASSERT_TRUE(stream->write(as_bytes("x"), patient));
        stream->close_write();
        EXPECT_EQ(as_text(*read_all(*stream)), "x");
    }
    // The message stream and identify's may be among those that are left.
    while (pair.a->stats().streams_now > 2 || pair.b->stats().streams_now > 2) std::this_thread::yield();
    pair.stop();
}

}  // namespace
}  // namespace kith::node::test
