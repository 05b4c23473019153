// SPDX-License-Identifier: Apache-2.0
#include "peer/slots.hpp"

#include <algorithm>

namespace kith::peer {

bool Slots::waits(Key key) const noexcept {
    return std::find(use_.begin(), use_.end(), key) != use_.end() || std::find(keep_.begin(), keep_.end(), key) != keep_.end();
}

void Slots::want(Key key, Need need) {
    if (std::any_of(holders_.begin(), holders_.end(), [key](const Holder& h) { return h.key == key; })) return;
    const bool waited = waits(key);
    if (waited) {
        if (need == Need::keep || std::erase(keep_, key) == 0) return;
    } else if (waiting() != 0 || holders_.size() >= config_.limit) {
        ++deferred_;
    }
    (need == Need::use ? use_ : keep_).push_back(key);
}

void Slots::drop(Key key) {
    std::erase(use_, key);
    std::erase(keep_, key);
    std::erase_if(holders_, [key](const Holder& h) { return h.key == key; });
}

std::optional<Slots::Key> Slots::next(Instant now) {
    if (holders_.size() >= config_.limit) return std::nullopt;
    auto& queue = use_.empty() ? keep_ : use_;
    if (queue.empty()) return std::nullopt;
    const auto key = queue.front();
    queue.pop_front();
    holders_.push_back({key, now});
    changed_ = now;
    return key;
}

Slots::Review Slots::review(Instant now, Function<Use(Key)> look) {
    Review out;
    const auto leaving =
        static_cast<std::size_t>(std::count_if(holders_.begin(), holders_.end(), [](const Holder& h) { return h.leaving; }));
    const auto free = config_.limit > holders_.size() ? config_.limit - holders_.size() : 0;
    if (use_.size() <= leaving + free) return out;
    struct Candidate {
        Holder* holder;
        bool busy;
        Duration rank;  // how long it was quiet, or held its slot
    };
    std::vector<Candidate> candidates;
    for (auto& holder : holders_) {
        if (holder.leaving) continue;
        const auto use = look(holder.key);
        if (use.fixed) continue;
        const auto quiet = now - use.used;
        const auto held = now - holder.since;
        const auto patience = use.state == State::done ? config_.done : use.state == State::idle ? config_.idle : config_.sending;
        if (quiet >= patience) {
            candidates.push_back({&holder, false, quiet});
        } else if (held >= (use.whole ? config_.slice : config_.long_slice)) {
            candidates.push_back({&holder, true, held});
        }
    }
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const Candidate& a, const Candidate& b) { return a.busy != b.busy ? b.busy : a.rank > b.rank; });
    const auto needed = use_.size() - leaving - free;
    if (candidates.size() > needed) candidates.resize(needed);
    for (const auto& candidate : candidates) {
        candidate.holder->leaving = true;
        out.leave.push_back(candidate.holder->key);
        ++given_up_;
    }
    if (!out.leave.empty()) changed_ = now;
    if (out.leave.size() < needed)
        out.again = now + std::clamp<Duration>((now - changed_) / 8, config_.soonest_review, config_.latest_review);
    return out;
}

Duration Pace::reserve(Instant now) noexcept {
    free_ = std::max(free_, now);
    const Duration wait = free_ - now - (burst - 1) * interval;
    free_ = free_ + interval;
    return std::max(Duration{}, wait);
}

}  // namespace kith::peer
