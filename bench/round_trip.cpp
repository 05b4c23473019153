// SPDX-License-Identifier: Apache-2.0
// Round trips of 32 bytes between two processes, each with one thread that runs one kith::EventLoop: the ping protocol through
// the whole stack, its time taken inside the engine, beside a plain TCP echo.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>

#include "common.hpp"
#include "kith/kith.hpp"

namespace {

using bench::Clock;
constexpr int warm_up = 2'000;
constexpr int rounds = 20'000;
constexpr int repeat = 3;

kith::Config config(kith::EventLoop& loop) {
    kith::Config out;
    out.lan = false;
    out.threads = kith::ThreadMode::loop;
    out.loop = &loop;
    return out;
}

double percentile(std::vector<double>& values, double p) {
    std::sort(values.begin(), values.end());
    return values[static_cast<std::size_t>(p * static_cast<double>(values.size() - 1))];
}

struct Times {
    double p50 = 0;
    double p99 = 0;
};
Times times(std::vector<double> values) { return {percentile(values, 0.5), percentile(values, 0.99)}; }

// ---- kith

void answerer(const bench::Pipe& address) {
    kith::EventLoop loop;
    auto c = config(loop);
    c.listen = {"/ip4/127.0.0.1/tcp/0"};
    kith::Node node(std::move(c));
    if (const auto ok = node.start(); !ok) bench::fail(ok.error().message());
    bool met = false;
    node.on_peer([&](const kith::PeerEvent& event) {
        met = met || event.state == kith::PeerState::connected;
        if (met && event.state == kith::PeerState::disconnected) loop.stop();
    });
    loop.post([&] { address.put_text(node.addresses().front().text()); });  // the loop answers, so it has to run
    loop.run().has_value();
    _exit(0);
}

void asker(const bench::Pipe& address, const bench::Pipe& out) {
    kith::EventLoop loop;
    auto c = config(loop);
    c.listen = {};
    c.keep_connected = false;
    kith::Node node(std::move(c));
    if (const auto ok = node.start(); !ok) bench::fail(ok.error().message());
    std::vector<double> took;
    kith::PeerId peer;
    kith::Function<void()> ask = [&] {
        node.async_ping(peer, [&](const kith::Result<kith::PingResult>& ping) {
            if (!ping) bench::fail(ping.error().message());
            took.push_back(std::chrono::duration<double, std::micro>(ping->rtt).count());
            if (took.size() < warm_up + rounds) return ask();
            took.erase(took.begin(), took.begin() + warm_up);
            out.put(times(took));
            loop.stop();
        });
    };
    node.async_connect(*kith::Multiaddr::parse(address.get_text().c_str()), [&](const kith::Result<kith::PeerId>& to) {
        if (!to) bench::fail(to.error().message());
        peer = *to;
        ask();
    });
    loop.run().has_value();
    _exit(0);
}

Times ours() {
    bench::Pipe address;
    bench::Pipe out;
    const auto a = bench::spawn([&] { answerer(address); });
    const auto b = bench::spawn([&] { asker(address, out); });
    const auto result = out.get<Times>();
    bench::reap(b);
    bench::reap(a);
    return result;
}

// ---- plain TCP

void echo(const bench::Pipe& port) {
    const int at = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(at, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(at, 1) != 0) bench::fail("listen");
    getsockname(at, reinterpret_cast<sockaddr*>(&address), &size);
    port.put(address);
    const int s = accept(at, nullptr, nullptr);
    const int yes = 1;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    kith::EventLoop loop;
    auto watch = loop.watch(s, {.readable = true}, [&](kith::Ready) {
        std::array<char, 4096> room;
        const auto n = recv(s, room.data(), room.size(), 0);
        if (n <= 0) return loop.stop();
        if (send(s, room.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL) != n) bench::fail("send");
    });
    if (!watch) bench::fail(watch.error().message());
    loop.run().has_value();
}

void caller(const bench::Pipe& port, const bench::Pipe& out) {
    const auto address = port.get<sockaddr_in>();
    const int s = socket(AF_INET, SOCK_STREAM, 0);
    const int yes = 1;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(s, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) bench::fail("connect");
    kith::EventLoop loop;
    std::vector<double> took;
    const std::array<char, 32> text{};
    Clock::time_point start;
    const auto ask = [&] {
        start = Clock::now();
        if (send(s, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) bench::fail("send");
    };
    auto watch = loop.watch(s, {.readable = true}, [&](kith::Ready) {
        std::array<char, 4096> room;
        if (recv(s, room.data(), room.size(), 0) != static_cast<ssize_t>(text.size())) bench::fail("recv");
        took.push_back(bench::seconds_since(start) * 1e6);
        if (took.size() < warm_up + rounds) return ask();
        loop.stop();
    });
    if (!watch) bench::fail(watch.error().message());
    ask();
    loop.run().has_value();
    took.erase(took.begin(), took.begin() + warm_up);
    out.put(times(took));
    close(s);
}

Times plain() {
    bench::Pipe port;
    bench::Pipe out;
    const auto a = bench::spawn([&] { echo(port); });
    const auto b = bench::spawn([&] { caller(port, out); });
    const auto result = out.get<Times>();
    bench::reap(b);
    bench::reap(a);
    return result;
}

}  // namespace

int main() {
    std::vector<double> mine[2];
    std::vector<double> raw[2];
    for (int i = 0; i < repeat; ++i) {  // in turn, so that a noisy machine disturbs both alike
        const auto a = ours();
        const auto b = plain();
        mine[0].push_back(a.p50);
        mine[1].push_back(a.p99);
        raw[0].push_back(b.p50);
        raw[1].push_back(b.p99);
    }
    bench::result("round trip p50", "us", bench::median(mine[0]), "TCP echo, same loop", bench::median(raw[0]));
    bench::result("round trip p99", "us", bench::median(mine[1]), "TCP echo, same loop", bench::median(raw[1]));
    return 0;
}
