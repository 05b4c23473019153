// SPDX-License-Identifier: Apache-2.0
// One process of the kill test: durable messages from one to the other, while either is killed and started again.
// Usage: durable_peer --home DIR --log FILE --port PORT [--to MULTIADDR --run N]
// Its log has one line for each thing that happened, in one write, so that it survives kill -9:
//   a CHANNEL RUN:N            the sender is about to send it      s CHANNEL RUN:N       it has the receipt `stored`
//   d CHANNEL RUN:N REPEAT     the receiver's handler has it
// Says "ready ADDRESS". A line on standard input ends the sending: "drained" is said when the other side has processed everything.
// Its end is the end of its input.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>

#include "kith/kith.hpp"

namespace {

constexpr std::array channels{"a", "b"};

struct Options {
    std::string home;
    std::string log;
    std::string port;
    std::string to;
    std::string run;
};

class Peer {
public:
    explicit Peer(Options options)
        : options_(std::move(options)),
          log_(::open(options_.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)),
          node_(config(options_)) {
        if (log_ < 0) std::abort();
    }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;
    ~Peer() { ::close(log_); }

    int run() {
        for (const auto* channel : channels) {
            node_.on_message(channel, [this](const kith::Message& m) {
                const auto text = m.text();
                write(std::string{"d "}.append(m.channel) + ' ' + std::string{text.substr(0, text.find(' '))} +
                      (m.maybe_repeat ? " 1" : " 0"));
            });
        }
        if (const auto ok = node_.start(); !ok) {
            std::cerr << ok.error() << std::endl;
            return 1;
        }
        std::thread sender;
        kith::PeerId to;
        if (!options_.to.empty()) {
            const auto address = kith::Multiaddr::parse(options_.to);
            if (!address || !node_.add_address(*address)) return 1;
            to = *address->peer();
            node_.async_connect(*address, [](const kith::Result<kith::PeerId>&) {});  // again and again
            sender = std::thread{[this, to] { send(to); }};
        }
        std::cout << "ready " << node_.addresses().front().text() << std::endl;
        bool drained = true;
        for (std::string line; std::getline(std::cin, line);) {
            stopping_ = true;
            if (sender.joinable()) sender.join();
            for (const auto* channel : channels) {
                kith::SendOptions options;
                options.strength = kith::Strength::durable;
                options.until = kith::Receipt::Outcome::processed;
                const auto end = node_.deliver(to, channel, kith::as_bytes("end"), options, {std::chrono::seconds{60}});
                drained = drained && end && end->outcome == kith::Receipt::Outcome::processed;
            }
            std::cout << (drained ? "drained" : "not drained") << std::endl;
        }
        stopping_ = true;
        if (sender.joinable()) sender.join();
        node_.stop();
        return drained ? 0 : 1;
    }

private:
    static kith::Config config(const Options& options) {
        kith::Config out;
        out.lan = false;
        out.listen = {"/ip4/127.0.0.1/tcp/" + options.port};
        out.home = options.home;
        out.durable_from = kith::DurableFrom::everybody;
        out.limits.new_links_per_second_per_address = 1'000;
        return out;
    }

    void write(std::string line) const {
        line += '\n';
        if (::write(log_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) std::abort();
    }

    // Bursts, and a rest between them in which everything is delivered.
    void send(const kith::PeerId& to) {
        kith::SendOptions options;
        options.strength = kith::Strength::durable;
        options.until = kith::Receipt::Outcome::stored;
        for (std::uint64_t n = 1; !stopping_; ++n) {
            const auto* channel = channels[n % channels.size()];
            const auto name = options_.run + ':' + std::to_string(n);
            auto text = name + ' ';
            text.append(n * 37 % 2'000, 'x');
            write(std::string{"a "} + channel + ' ' + name);
            node_.async_send(
                to, channel, kith::Bytes(text.begin(), text.end()),
                [this, channel, name](const kith::Result<kith::Receipt>& r) {
                    if (r && r->outcome == kith::Receipt::Outcome::stored) write(std::string{"s "} + channel + ' ' + name);
                },
                options);
            if (n % 100 == 0) std::this_thread::sleep_for(std::chrono::milliseconds{20});
        }
    }

    const Options options_;
    const int log_;
    kith::Node node_;
    std::atomic<bool> stopping_{false};
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view key = argv[i];
        const std::string value = argv[i + 1];
        if (key == "--home") options.home = value;
        if (key == "--log") options.log = value;
        if (key == "--port") options.port = value;
        if (key == "--to") options.to = value;
        if (key == "--run") options.run = value;
    }
    return Peer{options}.run();
}
