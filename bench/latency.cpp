// SPDX-License-Identifier: Apache-2.0
// How long a message takes between two processes on loopback, with 1 and with 100 of them on their way at a time.
// Method: nodes as they are by default; 1,000 messages of 100 bytes after 200 to warm up; the sender holds back while `window` of
// them have no receipt. "receipt": from send until the receiver's handler returned and the receipt is known here. "one way":
// from send until the handler is called, by the machine's one clock. Five runs, the median of each percentile.
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include "common.hpp"
#include "kith/kith.hpp"

namespace {

using bench::Clock;
constexpr int warm_up = 200;
constexpr int count = 1'000;
constexpr int repeat = 5;
constexpr double promised_us = 50'000;

struct Times {
    double p50 = 0;
    double p95 = 0;
    double p99 = 0;
};

Times times(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const auto at = [&](double p) { return values[static_cast<std::size_t>(p * static_cast<double>(values.size() - 1))]; };
    return {at(0.5), at(0.95), at(0.99)};
}

std::int64_t now_ns() { return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count(); }

kith::Config config() {
    kith::Config out;
    out.lan = false;
    out.listen = {"/ip4/127.0.0.1/tcp/0"};
    return out;
}

void receiver(const bench::Pipe& address, const bench::Pipe& out, const bench::Pipe& end) {
    kith::Node node(config());
    std::vector<double> took;
    node.on_message("latency", [&](const kith::Message& message) {
        std::int64_t sent = 0;
        std::memcpy(&sent, message.bytes().data(), sizeof sent);
        took.push_back(static_cast<double>(now_ns() - sent) / 1e3);
        if (took.size() < warm_up + count) return;
        took.erase(took.begin(), took.begin() + warm_up);
        out.put(times(took));
        took.clear();
    });
    if (const auto ok = node.start(); !ok) bench::fail(ok.error().message());
    address.put_text(node.addresses().front().text());
    end.get<char>();
    node.stop();
}

void sender(int window, const bench::Pipe& address, const bench::Pipe& out) {
    kith::Node node(config());
    if (const auto ok = node.start(); !ok) bench::fail(ok.error().message());
    const auto peer = node.connect(*kith::Multiaddr::parse(address.get_text().c_str()));
    if (!peer) bench::fail(peer.error().message());
    std::mutex mutex;
    std::condition_variable room;
    int on_the_way = 0;
    std::vector<double> took;
    for (int i = 0; i < warm_up + count; ++i) {
        {
            std::unique_lock lock(mutex);
            room.wait(lock, [&] { return on_the_way < window; });
            ++on_the_way;
        }
        kith::Bytes bytes(100);
        const auto sent = now_ns();
        std::memcpy(bytes.data(), &sent, sizeof sent);
        node.async_send(*peer, "latency", std::move(bytes), [&, sent](const kith::Result<kith::Receipt>& receipt) {
            if (!receipt) bench::fail(receipt.error().message());
            const std::scoped_lock lock(mutex);
            took.push_back(static_cast<double>(now_ns() - sent) / 1e3);
            --on_the_way;
            room.notify_one();
        });
    }
    {
        std::unique_lock lock(mutex);
        room.wait(lock, [&] { return on_the_way == 0; });
    }
    took.erase(took.begin(), took.begin() + warm_up);
    out.put(times(took));
    node.stop();
}

void measure(int window) {
    std::array<std::vector<double>, 3> receipt;
    std::array<std::vector<double>, 3> one_way;
    for (int i = 0; i < repeat; ++i) {
        bench::Pipe address;
        bench::Pipe arrived;
        bench::Pipe answered;
        bench::Pipe end;
        const auto a = bench::spawn([&] { receiver(address, arrived, end); });
        const auto b = bench::spawn([&] { sender(window, address, answered); });
        const auto there = arrived.get<Times>();
        const auto back = answered.get<Times>();
        end.put('x');
        bench::reap(b);
        bench::reap(a);
        const std::array from{there.p50, there.p95, there.p99};
        const std::array to{back.p50, back.p95, back.p99};
        for (std::size_t k = 0; k < from.size(); ++k) {
            one_way[k].push_back(from[k]);
            receipt[k].push_back(to[k]);
        }
    }
    constexpr std::array names{"p50", "p95", "p99"};
    for (std::size_t k = 0; k < names.size(); ++k) {
        const auto name = "latency " + std::string{names[k]} + ", window " + std::to_string(window);
        bench::result(name.c_str(), "us", bench::median(receipt[k]), "the promise", promised_us);
        bench::result((name + ", one way").c_str(), "us", bench::median(one_way[k]), "the promise", promised_us);
    }
}

}  // namespace

int main() {
    bench::note(
        "latency",
        "1,000 messages of 100 B between two processes, at most `window` without receipt; receipt: handler returned; median of 5 runs");
    measure(1);
    measure(100);
    return 0;
}
