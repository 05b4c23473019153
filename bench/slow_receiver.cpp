// SPDX-License-Identifier: Apache-2.0
// What a slow handler costs others. One process sends to two: to channel "fast" of the first and of the second as quickly as
// they take it, and in every other run also to channel "slow" of the first, whose handler takes 5 ms for each message.
// Method: new processes for each run, without and with the slow channel in turn; in each, after that channel's queue is full (or
// half a second), what the "fast" handlers counted in one second; the medians, their ratio, and the sender's memory.
#include <array>
#include <atomic>
#include <fstream>
#include <thread>

#include "common.hpp"
#include "kith/kith.hpp"

namespace {

using bench::Clock;
constexpr int repeat = 5;
constexpr auto warm_up = std::chrono::milliseconds{500};
constexpr auto phase = std::chrono::seconds{1};
constexpr auto handler_takes = std::chrono::milliseconds{5};

kith::Config config() {
    kith::Config out;
    out.lan = false;
    out.listen = {"/ip4/127.0.0.1/tcp/0"};
    return out;
}

struct Counts {
    std::uint64_t fast = 0;
    std::uint64_t slow = 0;
};

void receiver(const bench::Pipe& address, const bench::Pipe& ask, const bench::Pipe& answer) {
    kith::Node node(config());
    std::atomic<std::uint64_t> fast{0};
    std::atomic<std::uint64_t> slow{0};
    node.on_messages("fast", [&](std::span<const kith::Message> messages) { fast += messages.size(); });
    node.on_message("slow", [&](const kith::Message&) {
        ++slow;
        std::this_thread::sleep_for(handler_takes);
    });
    if (const auto ok = node.start(); !ok) bench::fail(ok.error().message());
    address.put_text(node.addresses().front().text());
    while (ask.get<char>() == 'c') answer.put(Counts{fast, slow});
    _exit(0);  // what the slow handler still has is not waited for
}

double resident_mib() {
    std::ifstream file("/proc/self/statm");
    double all = 0;
    double resident = 0;
    file >> all >> resident;
    return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
}

struct Side {
    bench::Pipe address;
    bench::Pipe ask;
    bench::Pipe answer;
    Counts counts() const {
        ask.put('c');
        return answer.get<Counts>();
    }
};

struct Result {
    std::array<double, 2> rate{};  // messages/s: the other channel, the other peer
    double slow = 0;               // messages that the slow handler got
    double queued_mib = 0;
    double resident_mib = 0;
};

void sender(bool with_slow, const std::array<Side, 2>& sides, const bench::Pipe& out) {
    kith::Node node(config());
    if (const auto ok = node.start(); !ok) bench::fail(ok.error().message());
    std::array<kith::PeerId, 2> peers;
    for (std::size_t i = 0; i < 2; ++i) {
        const auto peer = node.connect(*kith::Multiaddr::parse(sides[i].address.get_text().c_str()));
        if (!peer) bench::fail(peer.error().message());
        peers[i] = *peer;
    }
    const auto send_all = [&](const kith::PeerId& to, const char* name) {
        auto channel = node.channel(to, name);
        const kith::Bytes message(100, 1);
        kith::SendOptions options;
        options.wait = std::chrono::seconds{1};
        for (;;) {
            if (const auto ok = channel.send(kith::ByteView{message}, options); !ok && ok.error() != kith::Errc::queue_full) return;
        }
    };
    std::vector<std::thread> threads;
    for (const auto& peer : peers) threads.emplace_back([&, peer] { send_all(peer, "fast"); });
    if (with_slow) {
        threads.emplace_back([&] { send_all(peers[0], "slow"); });
        while (node.queue(peers[0], "slow")->pressure < 99) std::this_thread::yield();
    }
    std::this_thread::sleep_for(warm_up);
    const auto from = Clock::now();
    const std::array before{sides[0].counts().fast, sides[1].counts().fast};
    std::this_thread::sleep_for(phase);
    Result result;
    for (std::size_t i = 0; i < 2; ++i) {
        result.rate[i] = static_cast<double>(sides[i].counts().fast - before[i]) / bench::seconds_since(from);
    }
    result.slow = static_cast<double>(sides[0].counts().slow);
    result.queued_mib = static_cast<double>(node.queue(peers[0], "slow")->bytes) / (1 << 20);
    result.resident_mib = resident_mib();
    node.stop();
    for (auto& thread : threads) thread.join();
    out.put(result);
}

Result run(bool with_slow) {
    const std::array<Side, 2> sides;
    bench::Pipe out;
    std::array<pid_t, 3> processes{};
    for (std::size_t i = 0; i < 2; ++i) processes[i] = bench::spawn([&] { receiver(sides[i].address, sides[i].ask, sides[i].answer); });
    processes[2] = bench::spawn([&] { sender(with_slow, sides, out); });
    const auto result = out.get<Result>();
    for (const auto& side : sides) side.ask.put('e');
    for (const auto process : processes) bench::reap(process);
    return result;
}

}  // namespace

int main() {
    std::array<std::vector<double>, 2> alone;
    std::array<std::vector<double>, 2> beside;
    std::vector<double> memory_alone;
    std::vector<double> memory_beside;
    double slow = 0;
    double queued = 0;
    for (int i = 0; i < repeat; ++i) {
        const auto a = run(false);
        const auto b = run(true);
        for (std::size_t k = 0; k < 2; ++k) {
            alone[k].push_back(a.rate[k]);
            beside[k].push_back(b.rate[k]);
        }
        memory_alone.push_back(a.resident_mib);
        memory_beside.push_back(b.resident_mib);
        slow = b.slow;
        queued = b.queued_mib;
    }
    bench::result("slow: other channel", "msg/s", bench::median(beside[0]), "without the slow one", bench::median(alone[0]));
    bench::result("slow: other peer", "msg/s", bench::median(beside[1]), "without the slow one", bench::median(alone[1]));
    bench::result("slow: sender memory", "MiB", bench::median(memory_beside), "without the slow one", bench::median(memory_alone));
    bench::note("slow receiver", "the slow handler got " + std::to_string(static_cast<int>(slow)) + " messages, and its queue held " +
                                     std::to_string(queued) + " MiB of the 8 MiB allowed");
    return 0;
}
