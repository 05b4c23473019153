// SPDX-License-Identifier: Apache-2.0
#include "testing/faulty_disk.hpp"

#include <algorithm>

namespace kith::testing {
namespace {

constexpr std::size_t sector = 512;

void put(Bytes& content, std::uint64_t at, ByteView data) {
    if (content.size() < at + data.size()) content.resize(static_cast<std::size_t>(at) + data.size());
    std::copy(data.begin(), data.end(), content.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace

void FaultyFile::write(std::uint64_t at, ByteView data) {
    put(now, at, data);
    pending.push_back({at, Bytes(data.begin(), data.end()), false});
}

void FaultyFile::truncate(std::uint64_t size) {
    now.resize(static_cast<std::size_t>(size));
    pending.push_back({size, {}, true});
}

void FaultyFile::sync() {
    for (const auto& change : pending) {
        if (change.truncation) {
            durable.resize(static_cast<std::size_t>(change.at));
        } else {
            put(durable, change.at, change.data);
        }
    }
    pending.clear();
}

void FaultyFile::settle(Random& random) {
    for (const auto& change : pending) {
        if (change.truncation) {
            if (random.one_in(2)) durable.resize(static_cast<std::size_t>(change.at));
            continue;
        }
        // Sectors of the disk, not of the write.
        for (std::size_t from = 0; from < change.data.size();) {
            const auto at = change.at + from;
            const auto to = std::min(change.data.size(), from + sector - static_cast<std::size_t>(at % sector));
            const auto fate = random.below(5);  // 0, 1: there; 2, 3: lost; 4: torn
            const auto whole = to - from;
            const auto size = fate < 2 ? whole : fate == 4 ? static_cast<std::size_t>(random.below(whole)) : 0;
            if (size > 0) put(durable, at, ByteView{change.data}.subspan(from, size));
            from = to;
        }
    }
    pending.clear();
}

int FaultyVfs::Disk::enter(Call call, int io_error) {
    ++counts[static_cast<int>(call)];
    ++counts[static_cast<int>(Call::any)];
    if (halt_at && counts[static_cast<int>(Call::any)] >= *halt_at) dead = true;
    if (dead) return io_error;
    for (auto at = planned.begin(); at != planned.end(); ++at) {
        if (at->call != call && at->call != Call::any) continue;
        if (counts[static_cast<int>(at->call)] != at->nth) continue;
        const auto fault = at->fault;
        planned.erase(at);
        return fault == Fault::full ? SQLITE_FULL : io_error;
    }
    return SQLITE_OK;
}

// A file that is synced is found after a power loss, and with the folder every other one.
void FaultyVfs::Disk::synced(const std::string& file, bool folder) {
    if (folder) durable = now;
    if (const auto at = now.find(file); at != now.end()) durable[file] = at->second;
}

// Each name that was made or removed since is there, or not.
void FaultyVfs::Disk::settle_names() {
    for (const auto& [file, content] : now) {
        const auto at = durable.find(file);
        if ((at == durable.end() || at->second != content) && random.one_in(2)) durable[file] = content;
    }
    std::vector<std::string> removed;
    for (const auto& [file, content] : durable) {
        if (!now.contains(file) && random.one_in(2)) removed.push_back(file);
    }
    for (const auto& file : removed) durable.erase(file);
    now = durable;
}

}  // namespace kith::testing
