// SPDX-License-Identifier: Apache-2.0
// Disks and deaths: the real store on a disk in memory, with a storage thread that takes its time, and processes that end.
#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "store/database.hpp"
#include "testing/sim.hpp"

namespace kith::testing {

using std::chrono::milliseconds;

struct World::Storage {
    explicit Storage(std::uint64_t seed) : vfs(seed) {}

    FaultyVfs vfs;
    std::optional<store::Database> database;
    std::deque<std::variant<storage::Request, engine::Fetch>> queue;
    bool busy = false;    // a commit is under way, or its answer
    bool failed = false;  // until it was reopened
};

World::Node::Node() = default;
World::Node::~Node() = default;

FaultyVfs* World::disk(NodeId i) { return nodes_[i]->storage ? &nodes_[i]->storage->vfs : nullptr; }

std::vector<storage::OutcomeRow> World::stored_outcomes(NodeId i) {
    auto& node = *nodes_[i];
    if (!node.storage || !node.storage->database) return {};
    auto rows = node.storage->database->outcomes(0, 1'000'000);
    return rows ? std::move(*rows) : std::vector<storage::OutcomeRow>{};
}

std::uint64_t World::stored_messages(NodeId i) {
    auto& node = *nodes_[i];
    if (!node.storage || !node.storage->database) return 0;
    const auto loaded = node.storage->database->load();
    if (!loaded) return 0;
    std::uint64_t sum = 0;
    for (const auto& lane : loaded->out) sum += lane.messages;
    for (const auto& lane : loaded->in) sum += lane.messages;
    return sum;
}

void World::wipe_disk(NodeId i) {
    auto& vfs = nodes_[i]->storage->vfs;
    for (const auto& file : vfs.files()) vfs.remove(file);
}

namespace {

store::Options options_of(const FaultyVfs& vfs, std::uint64_t seed) { return {.vfs = vfs.name(), .ballast = 0, .seed = seed}; }

}  // namespace

// False: the disk does not let the process begin; tried again later.
bool World::load_disk(Node& node) {
    if (!node.storage) node.storage = std::make_unique<Storage>(seed_ * 31 + node.index);
    auto& disk = *node.storage;
    auto opened = store::Database::open("kith.db", options_of(disk.vfs, random_.u64()));
    if (!opened) return false;
    auto loaded = opened->load();
    if (!loaded) return false;
    disk.database.emplace(std::move(*opened));
    if (loaded->note.find("damaged") != std::string::npos && on_damage) on_damage(node.index, loaded->note);
    node.engine->storage_loaded(*loaded, now_);
    return true;
}

// What the engine wants kept or read goes to the storage thread, which wakes up.
void World::keep(Node& node) {
    if (!node.engine || !node.storage) return;
    auto& disk = *node.storage;
    if (node.engine->wants_storage()) disk.queue.emplace_back(node.engine->take_request());
    for (auto& fetch : std::exchange(node.engine->outputs().fetches, {})) disk.queue.emplace_back(fetch);
    if (disk.queue.empty() || disk.busy || disk.failed) return;
    disk.busy = true;
    const auto slow = random_.one_in(20);
    later(random_.between(Duration{milliseconds{0}}, slow ? Duration{milliseconds{300}} : Duration{milliseconds{2}}), node.index,
          [this, i = node.index, life = node.life] { commit(i, life); });
}

// Everything that waits, in one commit; then the answers, a moment later: a process can die between the two.
void World::commit(NodeId i, std::uint64_t life) {
    auto& node = *nodes_[i];
    if (!node.engine || node.life != life) return;
    auto& disk = *node.storage;
    storage::Ticket last = 0;
    bool ok = true;
    std::vector<std::pair<storage::LaneKey, std::vector<storage::OutMessage>>> out;
    std::vector<std::pair<storage::LaneKey, std::vector<storage::InMessage>>> in;
    for (auto& item : std::exchange(disk.queue, {})) {
        if (!ok) break;
        if (const auto* request = std::get_if<storage::Request>(&item)) {
            last = request->ticket;
            note(20, last, request->operations.size());
            ok = static_cast<bool>(disk.database->apply(*request));
            continue;
        }
        std::visit(
            [&](const auto& fetch) {
                auto read = disk.database->fetch(fetch);
                ok = static_cast<bool>(read);
                if (!ok) return;
                if constexpr (std::is_same_v<std::decay_t<decltype(fetch)>, storage::FetchOut>) {
                    out.emplace_back(fetch.lane, std::move(*read));
                } else {
                    in.emplace_back(fetch.lane, std::move(*read));
                }
            },
            std::get<engine::Fetch>(item));
    }
    if (ok && disk.database->pending()) ok = static_cast<bool>(disk.database->commit());
    if (disk.vfs.halted())
        return die(i, random_.one_in(2) ? Death::kill : Death::power, random_.between(milliseconds{100}, milliseconds{5000}));
    later(random_.between(Duration{}, Duration{milliseconds{1}}), i,
          [this, i, life, ok, last, out = std::move(out), in = std::move(in)]() mutable {
              auto& n = *nodes_[i];
              if (!n.engine || n.life != life) return;
              n.storage->busy = false;
              if (!ok) return disk_failed(n);
              if (last != 0) n.engine->storage_done(last, now_);
              for (auto& [lane, messages] : out) n.engine->fetched_out(lane, messages, now_);
              for (auto& [lane, messages] : in) n.engine->fetched_in(lane, std::move(messages), now_);
              turn(n);
              if (n.engine && n.storage->database->broken()) disk_failed(n);
          });
}

void World::disk_failed(Node& node) {
    note(21, node.index, 0);
    node.storage->failed = true;
    node.storage->database.reset();
    node.engine->storage_failed(now_);
    turn(node);
    later(random_.between(milliseconds{10}, milliseconds{2000}), node.index,
          [this, i = node.index, life = node.life] { reopen_disk(i, life); });
}

void World::reopen_disk(NodeId i, std::uint64_t life) {
    auto& node = *nodes_[i];
    if (!node.engine || node.life != life) return;
    auto& disk = *node.storage;
    auto opened = store::Database::open("kith.db", options_of(disk.vfs, random_.u64()));
    auto loaded = opened ? opened->load() : Result<storage::Loaded>{opened.error()};
    if (disk.vfs.halted()) return die(i, Death::kill, random_.between(milliseconds{100}, milliseconds{5000}));
    if (!loaded) {
        later(random_.between(milliseconds{100}, milliseconds{2000}), i, [this, i, life] { reopen_disk(i, life); });
        return;
    }
    if (loaded->note.find("damaged") != std::string::npos && on_damage) on_damage(i, loaded->note);
    disk.database.emplace(std::move(*opened));
    disk.queue.clear();  // all of that has failed
    node.engine->outputs().fetches.clear();
    disk.failed = false;
    node.engine->storage_reopened(*loaded, now_);
    turn(node);
}

// ---- deaths

void World::die(NodeId i, Death how, Duration again_after) {
    auto& node = *nodes_[i];
    if (!node.engine) return;
    note(22, i, static_cast<std::uint64_t>(how));
    if (node.on_death) node.on_death();
    ++node.life;
    const bool abrupt = random_.one_in(2);
    for (const auto& [link, id] : std::exchange(node.wires, {})) {
        auto& wire = *wires_[id];
        const int side = wire.ends[0].node == i && wire.ends[0].link == link ? 0 : 1;
        wire.ends[side].open = false;
        if (how == Death::power) {
            stall(id, true, true, std::chrono::hours{24});
        } else if (abrupt) {
            reset(id);
        } else {  // what the system had accepted still arrives
            wire.ends[side].out.fin = true;
            arm(id, side);
        }
    }
    node.writing.clear();
    node.blocked.clear();
    node.application.clear();
    node.held.clear();
    node.engine.reset();
    node.paused_until = {};
    node.app_free = now_.steady;
    node.dirty = false;
    if (node.storage) {
        auto& disk = *node.storage;
        disk.database.reset();
        disk.queue.clear();
        disk.busy = disk.failed = false;
        how == Death::power ? disk.vfs.power_loss() : disk.vfs.crash();
    }
    node.accept = how == Death::power ? Accept::hang : Accept::refuse;
    at(again_after, [this, i] { restart(i); });
}

void World::restart(NodeId i) {
    auto& node = *nodes_[i];
    if (node.engine) return;
    node.accept = Accept::normal;
    start(node);
    if (!node.engine) {
        if (node.storage->vfs.halted()) node.storage->vfs.crash();  // it died while it began
        at(milliseconds{500}, [this, i] { restart(i); });
        return;
    }
    if (node.on_restart) node.on_restart();
    turn(node);
}

}  // namespace kith::testing
