// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>

#include "testing/checker.hpp"
#include "testing/sim.hpp"

namespace kith::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::string_view echo_protocol = "/sim/echo/1.0.0";

// What a seed switches on. Each run leaves a random part out: that finds more than one mix for all.
struct Options {
    std::size_t nodes = 2;
    bool cuts = false;
    bool silent = false;
    bool stalls = false;
    bool refusals = false;
    bool mid_resets = false;
    bool both_dial = false;
    bool disconnects = false;
    bool raw = false;
    bool perf = false;
    bool slow_app = false;
    bool pauses = false;
    std::optional<NodeId> one_slot;  // this node dials one peer at a time
    std::size_t budget = 0;          // bytes of messages
    Duration span{};
    std::string text;
};

struct Echo {
    NodeId node = 0;
    StreamRef ref{};
    Bytes bytes;
    std::size_t got = 0;
    bool finished = false;
};

class Run {
public:
    explicit Run(std::uint64_t seed) : world_(seed), random_(seed ^ 0x5151515151515151ULL) {
        checker_.only_reliable = true;
        choose();
        build();
    }

    Verdict run() {
        for (const auto& [from, to] : pairs()) {
            connect(from, to);
            if (options_.both_dial) connect(to, from);
        }
        act();
        world_.run_for(options_.span);
        world_.heal();
        healed_ = true;
        for (const auto& [from, to] : pairs()) connect(from, to);
        drain();
        quiesce();
        stop();
        Verdict verdict;
        verdict.violations = checker_.verdict();
        verdict.options = options_.text;
        verdict.trace = world_.trace();
        verdict.events = world_.events();
        verdict.messages = checker_.accepted();
        verdict.marked = checker_.marked();
        verdict.cuts = world_.cuts();
        verdict.double_links = double_links_;
        return verdict;
    }

private:
    void choose() {
        auto& o = options_;
        o.nodes = 2 + random_.below(2);
        o.cuts = random_.one_in(2);
        o.silent = random_.one_in(4);
        o.stalls = random_.one_in(3);
        o.refusals = random_.one_in(4);
        o.mid_resets = random_.one_in(2);
        o.both_dial = random_.one_in(2);
        o.disconnects = random_.one_in(6);
        o.raw = random_.one_in(2);
        o.perf = random_.one_in(4);
        o.slow_app = random_.one_in(4);
        o.pauses = random_.one_in(5);
        if (o.nodes == 3 && random_.one_in(2)) o.one_slot = random_.below(3);
        constexpr std::size_t segments[] = {1, 13, 200, 1500, 65536, 65536};
        auto& p = world_.profile;
        p.max_segment = segments[random_.below(6)];
        p.delay = random_.between(Duration{0}, milliseconds{random_.one_in(4) ? 200 : 5});
        constexpr double rates[] = {20e3, 1e6, 100e6, 1e9};
        p.rate = rates[random_.below(4)];
        p.backlog = std::size_t{1} << random_.between(9, 18);
        p.max_app_delay = o.slow_app ? Duration{seconds{2}} : Duration{milliseconds{3}};
        o.budget = std::clamp<std::size_t>(p.max_segment * 1500, 15'000, 1'200'000);
        o.budget = std::min(o.budget, static_cast<std::size_t>(p.rate * 20));
        o.span = random_.between(Duration{seconds{2}}, Duration{seconds{40}});
        std::ostringstream text;
        text << o.nodes << " nodes, segments " << p.max_segment << ", delay " << p.delay.count() / 1000 << " us, rate " << p.rate
             << ", backlog " << p.backlog << (o.cuts ? ", cuts" : "") << (o.silent ? ", silent" : "") << (o.stalls ? ", stalls" : "")
             << (o.refusals ? ", refusals" : "") << (o.mid_resets ? ", resets at a byte" : "") << (o.both_dial ? ", both dial" : "")
             << (o.disconnects ? ", disconnects" : "") << (o.raw ? ", raw" : "") << (o.perf ? ", perf" : "")
             << (o.slow_app ? ", slow application" : "") << (o.pauses ? ", pauses" : "");
        if (o.one_slot) text << ", node " << *o.one_slot << " has one outgoing slot";
        o.text = text.str();
    }

    void build() {
        for (NodeId i = 0; i < options_.nodes; ++i) {
            const bool early = !random_.one_in(4);
            world_.add_node([&](engine::Config& config) {
                config.early_muxer = early;
                config.serve_perf = true;
                if (options_.one_slot == i) config.max_outbound = 1;
            });
            auto& node = world_.node(i);
            node.engine->serve_raw(echo_protocol, world_.now());
            node.on_message = [this, i](const delivery::Delivered& m) {
                if (m.seq == 0) return;
                const auto from = find(detail::origin_peer(*m.origin));
                checker_.delivered(from, i, detail::origin_channel(*m.origin), m.bytes, m.repeat);
            };
            node.on_released = [this, i](const engine::Released& r) { checker_.released(i, r.messages); };
            node.on_outcome = [this](const delivery::Outcome& o) { checker_.receipt(o.token, o.outcome); };
            node.on_completion = [this](const protocol::Complete& done) { complete(done); };
            node.on_stream = [this, i](const engine::StreamOutput& out) { stream(i, out); };
            node.on_event = [this, i](const PeerEvent&) {
                if (world_.engine(i).links() > options_.nodes - 1) ++double_links_;
                if (options_.one_slot == i) expect(i, "dialled links", world_.engine(i).load().dialled, 1);
            };
        }
        for (NodeId from = 0; from < options_.nodes; ++from) {
            for (NodeId to = 0; to < options_.nodes; ++to) {
                if (from != to) world_.introduce(from, to);
            }
        }
    }

    NodeId find(const PeerId& id) {
        for (NodeId i = 0; i < options_.nodes; ++i) {
            if (world_.node(i).id == id) return i;
        }
        checker_.violation("a message of an unknown peer");
        return 0;
    }

    std::vector<std::pair<NodeId, NodeId>> pairs() const {
        std::vector<std::pair<NodeId, NodeId>> out;
        for (NodeId a = 0; a < options_.nodes; ++a) {
            for (NodeId b = a + 1; b < options_.nodes; ++b) out.emplace_back(a, b);
        }
        return out;
    }

    OpId op() {
        waiting_.insert(++last_op_);
        return OpId{last_op_};
    }
    void complete(const protocol::Complete& done) {
        if (waiting_.erase(done.op.value) == 0) checker_.violation("an operation completed twice");
        if (const auto echo = opening_.find(done.op.value); echo != opening_.end()) opening_.erase(echo);  // it failed
    }

    // ---- what happens
    void connect(NodeId from, NodeId to) {
        const auto id = op();
        world_.post(from, [this, id, to](engine::Engine& e) { e.connect(id, {world_.node(to).id, {}}, world_.now()); });
    }

    void later(Function<void()> what) { world_.at(random_.between(Duration{0}, options_.span), std::move(what)); }

    void act() {
        const auto bursts = random_.between(1, 12);
        for (std::uint64_t i = 0; i < bursts; ++i) later([this] { burst(); });
        for (std::uint64_t i = random_.below(6); i > 0; --i) later([this] { ping(); });
        if (options_.raw) {
            for (std::uint64_t i = random_.between(1, 5); i > 0; --i) later([this] { open_echo(); });
        }
        if (options_.perf) later([this] { perf(); });
        const auto faults = [&](bool wanted, std::uint64_t most, auto what) {
            if (!wanted) return;
            for (std::uint64_t i = random_.between(1, most); i > 0; --i) {
                later([this, what] {
                    if (!healed_) (this->*what)();
                });
            }
        };
        faults(options_.cuts, 8, &Run::cut);
        faults(options_.silent, 2, &Run::silent);
        faults(options_.stalls, 5, &Run::stall);
        faults(options_.mid_resets, 8, &Run::mid_reset);
        faults(options_.refusals, 3, &Run::refuse);
        faults(options_.disconnects, 2, &Run::disconnect);
        faults(options_.pauses, 2, &Run::pause);
    }

    std::pair<NodeId, NodeId> some_pair() {
        const auto from = random_.below(options_.nodes);
        const auto to = (from + 1 + random_.below(options_.nodes - 1)) % options_.nodes;
        return {from, to};
    }

    void burst() {
        const auto [from, to] = some_pair();
        const auto count = random_.between(1, 40);
        world_.post(from, [this, from = from, to = to, count](engine::Engine& e) {
            for (std::uint64_t i = 0; i < count; ++i) {
                auto size = static_cast<std::size_t>(random_.skewed(random_.one_in(8) ? 300 * 1024 : 3000));
                size = std::min(size, options_.budget - spent_);
                spent_ += size;
                constexpr std::string_view channels[] = {"chat", "file", "state"};
                const bool tiny = size < Checker::head;
                const auto channel = tiny ? std::string_view{"tiny"} : channels[random_.below(3)];
                const auto priority = tiny ? Priority::normal : static_cast<Priority>(random_.below(4));
                const std::uint64_t token = random_.one_in(5) ? ++last_token_ : 0;
                auto bytes = checker_.make(from, to, channel, priority, size, token);
                const auto lane = e.lane(world_.node(to).id, channel, Strength::reliable, priority, world_.now());
                if (!lane) return checker_.violation("a lane was refused: " + lane.error().message());
                const bool owned = size >= delivery::owned_from;
                e.send(*lane, {.bytes = bytes, .owned = owned ? &bytes : nullptr, .token = token}, world_.now());
                if (random_.one_in(10)) e.send_unreliable(world_.node(to).id, "lossy", bytes, world_.now());
            }
            e.flush_sends(world_.now());
        });
    }

    void ping() {
        const auto [from, to] = some_pair();
        const auto id = op();
        world_.post(from, [this, id, to = to](engine::Engine& e) { e.ping(id, world_.node(to).id, world_.now()); });
    }

    void perf() {
        const auto [from, to] = some_pair();
        const auto id = op();
        world_.post(from, [this, id, to = to](engine::Engine& e) {
            e.perf(id, world_.node(to).id, random_.skewed(options_.budget), random_.skewed(options_.budget), world_.now());
        });
    }

    // ---- raw streams: what one side writes the other sends back
    void open_echo() {
        const auto [from, to] = some_pair();
        const auto id = op();
        auto& echo = opening_[id.value];
        echo.node = from;
        echo.bytes.resize(static_cast<std::size_t>(random_.skewed(options_.budget / 4)));
        for (auto& byte : echo.bytes) byte = static_cast<std::uint8_t>(random_.u64());
        world_.post(from, [this, id, to = to](engine::Engine& e) { e.open_raw(id, world_.node(to).id, echo_protocol, world_.now()); });
    }

    void stream(NodeId i, const engine::StreamOutput& out) {
        if (const auto* opened = std::get_if<engine::StreamOpened>(&out)) {
            if (!opened->op) return;
            waiting_.erase(opened->op.value);
            const auto it = opening_.find(opened->op.value);
            if (it == opening_.end()) return checker_.violation("a stream opened that nobody asked for");
            auto& echo = echoes_[{i, opened->stream}];
            echo = std::move(it->second);
            opening_.erase(it);
            world_.post(i, [this, ref = opened->stream, bytes = echo.bytes](engine::Engine& e) {
                e.write_raw(ref, bytes, world_.now());
                e.close_raw(ref, world_.now());
            });
            return;
        }
        if (const auto* data = std::get_if<engine::StreamData>(&out)) {
            const auto it = echoes_.find({i, data->stream});
            if (it == echoes_.end()) {  // the serving side
                world_.post(i, [this, ref = data->stream, bytes = data->bytes](engine::Engine& e) {
                    e.write_raw(ref, bytes, world_.now());
                    e.consumed_raw(ref, bytes.size(), world_.now());
                });
                return;
            }
            auto& echo = it->second;
            const bool fits = data->bytes.size() <= echo.bytes.size() - echo.got;
            if (!fits || !std::equal(data->bytes.begin(), data->bytes.end(), echo.bytes.begin() + static_cast<std::ptrdiff_t>(echo.got))) {
                checker_.violation("an echo differs from what was written");
                return;
            }
            echo.got += data->bytes.size();
            world_.post(i, [this, ref = data->stream, n = data->bytes.size()](engine::Engine& e) { e.consumed_raw(ref, n, world_.now()); });
            return;
        }
        if (const auto* finished = std::get_if<engine::StreamFinished>(&out)) {
            const auto it = echoes_.find({i, finished->stream});
            if (it == echoes_.end()) {
                world_.post(i, [this, ref = finished->stream](engine::Engine& e) { e.close_raw(ref, world_.now()); });
            } else {
                it->second.finished = true;
                if (it->second.got != it->second.bytes.size()) checker_.violation("an echo ended too early");
            }
            return;
        }
        if (const auto* closed = std::get_if<engine::StreamClosed>(&out)) {
            const auto it = echoes_.find({i, closed->stream});
            if (it == echoes_.end()) return;
            if (closed->error == Errc::stream_closed && !it->second.finished) checker_.violation("a stream closed before it finished");
            echoes_.erase(it);
        }
    }

    // ---- faults
    std::optional<WireId> some_wire() {
        const auto open = world_.open_wires();
        if (open.empty()) return std::nullopt;
        return open[random_.below(open.size())];
    }
    void cut() {
        if (const auto wire = some_wire()) world_.cut(*wire, random_.one_in(2) ? World::Cut::fin : World::Cut::rst);
    }
    void silent() {
        if (const auto wire = some_wire()) world_.cut(*wire, World::Cut::silent);
    }
    void stall() {
        const auto wire = some_wire();
        if (!wire) return;
        const auto which = random_.below(3);
        world_.stall(*wire, which != 0, which != 1, random_.between(Duration{milliseconds{10}}, Duration{seconds{20}}));
    }
    void mid_reset() {
        if (const auto wire = some_wire()) world_.reset_after(*wire, random_.one_in(2), static_cast<std::size_t>(random_.skewed(100'000)));
    }
    void refuse() {
        auto& node = world_.node(random_.below(options_.nodes));
        node.accept = random_.one_in(2) ? Accept::refuse : Accept::hang;
        node.accept_until = (world_.now() + random_.between(Duration{0}, Duration{seconds{15}})).steady;
    }
    void pause() { world_.pause(random_.below(options_.nodes), random_.between(Duration{milliseconds{10}}, Duration{seconds{30}})); }
    void disconnect() {
        const auto [from, to] = some_pair();
        world_.post(from, [this, to = to](engine::Engine& e) { e.disconnect(world_.node(to).id, world_.now()); });
    }

    // ---- the end
    void drain() {
        const bool done = world_.run_until(
            [this] {
                if (!checker_.all_done() || !checker_.all_released() || !waiting_.empty() || !echoes_.empty()) return false;
                return true;
            },
            std::chrono::minutes{30});
        if (world_.stuck()) checker_.violation("time stands still: a driver is asked for turns without end");
        if (done) return;
        if (!waiting_.empty()) checker_.violation(std::to_string(waiting_.size()) + " operations never completed");
        if (!echoes_.empty()) checker_.violation(std::to_string(echoes_.size()) + " streams never ended");
    }

    void expect(NodeId i, const char* what, std::size_t is, std::size_t most) {
        if (is > most) {
            checker_.violation("node " + std::to_string(i) + " keeps " + std::to_string(is) + " " + what + ", allowed are " +
                               std::to_string(most));
        }
    }

    void quiesce() {
        world_.run_for(seconds{90});
        const auto others = options_.nodes - 1;
        for (NodeId i = 0; i < options_.nodes; ++i) {
            const auto load = world_.engine(i).load();
            if (world_.engine(i).stats().resyncs != 0) checker_.violation("a resync between honest peers");
            if (world_.engine(i).stats().message_errors != 0) checker_.violation("a message stream was broken between honest peers");
            expect(i, "links", load.links, others);
            expect(i, "streams", load.streams, 2 * load.links);
            expect(i, "streams of connections", load.connection_streams, load.streams);
            expect(i, "timers", load.timers, load.links);
            expect(i, "dials", load.dials, 0);
            expect(i, "dials that wait", load.dials_waiting, options_.one_slot == i ? 1 : 0);  // to be connected, with nothing to say
            if (options_.one_slot == i) expect(i, "dialled links", load.dialled, 1);
            expect(i, "streams of handlers", load.handler_streams, 0);
            expect(i, "unacknowledged messages", load.unacknowledged, 0);
            // 3 channels x 4 priorities + tiny, each with the largest message it ever held.
            expect(i, "bytes of senders", load.sender_bytes, others * 13 * 1024 * 1024);
            expect(i, "bytes of receivers", load.receiver_bytes, others * 13 * 1024);
            expect(i, "batches", world_.node(i).application.size(), 0);
        }
    }

    void stop() {
        for (NodeId i = 0; i < options_.nodes; ++i) {
            world_.post(i, [this](engine::Engine& e) { e.stop(world_.now()); });
        }
        world_.run_for(seconds{5});
        for (NodeId i = 0; i < options_.nodes; ++i) {
            const auto load = world_.engine(i).load();
            expect(i, "links after stop", load.links, 0);
            expect(i, "streams after stop", load.streams, 0);
            expect(i, "timers after stop", load.timers, 0);
            expect(i, "dials after stop", load.dials + load.dials_waiting, 0);
            expect(i, "streams of handlers after stop", load.handler_streams, 0);
        }
    }

    World world_;
    Random random_;
    Options options_;
    Checker checker_;
    std::set<std::uint64_t> waiting_;  // operations
    std::map<std::uint64_t, Echo> opening_;
    std::map<std::pair<NodeId, StreamRef>, Echo> echoes_;
    std::uint64_t last_op_ = 0;
    std::uint64_t last_token_ = 0;
    std::size_t spent_ = 0;
    std::uint64_t double_links_ = 0;
    bool healed_ = false;
};

}  // namespace

Verdict run_seed(std::uint64_t seed) { return Run(seed).run(); }

}  // namespace kith::testing
