// SPDX-License-Identifier: Apache-2.0
#include "io/tcp.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include <numeric>
#include <vector>

#include "unit/io/support.hpp"

namespace {

using namespace kith::io::test;
using kith::Endpoint;
using kith::Errc;
using kith::EventLoop;
using kith::IpAddress;
using kith::Ready;
using kith::io::AcceptState;
using kith::io::IoState;
using kith::io::TcpListener;
using kith::io::TcpSocket;

const Endpoint any_v4{IpAddress::v4(127, 0, 0, 1), 0};
Endpoint any_v6() { return {*IpAddress::parse("::1"), 0}; }

struct Connected {
    EventLoop loop;
    TcpListener listener;
    TcpSocket client;
    TcpSocket server;

    explicit Connected(const Endpoint& at = any_v4)
        : listener(*TcpListener::listen(at)), client(*TcpSocket::connect_start(listener.local())), server(accept()) {
        EXPECT_TRUE(client.connect_result());
    }
    TcpSocket accept() {
        std::optional<TcpSocket> out;
        const auto id = *loop.watch(listener.fd(), {.readable = true}, [&](Ready) { out = std::move(listener.accept().socket); });
        EXPECT_TRUE(run_until(loop, [&] { return out.has_value(); }));
        loop.unwatch(id);
        return *std::move(out);
    }
};

int option(int fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    EXPECT_EQ(::getsockopt(fd, level, name, &value, &size), 0);
    return value;
}

TEST(Tcp, BothEndsHaveTheOptions) {
    const Connected c;
    for (const int fd : {c.client.fd(), c.server.fd()}) {
        EXPECT_EQ(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
        EXPECT_EQ(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 20'000);
        EXPECT_EQ(option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 128 * 1024);
        EXPECT_EQ(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
        EXPECT_NE(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
        EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    }
    EXPECT_EQ(c.client.remote(), c.listener.local());
    EXPECT_EQ(c.client.local(), c.server.remote());
    EXPECT_EQ(c.server.local(), c.listener.local());
}

TEST(Tcp, ReadWriteEndAndReset) {
    Connected c;
    std::array<std::uint8_t, 16> room{};
    EXPECT_EQ(c.client.read(room).state, IoState::would_block);
    EXPECT_EQ(c.client.write(kith::as_bytes("hello")).n, 5U);
    auto got = c.server.read(room);
    EXPECT_EQ(got.state, IoState::ok);
    EXPECT_EQ(kith::as_text(kith::ByteView{room}.first(got.n)), "hello");
    c.client.shutdown_write();
    EXPECT_EQ(c.server.read(room).state, IoState::eof);
    EXPECT_EQ(c.server.write(kith::as_bytes("bye")).n, 3U) << "half closed";
    EXPECT_EQ(c.client.read(room).n, 3U);
    c.server.close_reset();
    EXPECT_FALSE(c.server);
    got = c.client.read(room);
    EXPECT_EQ(got.state, IoState::error);
    EXPECT_EQ(got.error(), Errc::link_lost);
    got = c.client.write(kith::as_bytes("x"));
    EXPECT_EQ(got.state, IoState::error) << "and no SIGPIPE";
    EXPECT_EQ(got.error(), Errc::link_lost);
    EXPECT_EQ(c.client.remote(), Endpoint{});
}

TEST(Tcp, FillsUpAndGoesOnWhenRead) {
    Connected c;
    std::vector<std::uint8_t> data(8 * 1024 * 1024);
    std::iota(data.begin(), data.end(), std::uint8_t{0});
    std::vector<std::uint8_t> got;
    got.reserve(data.size());
    std::vector<std::uint8_t> room(100'000);
    std::size_t sent = 0;
    int blocked = 0;
    kith::WatchId writer;
    writer = *c.loop.watch(c.client.fd(), {.writable = true}, [&](Ready) {
        const auto r = c.client.write(kith::ByteView{data}.subspan(sent));
        if (r.state == IoState::would_block) ++blocked;
        sent += r.n;
        if (sent == data.size()) {
            c.client.shutdown_write();
            c.loop.unwatch(writer);
        }
    });
    while (c.client.write({}).state == IoState::ok && c.loop.poll() > 0) {
    }
    EXPECT_GT(sent, 0U);
    EXPECT_LT(sent, data.size()) << "the kernel takes less than 8 MiB from who nobody reads";
    bool end = false;
    ASSERT_TRUE(c.loop.watch(c.server.fd(), {.readable = true}, [&](Ready) {
        const auto r = c.server.read(room);
        end = end || r.state == IoState::eof;
        got.insert(got.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(r.n));
    }));
    ASSERT_TRUE(run_until(c.loop, [&] { return end; }));
    EXPECT_EQ(got, data);
}

TEST(Tcp, RefusedIsToldWhenWritable) {
    EventLoop loop;
    Endpoint nobody;
    {
        nobody = TcpListener::listen(any_v4)->local();
    }
    auto socket = TcpSocket::connect_start(nobody);
    if (socket) {
        bool done = false;
        ASSERT_TRUE(loop.watch(socket->fd(), {.writable = true}, [&](Ready) { done = true; }));
        ASSERT_TRUE(run_until(loop, [&] { return done; }));
        const auto result = socket->connect_result();
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error(), Errc::connection_refused);
    } else {
        EXPECT_EQ(socket.error(), Errc::connection_refused);
    }
}

TEST(Tcp, ErrorsNameTheAddress) {
    const auto listener = TcpListener::listen(any_v4);
    ASSERT_TRUE(listener);
    const auto twice = TcpListener::listen(listener->local());
    ASSERT_FALSE(twice);
    EXPECT_EQ(twice.error(), Errc::address_in_use);
    EXPECT_EQ(twice.error().detail, listener->local().text());
    EXPECT_EQ(TcpListener::listen({IpAddress::v4(192, 0, 2, 99), 0}).error(), Errc::address_unavailable);
    EXPECT_EQ(TcpSocket::connect_start(listener->local(), {.source = any_v6()}).error(), Errc::invalid_argument);
    EXPECT_EQ(TcpSocket::connect_start(listener->local(), {.source = Endpoint{IpAddress::v4(192, 0, 2, 99), 0}}).error(),
              Errc::address_unavailable);
}

TEST(Tcp, FourAndSixShareAPort) {
    const auto six = TcpListener::listen({*IpAddress::parse("::"), 0});
    ASSERT_TRUE(six);
    const auto four = TcpListener::listen({IpAddress::v4(0, 0, 0, 0), six->local().port});
    ASSERT_TRUE(four) << "V6ONLY is set";
    const Connected c{any_v6()};
    EXPECT_TRUE(c.server.remote().ip.v6);
    EXPECT_EQ(c.server.remote(), c.client.local());
}

TEST(Tcp, DialsFromTheListenPort) {
    EventLoop loop;
    auto ours = *TcpListener::listen(any_v4, {.reuse_port = true});
    auto theirs = *TcpListener::listen(any_v4);
    auto dialed = TcpSocket::connect_start(theirs.local(), {.source = ours.local(), .reuse_port = true});
    ASSERT_TRUE(dialed);
    std::optional<Endpoint> seen;
    ASSERT_TRUE(loop.watch(theirs.fd(), {.readable = true}, [&](Ready) { seen = theirs.accept().remote; }));
    ASSERT_TRUE(run_until(loop, [&] { return seen.has_value(); }));
    EXPECT_EQ(*seen, ours.local());
}

TEST(Tcp, UsesNoAllocation) {
    Connected c;
    std::array<std::uint8_t, 64> room{};
    const auto before = allocations();
    for (int i = 0; i < 100; ++i) {
        (void)c.client.write(room);
        while (c.server.read(room).state == IoState::ok) {
        }
        (void)c.listener.accept();
    }
    EXPECT_EQ(allocations() - before, 0U);
}

// Lowers the descriptor limit of the process to what is open plus `room`.
class FewDescriptors {
public:
    explicit FewDescriptors(int room) {
        EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &old_), 0);
        // New numbers are the lowest free ones: take the gaps, then measure.
        rlimit low = old_;
        const int next = ::dup(0);
        ::close(next);
        low.rlim_cur = static_cast<rlim_t>(next + room);
        EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
    }
    ~FewDescriptors() { (void)::setrlimit(RLIMIT_NOFILE, &old_); }
    FewDescriptors(const FewDescriptors&) = delete;
    FewDescriptors& operator=(const FewDescriptors&) = delete;

private:
    rlimit old_{};
};

TEST(Tcp, WithoutDescriptorsNewConnectionsAreDroppedAndTheLoopSleeps) {
    EventLoop loop;
    auto listener = *TcpListener::listen(any_v4);
    std::vector<TcpSocket> clients;
    for (int i = 0; i < 8; ++i) clients.push_back(*TcpSocket::connect_start(listener.local()));
    std::vector<TcpSocket> accepted;
    int dropped = 0;
    int other = 0;
    ASSERT_TRUE(loop.watch(listener.fd(), {.readable = true}, [&](Ready) {
        auto got = listener.accept();
        if (got.state == AcceptState::accepted)
            accepted.push_back(*std::move(got.socket));
        else if (got.state == AcceptState::dropped)
            ++dropped;
        else
            ++other;
    }));
    {
        const FewDescriptors few{3};
        ASSERT_TRUE(run_until(loop, [&] { return accepted.size() + static_cast<std::size_t>(dropped + other) == 8; }));
        EXPECT_EQ(TcpSocket::connect_start(listener.local()).error(), Errc::limit_exceeded);
        EXPECT_EQ(loop.poll(), 0U) << "nothing is left in the queue that would keep waking the loop";
    }
    EXPECT_EQ(accepted.size(), 3U);
    EXPECT_EQ(dropped, 5);
    EXPECT_EQ(other, 0);
    // With descriptors again, all is as before.
    clients.push_back(*TcpSocket::connect_start(listener.local()));
    ASSERT_TRUE(run_until(loop, [&] { return accepted.size() == 4; }));
}

TEST(Tcp, ExhaustedWhenNotEvenTheSpareIsThere) {
    EventLoop loop;
    std::optional<TcpListener> listener;
    const auto taken = *TcpListener::listen(any_v4);  // only for a port
    auto client = std::optional<TcpSocket>{};
    {
        const FewDescriptors few{1};
        listener.emplace(*TcpListener::listen(any_v4));  // takes the last one; none for the spare
    }
    client.emplace(*TcpSocket::connect_start(listener->local()));
    {
        const FewDescriptors few{0};
        EXPECT_EQ(listener->accept().state, AcceptState::exhausted);
    }
    EXPECT_EQ(listener->accept().state, AcceptState::accepted) << "the connection waited";
    EXPECT_EQ(listener->accept().state, AcceptState::would_block);
}

}  // namespace
