// SPDX-License-Identifier: Apache-2.0
// Random runs in which processes die, machines lose power and disks fail, with messages of both strengths, times to live, keys and
// cancelling. The checker judges what the applications saw.
#include <algorithm>
#include <map>
#include <sstream>

#include "sim/scenario.hpp"
#include "testing/checker.hpp"
#include "testing/sim.hpp"

namespace kith::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

struct Options {
    std::size_t nodes = 2;
    bool durable = false;
    bool reliable = false;
    bool kills = false;
    bool power = false;
    bool disk_errors = false;
    bool disk_full = false;
    bool halts = false;
    bool cuts = false;
    bool long_cuts = false;
    bool mid_resets = false;
    bool pauses = false;
    bool both_dial = false;
    bool ttl = false;
    bool keys = false;
    bool cancels = false;
    bool wall_jumps = false;
    bool slow_app = false;
    bool large = false;
    Duration span{};
    std::string text;
};

class Run {
public:
    explicit Run(std::uint64_t seed) : world_(seed), random_(seed ^ 0xD1E5D1E5D1E5D1E5ULL) {
        choose();
        build();
    }

    Verdict run() {
        connect_all();
        act();
        world_.run_for(options_.span);
        heal();
        look_at_disks();
        const bool done = world_.run_until([this] { return checker_.all_done() && everybody_lives(); }, minutes{60});
        if (world_.stuck()) checker_.violation("time stands still: a driver is asked for turns without end");
        if (!done && !everybody_lives()) checker_.violation("a process does not begin again");
        world_.run_for(seconds{90});
        for (NodeId i = 0; i < options_.nodes; ++i) look(i);
        stop();
        Verdict verdict;
        verdict.violations = checker_.verdict();
        verdict.options = options_.text;
        verdict.trace = world_.trace();
        verdict.events = world_.events();
        verdict.messages = checker_.accepted();
        verdict.marked = checker_.marked();
        verdict.cuts = world_.cuts();
        verdict.deaths = deaths_;
        verdict.ended_otherwise = checker_.ended_otherwise();
        return verdict;
    }

private:
    void choose() {
        auto& o = options_;
        o.nodes = random_.one_in(4) ? 3 : 2;
        o.durable = !random_.one_in(4);
        o.reliable = !o.durable || random_.one_in(2);
        o.kills = random_.one_in(2);
        o.power = random_.one_in(3);
        o.disk_errors = o.durable && random_.one_in(4);
        o.disk_full = o.durable && random_.one_in(6);
        o.halts = o.durable && random_.one_in(4);
        o.cuts = random_.one_in(2);
        o.long_cuts = random_.one_in(4);
        o.mid_resets = random_.one_in(3);
        o.pauses = random_.one_in(6);
        o.both_dial = random_.one_in(3);
        o.ttl = random_.one_in(3);
        o.keys = random_.one_in(3);
        o.cancels = random_.one_in(3);
        o.wall_jumps = random_.one_in(6);
        o.slow_app = random_.one_in(3);
        o.large = random_.one_in(4);
        constexpr std::size_t segments[] = {200, 1500, 65536};
        auto& p = world_.profile;
        p.max_segment = segments[random_.below(3)];
        p.delay = random_.between(Duration{0}, milliseconds{random_.one_in(4) ? 100 : 3});
        constexpr double rates[] = {50e3, 1e6, 100e6};
        p.rate = rates[random_.below(3)];
        p.backlog = std::size_t{1} << random_.between(10, 18);
        p.max_app_delay = o.slow_app ? Duration{seconds{3}} : Duration{milliseconds{3}};
        o.span = random_.between(Duration{seconds{3}}, Duration{seconds{60}});
        std::ostringstream text;
        text << o.nodes << " nodes, " << (o.durable ? o.reliable ? "both strengths" : "durable" : "reliable") << ", segments "
             << p.max_segment << ", delay " << p.delay.count() / 1000 << " us, rate " << p.rate;
        const std::pair<bool, const char*> words[] = {{o.kills, "kills"},
                                                      {o.power, "power losses"},
                                                      {o.disk_errors, "disk errors"},
                                                      {o.disk_full, "disk full"},
                                                      {o.halts, "deaths inside a commit"},
                                                      {o.cuts, "cuts"},
                                                      {o.long_cuts, "long cuts"},
                                                      {o.mid_resets, "resets at a byte"},
                                                      {o.pauses, "pauses"},
                                                      {o.both_dial, "both dial"},
                                                      {o.ttl, "ttl"},
                                                      {o.keys, "keys"},
                                                      {o.cancels, "cancels"},
                                                      {o.wall_jumps, "wall clock jumps"},
                                                      {o.slow_app, "slow application"},
                                                      {o.large, "large messages"}};
        for (const auto& [wanted, word] : words) text << (wanted ? ", " : "") << (wanted ? word : "");
        o.text = text.str();
    }

    void build() {
        world_.on_damage = [this](NodeId i, const std::string& note) {
            checker_.violation("the database of node " + std::to_string(i) + " was damaged: " + note);
        };
        for (NodeId i = 0; i < options_.nodes; ++i) {
            world_.add_node([this](engine::Config& config) {
                config.durable = options_.durable;
                if (random_.one_in(4)) config.inbox_bytes = 20'000;
                config.max_message = 300'000;
            });
            auto& node = world_.node(i);
            node.on_message = [this, i](const delivery::Delivered& m) {
                checker_.delivered(find(detail::origin_peer(*m.origin)), i, detail::origin_channel(*m.origin), m.bytes, m.repeat);
            };
            node.on_outcome = [this](const delivery::Outcome& o) {
                checker_.receipt(o.token, o.outcome);
                const auto lives = lives_until_.find(o.token);
                if (o.outcome == Receipt::Outcome::expired && (lives == lives_until_.end() || world_.now().steady < lives->second)) {
                    checker_.violation("the message with token " + std::to_string(o.token) + " expired too early");
                }
            };
            node.on_released = [this, i](const engine::Released& r) { checker_.released(i, r.messages); };
            node.on_notice = [this, i](const engine::DeliveryNotice& n) {
                if (n.notice.kind != delivery::Notice::Kind::receiver_lost) {
                    checker_.violation("node " + std::to_string(i) + " believes in a restored database");
                } else if (!options_.kills && !options_.power && !options_.halts) {
                    checker_.violation("node " + std::to_string(i) + " believes that its peer lost its memory");
                }
            };
            node.on_death = [this, i] {
                ++deaths_;
                count_resyncs(i);
                checker_.died(i);
            };
            node.on_restart = [this, i] { meet(i); };
        }
        for (NodeId i = 0; i < options_.nodes; ++i) introduce(i);
    }

    NodeId find(const PeerId& id) {
        for (NodeId i = 0; i < options_.nodes; ++i) {
            if (world_.node(i).id == id) return i;
        }
        checker_.violation("a message of an unknown peer");
        return 0;
    }
    void introduce(NodeId from) {
        for (NodeId to = 0; to < options_.nodes; ++to) {
            if (from != to) world_.introduce(from, to);
        }
    }
    void meet(NodeId i) {
        introduce(i);
        for (NodeId to = 0; to < options_.nodes; ++to) {
            if (to != i && (options_.both_dial || i < to || healed_)) connect(i, to);
        }
    }
    void connect(NodeId from, NodeId to) {
        world_.post(from, [this, to](engine::Engine& e) { e.connect(OpId{++last_op_}, {world_.node(to).id, {}}, world_.now()); });
    }
    void connect_all() {
        for (NodeId i = 0; i < options_.nodes; ++i) meet(i);
    }
    void count_resyncs(NodeId i) {
        if (!world_.node(i).engine) return;
        const auto stats = world_.engine(i).stats();
        if (stats.resyncs != 0) checker_.violation("a resync between honest peers");
        if (stats.message_errors != 0) checker_.violation("a message stream was broken between honest peers");
    }
    bool everybody_lives() {
        for (NodeId i = 0; i < options_.nodes; ++i) {
            if (!world_.node(i).engine) return false;
        }
        return true;
    }

    // ---- what happens
    void later(Function<void()> what) { world_.at(random_.between(Duration{0}, options_.span), std::move(what)); }
    void act() {
        for (std::uint64_t i = random_.between(3, 15); i > 0; --i) later([this] { burst(); });
        const auto faults = [&](bool wanted, std::uint64_t most, auto what) {
            if (!wanted) return;
            for (std::uint64_t i = random_.between(1, most); i > 0; --i) {
                later([this, what] {
                    if (!healed_) (this->*what)();
                });
            }
        };
        faults(options_.kills, 6, &Run::kill);
        faults(options_.power, 4, &Run::lose_power);
        faults(options_.disk_errors, 6, &Run::disk_error);
        faults(options_.disk_full, 2, &Run::fill_disk);
        faults(options_.halts, 5, &Run::halt);
        faults(options_.cuts, 8, &Run::cut);
        faults(options_.long_cuts, 2, &Run::long_cut);
        faults(options_.mid_resets, 8, &Run::mid_reset);
        faults(options_.pauses, 2, &Run::pause);
        faults(options_.wall_jumps, 4, &Run::jump);
    }

    // Ends that no process of the sender lived to tell are on its disk.
    void look_at_disks() {
        using Ended = storage::Ended;
        using Outcome = Receipt::Outcome;
        for (NodeId i = 0; i < options_.nodes; ++i) {
            for (const auto& row : world_.stored_outcomes(i)) {
                const auto outcome = row.ended == Ended::delivered   ? Outcome::delivered
                                     : row.ended == Ended::expired   ? Outcome::expired
                                     : row.ended == Ended::cancelled ? Outcome::cancelled
                                     : row.ended == Ended::replaced  ? Outcome::replaced
                                     : row.ended == Ended::failed    ? Outcome::failed
                                                                     : Outcome::unknown;
                checker_.stored_receipt(row.tag, outcome);
            }
        }
        world_.at(seconds{5}, [this] { look_at_disks(); });
    }

    NodeId some_node() { return random_.below(options_.nodes); }
    void burst() {
        const auto from = some_node();
        const auto to = (from + 1 + random_.below(options_.nodes - 1)) % options_.nodes;
        const auto count = random_.between(1, random_.one_in(6) ? 200 : 30);
        world_.post(from, [this, from, to, count](engine::Engine& e) {
            const auto peer = world_.node(to).id;
            for (std::uint64_t i = 0; i < count; ++i) {
                auto size = Checker::head + static_cast<std::size_t>(random_.skewed(1000));
                if (options_.large && random_.one_in(20)) size = 20'000 + static_cast<std::size_t>(random_.skewed(200'000));
                const bool durable = options_.durable && (!options_.reliable || random_.one_in(2));
                const auto strength = durable ? Strength::durable : Strength::reliable;
                const std::string_view channel = random_.one_in(2) ? "chat" : "state";
                const auto priority = random_.one_in(3) ? Priority::high : Priority::normal;
                const auto lane = e.lane(peer, channel, strength, priority, world_.now());
                if (!lane) return checker_.violation("a lane was refused: " + lane.error().message());
                delivery::Outgoing out;
                out.token = ++last_token_;
                // A replaced message keeps the place of the first: such messages have a lane of their own, where order says nothing.
                if (options_.keys && channel == "state" && random_.one_in(2)) out.key = 1 + random_.below(3);
                if (options_.ttl && random_.one_in(4)) out.ttl = random_.between(Duration{milliseconds{1}}, Duration{seconds{30}});
                out.tag = out.token;
                if (out.ttl != Duration{}) lives_until_[out.token] = world_.now().steady + out.ttl;
                out.processed = random_.one_in(5);
                auto bytes = checker_.make(from, to, channel, priority, size, out.token, strength, out.key != 0);
                out.bytes = bytes;
                if (size >= delivery::owned_from) out.owned = &bytes;
                e.send(*lane, out, world_.now());
                if (options_.cancels && random_.one_in(10)) {
                    world_.at(random_.between(Duration{0}, Duration{seconds{2}}), [this, from, peer, token = out.token,
                                                                                   life = world_.node(from).life] {
                        if (world_.node(from).life != life) return;
                        world_.post(from, [this, peer, token](engine::Engine& engine) { engine.cancel_send(peer, token, world_.now()); });
                    });
                }
            }
            e.flush_sends(world_.now());
        });
    }

    // ---- faults
    void kill() { world_.die(some_node(), World::Death::kill, random_.between(Duration{milliseconds{50}}, Duration{seconds{20}})); }
    void lose_power() { world_.die(some_node(), World::Death::power, random_.between(Duration{milliseconds{50}}, Duration{seconds{20}})); }
    void disk_error() {
        if (auto* disk = world_.disk(some_node())) {
            disk->fail(FaultyVfs::Call::any, random_.between(1, 60),
                       random_.one_in(2) ? FaultyVfs::Fault::io_error : FaultyVfs::Fault::full);
        }
    }
    void fill_disk() {
        const auto i = some_node();
        if (auto* disk = world_.disk(i)) {
            disk->fill(true);
            world_.at(random_.between(Duration{seconds{1}}, Duration{seconds{15}}), [this, i] { world_.disk(i)->fill(false); });
        }
    }
    void halt() {
        if (auto* disk = world_.disk(some_node())) disk->halt(random_.between(1, 60));
    }
    std::optional<WireId> some_wire() {
        const auto open = world_.open_wires();
        if (open.empty()) return std::nullopt;
        return open[random_.below(open.size())];
    }
    void cut() {
        if (const auto wire = some_wire()) world_.cut(*wire, random_.one_in(2) ? World::Cut::fin : World::Cut::rst);
    }
    void long_cut() {
        const auto wire = some_wire();
        if (!wire) return;
        const auto which = random_.below(3);
        world_.stall(*wire, which != 0, which != 1, random_.between(Duration{seconds{1}}, Duration{seconds{60}}));
    }
    void mid_reset() {
        if (const auto wire = some_wire()) world_.reset_after(*wire, random_.one_in(2), static_cast<std::size_t>(random_.skewed(50'000)));
    }
    void pause() {
        const auto i = some_node();
        if (world_.node(i).engine) world_.pause(i, random_.between(Duration{milliseconds{100}}, Duration{seconds{30}}));
    }
    void jump() {
        const auto by = random_.between(Duration{0}, Duration{std::chrono::hours{24 * 365}});
        world_.jump_wall_clock(random_.one_in(2) ? by : -by);
    }

    // ---- the end
    void heal() {
        healed_ = true;
        world_.heal();
        for (NodeId i = 0; i < options_.nodes; ++i) {
            if (auto* disk = world_.disk(i)) {
                if (!disk->halted()) disk->heal();
                disk->fill(false);
            }
        }
        connect_all();
        world_.at(seconds{30}, [this] { connect_all(); });
        world_.at(seconds{90}, [this] { connect_all(); });
    }
    void expect(NodeId i, const char* what, std::size_t is, std::size_t most) {
        if (is > most) {
            checker_.violation("node " + std::to_string(i) + " keeps " + std::to_string(is) + " " + what + ", allowed are " +
                               std::to_string(most));
        }
    }
    void look(NodeId i) {
        if (!world_.node(i).engine) return;
        count_resyncs(i);
        const auto load = world_.engine(i).load();
        expect(i, "links", load.links, options_.nodes - 1);
        expect(i, "timers", load.timers, load.links);
        expect(i, "dials", load.dials, 0);
        expect(i, "unacknowledged messages", load.unacknowledged, 0);
        expect(i, "rows on its disk", world_.stored_messages(i), 0);
    }
    void stop() {
        for (NodeId i = 0; i < options_.nodes; ++i) {
            world_.post(i, [this](engine::Engine& e) { e.stop(world_.now()); });
        }
        world_.run_for(seconds{5});
        for (NodeId i = 0; i < options_.nodes; ++i) {
            if (!world_.node(i).engine) continue;
            const auto load = world_.engine(i).load();
            expect(i, "links after stop", load.links, 0);
            expect(i, "timers after stop", load.timers, 0);
        }
    }

    World world_;
    Random random_;
    Options options_;
    Checker checker_;
    std::map<std::uint64_t, Duration> lives_until_;  // tokens
    std::uint64_t last_op_ = 0;
    std::uint64_t last_token_ = 0;
    std::uint64_t deaths_ = 0;
    bool healed_ = false;
};

}  // namespace

Verdict run_death_seed(std::uint64_t seed) {
    return seed % 20 == 7 ? run_fairness_seed(seed) : seed % 20 == 17 ? run_wipe_seed(seed) : Run(seed).run();
}

}  // namespace kith::testing
