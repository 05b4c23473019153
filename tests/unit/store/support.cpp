// SPDX-License-Identifier: Apache-2.0
#include "unit/store/support.hpp"

#include <algorithm>
#include <iterator>
#include <sstream>

namespace kith::store::test {

using namespace storage;

Writer& Writer::open_out(LaneKey lane, std::uint64_t epoch, std::string_view peer, std::string_view channel) {
    const auto a = request.add(peer);
    const auto b = request.add(channel);
    return add(OpenOut{lane, a, b, 2, epoch});
}
Writer& Writer::append(LaneKey lane, std::uint64_t seq, std::string_view bytes, std::uint64_t tag, Duration ttl, Duration expires) {
    return add(Append{lane, seq, mid_of(lane, seq), tag, ttl, expires, request.add(bytes)});
}
Writer& Writer::replace(LaneKey lane, std::uint64_t seq, std::uint64_t mid, std::string_view bytes, std::uint64_t tag) {
    return add(Replace{lane, seq, mid, tag, {}, {}, request.add(bytes)});
}
Writer& Writer::bury(LaneKey lane, std::uint64_t seq, std::uint64_t from, std::uint64_t to, Ended ended) {
    return add(Bury{lane, seq, from, to, ended});
}
Writer& Writer::settle(LaneKey lane, std::uint64_t upto, std::uint64_t mid) { return add(Settle{lane, upto, mid}); }
Writer& Writer::begin_in(LaneKey lane, std::uint64_t epoch, std::uint64_t have, std::string_view peer, std::string_view channel) {
    const auto a = request.add(peer);
    const auto b = request.add(channel);
    return add(BeginIn{lane, a, b, 1, epoch, have});
}
Writer& Writer::advance(LaneKey lane, std::uint64_t epoch, std::uint64_t from, std::uint64_t to, std::uint64_t mid) {
    return add(Advance{lane, epoch, from, to, mid});
}
Writer& Writer::put(std::uint64_t inbox, LaneKey lane, std::uint64_t seq, std::string_view bytes, bool repeat) {
    return add(Put{inbox, lane, seq, repeat, request.add(bytes)});
}

namespace {

Bytes copy(ByteView view) { return {view.begin(), view.end()}; }
std::uint64_t count(Duration time) { return static_cast<std::uint64_t>(time.count()); }

template <class... F>
struct Overloaded : F... {
    using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace

void Model::end(const Out& lane, const Message& message, Ended ended) {
    if (ended == Ended::delivered && message.tag == 0) return;
    ++last_outcome;
    outcomes[last_outcome] = {last_outcome, message.mid, message.tag, lane.lane.peer, lane.lane.channel, ended};
}

void Model::apply(const Request& request) {
    for (const auto& operation : request.operations) run(request, operation);
}

void Model::run(const Request& r, const Operation& operation) {
    const auto message = [&](const auto& op) {
        const auto ttl = count(op.ttl);
        return Message{op.mid, 0, op.tag, ttl > 0 ? age + ttl : 0, op.expires, copy(r.view(op.bytes))};
    };
    std::visit(Overloaded{
                   [&](const OpenOut& op) {
                       auto& lane = out[op.lane].lane;
                       lane.key = last_out = op.lane;
                       lane.peer = copy(r.view(op.peer));
                       lane.channel = r.text(op.channel);
                       lane.priority = op.priority;
                       lane.epoch = op.epoch;
                   },
                   [&](const Append& op) {
                       auto& o = out[op.lane];
                       o.messages[op.seq] = message(op);
                       o.lane.next = op.seq + 1;
                   },
                   [&](const Replace& op) {
                       auto& o = out[op.lane];
                       end(o, o.messages[op.seq], Ended::replaced);
                       o.messages[op.seq] = message(op);
                   },
                   [&](const Bury& op) {
                       auto& o = out[op.lane];
                       end(o, o.messages[op.seq], op.ended);
                       const auto mid = o.messages[op.to].mid;
                       o.messages.erase(o.messages.lower_bound(op.from), o.messages.upper_bound(op.to));
                       o.messages[op.to] = {mid, op.to - op.from + 1, 0, 0, {}, {}};
                   },
                   [&](const Settle& op) {
                       auto& o = out[op.lane];
                       while (!o.messages.empty() && o.messages.begin()->first <= op.upto) {
                           const auto first = o.messages.begin();
                           if (first->second.run == 0) end(o, first->second, Ended::delivered);
                           o.messages.erase(first);
                       }
                       if (!o.messages.empty() && o.messages.begin()->second.run > 0) {
                           const auto first = o.messages.begin();
                           first->second.run = std::min(first->second.run, first->first - op.upto);
                       }
                       o.lane.first = op.upto + 1;
                       o.lane.settled_mid = op.mid;
                   },
                   [&](const SetOut& op) {
                       auto& lane = out[op.lane].lane;
                       lane.epoch = op.epoch;
                       lane.repeat_to = op.repeat_to;
                       lane.attached = op.attached;
                   },
                   [&](const DropOut& op) {
                       for (const auto& [seq, m] : out[op.lane].messages) {
                           if (m.run == 0) end(out[op.lane], m, op.ended);
                       }
                       out.erase(op.lane);
                   },
                   [&](const Age& op) { age += count(op.elapsed); },
                   [&](const ReadOutcome& op) { outcomes.erase(op.id); },
                   [&](const BeginIn& op) {
                       auto& lane = in[op.lane].lane;
                       if (op.lane > last_in) last_in = op.lane;
                       lane.key = op.lane;
                       lane.peer = copy(r.view(op.peer));
                       lane.channel = r.text(op.channel);
                       lane.priority = op.priority;
                       lane.epoch = op.epoch;
                       lane.have = op.have;
                       lane.mid = 0;
                   },
                   [&](const Advance& op) {
                       in[op.lane].lane.have = op.to;
                       in[op.lane].lane.mid = op.mid;
                   },
                   [&](const Put& op) {
                       in[op.lane].messages[op.inbox] = {op.inbox, op.lane, op.seq, op.repeat, copy(r.view(op.bytes))};
                       last_inbox = op.inbox;
                   },
                   [&](const Processed& op) {
                       auto& messages = in[op.lane].messages;
                       messages.erase(messages.begin(), messages.upper_bound(op.inbox));
                   },
                   [&](const DropIn& op) { in.erase(op.lane); },
               },
               operation);
}

namespace {

void say(std::ostream& o, const OutLane& l) {
    o << "out " << l.key << ' ' << as_text(l.peer) << ' ' << l.channel << " p" << int{l.priority} << " e" << l.epoch << " [" << l.first
      << ',' << l.next << ") settled " << l.settled_mid << " repeat " << l.repeat_to << (l.attached ? " attached" : "") << " waiting "
      << l.messages << '/' << l.bytes << '\n';
}
void say(std::ostream& o, const InLane& l) {
    o << "in " << l.key << ' ' << as_text(l.peer) << ' ' << l.channel << " p" << int{l.priority} << " e" << l.epoch << " have " << l.have
      << " mid " << l.mid << " waiting " << l.messages << '/' << l.bytes << '\n';
}
void say(std::ostream& o, const OutMessage& m) {
    o << "  " << m.seq << " mid " << m.mid << " run " << m.run << " tag " << m.tag << " ttl " << m.ttl.count() << " expires "
      << m.expires.count() << " = " << as_text(m.bytes) << '\n';
}
void say(std::ostream& o, const InMessage& m) {
    o << "  #" << m.inbox << " lane " << m.lane << " seq " << m.seq << (m.repeat ? " repeat" : "") << " = " << as_text(m.bytes) << '\n';
}
void say(std::ostream& o, const OutcomeRow& r) {
    o << "outcome " << r.id << " mid " << r.mid << " tag " << r.tag << ' ' << as_text(r.peer) << ' ' << r.channel << " ended "
      << static_cast<int>(r.ended) << '\n';
}

}  // namespace

std::string Model::text() const {
    std::ostringstream o;
    for (const auto& [key, lane] : out) {
        auto head = lane.lane;
        for (const auto& [seq, m] : lane.messages) {
            if (m.run > 0) continue;
            ++head.messages;
            head.bytes += m.bytes.size();
        }
        say(o, head);
        for (const auto& [seq, m] : lane.messages) {
            const auto left = m.deadline == 0 ? 0 : m.deadline > age ? m.deadline - age : 1;
            say(o, OutMessage{seq, m.mid, m.run, m.tag, Duration{static_cast<std::int64_t>(left)}, m.expires, m.bytes});
        }
    }
    for (const auto& [key, lane] : in) {
        auto head = lane.lane;
        for (const auto& [id, m] : lane.messages) {
            ++head.messages;
            head.bytes += m.bytes.size();
        }
        say(o, head);
        for (const auto& [id, m] : lane.messages) say(o, m);
    }
    for (const auto& [id, row] : outcomes) say(o, row);
    o << "last " << last_out << ' ' << last_in << ' ' << last_inbox << '\n';
    return o.str();
}

std::optional<std::string> text_of(Database& db) {
    std::ostringstream o;
    const auto loaded = db.load();
    if (!loaded) return std::nullopt;
    for (const auto& lane : loaded->out) {
        say(o, lane);
        // In two parts, for the seam between them.
        for (auto from = lane.first; from < lane.next;) {
            const auto messages = db.fetch(FetchOut{lane.key, from, 3, 1u << 20});
            if (!messages || messages->empty()) return std::nullopt;
            for (const auto& m : *messages) say(o, m);
            from = messages->back().seq + 1;
        }
    }
    for (const auto& lane : loaded->in) {
        say(o, lane);
        std::uint64_t after = 0;
        for (;;) {
            const auto messages = db.fetch(FetchIn{lane.key, after, 3, 1u << 20});
            if (!messages) return std::nullopt;
            if (messages->empty()) break;
            for (const auto& m : *messages) say(o, m);
            after = messages->back().inbox;
        }
    }
    std::uint64_t after = 0;
    for (;;) {
        const auto rows = db.outcomes(after, 5);
        if (!rows) return std::nullopt;
        if (rows->empty()) break;
        for (const auto& row : *rows) say(o, row);
        after = rows->back().id;
    }
    o << "last " << loaded->last_out << ' ' << loaded->last_in << ' ' << loaded->last_inbox << '\n';
    return o.str();
}

namespace {

// Any of them; the map is not empty.
template <class Map>
auto& any_of(Random& random, Map& map) {
    return std::next(map.begin(), static_cast<std::ptrdiff_t>(random.below(map.size())))->second;
}

std::string content(Random& random) {
    std::string out(random.one_in(20) ? random.below(9000) : random.below(90), 'a');
    for (auto& c : out) c = static_cast<char>('a' + random.below(26));
    return out;
}

// A message of the lane that waits, with the run of tombstones around it.
void bury_any(Random& random, const Model::Out& lane, Writer& write) {
    const auto at = std::next(lane.messages.begin(), static_cast<std::ptrdiff_t>(random.below(lane.messages.size())));
    if (at->second.run > 0) return;
    auto from = at->first;
    auto to = at->first;
    if (at != lane.messages.begin()) {
        const auto before = std::prev(at);
        if (before->second.run > 0) from = before->first - before->second.run + 1;
    }
    if (const auto after = std::next(at); after != lane.messages.end() && after->second.run > 0) to = after->first;
    write.bury(lane.lane.key, at->first, from, to, random.one_in(2) ? Ended::cancelled : Ended::unknown);
}

void outgoing(Random& random, const Model& model, Writer& write) {
    auto& lane = any_of(random, model.out);
    const auto key = lane.lane.key;
    switch (random.below(7)) {
        case 0:
            if (!lane.messages.empty()) bury_any(random, lane, write);
            break;
        case 1:
            if (!lane.messages.empty()) {
                const auto& [seq, m] = *std::prev(lane.messages.end());
                if (m.run == 0) write.replace(key, seq, random.u64(), content(random), random.below(3));
            }
            break;
        case 2:
            write.settle(key, random.between(lane.lane.first - 1, lane.lane.next - 1), random.u64());
            break;
        case 3:
            if (random.one_in(6)) {
                write.add(DropOut{key, random.one_in(2) ? Ended::failed : Ended::delivered});
            } else {
                write.add(SetOut{key, random.u64(), lane.lane.next - 1, random.one_in(2)});
            }
            break;
        default:
            for (std::uint64_t i = 0, n = random.between(1, 6); i < n; ++i) {
                const Duration ttl{static_cast<std::int64_t>(random.one_in(3) ? random.below(1000) : 0)};
                write.append(key, lane.lane.next + i, content(random), random.below(3), ttl, Duration{5});
            }
    }
}

void incoming(Random& random, const Model& model, Writer& write) {
    auto& lane = any_of(random, model.in);
    const auto key = lane.lane.key;
    switch (random.below(6)) {
        case 0:
            if (!lane.messages.empty()) write.add(Processed{key, random.between(lane.messages.begin()->first, model.last_inbox)});
            break;
        case 1:
            if (random.one_in(6)) {
                write.add(DropIn{key});
            } else {
                write.begin_in(key, random.u64(), random.below(100), as_text(lane.lane.peer), lane.lane.channel);
            }
            break;
        default: {
            const auto n = random.between(1, 6);
            write.advance(key, lane.lane.epoch, lane.lane.have, lane.lane.have + n, random.u64());
            for (std::uint64_t i = 1; i <= n; ++i) {
                write.put(model.last_inbox + i, key, lane.lane.have + i, content(random), random.one_in(4));
            }
        }
    }
}

}  // namespace

Request random_request(Random& random, Model& model) {
    Writer write;
    if (model.out.size() < 2 || random.one_in(30)) {
        write.open_out(model.last_out + 1, random.u64(), "peer" + std::to_string(random.below(3)));
    } else if (model.in.size() < 2 || random.one_in(30)) {
        write.begin_in(model.last_in + 1, random.u64(), random.below(50), "peer" + std::to_string(random.below(3)));
    } else if (random.one_in(12)) {
        write.add(Age{Duration{static_cast<std::int64_t>(random.below(300))}});
    } else if (!model.outcomes.empty() && random.one_in(5)) {
        write.add(ReadOutcome{model.outcomes.begin()->first});
    } else if (random.one_in(2)) {
        outgoing(random, model, write);
    } else {
        incoming(random, model, write);
    }
    model.apply(write.request);
    return std::move(write.request);
}

}  // namespace kith::store::test
