// SPDX-License-Identifier: Apache-2.0
// Messages per second between two processes: kith (encrypted, acknowledged) beside ZeroMQ PUSH/PULL, plain and CURVE, in one run.
// With --durable both sides have a database and every message is acknowledged from the receiver's disk; nothing beside it, as
// ZeroMQ has no such thing. Usage: bench_messages [--count N] [--size BYTES] [--repeat R] [--json] [--durable]
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kith/kith.hpp"

namespace {

std::atomic<std::uint64_t> allocations{0};

}  // namespace

// Every allocation of the process is counted: the promise is about all of them.
void* operator new(std::size_t size) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* p = std::malloc(size)) return p;
    throw std::bad_alloc{};
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto s = [](timeval t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
    return s(usage.ru_utime) + s(usage.ru_stime);
}

struct Options {
    std::uint64_t count = 2'000'000;
    std::size_t size = 64;
    int repeat = 3;
    bool json = false;  // one line per comparison besides, for run.py
    bool durable = false;
};

// The folder of one side of a durable run; it goes at the end.
class Home {
public:
    explicit Home(bool wanted) {
        if (!wanted) return;
        std::string name = (std::filesystem::temp_directory_path() / "kith-bench-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) std::abort();
        path = name;
    }
    Home(const Home&) = delete;
    Home& operator=(const Home&) = delete;
    ~Home() {
        std::error_code ignored;
        if (!path.empty()) std::filesystem::remove_all(path, ignored);
    }
    std::filesystem::path path;
};

// What one side reports to the parent through a pipe.
struct Report {
    double seconds = 0;
    double cpu = 0;
    std::uint64_t allocations = 0;
    std::uint64_t messages = 0;
    kith::Stats stats{};
};

struct Pipe {
    int read_end = -1;
    int write_end = -1;
    Pipe() {
        int ends[2];
        if (pipe(ends) != 0) std::abort();
        read_end = ends[0];
        write_end = ends[1];
    }
    void put(const void* data, std::size_t n) const {
        if (write(write_end, data, n) != static_cast<ssize_t>(n)) std::abort();
    }
    bool get(void* data, std::size_t n) const {
        auto* at = static_cast<char*>(data);
        while (n > 0) {
            const auto got = read(read_end, at, n);
            if (got <= 0) return false;
            at += got;
            n -= static_cast<std::size_t>(got);
        }
        return true;
    }
};

// ---- kith

kith::Stats difference(kith::Stats a, const kith::Stats& b) {
    a.messages_sent -= b.messages_sent;
    a.records_sent -= b.records_sent;
    a.records_received -= b.records_received;
    a.bytes_sent -= b.bytes_sent;
    a.send_calls -= b.send_calls;
    a.receive_calls -= b.receive_calls;
    a.turns -= b.turns;
    a.engine_wakeups -= b.engine_wakeups;
    a.callback_wakeups -= b.callback_wakeups;
    return a;
}

int kith_receiver(const Options& options, const Pipe& address, const Pipe& result) {
    const Home home(options.durable);
    kith::Config config;
    config.home = home.path;
    config.durable_from = kith::DurableFrom::everybody;
    config.lan = false;
    config.listen = {"/ip4/127.0.0.1/tcp/0"};
    kith::Node node(std::move(config));
    std::uint64_t received = 0;
    std::binary_semaphore done{0};
    const auto warm = options.count / 10;
    Clock::time_point start;
    double cpu = 0;
    std::uint64_t allocated = 0;
    node.on_messages("bench", [&](std::span<const kith::Message> messages) {
        for (std::size_t i = 0; i < messages.size(); ++i) {
            if (++received == warm) {
                start = Clock::now();
                cpu = cpu_seconds();
                allocated = allocations.load();
            }
        }
        if (received == options.count + warm) done.release();
    });
    if (auto ok = node.start(); !ok) {
        std::fprintf(stderr, "receiver: %s\n", ok.error().message().c_str());
        return 1;
    }
    auto text = node.addresses().front().text();
    text.resize(200);
    address.put(text.data(), 200);
    done.acquire();
    Report report;
    report.seconds = seconds_since(start);
    report.cpu = cpu_seconds() - cpu;
    report.allocations = allocations.load() - allocated;
    report.messages = options.count;
    report.stats = node.stats();
    result.put(&report, sizeof report);
    char end = 0;
    (void)address;
    result.get(&end, 0);
    node.stop();
    return 0;
}

int kith_sender(const Options& options, const Pipe& address, const Pipe& result) {
    char text[201] = {};
    if (!address.get(text, 200)) return 1;
    const Home home(options.durable);
    kith::Config config;
    config.home = home.path;
    config.lan = false;
    config.listen = {};
    kith::Node node(std::move(config));
    if (auto ok = node.start(); !ok) return 1;
    const auto target = kith::Multiaddr::parse(std::string{text}.c_str());
    if (!target) return 1;
    const auto peer = node.connect(*target);
    if (!peer) {
        std::fprintf(stderr, "sender: %s\n", peer.error().message().c_str());
        return 1;
    }
    auto channel = node.channel(*peer, "bench");
    kith::Bytes message(options.size, 7);
    kith::SendOptions send;
    send.wait = std::chrono::seconds{30};
    if (options.durable) send.strength = kith::Strength::durable;
    const auto warm = options.count / 10;
    for (std::uint64_t i = 0; i < warm; ++i) {
        if (auto ok = channel.send(kith::ByteView{message}, send); !ok) return 1;
    }
    const auto before = node.stats();
    const auto start = Clock::now();
    const auto cpu = cpu_seconds();
    const auto allocated = allocations.load();
    for (std::uint64_t i = 0; i < options.count; ++i) {
        if (auto ok = channel.send(kith::ByteView{message}, send); !ok) {
            std::fprintf(stderr, "send: %s\n", ok.error().message().c_str());
            return 1;
        }
    }
    while (options.durable && node.outbox(*peer)->messages != 0) std::this_thread::sleep_for(std::chrono::milliseconds{1});
    const auto last = node.deliver(*peer, "bench-end", kith::ByteView{}, {}, {std::chrono::seconds{1}});
    (void)last;
    Report report;
    report.seconds = seconds_since(start);
    report.cpu = cpu_seconds() - cpu;
    report.allocations = allocations.load() - allocated;
    report.messages = options.count;
    report.stats = difference(node.stats(), before);
    result.put(&report, sizeof report);
    std::this_thread::yield();
    node.stop();
    return 0;
}

// ---- ZeroMQ

struct Curve {
    char server_public[41], server_secret[41], client_public[41], client_secret[41];
};

int zmq_receiver(const Options& options, const Curve* curve, const Pipe& address, const Pipe& result) {
    void* context = zmq_ctx_new();
    void* socket = zmq_socket(context, ZMQ_PULL);
    if (curve != nullptr) {
        const int yes = 1;
        zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &yes, sizeof yes);
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, curve->server_secret, 41);
    }
    if (zmq_bind(socket, "tcp://127.0.0.1:*") != 0) return 1;
    char text[200] = {};
    std::size_t n = sizeof text;
    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, text, &n);
    address.put(text, 200);
    const auto warm = options.count / 10;
    std::vector<char> buffer(options.size);
    for (std::uint64_t i = 0; i < warm; ++i) zmq_recv(socket, buffer.data(), buffer.size(), 0);
    const auto start = Clock::now();
    const auto cpu = cpu_seconds();
    for (std::uint64_t i = 0; i < options.count; ++i) zmq_recv(socket, buffer.data(), buffer.size(), 0);
    Report report;
    report.seconds = seconds_since(start);
    report.cpu = cpu_seconds() - cpu;
    report.messages = options.count;
    result.put(&report, sizeof report);
    zmq_close(socket);
    zmq_ctx_term(context);
    return 0;
}

int zmq_sender(const Options& options, const Curve* curve, const Pipe& address, const Pipe& result) {
    char text[200] = {};
    if (!address.get(text, 200)) return 1;
    void* context = zmq_ctx_new();
    void* socket = zmq_socket(context, ZMQ_PUSH);
    const int high_water = 65'536;  // as kith's queue
    zmq_setsockopt(socket, ZMQ_SNDHWM, &high_water, sizeof high_water);
    if (curve != nullptr) {
        zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, curve->server_public, 41);
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, curve->client_public, 41);
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, curve->client_secret, 41);
    }
    if (zmq_connect(socket, text) != 0) return 1;
    std::vector<char> message(options.size, 7);
    const auto warm = options.count / 10;
    const auto cpu = cpu_seconds();
    const auto start = Clock::now();
    for (std::uint64_t i = 0; i < options.count + warm; ++i) zmq_send(socket, message.data(), message.size(), 0);
    zmq_close(socket);
    zmq_ctx_term(context);  // waits until everything is sent
    Report report;
    report.seconds = seconds_since(start);
    report.cpu = (cpu_seconds() - cpu) * static_cast<double>(options.count) / static_cast<double>(options.count + warm);
    report.messages = options.count;
    result.put(&report, sizeof report);
    return 0;
}

struct Run {
    Report receiver;
    Report sender;
    double rate() const { return static_cast<double>(receiver.messages) / receiver.seconds; }
};

template <class Receiver, class Sender>
Run run(Receiver&& receiver, Sender&& sender) {
    Pipe address;
    Pipe from_receiver;
    Pipe from_sender;
    const auto a = fork();
    if (a == 0) _exit(receiver(address, from_receiver));
    const auto b = fork();
    if (b == 0) _exit(sender(address, from_sender));
    Run out;
    const bool ok = from_receiver.get(&out.receiver, sizeof out.receiver) && from_sender.get(&out.sender, sizeof out.sender);
    for (const auto pid : {b, a}) {
        int status = 0;
        waitpid(pid, &status, 0);
        if (!ok || status != 0) {
            std::fprintf(stderr, "a benchmark process failed\n");
            std::exit(1);
        }
    }
    for (const auto* pipe : {&address, &from_receiver, &from_sender}) {
        close(pipe->read_end);
        close(pipe->write_end);
    }
    return out;
}

Run median(std::vector<Run> runs) {
    std::sort(runs.begin(), runs.end(), [](const auto& a, const auto& b) { return a.rate() < b.rate(); });
    return runs[runs.size() / 2];
}

void print(const char* name, const Run& run) {
    const auto n = static_cast<double>(run.receiver.messages);
    std::printf("%-12s %10.0f msg/s   %7.1f ns CPU/msg (sender %.0f, receiver %.0f)\n", name, run.rate(),
                (run.receiver.cpu + run.sender.cpu) * 1e9 / n, run.sender.cpu * 1e9 / n, run.receiver.cpu * 1e9 / n);
}

int durable(const Options& options) {
    std::vector<Run> runs;
    for (int i = 0; i < options.repeat; ++i) {
        runs.push_back(run([&](auto& a, auto& r) { return kith_receiver(options, a, r); },
                           [&](auto& a, auto& r) { return kith_sender(options, a, r); }));
    }
    const auto kith = median(runs);
    std::printf("durable messages of %zu bytes, %llu per run, median of %d, two processes on this machine\n", options.size,
                static_cast<unsigned long long>(options.count), options.repeat);
    print("kith durable", kith);
    if (options.json) {
        std::printf(R"({"name":"durable messages %zu B","unit":"1/s","ours":%.6g,"beside":"","other":0})"
                    "\n",
                    options.size, kith.rate());
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; i += 2) {
        const std::string key = argv[i];
        if (key == "--json" || key == "--durable") {
            (key == "--json" ? options.json : options.durable) = true;
            --i;
            continue;
        }
        if (i + 1 == argc) break;
        const auto value = std::strtoull(argv[i + 1], nullptr, 10);
        if (key == "--count") options.count = value;
        if (key == "--size") options.size = value;
        if (key == "--repeat") options.repeat = static_cast<int>(value);
    }
    if (options.durable) return durable(options);
    Curve curve{};
    zmq_curve_keypair(curve.server_public, curve.server_secret);
    zmq_curve_keypair(curve.client_public, curve.client_secret);
    std::vector<Run> ours;
    std::vector<Run> plain;
    std::vector<Run> secure;
    for (int i = 0; i < options.repeat; ++i) {  // in turn, so that a noisy machine disturbs all alike
        ours.push_back(run([&](auto& a, auto& r) { return kith_receiver(options, a, r); },
                           [&](auto& a, auto& r) { return kith_sender(options, a, r); }));
        plain.push_back(run([&](auto& a, auto& r) { return zmq_receiver(options, nullptr, a, r); },
                            [&](auto& a, auto& r) { return zmq_sender(options, nullptr, a, r); }));
        secure.push_back(run([&](auto& a, auto& r) { return zmq_receiver(options, &curve, a, r); },
                             [&](auto& a, auto& r) { return zmq_sender(options, &curve, a, r); }));
    }
    const auto kith = median(ours);
    const auto zmq = median(plain);
    const auto zmq_curve = median(secure);
    std::printf("messages of %zu bytes, %llu per run, median of %d, two processes on this machine\n", options.size,
                static_cast<unsigned long long>(options.count), options.repeat);
    print("kith", kith);
    print("zmq plain", zmq);
    print("zmq curve", zmq_curve);
    const auto& stats = kith.sender.stats;
    const auto n = static_cast<double>(kith.sender.messages);
    std::printf("kith / zmq curve %.2f (gate: 1)   kith / zmq plain %.2f\n", kith.rate() / zmq_curve.rate(), kith.rate() / zmq.rate());
    std::printf("kith sender: %.1f messages/record, %.0f bytes/send call, 1 wake-up per %.0f messages, 1 allocation per %.0f messages\n",
                n / static_cast<double>(std::max<std::uint64_t>(1, stats.records_sent)),
                static_cast<double>(stats.bytes_sent) / static_cast<double>(std::max<std::uint64_t>(1, stats.send_calls)),
                n / static_cast<double>(std::max<std::uint64_t>(1, stats.engine_wakeups)),
                n / static_cast<double>(std::max<std::uint64_t>(1, kith.sender.allocations)));
    std::printf("kith receiver: 1 callback wake-up per %.0f messages, 1 allocation per %.0f messages\n",
                n / static_cast<double>(std::max<std::uint64_t>(1, kith.receiver.stats.callback_wakeups)),
                n / static_cast<double>(std::max<std::uint64_t>(1, kith.receiver.allocations)));
    if (options.json) {
        for (const auto& [rival, other] : {std::pair{"ZeroMQ CURVE", zmq_curve}, std::pair{"ZeroMQ plain", zmq}}) {
            std::printf(R"({"name":"messages %zu B","unit":"1/s","ours":%.6g,"beside":"%s","other":%.6g})"
                        "\n",
                        options.size, kith.rate(), rival, other.rate());
        }
    }
    return kith.rate() >= zmq_curve.rate() ? 0 : 1;
}
