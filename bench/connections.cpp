// SPDX-License-Identifier: Apache-2.0
// Connections per second, both ends on this machine: dial, TCP, Noise, yamux, identify and a first ping; counted when the ping
// came back, then closed. Beside it what one core per side could do at most: TCP and the public-key operations alone.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <memory>

#include "common.hpp"
#include "crypto/ed25519.hpp"
#include "crypto/init.hpp"
#include "crypto/x25519.hpp"
#include "kith/kith.hpp"

namespace {

using bench::Clock;
constexpr int dialers = 32;  // nodes with one dial each at a time
constexpr double warm_up = 1;
constexpr double measured = 4;

kith::Config config() {
    kith::Config out;
    out.lan = false;
    out.limits.max_links = 100'000;
    out.limits.max_links_per_address = 100'000;
    out.limits.max_handshakes = 10'000;
    out.limits.max_handshakes_per_address = 10'000;
    out.limits.new_links_per_second = 1e9;
    out.limits.new_links_per_second_per_address = 1e9;
    return out;
}

void listener(const bench::Pipe& address, const bench::Pipe& end, const bench::Pipe& out) {
    auto c = config();
    c.listen = {"/ip4/127.0.0.1/tcp/0"};
    kith::Node node(std::move(c));
    if (const auto ok = node.start(); !ok) bench::fail(ok.error().message());
    address.put_text(node.addresses().front().text());
    double cpu = bench::cpu_seconds();
    std::uint64_t links = 0;
    while (end.get<char>() != 'q') {  // twice: where the measured time begins and ends
        const auto now = node.stats().links_opened;
        out.put((bench::cpu_seconds() - cpu) / static_cast<double>(std::max<std::uint64_t>(1, now - links)));
        cpu = bench::cpu_seconds();
        links = now;
    }
    node.stop();
}

struct Dialer {
    Dialer(kith::EventLoop& loop, kith::Multiaddr to, std::uint64_t& done) : to_(std::move(to)), done_(done) {
        auto c = config();
        c.listen = {};
        c.threads = kith::ThreadMode::loop;
        c.loop = &loop;
        node_ = std::make_unique<kith::Node>(std::move(c));
        if (const auto ok = node_->start(); !ok) bench::fail(ok.error().message());
    }
    void dial() {
        node_->async_connect(to_, [this](const kith::Result<kith::PeerId>& peer) {
            if (!peer) bench::fail("connect: " + peer.error().message());
            node_->async_ping(*peer, [this, id = *peer](const kith::Result<kith::PingResult>& ping) {
                if (!ping) bench::fail("ping: " + ping.error().message());
                ++done_;
                node_->disconnect(id);
                dial();
            });
        });
    }

private:
    kith::Multiaddr to_;
    std::uint64_t& done_;
    std::unique_ptr<kith::Node> node_;
};

struct Measured {
    double rate = 0;
    double cpu = 0;  // seconds of the dialling side per connection
};

void dialer(const bench::Pipe& address, const bench::Pipe& mark, const bench::Pipe& out) {
    const auto to = kith::Multiaddr::parse(address.get_text().c_str());
    if (!to) bench::fail(to.error().message());
    kith::EventLoop loop;
    std::uint64_t done = 0;
    std::vector<std::unique_ptr<Dialer>> all;
    for (int i = 0; i < dialers; ++i) all.push_back(std::make_unique<Dialer>(loop, *to, done));
    for (auto& one : all) one->dial();
    Clock::time_point start;
    std::uint64_t before = 0;
    double cpu = 0;
    loop.after(std::chrono::duration_cast<kith::Duration>(std::chrono::duration<double>(warm_up)), [&] {
        start = Clock::now();
        before = done;
        cpu = bench::cpu_seconds();
        mark.put('m');
    });
    loop.after(std::chrono::duration_cast<kith::Duration>(std::chrono::duration<double>(warm_up + measured)), [&] {
        const auto count = static_cast<double>(done - before);
        mark.put('m');
        out.put(Measured{count / bench::seconds_since(start), (bench::cpu_seconds() - cpu) / count});
        loop.stop();
    });
    loop.run().has_value();
    std::fflush(stdout);
    _exit(0);  // dials are under way: nothing of them matters any more
}

// CPU seconds that one side of a Noise XX handshake spends in public-key operations: one key pair, three agreements, one signature
// verified (its own is made once per node).
double key_operations() {
    if (!kith::crypto::init()) bench::fail("crypto");
    kith::crypto::Secret32 seed;
    seed.bytes()[0] = 1;
    const kith::crypto::SigningKey signer(seed);
    const std::array<std::uint8_t, 32> text{};
    const auto signature = signer.sign(text);
    auto point = kith::crypto::x25519_public(seed);
    constexpr int rounds = 300;
    const auto start = bench::cpu_seconds();
    for (int i = 0; i < rounds; ++i) {
        point = kith::crypto::x25519_public(seed);
        for (int k = 0; k < 3; ++k) {
            if (!kith::crypto::x25519(seed, point)) bench::fail("x25519");
        }
        if (!kith::crypto::ed25519_verify(signer.public_key(), text, signature)) bench::fail("ed25519");
    }
    return (bench::cpu_seconds() - start) / rounds;
}

// CPU seconds of one side per connection of plain TCP: connect, one byte there and back, close; the two sides in their processes.
double plain_tcp() {
    bench::Pipe port;
    const auto server = bench::spawn([&] {
        const int at = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        if (bind(at, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(at, 128) != 0) bench::fail("listen");
        getsockname(at, reinterpret_cast<sockaddr*>(&address), &size);
        port.put(address);
        for (;;) {
            const int s = accept(at, nullptr, nullptr);
            char byte = 0;
            if (recv(s, &byte, 1, 0) != 1) break;
            if (byte == 'q') break;
            if (send(s, &byte, 1, MSG_NOSIGNAL) != 1) break;
            close(s);
        }
    });
    const auto address = port.get<sockaddr_in>();
    constexpr int rounds = 3000;
    const auto start = bench::cpu_seconds();
    for (int i = 0; i <= rounds; ++i) {
        const int s = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(s, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) bench::fail("connect");
        char byte = i == rounds ? 'q' : 'x';
        if (send(s, &byte, 1, MSG_NOSIGNAL) != 1) bench::fail("send");
        if (i < rounds && recv(s, &byte, 1, 0) != 1) bench::fail("recv");
        close(s);
    }
    const auto seconds = (bench::cpu_seconds() - start) / rounds;
    bench::reap(server);
    return seconds;
}

}  // namespace

int main() {
    bench::Pipe address;
    bench::Pipe end;
    bench::Pipe out;
    bench::Pipe from_listener;
    const auto a = bench::spawn([&] { listener(address, end, from_listener); });
    const auto b = bench::spawn([&] { dialer(address, end, out); });
    const auto ours = out.get<Measured>();
    bench::reap(b);
    from_listener.get<double>();
    const auto accepting = from_listener.get<double>();
    end.put('q');
    bench::reap(a);
    const auto keys = key_operations();
    const auto tcp = plain_tcp();
    bench::result("connections", "1/s", ours.rate, "TCP + key operations, 1 core a side", 1 / (keys + tcp));
    char text[240];
    std::snprintf(text, sizeof text,
                  "CPU per connection %.0f us dialling, %.0f us accepting; %.0f us of key operations a side; plain TCP connection with "
                  "one byte there and back %.0f us",
                  ours.cpu * 1e6, accepting * 1e6, keys * 1e6, tcp * 1e6);
    bench::note("connections", text);
    return 0;
}
