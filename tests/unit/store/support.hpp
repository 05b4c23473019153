// SPDX-License-Identifier: Apache-2.0
// A model of what a database must hold, and ways to write requests and to see the whole content.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/storage.hpp"
#include "store/database.hpp"
#include "testing/faulty_vfs.hpp"
#include "testing/random.hpp"

namespace kith::store::test {

using storage::Ended;
using storage::LaneKey;
using storage::Request;
using testing::FaultyVfs;
using testing::Random;

inline const std::string db_name = "kith.db";

// A folder of its own, removed at the end.
class Folder {
public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "kith-store-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) std::abort();
        path_ = name;
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

private:
    std::filesystem::path path_;
};

inline Options options_of(const FaultyVfs& disk, std::uint64_t seed = 1) { return {disk.name(), 0, seed}; }

inline Result<Database> open(const FaultyVfs& disk, std::uint64_t seed = 1) { return Database::open(db_name, options_of(disk, seed)); }

// Fails the test and gives up when it cannot be opened.
inline Database must_open(const FaultyVfs& disk, std::uint64_t seed = 1) {
    auto db = open(disk, seed);
    if (!db) {
        ADD_FAILURE() << db.error();
        std::abort();
    }
    return std::move(*db);
}

// Requests by name.
struct Writer {
    Request request;

    Writer& open_out(LaneKey lane, std::uint64_t epoch, std::string_view peer = "peer", std::string_view channel = "chat");
    Writer& append(LaneKey lane, std::uint64_t seq, std::string_view bytes, std::uint64_t tag = 0, Duration ttl = {},
                   Duration expires = {});
    Writer& replace(LaneKey lane, std::uint64_t seq, std::uint64_t mid, std::string_view bytes, std::uint64_t tag = 0);
    Writer& bury(LaneKey lane, std::uint64_t seq, std::uint64_t from, std::uint64_t to, Ended ended = Ended::cancelled);
    Writer& settle(LaneKey lane, std::uint64_t upto, std::uint64_t mid = 0);
    Writer& begin_in(LaneKey lane, std::uint64_t epoch, std::uint64_t have = 0, std::string_view peer = "peer",
                     std::string_view channel = "chat");
    Writer& advance(LaneKey lane, std::uint64_t epoch, std::uint64_t from, std::uint64_t to, std::uint64_t mid = 0);
    Writer& put(std::uint64_t inbox, LaneKey lane, std::uint64_t seq, std::string_view bytes, bool repeat = false);
    template <class Op>
    Writer& add(Op op) {
        request.operations.emplace_back(op);
        return *this;
    }
};

inline std::uint64_t mid_of(LaneKey lane, std::uint64_t seq) { return 0x9E3779B97F4A7C15ULL * (lane * 1000003ULL + seq); }

// What must be there, computed in the simplest way.
class Model {
public:
    void apply(const Request& request);
    std::string text() const;  // canonical; equal to text_of() of a database with this content

    struct Message {
        std::uint64_t mid = 0;
        std::uint64_t run = 0;
        std::uint64_t tag = 0;
        std::uint64_t deadline = 0;  // on the age clock; 0: none
        Duration expires{};
        Bytes bytes;
    };
    struct Out {
        storage::OutLane lane;
        std::map<std::uint64_t, Message> messages;
    };
    struct In {
        storage::InLane lane;
        std::map<std::uint64_t, storage::InMessage> messages;
    };
    std::map<LaneKey, Out> out;
    std::map<LaneKey, In> in;
    std::map<std::uint64_t, storage::OutcomeRow> outcomes;
    std::uint64_t last_inbox = 0;
    std::uint64_t last_outcome = 0;
    LaneKey last_out = 0;
    LaneKey last_in = 0;
    std::uint64_t age = 0;

private:
    void end(const Out& lane, const Message& message, Ended ended);
    void run(const Request& request, const storage::Operation& operation);
};

// Everything the database gives, lane by lane; empty with a test failure when it gives an error.
std::optional<std::string> text_of(Database& db);

// A random request that fits to the model, which it is applied to. The same random numbers give the same request.
Request random_request(Random& random, Model& model);

}  // namespace kith::store::test
