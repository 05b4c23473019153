// SPDX-License-Identifier: Apache-2.0
// Who may dial now: a limited number of outgoing links that serve any number of peers in turn, and a pace for dials that nobody
// asked for. Sans-IO.
//
// A dial waits in one of two queues, holds a slot, and goes; its owner names it by a number:
//
//   want() --> waiting --next()--> holding --review() says so--> leaving
//                 |                   |                             |
//                 +------drop()-------+-----------drop()------------+
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "kith/function.hpp"
#include "kith/time.hpp"

namespace kith::peer {

struct SlotsConfig {
    std::size_t limit = 0;  // 0: none
    // How long a holder may be quiet when others wait: with all that it carried acknowledged; idle, or waiting for credit;
    // waiting for acknowledgements, as what was given to a slow socket is still on its way.
    Duration done = std::chrono::milliseconds{100};
    Duration idle = std::chrono::seconds{2};
    Duration sending = std::chrono::seconds{10};
    Duration slice = std::chrono::seconds{10};                // busy: gives way after this
    Duration long_slice = std::chrono::seconds{60};           // likewise, when not one message got through in a slice
    Duration soonest_review = std::chrono::milliseconds{50};  // while others wait; later when nothing has changed for long
    Duration latest_review = std::chrono::milliseconds{250};
};

// A slot is given to those that have something to do before those that only want to be connected; in each of the two the first
// that came is the first that goes, and one whose slot was taken comes behind all who wait. So with n waiting for k slots
// nobody waits longer than n/k turns of the longest slice. Holders give way only to those that have something to do: first the
// one that was quiet for longest, then the one that has had its slot for longest.
class Slots {
public:
    using Key = std::uint64_t;
    enum class Need : std::uint8_t { keep, use };
    enum class State : std::uint8_t { done, idle, sending };
    // What the owner knows of a holder.
    struct Use {
        Instant used{};      // when message bytes moved last; before that, when the link came up
        bool fixed = false;  // cannot be given up now
        State state = State::idle;
        bool whole = true;  // to end it now does not throw away the only message it was busy with
    };

    explicit Slots(const SlotsConfig& config) : config_(config) {}

    bool limited() const noexcept { return config_.limit != 0; }
    // Joins the end of its queue; one that waits with less need is moved to the other queue; a holder stays one.
    void want(Key key, Need need);
    // Leaves the queue, or gives its slot back.
    void drop(Key key);
    // Who has a slot from now on; none: no slot is free, or nobody waits. Call until none.
    std::optional<Key> next(Instant now);

    struct Review {
        std::vector<Key> leave;        // end these, then drop() them
        std::optional<Instant> again;  // review again then
    };
    Review review(Instant now, Function<Use(Key)> look);

    std::size_t held() const noexcept { return holders_.size(); }
    std::size_t waiting() const noexcept { return use_.size() + keep_.size(); }
    bool waits(Key key) const noexcept;
    std::uint64_t given_up() const noexcept { return given_up_; }
    std::uint64_t deferred() const noexcept { return deferred_; }  // found no slot free at first

private:
    struct Holder {
        Key key = 0;
        Instant since{};
        bool leaving = false;
    };

    SlotsConfig config_;
    std::deque<Key> use_;
    std::deque<Key> keep_;
    std::vector<Holder> holders_;
    Instant changed_{};  // a slot was given or taken
    std::uint64_t given_up_ = 0;
    std::uint64_t deferred_ = 0;
};

// Spaces dials out: two at once, then eight a second, so ten in any second; a single one is never held back.
class Pace {
public:
    static constexpr Duration interval = std::chrono::milliseconds{125};
    static constexpr int burst = 2;

    // The wait until the caller's turn, which is taken with this call.
    Duration reserve(Instant now) noexcept;

private:
    Instant free_{};
};

}  // namespace kith::peer
