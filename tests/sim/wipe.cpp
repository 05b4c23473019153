// SPDX-License-Identifier: Apache-2.0
// A receiver has handed messages over whose acknowledgement was lost, then dies and loses its disk. Its sender has to tell them again,
// marked, and may die in the middle of that: at random this order of things is practically never met.
#include <string>

#include "sim/scenario.hpp"
#include "testing/checker.hpp"
#include "testing/sim.hpp"

namespace kith::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class Wipe {
public:
    explicit Wipe(std::uint64_t seed) : world_(seed), random_(seed ^ 0x3153153153153153ULL) {
        world_.profile.rate = 30e3;
        world_.profile.max_segment = 1000;
        world_.profile.backlog = 2000;
        for (NodeId i = 0; i < 2; ++i) {
            world_.add_node([](engine::Config& config) { config.durable = true; });
            auto& node = world_.node(i);
            node.on_outcome = [this](const delivery::Outcome& o) { checker_.receipt(o.token, o.outcome); };
            node.on_death = [this, i] { checker_.died(i); };
            node.on_restart = [this, i] { world_.introduce(i, 1 - i); };
        }
        world_.node(1).on_message = [this](const delivery::Delivered& m) {
            checker_.delivered(0, 1, detail::origin_channel(*m.origin), m.bytes, m.repeat);
        };
        world_.introduce(0, 1);
    }

    Verdict run() {
        send(random_.between(1, 20));
        world_.run_for(random_.between(Duration{0}, Duration{seconds{2}}));
        for (const auto wire : world_.open_wires()) world_.stall(wire, false, true, minutes{10});  // acknowledgements are lost
        send(random_.between(40, 120));  // several records of 16 KiB: a death can come between two
        world_.run_for(random_.between(Duration{seconds{1}}, Duration{seconds{6}}));
        world_.die(1, World::Death::kill, seconds{1});
        if (!random_.one_in(4)) {
            world_.wipe_disk(1);
            checker_.wiped(1);
        }
        // The sender's link died with the receiver; it dials again when that is back, and dies a moment after.
        world_.run_until([this] { return world_.node(1).engine && world_.engine(1).links() != 0; }, minutes{2});
        world_.run_for(random_.between(Duration{0}, Duration{milliseconds{3500}}));
        if (!random_.one_in(4)) world_.die(0, random_.one_in(2) ? World::Death::kill : World::Death::power, milliseconds{500});
        world_.run_for(seconds{2});
        send(random_.below(5));
        world_.heal();
        world_.run_for(seconds{20});
        connect();
        const auto ends = [this] {
            for (const auto& row : world_.stored_outcomes(0)) {
                checker_.stored_receipt(row.tag,
                                        row.ended == storage::Ended::delivered ? Receipt::Outcome::delivered : Receipt::Outcome::unknown);
            }
        };
        world_.run_until(
            [&] {
                ends();
                return checker_.all_done();
            },
            minutes{5});
        for (NodeId i = 0; i < 2; ++i) {
            if (world_.engine(i).stats().resyncs != 0) checker_.violation("a resync between honest peers");
        }
        Verdict verdict;
        verdict.violations = checker_.verdict();
        verdict.options = "a receiver loses its disk";
        verdict.trace = world_.trace();
        verdict.events = world_.events();
        verdict.messages = checker_.accepted();
        verdict.marked = checker_.marked();
        verdict.deaths = 2;
        return verdict;
    }

private:
    void connect() {
        world_.post(0, [this](engine::Engine& e) { e.connect(OpId{++last_op_}, {world_.node(1).id, {}}, world_.now()); });
    }
    void send(std::uint64_t count) {
        world_.post(0, [this, count](engine::Engine& e) {
            const auto lane = e.lane(world_.node(1).id, "chat", Strength::durable, Priority::normal, world_.now());
            if (!lane) return checker_.violation("a lane was refused: " + lane.error().message());
            for (std::uint64_t i = 0; i < count; ++i) {
                const auto token = ++last_token_;
                const auto bytes = checker_.make(0, 1, "chat", Priority::normal, 100 + random_.below(900), token, Strength::durable);
                e.send(*lane, {.bytes = bytes, .token = token, .tag = token}, world_.now());
            }
            e.flush_sends(world_.now());
        });
    }

    World world_;
    Random random_;
    Checker checker_;
    std::uint64_t last_op_ = 0;
    std::uint64_t last_token_ = 0;
};

}  // namespace

Verdict run_wipe_seed(std::uint64_t seed) { return Wipe(seed).run(); }

}  // namespace kith::testing
