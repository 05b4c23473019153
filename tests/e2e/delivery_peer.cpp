// SPDX-License-Identifier: Apache-2.0
// One process of the fault matrix: sends numbered messages at a rate, and writes down what it accepted, handed over and was told.
// Usage: delivery_peer --node N --log FILE [--strength reliable] [--rate PER_SECOND] [--queue-mib M] [--lan 0|1]
// Commands on standard input, one a line:
//   peer INDEX ID ADDR  who the other is; it stays known, and so messages for it are accepted, whatever mDNS hears
//   connect MULTIADDR   may lead to it another way
//   run                 send to it from now on    pause            send no more
//   drain               says "drained" when every message has its receipt
//   stats               numbers of now
// Its end is the end of its input. Events are printed as JSON lines.
#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>

#include "history.hpp"
#include "kith/kith.hpp"
#include "testing/checker.hpp"
#include "testing/random.hpp"

namespace {

using kith::testing::Checker;

struct Options {
    std::size_t node = 0;
    std::string log;
    std::string strength = "reliable";
    double rate = 500;
    std::size_t queue_mib = 8;
    bool lan = false;
};

double resident_mib() {
    std::ifstream file("/proc/self/statm");
    double all = 0;
    double resident = 0;
    file >> all >> resident;
    return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
}

std::string_view outcome_text(kith::Receipt::Outcome outcome) {
    constexpr std::array names{"stored", "sent", "delivered", "processed", "expired", "cancelled", "replaced", "failed", "unknown"};
    return names.at(static_cast<std::size_t>(outcome));
}

class Peer {
public:
    explicit Peer(Options options) : options_(std::move(options)), history_(options_.log), node_(config()), random_(options_.node + 1) {}

    int run() {
        node_.on_peer([this](const kith::PeerEvent& event) { on_peer(event); });
        for (const auto* channel : channels) node_.on_message(channel, [this](const kith::Message& m) { on_message(m); });
        if (const auto ok = node_.start(); !ok) {
            print(R"("type":"error","text":")" + ok.error().message() + '"');
            return 1;
        }
        history_.start(options_.node, history::now_ns(), options_.strength);
        std::string addresses;
        for (const auto& address : node_.addresses()) addresses += (addresses.empty() ? "\"" : ",\"") + address.text() + '"';
        print(R"("type":"ready","peer":")" + node_.id().text() + R"(","addresses":[)" + addresses + ']');
        std::thread sender{[this] { send(); }};
        for (std::string line; std::getline(std::cin, line);) command(line);
        stopping_ = true;
        sender.join();
        node_.stop();
        history_.end();
        stats("end");
        return 0;
    }

private:
    static constexpr std::array channels{"a", "b"};

    kith::Config config() const {
        kith::Config out;
        out.lan = options_.lan;
        out.listen = {"/ip4/0.0.0.0/tcp/0"};
        out.max_queued_bytes = options_.queue_mib << 20U;
        auto& policy = out.pressure;
        policy.low = policy.normal = kith::PressureLevel::blocking;  // nobody gives way: what is counted on is accepted
        out.limits.new_links_per_second_per_address = 1'000;         // many cuts a second are the test here
        return out;
    }

    void print(const std::string& members) {
        const std::scoped_lock lock(print_mutex_);
        std::cout << '{' << members << ",\"ns\":" << history::now_ns() << "}\n" << std::flush;
    }

    void command(const std::string& line) {
        std::istringstream words(line);
        std::string verb;
        words >> verb;
        if (verb == "peer") {
            std::size_t index = 0;
            std::string id;
            std::string text;
            words >> index >> id >> text;
            const auto peer = kith::PeerId::parse(id);
            const auto address = kith::Multiaddr::parse(text);
            if (!peer || !address) return print(R"("type":"error","text":"not a peer")");
            if (const auto ok = node_.add_address(*address); !ok) return print(R"("type":"error","text":")" + ok.error().message() + '"');
            const std::scoped_lock lock(mutex_);
            other_ = index;
            id_ = *peer;
        } else if (verb == "connect") {
            std::string text;
            words >> text;
            const auto address = kith::Multiaddr::parse(text);
            if (!address) return print(R"("type":"error","text":"not an address")");
            node_.async_connect(*address, [this](const kith::Result<kith::PeerId>& peer) {
                if (!peer) print(R"("type":"error","text":")" + peer.error().message() + '"');
            });
        } else if (verb == "run" || verb == "pause") {
            running_ = verb == "run";
            print("\"type\":\"" + verb + '"');
        } else if (verb == "drain") {
            const std::scoped_lock lock(mutex_);
            draining_ = true;
            check_drained();
        } else if (verb == "stats") {
            stats("stats");
        }
    }

    void stats(const char* type) {
        const auto stats = node_.stats();
        std::size_t links = 0;
        std::uint64_t queued = 0;
        if (const auto info = node_.peer(id_)) links = info->links;
        for (const auto* channel : channels) {
            if (const auto queue = node_.queue(id_, channel)) queued += queue->bytes;
        }
        print(std::string{R"("type":")"} + type + R"(","accepted":)" + std::to_string(accepted_) +
              ",\"delivered\":" + std::to_string(delivered_) + ",\"received\":" + std::to_string(received_) +
              ",\"bytes\":" + std::to_string(received_bytes_) + ",\"messages_sent\":" + std::to_string(stats.messages_sent) +
              ",\"resyncs\":" + std::to_string(stats.resyncs) + ",\"decrypt_failures\":" + std::to_string(stats.decrypt_failures) +
              ",\"links\":" + std::to_string(links) + ",\"queued\":" + std::to_string(queued) +
              ",\"resident_mib\":" + std::to_string(resident_mib()) + ",\"max_stall_ms\":" + std::to_string(max_stall_ns_ / 1'000'000));
    }

    void on_peer(const kith::PeerEvent& event) {
        print(R"("type":"peer","state":")" + std::string{kith::name(event.state)} + R"(","peer":")" + event.peer.text() + '"');
    }

    void on_message(const kith::Message& message) {
        const auto t = history::now_ns();
        const auto bytes = message.bytes();
        history::Name name{std::string{message.channel}, 0, 0};
        if (bytes.size() >= Checker::head) {
            for (std::size_t i = 0; i < 8; ++i) name.number |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
            name.priority = bytes[8] & 15;
        }
        const auto last = last_delivery_.exchange(t);
        if (last != 0) max_stall_ns_ = std::max(max_stall_ns_.load(), t - last);
        std::size_t from = 0;
        {
            const std::scoped_lock lock(mutex_);
            from = other_;
        }
        history_.deliver(t, from, name, bytes.size(), kith::testing::hash_of(bytes), message.maybe_repeat);
        ++received_;
        received_bytes_ += bytes.size();
    }

    void send() {
        auto next = std::chrono::steady_clock::now();
        while (!stopping_) {
            if (!running_) {
                std::this_thread::sleep_for(std::chrono::milliseconds{5});
                next = std::chrono::steady_clock::now();
                continue;
            }
            send_one();
            if (options_.rate <= 0) continue;
            next += std::chrono::nanoseconds{static_cast<std::int64_t>(1e9 / options_.rate)};
            std::this_thread::sleep_until(next);
        }
    }

    // Sizes of 64 B to 4 KiB, two channels, and now and then another priority.
    void send_one() {
        const history::Name drawn{channels[random_.below(channels.size())], random_.one_in(10) ? static_cast<int>(random_.below(4)) : 1, 0};
        const auto size = random_.between(64, 4096);
        std::size_t to = 0;
        kith::PeerId id;
        {
            const std::scoped_lock lock(mutex_);
            to = other_;
            id = id_;
            ++open_;
        }
        // Room first, and nobody else takes it: so async_send accepts, and the message is one of the history.
        for (auto queue = node_.queue(id, drawn.channel); !queue || queue->pressure >= 95; queue = node_.queue(id, drawn.channel)) {
            if (stopping_) return;
            std::this_thread::sleep_for(std::chrono::milliseconds{2});
        }
        auto name = drawn;
        name.number = ++numbers_[{name.channel, name.priority}];
        kith::SendOptions options;
        options.priority = static_cast<kith::Priority>(name.priority);
        options.strength = options_.strength == "durable" ? kith::Strength::durable : kith::Strength::reliable;
        auto bytes = source_.make(options_.node, to, name.channel, options.priority, size, 0);
        const auto hash = kith::testing::hash_of(bytes);
        const auto t = history::now_ns();
        node_.async_send(
            id, name.channel, std::move(bytes), [this, to, name](const kith::Result<kith::Receipt>& r) { on_receipt(to, name, r); },
            options);
        history_.accept(t, to, name, size, hash);
        ++accepted_;
    }

    void on_receipt(std::size_t to, const history::Name& name, const kith::Result<kith::Receipt>& receipt) {
        const auto t = history::now_ns();
        history_.receipt(t, to, name, receipt ? outcome_text(receipt->outcome) : kith::name(receipt.error().code));
        if (receipt && receipt->outcome == kith::Receipt::Outcome::delivered) ++delivered_;
        const std::scoped_lock lock(mutex_);
        --open_;
        check_drained();
    }

    // With the lock.
    void check_drained() {
        if (!draining_ || open_ != 0 || running_) return;
        draining_ = false;
        print(R"("type":"drained")");
    }

    const Options options_;
    history::Writer history_;
    kith::Node node_;
    kith::testing::Random random_;
    Checker source_;  // makes the messages that the judge will expect
    std::map<std::pair<std::string, int>, std::uint64_t> numbers_;

    std::mutex print_mutex_;
    std::mutex mutex_;  // guards up to draining_
    std::size_t other_ = 0;
    kith::PeerId id_;
    std::uint64_t open_ = 0;
    bool draining_ = false;
    std::atomic<bool> running_{false};
    std::atomic<bool> stopping_{false};
    std::atomic<std::uint64_t> accepted_{0};
    std::atomic<std::uint64_t> delivered_{0};
    std::atomic<std::uint64_t> received_{0};
    std::atomic<std::uint64_t> received_bytes_{0};
    std::atomic<std::int64_t> last_delivery_{0};
    std::atomic<std::int64_t> max_stall_ns_{0};
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view key = argv[i];
        const std::string value = argv[i + 1];
        if (key == "--node") options.node = std::stoul(value);
        if (key == "--log") options.log = value;
        if (key == "--strength") options.strength = value;
        if (key == "--rate") options.rate = std::stod(value);
        if (key == "--queue-mib") options.queue_mib = std::stoul(value);
        if (key == "--lan") options.lan = value == "1";
    }
    return Peer{options}.run();
}
