// SPDX-License-Identifier: Apache-2.0
// Bytes per second of one stream (the perf protocol), beside what the machine allows when one core seals and writes:
// 1 / (1/AEAD + 1/TCP), both measured here and now with our sizes of records and writes.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "common.hpp"
#include "crypto/aead.hpp"
#include "crypto/init.hpp"
#include "kith/kith.hpp"

namespace {

using bench::Clock;
constexpr std::uint64_t amount = 512u << 20;
constexpr int repeat = 3;
constexpr std::size_t record = 16 * 1024;
constexpr std::size_t read_size = 256 * 1024;  // as the node's driver
constexpr double mega = 1e6;

kith::Config config() {
    kith::Config out;
    out.lan = false;
    out.serve_perf = true;
    return out;
}

struct Measured {
    double upload = 0;    // bytes per second
    double download = 0;  // likewise
    double write_size = 0;
};

void server(const bench::Pipe& address, const bench::Pipe& end) {
    auto c = config();
    c.listen = {"/ip4/127.0.0.1/tcp/0"};
    kith::Node node(std::move(c));
    if (const auto ok = node.start(); !ok) bench::fail(ok.error().message());
    address.put_text(node.addresses().front().text());
    end.get<char>();
    node.stop();
}

void client(const bench::Pipe& address, const bench::Pipe& out) {
    auto c = config();
    c.listen = {};
    kith::Node node(std::move(c));
    if (const auto ok = node.start(); !ok) bench::fail(ok.error().message());
    const auto to = kith::Multiaddr::parse(address.get_text().c_str());
    const auto peer = node.connect(*to);
    if (!peer) bench::fail(peer.error().message());
    const kith::Wait wait{std::chrono::seconds{60}};
    const auto run = [&](std::uint64_t up, std::uint64_t down) {
        const auto done = node.perf(*peer, up, down, wait);
        if (!done) bench::fail("perf: " + done.error().message());
        return *done;
    };
    const auto rate = [](std::uint64_t bytes, kith::Duration time) {
        return static_cast<double>(bytes) / std::chrono::duration<double>(time).count();
    };
    run(64u << 20, 64u << 20);  // until the windows have grown
    Measured measured;
    std::vector<double> up;
    std::vector<double> down;
    for (int i = 0; i < repeat; ++i) {
        const auto before = node.stats();
        up.push_back(rate(amount, run(amount, 0).upload_time));
        const auto after = node.stats();
        measured.write_size =
            static_cast<double>(after.bytes_sent - before.bytes_sent) / static_cast<double>(after.send_calls - before.send_calls);
        down.push_back(rate(amount, run(0, amount).download_time));
    }
    measured.upload = bench::median(up);
    measured.download = bench::median(down);
    out.put(measured);
    node.stop();
}

double aead() {
    if (!kith::crypto::init()) bench::fail("crypto");
    kith::crypto::Secret32 key;
    key.bytes()[0] = 1;
    kith::crypto::Aead cipher(key);
    std::vector<std::uint8_t> buffer(8 * (record + 16));
    std::vector<double> rates;
    std::uint64_t nonce = 0;
    for (int i = 0; i < repeat; ++i) {
        std::uint64_t bytes = 0;
        const auto start = Clock::now();
        for (; bytes < amount / 2; bytes += record) {
            const kith::MutableBytes at = kith::MutableBytes{buffer}.subspan((bytes / record % 8) * (record + 16), record + 16);
            cipher.seal(nonce++, {}, at.first(record), at.last<16>());
        }
        rates.push_back(static_cast<double>(bytes) / bench::seconds_since(start));
    }
    return bench::median(rates);
}

double tcp(std::size_t write_size) {
    bench::Pipe port;
    bench::Pipe out;
    const auto receiver = bench::spawn([&] {
        const int at = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        if (bind(at, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(at, 1) != 0) bench::fail("listen");
        getsockname(at, reinterpret_cast<sockaddr*>(&address), &size);
        port.put(address);
        const int s = accept(at, nullptr, nullptr);
        std::vector<char> buffer(read_size);
        Clock::time_point start{};
        std::uint64_t bytes = 0;
        for (;;) {
            const auto n = recv(s, buffer.data(), buffer.size(), 0);
            if (n <= 0) break;
            if (bytes == 0) start = Clock::now();
            bytes += static_cast<std::uint64_t>(n);
        }
        out.put(static_cast<double>(bytes) / bench::seconds_since(start));
    });
    const auto sender = bench::spawn([&] {
        const auto address = port.get<sockaddr_in>();
        const int s = socket(AF_INET, SOCK_STREAM, 0);
        const int yes = 1;
        setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        if (connect(s, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) bench::fail("connect");
        const std::vector<char> buffer(write_size, 'x');
        for (std::uint64_t sent = 0; sent < 2 * amount;) {
            const auto n = send(s, buffer.data(), buffer.size(), MSG_NOSIGNAL);
            if (n <= 0) bench::fail("send");
            sent += static_cast<std::uint64_t>(n);
        }
        close(s);
    });
    const auto rate = out.get<double>();
    bench::reap(sender);
    bench::reap(receiver);
    return rate;
}

}  // namespace

int main() {
    bench::Pipe address;
    bench::Pipe end;
    bench::Pipe out;
    const auto a = bench::spawn([&] { server(address, end); });
    const auto b = bench::spawn([&] { client(address, out); });
    const auto ours = out.get<Measured>();
    bench::reap(b);
    end.put('q');
    bench::reap(a);
    const auto sealing = aead();
    std::vector<double> plain;
    for (int i = 0; i < repeat; ++i) plain.push_back(tcp(static_cast<std::size_t>(ours.write_size)));
    const auto moving = bench::median(plain);
    const auto limit = 1 / (1 / sealing + 1 / moving);
    bench::result("bulk upload", "MB/s", ours.upload / mega, "1/(1/AEAD + 1/TCP)", limit / mega);
    bench::result("bulk download", "MB/s", ours.download / mega, "1/(1/AEAD + 1/TCP)", limit / mega);
    char text[160];
    std::snprintf(text, sizeof text, "AEAD %.0f MB/s (16 KiB records), TCP %.0f MB/s, both with writes of %.0f bytes, as ours",
                  sealing / mega, moving / mega, ours.write_size);
    bench::note("bulk", text);
    return 0;
}
