// SPDX-License-Identifier: Apache-2.0
// A database whose file, or whose log, is not what was written. First byte 0: the rest is the file. 1 and 2: the rest are
// changes (offset, 3 bytes; length, 1 byte; bytes) to the file of a database that was closed, or to the log of one whose process
// died. It opens or says why not, is repaired at most once, gives every number of a lane, and then works.
#include <algorithm>
#include <cstdlib>
#include <string>

#include "store/database.hpp"
#include "testing/faulty_vfs.hpp"

using namespace kith;
using namespace kith::storage;
using kith::store::Database;
using kith::testing::FaultyVfs;

namespace {

const std::string file = "f.db";

void require(bool condition) {
    if (!condition) std::abort();
}

Result<Database> open(const FaultyVfs& disk) { return Database::open(file, {disk.name(), 0, 42}); }

struct Images {
    Bytes closed;
    Bytes dead;
    Bytes log;
};

Images make_images() {
    Images out;
    FaultyVfs disk(1);
    auto db = open(disk);
    Request request;
    const auto peer = request.add("peer");
    const auto channel = request.add("chat");
    for (LaneKey lane = 1; lane <= 2; ++lane) {
        request.operations.emplace_back(OpenOut{lane, peer, channel, 1, lane});
        request.operations.emplace_back(BeginIn{lane, peer, channel, 1, lane, 0});
        request.operations.emplace_back(Advance{lane, lane, 0, 30, 5});
        for (std::uint64_t seq = 1; seq <= 30; ++seq) {
            const auto bytes = request.add(std::string(seq * (seq % 7 == 0 ? 300 : 5), 'm'));
            request.operations.emplace_back(Append{lane, seq, seq, seq % 3, Duration{1000}, {}, bytes});
            request.operations.emplace_back(Put{lane * 100 + seq, lane, seq, false, bytes});
        }
    }
    request.operations.emplace_back(Bury{1, 10, 10, 10, Ended::cancelled});
    request.operations.emplace_back(Settle{2, 12, 12});
    require(db && db->apply(request) && db->commit());
    out.log = disk.read(file + "-wal");
    out.dead = disk.read(file);
    require(db->close().has_value());
    out.closed = disk.read(file);
    return out;
}

void change(Bytes& content, ByteView changes) {
    while (changes.size() > 4 && !content.empty()) {
        const auto at = (changes[0] | (std::size_t{changes[1]} << 8) | (std::size_t{changes[2]} << 16)) % content.size();
        const auto size = std::min<std::size_t>({changes[3], changes.size() - 4, content.size() - at});
        std::copy_n(changes.begin() + 4, size, content.begin() + static_cast<std::ptrdiff_t>(at));
        if (changes[3] == 0) content.resize(at);
        changes = changes.subspan(4 + std::max<std::size_t>(size, changes[3] == 0 ? 0 : 1));
    }
}

// False: it is damaged, and is to be opened again.
bool read_everything(Database& db) {
    const auto loaded = db.load();
    if (!loaded) return false;
    for (const auto& lane : loaded->out) {
        std::uint64_t messages = 0;
        // A run may stand for more numbers than can be counted, a forged one too.
        for (auto from = lane.first; from < lane.next;) {
            const auto part = db.fetch(FetchOut{lane.key, from, 64, 1u << 16});
            if (!part) return false;
            require(!part->empty());
            for (const auto& m : *part) {
                require((m.run > 0 ? m.seq + 1 - m.run : m.seq) == from);
                if (m.run == 0) ++messages;
                from = m.seq + 1;
            }
        }
        require(messages == lane.messages);
    }
    for (const auto& lane : loaded->in) {
        std::uint64_t messages = 0;
        std::uint64_t after = 0;
        for (;;) {
            const auto part = db.fetch(FetchIn{lane.key, after, 64, 1u << 16});
            if (!part) return false;
            if (part->empty()) break;
            require(part->front().inbox > after && part->back().inbox <= loaded->last_inbox);
            after = part->back().inbox;
            messages += part->size();
        }
        require(messages == lane.messages);
    }
    return db.outcomes(0, 1u << 20).has_value();
}

bool goes_on(Database& db) {
    const auto loaded = db.load();
    require(loaded.has_value());
    if (loaded->last_out > 0xFFFFFF00U || loaded->last_inbox > (std::uint64_t{1} << 42)) return true;
    Request request;
    const auto peer = request.add("late");
    const auto lane = loaded->last_out + 1;
    request.operations.emplace_back(OpenOut{lane, peer, peer, 1, 1});
    request.operations.emplace_back(Append{lane, 1, 1, 1, {}, {}, peer});
    request.operations.emplace_back(Settle{lane, 1, 1});
    for (const auto& old : loaded->out) request.operations.emplace_back(DropOut{old.key, Ended::failed});
    for (const auto& old : loaded->in) request.operations.emplace_back(DropIn{old.key});
    return db.apply(request) && db.commit();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Images images = make_images();
    if (size == 0 || size > (1u << 18)) return 0;
    const ByteView rest{data + 1, size - 1};
    FaultyVfs disk(7);
    if (data[0] == 0) {
        disk.write(file, rest);
    } else if (data[0] == 1) {
        auto content = images.closed;
        change(content, rest);
        disk.write(file, content);
    } else {
        auto log = images.log;
        change(log, rest);
        disk.write(file, images.dead);
        disk.write(file + "-wal", log);
    }
    for (int opened = 1;; ++opened) {
        auto db = open(disk);
        if (!db) {
            require(opened == 1 && (db.error() == Errc::newer_version || db.error() == Errc::invalid_argument));
            require(!disk.exists(file + ".damaged-1"));
            return 0;
        }
        if (read_everything(*db) && goes_on(*db)) {
            require(db->close().has_value());
            break;
        }
        require(db->broken() && opened < 3);
    }
    auto again = open(disk);
    require(again && again->load() && again->load()->note.empty() && again->load()->clean);
    return 0;
}
