// SPDX-License-Identifier: Apache-2.0
// A bad network between two hosts of netns.py: a TUN interface "imp0" in each, joined by a relay that delays, loses, repeats,
// reorders, damages and limits packets, the same way for the same seed; a replacement for tc netem, which not every kernel has.
// Usage: netimp HOST_A IP_A HOST_B IP_B [--delay-ms D] [--jitter-ms J] [--loss P] [--duplicate P] [--reorder P] [--corrupt P]
//               [--rate-mbit R] [--seed N]          (P in percent; delay of one direction)
// Commands on standard input: "drop none", "drop a" (what A sends), "drop b", "drop both". Ends with its input, and tells counts.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "testing/random.hpp"

namespace {

using Nanoseconds = std::int64_t;
constexpr std::size_t max_waiting = 5'000;  // packets of one direction; more are lost, as in a router
constexpr std::size_t ip_header = 20;       // not damaged: such a packet would just be lost

[[noreturn]] void fail(const std::string& what) {
    std::perror(("netimp: " + what).c_str());
    std::exit(1);
}

Nanoseconds now() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The interface is made inside the host's namespace and read from here.
int tun(const std::string& host, const std::string& own, const std::string& other) {
    const int home = ::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    const int there = ::open(("/run/netns/" + host).c_str(), O_RDONLY | O_CLOEXEC);
    if (home < 0 || there < 0 || ::setns(there, CLONE_NEWNET) != 0) fail("host " + host);
    const int fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    ifreq request{};
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    std::strcpy(request.ifr_name, "imp0");
    if (fd < 0 || ::ioctl(fd, TUNSETIFF, &request) != 0) fail("/dev/net/tun");
    const auto command = "ip addr add " + own + " peer " + other + " dev imp0 && ip link set imp0 up mtu 1400 txqueuelen 1000";
    if (std::system(command.c_str()) != 0) fail(command);
    if (::setns(home, CLONE_NEWNET) != 0) fail("back");
    ::close(there);
    ::close(home);
    return fd;
}

struct Impairment {
    double delay = 0;  // ns
    double jitter = 0;
    double loss = 0;  // 0 to 1
    double duplicate = 0;
    double reorder = 0;
    double corrupt = 0;
    double rate = 0;  // bytes per ns; 0: no limit
};

struct Packet {
    Nanoseconds at = 0;
    std::uint64_t number = 0;
    std::vector<std::uint8_t> bytes;
    // For a queue whose top is what comes first.
    bool operator<(const Packet& other) const { return at != other.at ? at > other.at : number > other.number; }
};

struct Way {
    std::priority_queue<Packet> waiting;
    Nanoseconds busy_until = 0;
    Nanoseconds last = 0;
    bool dropped = false;
};

class Relay {
public:
    Relay(std::array<int, 2> ends, const Impairment& how, std::uint64_t seed) : ends_(ends), how_(how), random_(seed) {}

    void run() {
        for (;;) {
            deliver();
            auto next = now() + 1'000'000'000;
            for (const auto& way : ways_) {
                if (!way.waiting.empty()) next = std::min(next, way.waiting.top().at);
            }
            std::array<pollfd, 3> watched{pollfd{ends_[0], POLLIN, 0}, pollfd{ends_[1], POLLIN, 0}, pollfd{STDIN_FILENO, POLLIN, 0}};
            const auto wait = std::max<Nanoseconds>(next - now(), 0);
            const timespec limit{wait / 1'000'000'000, wait % 1'000'000'000};
            ::ppoll(watched.data(), watched.size(), &limit, nullptr);
            for (std::size_t i = 0; i < 2; ++i) {
                if (watched[i].revents != 0) take(i);
            }
            if (watched[2].revents != 0 && !command()) break;
        }
        std::printf(R"({"type":"end","forwarded":%llu,"lost":%llu,"damaged":%llu,"overflowed":%llu})"
                    "\n",
                    forwarded_, lost_, damaged_, overflowed_);
    }

private:
    bool chance(double p) { return static_cast<double>(random_.u64() >> 11U) * 0x1p-53 < p; }
    double unit() { return static_cast<double>(random_.u64() >> 11U) * 0x1p-53; }

    void deliver() {
        for (std::size_t i = 0; i < 2; ++i) {
            auto& waiting = ways_[i].waiting;
            for (; !waiting.empty() && waiting.top().at <= now(); waiting.pop()) {
                const auto& bytes = waiting.top().bytes;
                if (::write(ends_[1 - i], bytes.data(), bytes.size()) > 0) ++forwarded_;
            }
        }
    }

    void take(std::size_t from) {
        std::array<std::uint8_t, 65536> room;
        for (int i = 0; i < 64; ++i) {
            const auto n = ::read(ends_[from], room.data(), room.size());
            if (n <= 0) return;
            auto& way = ways_[from];
            if (way.dropped || chance(how_.loss)) {
                ++lost_;
                continue;
            }
            if (way.waiting.size() >= max_waiting) {
                ++overflowed_;
                continue;
            }
            const std::vector<std::uint8_t> bytes(room.begin(), room.begin() + n);
            pass(way, bytes);
            if (chance(how_.duplicate)) pass(way, bytes);
        }
    }

    void pass(Way& way, std::vector<std::uint8_t> bytes) {
        auto at = now();
        if (how_.rate > 0) {
            way.busy_until = std::max(way.busy_until, at) + static_cast<Nanoseconds>(static_cast<double>(bytes.size()) / how_.rate);
            at = way.busy_until;
        }
        if (!chance(how_.reorder)) {  // who overtakes is not delayed
            at += static_cast<Nanoseconds>(std::max(0.0, how_.delay + how_.jitter * (2 * unit() - 1)));
            if (how_.reorder == 0) at = std::max(at, way.last);  // jitter alone reorders nothing
            way.last = at;
        }
        if (chance(how_.corrupt) && bytes.size() > ip_header) {
            bytes[ip_header + random_.below(bytes.size() - ip_header)] ^= static_cast<std::uint8_t>(1U << random_.below(8));
            ++damaged_;
        }
        way.waiting.push({at, number_++, std::move(bytes)});
    }

    bool command() {
        std::array<char, 256> room;
        const auto n = ::read(STDIN_FILENO, room.data(), room.size());
        if (n <= 0) return false;
        input_.append(room.data(), static_cast<std::size_t>(n));
        for (std::size_t end = 0; (end = input_.find('\n')) != std::string::npos; input_.erase(0, end + 1)) {
            const auto line = std::string_view{input_}.substr(0, end);
            ways_[0].dropped = line == "drop a" || line == "drop both";
            ways_[1].dropped = line == "drop b" || line == "drop both";
            std::printf("{\"type\":\"done\"}\n");
            std::fflush(stdout);
        }
        return true;
    }

    const std::array<int, 2> ends_;
    const Impairment how_;
    kith::testing::Random random_;
    std::array<Way, 2> ways_;
    std::string input_;
    std::uint64_t number_ = 0;
    unsigned long long forwarded_ = 0;
    unsigned long long lost_ = 0;
    unsigned long long damaged_ = 0;
    unsigned long long overflowed_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 5 || argc % 2 == 0) {
        std::fprintf(stderr, "usage: netimp HOST_A IP_A HOST_B IP_B [--delay-ms D] [--loss P] ... [--seed N]\n");
        return 2;
    }
    Impairment how;
    std::uint64_t seed = 1;
    for (int i = 5; i + 1 < argc; i += 2) {
        const std::string_view key = argv[i];
        const double value = std::strtod(argv[i + 1], nullptr);
        if (key == "--delay-ms") how.delay = value * 1e6;
        if (key == "--jitter-ms") how.jitter = value * 1e6;
        if (key == "--loss") how.loss = value / 100;
        if (key == "--duplicate") how.duplicate = value / 100;
        if (key == "--reorder") how.reorder = value / 100;
        if (key == "--corrupt") how.corrupt = value / 100;
        if (key == "--rate-mbit") how.rate = value * 1e6 / 8 / 1e9;
        if (key == "--seed") seed = std::strtoull(argv[i + 1], nullptr, 10);
    }
    const std::array ends{tun(argv[1], argv[2], argv[4]), tun(argv[3], argv[4], argv[2])};
    std::printf("{\"type\":\"ready\"}\n");
    std::fflush(stdout);
    Relay{ends, how, seed}.run();
    return 0;
}
