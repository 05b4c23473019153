// SPDX-License-Identifier: Apache-2.0
// Nothing fails here. A handler that does not return stops its own channel and nothing else, its memory is bounded by the window,
// and low priority gets its turn in a flood of high.
#include <string>

#include "sim/scenario.hpp"
#include "testing/checker.hpp"
#include "testing/sim.hpp"

namespace kith::testing {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::size_t small_window = 8000;
constexpr std::size_t large_window = 1u << 20;
constexpr std::size_t flood = 3000;

class Fairness {
public:
    explicit Fairness(std::uint64_t seed) : world_(seed), durable_(seed % 3 == 0), window_(seed % 40 == 7 ? small_window : large_window) {
        world_.profile.rate = 1e6;
        world_.profile.max_segment = 1500;
        for (NodeId i = 0; i < 2; ++i) {
            world_.add_node([this](engine::Config& config) {
                config.durable = durable_;
                config.max_message = 4000;
                config.lane_window = window_;
                config.inbox_bytes = 3 * window_;
            });
        }
        world_.node(1).on_message = [this](const delivery::Delivered& m) {
            const auto channel = detail::origin_channel(*m.origin);
            checker_.delivered(0, 1, channel, m.bytes, m.repeat);
            if (channel == "chat") ++chats_;
            if (channel == "bulk") ++bulks_;
            if (channel == "flood") ++floods_;
        };
        world_.node(0).on_outcome = [this](const delivery::Outcome& o) { checker_.receipt(o.token, o.outcome); };
        world_.node(0).on_released = [this](const engine::Released& r) { checker_.released(0, r.messages); };
        world_.introduce(0, 1);
    }

    Verdict run() {
        world_.node(1).held_channel = "stuck";
        send("stuck", Priority::high, 400, 1000);
        world_.run_for(seconds{5});
        send("chat", Priority::normal, 50, 100);
        if (!world_.run_until([this] { return chats_ == 50; }, seconds{20}))
            checker_.violation("a handler that does not return stops another channel");
        // What it may hold: the window, and what a new lane may send before it knows that; a durable row an inbox of memory.
        const auto most = durable_ ? 4 * window_ : window_ + delivery::early_bytes;
        if (world_.node(1).held_bytes() > most) {
            checker_.violation("the handler that does not return holds " + std::to_string(world_.node(1).held_bytes()) + " bytes");
        }
        send("flood", Priority::high, flood, 1000);
        send("bulk", Priority::low, 10, 200);
        if (!world_.run_until([this] { return bulks_ == 10; }, minutes{5}) || floods_ > flood / 2) {
            checker_.violation("low priority waited for " + std::to_string(floods_) + " messages of a flood");
        }
        world_.release_channel(1);
        world_.run_until([this] { return checker_.all_done(); }, minutes{10});
        world_.run_for(seconds{30});
        for (NodeId i = 0; i < 2; ++i) {
            if (world_.engine(i).stats().resyncs != 0) checker_.violation("a resync between honest peers");
            if (world_.engine(i).stats().links_opened != 1) checker_.violation("a link broke, though nothing failed");
        }
        Verdict verdict;
        verdict.violations = checker_.verdict();
        verdict.options = durable_ ? "fairness, durable" : "fairness, reliable";
        verdict.trace = world_.trace();
        verdict.events = world_.events();
        verdict.messages = checker_.accepted();
        return verdict;
    }

private:
    void send(std::string_view channel, Priority priority, std::size_t count, std::size_t size) {
        world_.post(0, [this, channel, priority, count, size](engine::Engine& e) {
            const auto strength = durable_ ? Strength::durable : Strength::reliable;
            const auto lane = e.lane(world_.node(1).id, channel, strength, priority, world_.now());
            if (!lane) return checker_.violation("a lane was refused: " + lane.error().message());
            for (std::size_t i = 0; i < count; ++i) {
                const auto token = ++last_token_;
                const auto bytes = checker_.make(0, 1, channel, priority, size, token, strength);
                e.send(*lane, {.bytes = bytes, .token = token}, world_.now());
            }
            e.flush_sends(world_.now());
        });
    }

    World world_;
    Checker checker_;
    bool durable_;
    std::size_t window_;
    std::uint64_t last_token_ = 0;
    std::size_t chats_ = 0;
    std::size_t bulks_ = 0;
    std::size_t floods_ = 0;
};

}  // namespace

Verdict run_fairness_seed(std::uint64_t seed) { return Fairness(seed).run(); }

}  // namespace kith::testing
