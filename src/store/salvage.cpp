// SPDX-License-Identifier: Apache-2.0
#include "store/salvage.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kith::store {
namespace {

// How far the counters go on when their last value is not known.
constexpr std::uint64_t leap_of_ids = std::uint64_t{1} << 32;
constexpr std::uint64_t leap_of_keys = std::uint64_t{1} << 20;

bool only_damage(const Error& error) noexcept { return error == Errc::damaged; }

// splitmix64's mixing
std::uint64_t mix(std::uint64_t z) noexcept {
    z += 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

// Visits a table from its beginning to what cannot be read, then from its end back to there. Keys must rise (fall): in a
// damaged tree pages may lead back to themselves.
template <class Visit>
Status sweep(Connection& db, std::string_view table, std::string_view key, Visit visit) {
    std::optional<std::uint64_t> last;
    for (const bool back : {false, true}) {
        std::string sql = "SELECT * FROM ";
        sql.append(table).append(" ORDER BY ").append(key).append(back ? " DESC" : "");
        auto s = Statement::prepare(db, sql);
        if (!s) return only_damage(s.error()) ? Status{} : Status{s.error()};
        std::optional<std::uint64_t> before;
        Scan scan(*s);
        for (;;) {
            const auto there = scan.next();
            if (!there && !only_damage(there.error())) return there.error();
            if (there && !*there) return {};
            const auto at = there ? s->number(0) : 0;
            if (!there || (before && (back ? at >= *before : at <= *before))) break;
            if (back && last && at <= *last) return {};
            before = at;
            if (!back) last = at;
            if (auto ok = visit(*s); !ok) return ok;
        }
    }
    return {};
}

class Salvage {
public:
    Salvage(Connection& from, Tables to, std::uint64_t seed) noexcept : from_(from), tables_(std::move(to)), seed_(seed) {}

    Result<Salvaged> run() {
        for (const auto part : {&Salvage::read_state, &Salvage::out_lanes, &Salvage::in_lanes, &Salvage::out_messages, &Salvage::gaps,
                                &Salvage::in_messages, &Salvage::outcomes, &Salvage::write_state}) {
            if (auto ok = (this->*part)(); !ok) return ok.error();
        }
        return done_;
    }

private:
    Status read_state() {
        return sweep(from_, "state", "one", [this](const Statement& at) -> Status {
            const auto row = state_of(at);
            if (row && at.number(0) == 1) {
                state_ = *row;
                done_.counters = true;
            }
            return {};
        });
    }

    template <class Row>
    bool fresh(const Row& row, std::map<std::uint32_t, Row>& lanes, std::set<storage::LaneKey>& keys) {
        if (row.slot == 0 || row.slot > max_slot || row.key == 0 || keys.contains(row.key)) return false;
        if (!lanes.emplace(row.slot, row).second) return false;
        keys.insert(row.key);
        ++done_.lanes;
        return true;
    }

    Status out_lanes() {
        return sweep(from_, "out_lane", "key", [this](const Statement& at) -> Status {
            auto row = out_lane_of(at);
            if (!row || row->first == 0 || row->first > row->next || row->next > max_number) return {};
            const auto old = row->epoch;
            for (auto i = mix(seed_) + row->key; row->epoch == old || row->epoch == 0; ++i) row->epoch = mix(i);
            row->repeat_to = row->next - 1;
            if (fresh(*row, out_, out_keys_)) last_out_ = std::max<std::uint64_t>(last_out_, row->key);
            return {};
        });
    }

    Status in_lanes() {
        return sweep(from_, "in_lane", "key", [this](const Statement& at) -> Status {
            auto row = in_lane_of(at);
            if (!row || row->last_inbox > max_number) return {};
            if (!fresh(*row, in_, in_keys_)) return {};
            last_in_ = std::max<std::uint64_t>(last_in_, row->key);
            last_inbox_ = std::max(last_inbox_, row->last_inbox);
            return {};
        });
    }

    Status out_messages() {
        return sweep(from_, "out_message", "id", [this](const Statement& at) -> Status {
            const auto lane = out_.find(slot_of(at.number(0)));
            const auto seq = number_of(at.number(0));
            if (lane == out_.end()) {
                ++done_.lost;
                return {};
            }
            const auto row = out_message_of(lane->second.key, at);
            // What is lost inside a lane is counted as a gap.
            if (!row || row->begin() < lane->second.first || seq >= lane->second.next) return {};
            if (row->run == 0) ++done_.messages;
            return tables_.insert(lane->second.key, *row);
        });
    }

    // Every number of a lane has a row again: those that are gone became tombstones.
    Status gaps() {
        for (auto& [slot, lane] : out_) {
            std::vector<std::uint64_t> unfit;
            auto missing = missing_of(lane, unfit);
            if (!missing) return missing.error();
            for (const auto id : unfit) {
                if (auto ok = tables_.remove_out_messages(id, id); !ok) return ok;
            }
            for (const auto& [from, to] : *missing) {
                OutMessageRow row;
                row.id = row_id(slot, to - 1);
                row.run = to - from;
                row.mid = mix(mix(~seed_) + row.id);
                if (auto ok = tables_.insert(lane.key, row); !ok) return ok;
                done_.lost += row.run;
            }
            if (auto ok = tables_.put(lane); !ok) return ok;
        }
        return {};
    }

    using Ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;  // [from, to)

    // `unfit`: ids of runs that would cover numbers of rows before them.
    Result<Ranges> missing_of(const OutLaneRow& lane, std::vector<std::uint64_t>& unfit) {
        Ranges out;
        auto expected = lane.first;
        auto& statement = tables_.out_messages(row_id(lane.slot, 0), row_id(lane.slot, max_number));
        Scan scan(statement);
        for (;;) {
            const auto there = scan.next();
            if (!there) return there.error();
            if (!*there) break;
            const auto row = out_message_of(lane.key, statement);
            if (!row) return row.error();
            if (row->begin() < expected) {
                unfit.push_back(row->id);
                continue;
            }
            if (row->begin() > expected) out.emplace_back(expected, row->begin());
            expected = row->seq() + 1;
        }
        if (expected < lane.next) out.emplace_back(expected, lane.next);
        return out;
    }

    Status in_messages() {
        std::map<std::uint32_t, std::uint64_t> found;
        auto swept = sweep(from_, "in_message", "id", [&](const Statement& at) -> Status {
            const auto lane = in_.find(slot_of(at.number(0)));
            if (lane == in_.end()) {
                ++done_.lost;
                return {};
            }
            const auto row = in_message_of(lane->second.key, at);
            if (!row || number_of(row->id) > lane->second.last_inbox) return {};
            ++found[lane->first];
            ++done_.messages;
            return tables_.insert(lane->second.key, *row);
        });
        if (!swept) return swept;
        for (auto& [slot, lane] : in_) {
            if (found[slot] < lane.waiting) done_.lost += lane.waiting - found[slot];
            lane.waiting = found[slot];
            if (auto ok = tables_.put(lane); !ok) return ok;
        }
        return {};
    }

    Status outcomes() {
        return sweep(from_, "outcome", "id", [this](const Statement& at) -> Status {
            const auto row = outcome_of(at);
            if (!row || row->id == 0 || row->id > max_number) return {};
            ++done_.outcomes;
            last_outcome_ = std::max(last_outcome_, row->id);
            return tables_.insert(*row);
        });
    }

    Status write_state() {
        const auto more = done_.counters ? 0 : leap_of_ids;
        const auto more_keys = done_.counters ? 0 : leap_of_keys;
        constexpr std::uint64_t top_key = ~storage::LaneKey{0};
        state_.clean = false;
        state_.last_out = std::min(top_key, std::max(state_.last_out, last_out_) + more_keys);
        state_.last_in = std::min(top_key, std::max(state_.last_in, last_in_) + more_keys);
        state_.last_inbox = std::min(max_number, std::max(state_.last_inbox, last_inbox_) + more);
        state_.last_outcome = std::max(state_.last_outcome, last_outcome_) + more;
        state_.out_lanes = out_.size();
        state_.in_lanes = in_.size();
        state_.outcomes = done_.outcomes;
        return tables_.put(state_);
    }

    Connection& from_;
    Tables tables_;
    std::uint64_t seed_;
    Salvaged done_;
    State state_;
    std::map<std::uint32_t, OutLaneRow> out_;  // by slot
    std::map<std::uint32_t, InLaneRow> in_;
    std::set<storage::LaneKey> out_keys_;
    std::set<storage::LaneKey> in_keys_;
    std::uint64_t last_out_ = 0;
    std::uint64_t last_in_ = 0;
    std::uint64_t last_inbox_ = 0;
    std::uint64_t last_outcome_ = 0;
};

}  // namespace

Result<Salvaged> salvage(Connection& from, Connection& to, std::uint64_t seed) {
    auto tables = Tables::prepare(to);
    if (!tables) return tables.error();
    return Salvage{from, std::move(*tables), seed}.run();
}

}  // namespace kith::store
