// SPDX-License-Identifier: Apache-2.0
// Two engines in the simulated network; the input is the schedule: sends, cuts, stalls, dials, pings, damage. No message may be
// lost, doubled, changed or reordered while both processes live, and nothing may stay behind.
#include <cstdint>
#include <cstdlib>

#include "testing/checker.hpp"
#include "testing/sim.hpp"

namespace {

using namespace kith;
using namespace kith::testing;
using namespace std::chrono_literals;

void require(bool ok) {
    if (!ok) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size < 4 || size > 400) return 0;
    ByteView in{bytes, size};
    const auto next = [&in]() -> std::uint8_t {
        if (in.empty()) return 0;
        const auto byte = in[0];
        in = in.subspan(1);
        return byte;
    };
    World world(next());
    world.profile.max_segment = std::size_t{1} << (next() % 17);
    world.profile.backlog = std::size_t{512} << (next() % 10);
    Checker checker;
    std::size_t budget = std::min<std::size_t>(100'000, world.profile.max_segment * 300 + 2000);
    for (NodeId i = 0; i < 2; ++i) {
        world.add_node();
        auto& node = world.node(i);
        node.on_message = [&checker, i](const delivery::Delivered& m) {
            checker.delivered(1 - i, i, kith::detail::origin_channel(*m.origin), m.bytes, m.repeat);
        };
        node.on_released = [&checker, i](const engine::Released& r) { checker.released(i, r.messages); };
    }
    world.introduce(0, 1);
    world.introduce(1, 0);
    const auto dial = [&world](NodeId from) {
        world.post(from, [&world, from](engine::Engine& e) { e.connect(OpId{1}, {world.node(1 - from).id, {}}, world.now()); });
    };
    while (!in.empty()) {
        const auto command = next();
        const NodeId who = (command >> 3) & 1U;
        const auto wires = world.open_wires();
        const auto wire = wires.empty() ? 0 : wires[command % wires.size()];
        switch (command & 7) {
            case 0:
                dial(who);
                break;
            case 1:
            case 2: {
                const auto much = std::min<std::size_t>(9U + next() * ((command & 16) != 0 ? 200U : 1U), budget);
                if (much < Checker::head) break;
                budget -= much;
                const auto priority = static_cast<Priority>(command >> 6);
                world.post(who, [&world, &checker, who, much, priority](engine::Engine& e) {
                    auto message = checker.make(who, 1 - who, "c", priority, much, 0);
                    const auto lane = e.lane(world.node(1 - who).id, "c", Strength::reliable, priority, world.now());
                    require(lane.has_value());
                    e.send(*lane, {.bytes = message}, world.now());
                    e.flush_sends(world.now());
                });
                break;
            }
            case 3:
                world.run_for(std::chrono::microseconds{next() * 100});
                break;
            case 4:
                world.run_for(std::chrono::milliseconds{next() * 100});
                break;
            case 5:
                if (!wires.empty()) world.cut(wire, static_cast<World::Cut>(next() % 3));
                break;
            case 6:
                if (!wires.empty()) world.reset_after(wire, (command & 16) != 0, next() * 3U);
                break;
            default:
                if (!wires.empty()) world.stall(wire, (command & 16) != 0, (command & 32) != 0, std::chrono::milliseconds{next() * 50});
        }
    }
    world.heal();
    dial(0);
    require(world.run_until([&] { return checker.all_done() && checker.all_released(); }, 30min));
    world.run_for(90s);
    for (NodeId i = 0; i < 2; ++i) {
        require(world.engine(i).stats().resyncs == 0);
        require(world.engine(i).links() <= 1);
        require(world.engine(i).load().streams <= 2);
        require(world.engine(i).timers() <= 1);
        world.post(i, [&world](engine::Engine& e) { e.stop(world.now()); });
    }
    world.run_for(5s);
    for (NodeId i = 0; i < 2; ++i) require(world.engine(i).links() == 0 && world.engine(i).timers() == 0);
    require(checker.verdict().empty());
    require(!world.stuck());
    return 0;
}
