// SPDX-License-Identifier: Apache-2.0
// What faulty_vfs.cpp keeps: files as the system's cache shows them, as the disk holds them, and the writes between.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "testing/faulty_vfs.hpp"
#include "testing/random.hpp"

namespace kith::testing {

struct FaultyFile {
    struct Change {
        std::uint64_t at = 0;
        Bytes data;
        bool truncation = false;  // to `at` bytes
    };
    Bytes now;
    Bytes durable;
    std::vector<Change> pending;

    void write(std::uint64_t at, ByteView data);
    void truncate(std::uint64_t size);
    void sync();
    void settle(Random& random);  // what is pending reaches the disk in part, and nobody tries again
};

using FaultyFiles = std::map<std::string, std::shared_ptr<FaultyFile>>;

struct FaultyVfs::Image {
    std::map<std::string, FaultyFile> now;
    std::set<std::string> durable;                   // names of those that the disk knows by it too
    std::map<std::string, FaultyFile> only_durable;  // names of which only the disk knows, or that are other files there
};

struct FaultyVfs::Disk {
    explicit Disk(std::uint64_t seed) : random(seed), noise(seed ^ 0x6E6F697365ULL) {}

    sqlite3_vfs vfs{};
    std::string name;
    Random random;  // of power losses
    Random noise;   // what SQLite takes for its salts
    FaultyFiles now;
    FaultyFiles durable;  // the names as the disk holds them
    std::uint64_t counts[7] = {};
    struct Planned {
        Call call;
        std::uint64_t nth;
        Fault fault;
    };
    std::vector<Planned> planned;
    std::optional<std::uint64_t> halt_at;
    bool full = false;
    bool dead = false;

    // SQLITE_OK, or the code the call must give; `io_error` is the one of this kind of call.
    int enter(Call call, int io_error);
    void synced(const std::string& file, bool folder);
    void settle_names();
};

}  // namespace kith::testing
