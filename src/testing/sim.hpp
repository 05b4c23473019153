// SPDX-License-Identifier: Apache-2.0
// Whole engines in a virtual TCP network under a virtual clock, all from one seed: the second driver of engine::Engine (the
// first is src/node). The same seed and the same calls give the same run, byte for byte; trace() is a hash of it.
//
// The network is TCP as an application sees it: two ordered byte directions with delay, rate, segments of any size, and a
// socket buffer that may be full. Bytes are never lost in the middle; a direction can stall (a cable without its end) and a
// connection can end by FIN or RST at any byte.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "engine/engine.hpp"
#include "kith/function.hpp"
#include "testing/faulty_vfs.hpp"
#include "testing/random.hpp"

namespace kith::testing {

// How the network between two nodes behaves; drawn anew for each connection from `World::profile`.
struct Profile {
    Duration delay = std::chrono::milliseconds{1};  // one way
    double rate = 100e6;                            // bytes per second of one direction
    std::size_t min_segment = 1;
    std::size_t max_segment = 64 * 1024;
    std::size_t backlog = 256 * 1024;                       // bytes that a sender may have on the way
    Duration max_app_delay = std::chrono::milliseconds{2};  // from the end of a turn until the messages of its batch are consumed
};

// What a node does with a dial that reaches it.
enum class Accept : std::uint8_t { normal, refuse, hang };

using NodeId = std::size_t;
using WireId = std::size_t;

class World {
public:
    explicit World(std::uint64_t seed);
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    Random& random() noexcept { return random_; }
    Instant now() const noexcept { return now_; }
    std::uint64_t trace() const noexcept { return trace_; }
    std::uint64_t events() const noexcept { return events_; }
    Profile profile;
    Function<void(NodeId, const std::string&)> on_damage;  // a database was found damaged, which no fault here makes

    // ---- nodes
    struct Storage;
    struct Node {
        NodeId index = 0;
        PeerId id;
        Endpoint listen;
        engine::Config config;
        std::unique_ptr<engine::Engine> engine;  // null: its process is dead
        std::unique_ptr<Storage> storage;        // of a node with a disk; see sim_storage.cpp
        std::uint64_t life = 0;                  // deaths so far
        Accept accept = Accept::normal;
        Duration accept_until{};  // then `normal` again

        // What the engine told, in order. Called while it is drained: give the engine something only through World::post().
        Function<void(const delivery::Delivered&)> on_message;  // when the application takes it
        Function<void(const engine::StreamOutput&)> on_stream;
        Function<void(const protocol::Complete&)> on_completion;
        Function<void(const PeerEvent&)> on_event;
        Function<void(const engine::Released&)> on_released;
        Function<void(const delivery::Outcome&)> on_outcome;
        Function<void(const engine::DeliveryNotice&)> on_notice;
        Function<void()> on_death;
        Function<void()> on_restart;                               // a new process runs: tell it again whom to know and what to keep
        std::deque<std::unique_ptr<delivery::Batch>> application;  // batches that it has not taken yet
        std::string held_channel;                                  // its handler does not return
        std::vector<std::unique_ptr<delivery::Batch>> held;        // what came on it
        std::size_t held_bytes() const;

        Node();
        ~Node();

    private:
        friend class World;
        std::map<LinkId, WireId> wires;  // sockets of the engine's links
        std::deque<LinkId> writing;      // links with something to pull
        std::vector<LinkId> blocked;     // likewise, but their sockets are full
        Duration app_free{};             // the application is busy until then
        Duration paused_until{};
        bool dirty = false;
    };
    // The identity depends on the index alone. `adjust` changes the config before the engine is made.
    // With Config::durable it has a disk.
    NodeId add_node(Function<void(engine::Config&)> adjust = nullptr);
    Node& node(NodeId i) { return *nodes_[i]; }
    engine::Engine& engine(NodeId i) { return *nodes_[i]->engine; }
    std::size_t nodes() const noexcept { return nodes_.size(); }
    // `from` learns where `to` listens.
    void introduce(NodeId from, NodeId to);

    // ---- running
    // Does `what` to a node's engine, then lets it have its turn.
    void post(NodeId to, Function<void(engine::Engine&)> what);
    void at(Duration after, Function<void()> what);
    bool step();  // one event; false: nothing left to do
    void run_for(Duration span);
    // False when `limit` passed before.
    bool run_until(Function<bool()> done, Duration limit);

    // ---- faults
    std::vector<WireId> open_wires() const;
    std::vector<WireId> wires_between(NodeId a, NodeId b) const;
    // Sockets that the node holds: open, being dialled, or ending.
    std::size_t wires_of(NodeId node) const { return nodes_[node]->wires.size(); }
    enum class Cut : std::uint8_t { fin, rst, silent };
    void cut(WireId wire, Cut how);
    // RST as soon as `bytes` more have arrived in the direction away from the dialler (or towards it).
    void reset_after(WireId wire, bool towards_dialler, std::size_t bytes);
    // Nothing arrives in these directions for a while; then it goes on, as TCP does.
    void stall(WireId wire, bool to_acceptor, bool to_dialler, Duration span);
    // The process of a node stops for a while, as by SIGSTOP: its sockets go on taking bytes until they are full. When it goes on,
    // its timers come before what lies in the sockets: the order that is hardest for it.
    void pause(NodeId node, Duration span);
    // Its process ends, as by SIGKILL or with the whole machine, and begins again later: it keeps its identity and its disk, as far
    // as that was written. By power loss its peers hear nothing of it.
    enum class Death : std::uint8_t { kill, power };
    void die(NodeId node, Death how, Duration again_after);
    // The disk of a node, to plan faults; null when it has none.
    FaultyVfs* disk(NodeId node);
    // What is stored of messages that ended, as a new process would find it.
    std::vector<storage::OutcomeRow> stored_outcomes(NodeId node);
    std::uint64_t stored_messages(NodeId node);  // in its outbox and inbox
    void wipe_disk(NodeId node);                 // of a node that is dead
    void jump_wall_clock(Duration by) noexcept { now_.wall += by; }
    void release_channel(NodeId node);  // the handler of the held channel goes on
    void heal();                        // ends all stalls, refusals and hangs
    std::uint64_t cuts() const noexcept { return cuts_; }
    // Time stood still for a very large number of events: somebody asks for a turn again and again and does nothing with it.
    bool stuck() const noexcept { return same_instant_ > stuck_after; }

private:
    struct Segment {
        Duration at{};
        Bytes bytes;
    };
    struct Pipe {              // one direction
        Bytes buffer;          // accepted by the socket, not yet on the way
        std::size_t sent = 0;  // of `buffer`
        std::deque<Segment> flying;
        std::size_t flying_bytes = 0;
        Duration free{};  // the wire is busy until then
        Duration stalled_until{};
        std::optional<std::size_t> reset_in;
        bool fin = false;    // after the last byte
        bool armed = false;  // an arrival event is scheduled
        std::size_t size() const noexcept { return buffer.size() - sent + flying_bytes; }
    };
    struct End {
        NodeId node = 0;
        LinkId link{};
        bool open = false;
        Pipe out;
    };
    struct Wire {
        End ends[2];  // 0: the dialler
        Profile profile;
        bool alive = true;
    };
    struct Event {
        Duration at{};
        std::uint64_t order = 0;
        Function<void()> what;
    };
    struct Later {
        bool operator()(const Event& a, const Event& b) const noexcept { return a.at > b.at || (a.at == b.at && a.order > b.order); }
    };

    void start(Node& node);
    void restart(NodeId node);
    bool load_disk(Node& node);
    void keep(Node& node);
    void commit(NodeId node, std::uint64_t life);
    void disk_failed(Node& node);
    void reopen_disk(NodeId node, std::uint64_t life);
    void note(std::uint64_t what, std::uint64_t a, std::uint64_t b) noexcept;
    void schedule(Duration at, Function<void()> what);
    void turn(Node& node);
    void drain(Node& node);
    void take_messages(Node& node);
    void consume(Node& node);
    bool paused(const Node& node) const noexcept { return node.paused_until > now_.steady; }
    void later(Duration after, NodeId node, Function<void()> what);
    void when_awake(NodeId node, Function<void()> what);  // now, or behind the timers that are due when the pause ends
    void dial(Node& node, const engine::OpenLink& open);
    void close(Node& node, LinkId link);
    void write(Node& node);
    enum class Pulled : std::uint8_t { nothing, more, full };
    Pulled pull(Node& node, LinkId link);
    void transmit(WireId id, int from);
    void arm(WireId id, int from);
    void arrive(WireId id, int from);
    void ended(WireId id, int end);  // the socket of this end is gone: its engine learns it
    void reset(WireId id);

    Random random_;
    Instant now_{};
    std::uint64_t seed_;
    std::uint64_t trace_ = 0xcbf29ce484222325ULL;
    std::uint64_t events_ = 0;
    std::uint64_t order_ = 0;
    std::uint64_t cuts_ = 0;
    static constexpr std::uint64_t stuck_after = 200'000;
    std::uint64_t same_instant_ = 0;
    std::vector<std::unique_ptr<Node>> nodes_;
    std::vector<std::unique_ptr<Wire>> wires_;
    std::vector<Event> queue_;  // a heap
    Bytes receive_buffer_;
    Bytes send_buffer_;
};

}  // namespace kith::testing
