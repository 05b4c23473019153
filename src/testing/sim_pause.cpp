// SPDX-License-Identifier: Apache-2.0
// A process that stands still: what would reach it waits.
#include "testing/sim.hpp"

namespace kith::testing {

void World::pause(NodeId i, Duration span) {
    note(10, i, static_cast<std::uint64_t>(span.count()));
    nodes_[i]->paused_until = now_.steady + span;
}

void World::post(NodeId to, Function<void(engine::Engine&)> what) {
    schedule(now_.steady, [this, to, what = std::move(what)]() mutable {
        when_awake(to, [this, to, what = std::move(what)]() mutable {
            if (!node(to).engine) return;  // it is dead: the call is lost with it
            what(engine(to));
            turn(node(to));
        });
    });
}

void World::when_awake(NodeId i, Function<void()> what) {
    if (!paused(*nodes_[i])) return what();
    schedule(nodes_[i]->paused_until + Duration{1}, [this, i, what = std::move(what)]() mutable { when_awake(i, std::move(what)); });
}

void World::later(Duration after, NodeId i, Function<void()> what) {
    at(after, [this, i, what = std::move(what)]() mutable { when_awake(i, std::move(what)); });
}

std::vector<WireId> World::wires_between(NodeId a, NodeId b) const {
    auto out = open_wires();
    std::erase_if(out, [&](WireId id) {
        const auto& ends = wires_[id]->ends;
        return !(ends[0].node == a && ends[1].node == b) && !(ends[0].node == b && ends[1].node == a);
    });
    return out;
}

}  // namespace kith::testing
