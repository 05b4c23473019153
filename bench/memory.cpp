// SPDX-License-Identifier: Apache-2.0
// Resident memory of one node per idle connection, with all connections from (or to) different peers in another process. Idle:
// authenticated, identified, and nothing but liveness pings for as long as it takes to be trimmed.
// Usage: bench_memory [--connections N] [--idle SECONDS]
#include <atomic>
#include <csignal>
#include <cstring>
#include <fstream>
#include <thread>

#include "common.hpp"
#include "crypto/init.hpp"
#include "kith/kith.hpp"
#include "swarm.hpp"
#include "wire/address.hpp"

namespace {

struct Options {
    std::size_t connections = 10'000;
    int idle = 13;
};

constexpr std::size_t at_once = 128;

kith::Config config() {
    kith::Config out;
    out.lan = false;
    out.limits.max_links = 100'000;
    out.limits.max_links_per_address = 100'000;
    out.limits.max_handshakes = 10'000;
    out.limits.max_handshakes_per_address = 10'000;
    out.limits.new_links_per_second = 1e9;
    out.limits.new_links_per_second_per_address = 1e9;
    out.limits.max_peers_known = 100'000;
    return out;
}

// Anonymous memory in bytes: what the process wrote to, without the program's own pages.
double resident() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("RssAnon:")) return std::strtod(line.c_str() + 8, nullptr) * 1024;
    }
    bench::fail("no RssAnon in /proc/self/status");
}

struct Sample {
    double bytes = 0;
    std::uint64_t links = 0;
    std::uint64_t failed = 0;
    std::uint64_t messages = 0;
};

enum class Case : std::uint8_t { accepted, dialled, accepted_and_heard };

Sample sample(const kith::Node& node) {
    const auto stats = node.stats();
    return {resident(), stats.links_now, stats.links_failed, stats.messages_received};
}

// What the measured node costs per link: (after - before) / links.
double measure(const Options& options, Case which) {
    const bool inbound = which != Case::dialled;
    bench::Pipe address;
    bench::Pipe to_node;
    bench::Pipe from_node;
    bench::Pipe from_swarm;
    const auto node = bench::spawn([&] {
        auto c = config();
        c.listen = {};
        if (inbound) c.listen = {"/ip4/127.0.0.1/tcp/0"};
        kith::Node measured(std::move(c));
        measured.on_message("bench", [](const kith::Message&) {});
        if (const auto ok = measured.start(); !ok) bench::fail(ok.error().message());
        from_node.put(sample(measured));
        if (inbound) {
            address.put_text(measured.addresses().front().text());
        } else {
            const auto target = kith::Multiaddr::parse(address.get_text());
            std::atomic<std::size_t> done{0};
            std::size_t begun = 0;
            while (done < options.connections) {
                for (; begun < options.connections && begun < done + at_once; ++begun) {
                    measured.async_connect(*target, [&](const kith::Result<kith::PeerId>& peer) {
                        if (!peer) bench::fail(peer.error().message());
                        ++done;
                    });
                }
                std::this_thread::sleep_for(std::chrono::milliseconds{1});
            }
        }
        while (to_node.get<char>() == 'm') from_node.put(sample(measured));
        _exit(0);
    });
    const auto swarm = bench::spawn([&] {
        if (!kith::crypto::init()) bench::fail("crypto");
        kith::EventLoop loop;
        bench::Swarm peers(loop);
        const auto ready = [&] { from_swarm.put(peers.linked()); };
        if (which == Case::accepted_and_heard) peers.greet(kith::Bytes(64, 7));
        if (inbound) {
            const auto target = kith::Multiaddr::parse(address.get_text());
            const auto at = kith::wire::tcp_endpoint(*target);
            peers.dial(*at, options.connections, at_once, ready);
        } else {
            const auto at = peers.listen(options.connections, ready);
            address.put_text(kith::wire::from_tcp(at).text());
        }
        loop.run().has_value();
    });
    const auto before = from_node.get<Sample>();
    const auto linked = from_swarm.get<std::size_t>();
    std::this_thread::sleep_for(std::chrono::seconds{options.idle});
    to_node.put('m');
    const auto after = from_node.get<Sample>();
    kill(swarm, SIGKILL);  // first: it takes the end of a link for a failure
    waitpid(swarm, nullptr, 0);
    to_node.put('q');
    bench::reap(node);
    if (linked != options.connections || after.links != options.connections || after.failed != 0) bench::fail("not all links stayed");
    if (which == Case::accepted_and_heard && after.messages != options.connections) bench::fail("not all messages came");
    return (after.bytes - before.bytes) / static_cast<double>(options.connections);
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (std::strcmp(argv[i], "--connections") == 0) options.connections = std::strtoull(argv[i + 1], nullptr, 10);
        if (std::strcmp(argv[i], "--idle") == 0) options.idle = std::atoi(argv[i + 1]);
    }
    const double target = 32 * 1024;
    bench::result("memory accepted", "B/conn", measure(options, Case::accepted), "first target", target);
    bench::result("memory dialled", "B/conn", measure(options, Case::dialled), "first target", target);
    bench::result("memory, 1 message", "B/conn", measure(options, Case::accepted_and_heard), "first target", target);
    bench::note("memory", "anonymous resident memory of one node, " + std::to_string(options.connections) + " peers, idle for " +
                              std::to_string(options.idle) + " s");
    return 0;
}
