// SPDX-License-Identifier: Apache-2.0
// Messages per second into the database of durable delivery, 64 bytes each, on the disk this program lies on: beside what the disk
// allows, which is one fdatasync of a log of that size per commit, measured here and now. And per second of processor time,
// which other programs do not change, beside what is needed.
#include <fcntl.h>

#include <filesystem>

#include "common.hpp"
#include "store/database.hpp"

namespace {

using bench::Clock;
using namespace kith::storage;
using kith::store::Database;

constexpr std::size_t message_size = 64;
constexpr double most_seconds = 1.5;

std::filesystem::path folder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "store-bench"; }

void must(kith::Status status) {
    if (!status) bench::fail(status.error().message());
}

struct Rate {
    double messages = 0;  // per second
    double commits = 0;
    double of_cpu = 0;  // messages per second of processor time
};

// `step` fills a request for commit number n and says how many messages that are.
template <class Step>
Rate measure(Step step) {
    std::filesystem::remove_all(folder());
    auto opened = Database::open(folder() / "bench.db", {});
    if (!opened) bench::fail(opened.error().message());
    auto& db = *opened;
    Request first;
    const auto peer = first.add("a peer of about the usual length: 38 b");
    const auto channel = first.add("chat");
    first.operations.emplace_back(OpenOut{1, peer, channel, 1, 1});
    first.operations.emplace_back(BeginIn{1, peer, channel, 1, 1, 0});
    must(db.apply(first));
    must(db.commit());
    const auto cpu = bench::cpu_seconds();
    const auto start = Clock::now();
    std::uint64_t messages = 0;
    std::uint64_t commits = 0;
    while (bench::seconds_since(start) < most_seconds) {
        Request request;
        messages += step(request, commits++);
        must(db.apply(request));
        must(db.commit());
    }
    const auto seconds = bench::seconds_since(start);
    const auto worked = bench::cpu_seconds() - cpu;
    must(db.close());
    const auto n = static_cast<double>(messages);
    return {n / seconds, static_cast<double>(commits) / seconds, n / worked};
}

// Commits per second that the disk allows, each of so many bytes of log, over a file that is there already.
double syncs(std::size_t bytes) {
    std::filesystem::create_directories(folder());
    const auto path = folder() / "raw";
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) bench::fail("open " + path.string());
    const std::vector<char> block(bytes, 'x');
    constexpr std::size_t size = std::size_t{4} << 20;
    const auto put = [&](std::size_t at) {
        if (pwrite(fd, block.data(), bytes, static_cast<off_t>(at)) != static_cast<ssize_t>(bytes)) bench::fail("write");
    };
    for (std::size_t at = 0; at < size; at += bytes) put(at);
    if (fsync(fd) != 0) bench::fail("fsync");
    const auto start = Clock::now();
    double done = 0;
    for (std::size_t at = 0; bench::seconds_since(start) < most_seconds / 2; at = (at + bytes) % size, ++done) {
        put(at);
        if (fdatasync(fd) != 0) bench::fail("fdatasync");
    }
    const auto rate = done / bench::seconds_since(start);
    close(fd);
    return rate;
}

const std::string content(message_size, 'm');

void append(Request& request, std::uint64_t from, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        request.operations.emplace_back(Append{1, from + i, from * 0x9E3779B97F4A7C15ULL + i, 0, {}, {}, request.add(content)});
    }
}

void appends() {
    for (const std::size_t batch : {1U, 10U, 100U, 1000U}) {
        const auto rate = measure([batch](Request& request, std::uint64_t n) {
            append(request, 1 + n * batch, batch);
            return batch;
        });
        // Pages that a commit writes: the lane, and the leaves of about 44 messages.
        const auto pages = 2 + (batch + 43) / 44;
        const auto name = "stored, " + std::to_string(batch) + " a commit";
        bench::result(name.c_str(), "/s", rate.messages, "fdatasync/s x batch", syncs(pages * 4120) * static_cast<double>(batch));
        char text[96];
        std::snprintf(text, sizeof text, "%.0f commits/s; %.2f us of processor time a message", rate.commits, 1e6 / rate.of_cpu);
        bench::note(name.c_str(), text);
        if (batch == 100) bench::result("stored, 100 a commit, of CPU", "/s", rate.of_cpu, "needed", 120'000);
    }
}

// What a message costs over its life: stored and acknowledged at the sender, stored and processed at the receiver.
void pairs() {
    constexpr std::size_t batch = 256;
    const auto sent = measure([](Request& request, std::uint64_t n) {
        append(request, 1 + n * batch, batch);
        if (n > 0) request.operations.emplace_back(Settle{1, n * batch, n});
        return batch;
    });
    const auto received = measure([](Request& request, std::uint64_t n) {
        const auto from = n * batch;
        request.operations.emplace_back(Advance{1, 1, from, from + batch, n});
        for (std::size_t i = 1; i <= batch; ++i) request.operations.emplace_back(Put{from + i, 1, from + i, false, request.add(content)});
        if (n > 0) request.operations.emplace_back(Processed{1, from});
        return batch;
    });
    const auto limit = syncs(9 * 4120) * static_cast<double>(batch);
    bench::result("stored and settled, 256", "/s", sent.messages, "fdatasync/s x batch", limit);
    bench::result("stored and settled, of CPU", "/s", sent.of_cpu, "needed", 60'000);
    bench::result("put and processed, 256", "/s", received.messages, "fdatasync/s x batch", limit);
    bench::result("put and processed, of CPU", "/s", received.of_cpu, "needed", 60'000);
}

}  // namespace

int main() {
    appends();
    pairs();
    std::filesystem::remove_all(folder());
    return 0;
}
