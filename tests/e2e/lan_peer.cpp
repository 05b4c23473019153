// SPDX-License-Identifier: Apache-2.0
// One host of the namespace tests: a node that is told nothing, finds its peers by mDNS and exchanges numbered messages with
// each. What happens is printed as JSON lines; times count from before start(). Ends when its input ends.
// Usage: lan_peer --peers N [--messages M] [--size BYTES] [--pace MICROSECONDS]
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "kith/kith.hpp"

namespace {

using Clock = std::chrono::steady_clock;
using Lock = std::unique_lock<std::mutex>;

struct Options {
    std::size_t peers = 1;
    std::uint64_t messages = 1000;
    std::size_t size = 100;
    std::uint64_t pace = 0;  // microseconds between messages to one peer
};

// Message n of a sender to a receiver: every byte follows from the two and n, so that a wrong or foreign one is seen.
void fill(kith::Bytes& out, std::string_view from, std::string_view to, std::uint64_t n) {
    std::memcpy(out.data(), &n, sizeof n);
    std::uint64_t x = std::hash<std::string_view>{}(from) * 3 + std::hash<std::string_view>{}(to) + n;
    for (std::size_t i = sizeof n; i < out.size(); ++i) {
        x = x * 6364136223846793005ULL + 1442695040888963407ULL;
        out[i] = static_cast<std::uint8_t>(x >> 56);
    }
}

struct Peer {
    kith::PeerId id;
    double found_ms = -1;
    double connected_ms = -1;
    std::string path;
    std::uint64_t received = 0;  // also the number that must come next
    std::uint64_t wrong = 0;     // out of order, twice, or other bytes
    std::uint64_t delivered = 0;
    std::uint64_t failed = 0;
    double received_ms = -1;   // all of them
    double delivered_ms = -1;  // likewise
    std::thread sender;
};

class Host {
public:
    explicit Host(Options options) : options_(options), node_(config()) {}

    int run() {
        node_.on_peer([this](const kith::PeerEvent& event) { on_peer(event); });
        node_.on_message("numbers", [this](const kith::Message& message) { on_message(message); });
        if (const auto ok = node_.start(); !ok) {
            print(R"({"type":"error","text":")" + ok.error().message() + "\"}");
            return 1;
        }
        self_ = node_.id().text();
        started_ = true;
        std::string addresses;
        for (const auto& address : node_.addresses()) addresses += (addresses.empty() ? "\"" : ",\"") + address.text() + "\"";
        print(R"({"type":"ready","peer":")" + self_ + R"(","addresses":[)" + addresses + "],\"ms\":" + number(now()) + "}");
        char byte = 0;
        while (read(STDIN_FILENO, &byte, 1) > 0) {
        }  // until whoever started us has seen enough
        stopping_ = true;
        node_.stop();
        for (auto& [id, peer] : peers_) {
            if (peer->sender.joinable()) peer->sender.join();
        }
        for (const auto& [id, peer] : peers_) summary("end", *peer);
        return 0;
    }

private:
    static kith::Config config() {
        kith::Config config;
        config.lan = true;
        return config;
    }
    static std::string number(double value) {
        char text[40];
        std::snprintf(text, sizeof text, "%.1f", value);
        return text;
    }
    double now() const { return std::chrono::duration<double, std::milli>(Clock::now() - start_).count(); }

    void print(const std::string& line) {
        const Lock lock(print_mutex_);
        std::fputs((line + "\n").c_str(), stdout);
        std::fflush(stdout);
    }

    void summary(const char* type, const Peer& peer) {
        print(std::string{R"({"type":")"} + type + R"(","peer":")" + peer.id.text() + R"(","found_ms":)" + number(peer.found_ms) +
              ",\"connected_ms\":" + number(peer.connected_ms) + R"(,"path":")" + peer.path + R"(","received":)" +
              std::to_string(peer.received) + ",\"wrong\":" + std::to_string(peer.wrong) +
              ",\"delivered\":" + std::to_string(peer.delivered) + ",\"failed\":" + std::to_string(peer.failed) +
              ",\"received_ms\":" + number(peer.received_ms) + ",\"delivered_ms\":" + number(peer.delivered_ms) + "}");
    }

    Peer& get(const kith::PeerId& id) {
        auto& slot = peers_[id.text()];
        if (!slot) {
            slot = std::make_unique<Peer>();
            slot->id = id;
        }
        return *slot;
    }

    void on_peer(const kith::PeerEvent& event) {
        const auto at = now();
        print(R"({"type":"peer","state":")" + std::string{kith::name(event.state)} + R"(","peer":")" + event.peer.text() +
              R"(","address":")" + (event.address ? event.address->text() : "") + R"(","error":")" +
              (event.error ? event.error->message() : "") + R"(","ms":)" + number(at) + "}");
        const Lock lock(mutex_);
        auto& peer = get(event.peer);
        if (peer.found_ms < 0) peer.found_ms = at;
        if (event.state != kith::PeerState::connected) return;
        if (peer.connected_ms >= 0) return;
        peer.connected_ms = at;
        peer.path = event.path;
        peer.sender = std::thread{[this, &peer] { send(peer); }};
    }

    void on_message(const kith::Message& message) {
        const auto from = message.from.text();
        kith::Bytes expected(options_.size);
        const Lock lock(mutex_);
        auto& peer = get(message.from);
        fill(expected, from, self(), peer.received);
        const auto bytes = message.bytes();
        if (bytes.size() != expected.size() || std::memcmp(bytes.data(), expected.data(), bytes.size()) != 0) {
            ++peer.wrong;
            return;
        }
        if (++peer.received == options_.messages) peer.received_ms = now();
        finished(peer);
    }

    std::string self() {
        while (!started_) std::this_thread::yield();
        return self_;
    }

    void send(Peer& peer) {
        const auto to = peer.id.text();
        const auto from = self();
        kith::SendOptions options;
        options.wait = std::chrono::seconds{1};
        auto next = Clock::now();
        for (std::uint64_t n = 0; n < options_.messages && !stopping_;) {
            kith::Bytes bytes(options_.size);
            fill(bytes, from, to, n);
            const auto room = queued_.load() < 10'000;
            if (!room) {
                std::this_thread::sleep_for(std::chrono::milliseconds{1});
                continue;
            }
            ++queued_;
            node_.async_send(
                peer.id, "numbers", std::move(bytes),
                [this, &peer](kith::Result<kith::Receipt> receipt) {
                    --queued_;
                    const Lock lock(mutex_);
                    if (receipt && receipt->outcome == kith::Receipt::Outcome::delivered) {
                        if (++peer.delivered == options_.messages) peer.delivered_ms = now();
                    } else if (!stopping_) {
                        ++peer.failed;
                    }
                    finished(peer);
                },
                options);
            ++n;
            if (options_.pace == 0) continue;
            next += std::chrono::microseconds{options_.pace};
            std::this_thread::sleep_until(next);
        }
    }

    // With the lock.
    void finished(const Peer& peer) {
        if (peer.received != options_.messages || peer.delivered + peer.failed != options_.messages) return;
        summary("exchanged", peer);
        if (++complete_ == options_.peers) print(R"({"type":"complete","ms":)" + number(now()) + "}");
    }

    const Options options_;
    const Clock::time_point start_ = Clock::now();
    std::mutex print_mutex_;
    std::mutex mutex_;
    std::map<std::string, std::unique_ptr<Peer>> peers_;
    std::size_t complete_ = 0;
    std::string self_;
    std::atomic<bool> started_{false};
    std::atomic<bool> stopping_{false};
    std::atomic<std::uint64_t> queued_{0};
    kith::Node node_;
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view key = argv[i];
        const auto value = std::strtoull(argv[i + 1], nullptr, 10);
        if (key == "--peers") options.peers = value;
        if (key == "--messages") options.messages = value;
        if (key == "--size") options.size = value < 8 ? 8 : value;
        if (key == "--pace") options.pace = value;
    }
    return Host{options}.run();
}
