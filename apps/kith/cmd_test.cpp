// SPDX-License-Identifier: Apache-2.0
// kith test: csend's automated sequence between all peers of the LAN that run it, with a verdict for each.
//
//   look --enough peers--> meet --all are ready--> send --all sent, all got, all said END--> verdict
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "events.hpp"
#include "parse.hpp"
#include "sanitize.hpp"
#include "session.hpp"
#include "test_sequence.hpp"

namespace kith::app {
namespace {

constexpr std::string_view channel = "kith-test";
constexpr std::string_view protocol = "/kith/test/1.0.0";  // served by nobody: it tells who takes part
constexpr double default_wait = 30;
constexpr int pause_at = 80;  // pressure: the rest waits until the queue has drained
constexpr std::size_t max_strangers = 64;

std::int64_t wall_us() {
    return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}
double ms_since(Clock::time_point start) { return milliseconds(Clock::now() - start); }

struct Participant {
    PeerId id;
    std::optional<Plan> plan;  // the peer's own, when it is ready
    std::uint64_t sent = 0;
    std::uint64_t refused = 0;
    std::uint64_t received = 0;
    std::uint64_t wrong = 0;      // not the message that had to come next
    std::vector<double> trips;    // ms from send to the receipt, of direct messages
    std::vector<double> one_way;  // ms by the clocks of both machines
    bool ended = false;           // it sent END, hence everything
    bool end_delivered = false;   // it has got ours, hence everything

    bool complete() const { return plan && received == plan->per_peer() && wrong == 0 && refused == 0 && end_delivered && ended; }
};

class Test {
public:
    Test(Session& session, const TestOptions& options)
        : session_(session), out_(session.out()), plan_{options.rounds, options.messages}, wanted_(options.peers), pause_(options.pause) {}

    void listen() {
        auto& node = session_.node();
        node.handle_protocol(protocol, [](Stream stream) { stream.reset(); });
        node.on_peer([this](const PeerEvent& event) { on_peer(event); });
        node.on_message(channel, [this](const Message& message) { on_message(message); });
    }

    Exit run(Deadline deadline) {
        out_.note(fmt::format("Looking for {} that run kith test too ...", wanted_ == 1 ? "a peer" : fmt::format("{} peers", wanted_)));
        if (!session_.pump([&] { return found_.size() >= wanted_; }, deadline)) {
            return failed(
                {Errc::unknown_peer, "not enough peers run kith test on this LAN", fmt::format("{} of {} found", found_.size(), wanted_)},
                "start kith test on the other machines at the same time; kith doctor tests multicast here");
        }
        peers_.resize(wanted_);
        for (std::size_t i = 0; i < wanted_; ++i) peers_[i].id = found_[i];
        for (auto& peer : peers_) {
            if (auto ok = session_.node().send(peer.id, channel, ready_line(plan_)); !ok) return failed(ok.error());
        }
        for (auto& early : std::exchange(early_, {})) on_line(early.first, early.second);
        if (!session_.pump([&] { return all([](const auto& p) { return p.plan.has_value(); }); }, deadline)) {
            return failed({Errc::timeout, "a peer that was found did not begin"}, "give all of them the same --peers");
        }
        begin_ = Clock::now();
        if (!send_all(deadline)) return report(ms_since(begin_));
        sent_ms_ = ms_since(begin_);
        session_.pump([&] { return all([](const auto& p) { return p.ended && p.end_delivered; }); }, deadline);
        const double took = ms_since(begin_);
        // What the last ones got is acknowledged before this one goes.
        session_.pump([&] { return left_ >= peers_.size(); }, std::min(deadline, after(std::chrono::milliseconds{300})));
        return report(took);
    }

private:
    template <class Is>
    bool all(Is is) const {
        return std::all_of(peers_.begin(), peers_.end(), is);
    }
    Participant* find(const PeerId& id) {
        const auto it = std::find_if(peers_.begin(), peers_.end(), [&](const auto& p) { return p.id == id; });
        return it == peers_.end() ? nullptr : &*it;
    }

    void on_peer(const PeerEvent& event) {
        // By the time at which the callbacks ran: exact to what this thread was busy with then, some milliseconds at the start.
        if (event.state == PeerState::connecting) dialled_.emplace_back(event.peer, Clock::now());
        if (event.state == PeerState::connected && event.direction == Direction::outbound) {
            for (const auto& [peer, at] : dialled_) {
                if (peer == event.peer) connects_.emplace_back(peer, ms_since(at));
            }
            std::erase_if(dialled_, [&](const auto& d) { return d.first == event.peer; });
        }
        if (event.state == PeerState::disconnected && find(event.peer) != nullptr) ++left_;
        if (event.state != PeerState::identified) return;
        const auto info = session_.node().peer(event.peer);
        if (!info || std::find(info->protocols.begin(), info->protocols.end(), protocol) == info->protocols.end()) return;
        if (std::find(found_.begin(), found_.end(), event.peer) != found_.end()) return;
        found_.push_back(event.peer);
        out_.note(fmt::format("  {}  {}", shown(*info), path_text(*info)));
    }

    void on_message(const Message& message) {
        if (find(message.from) != nullptr) return on_line(message.from, message.text());
        if (!peers_.empty()) return;  // not one of those this run is about
        if (early_.size() < max_strangers) early_.emplace_back(message.from, std::string{message.text()});
    }

    void on_line(const PeerId& from, std::string_view line) {
        auto* peer = find(from);
        if (peer == nullptr) return;
        if (!peer->plan) {
            peer->plan = parse_ready(line);
            if (!peer->plan) ++peer->wrong;
        } else if (line == end_line) {
            peer->ended = true;
        } else if (const auto sent = parse_message(line, *peer->plan, peer->received)) {
            ++peer->received;
            peer->one_way.push_back(static_cast<double>(wall_us() - *sent) / 1e3);
        } else {
            ++peer->wrong;
        }
    }

    // Messages of a round go out without a pause between them, as csend's did.
    bool send_all(Deadline deadline) {
        const auto room = [&] {
            return all([&](const auto& p) {
                const auto queue = session_.node().queue(p.id, channel);
                return queue && queue->pressure < pause_at;
            });
        };
        for (std::uint64_t round = 0; round < plan_.rounds; ++round) {
            const auto first = round * plan_.messages * 2;
            for (std::uint64_t i = 0; i < plan_.messages * 2; ++i) {
                if (!room() && !session_.pump(room, deadline)) return false;
                if (i < plan_.messages) {
                    broadcast(first + i);
                } else {
                    for (auto& peer : peers_) direct(peer, first + i);
                }
            }
            if (round + 1 < plan_.rounds && pause_ > 0)
                session_.pump([] { return false; }, std::min(deadline, after(from_seconds(pause_))));
            if (session_.interrupted() || out_.broken()) return false;
        }
        for (auto& peer : peers_) {
            session_.node().async_send(peer.id, channel, Bytes(end_line.begin(), end_line.end()), [&peer](const Result<Receipt>& receipt) {
                peer.end_delivered = receipt && receipt->outcome == Receipt::Outcome::delivered;
            });
        }
        return true;
    }

    // To those that take part; a chat that is connected too is not bothered.
    void broadcast(std::uint64_t n) {
        const auto line = message_line(plan_, n, wall_us());
        if (found_.size() == peers_.size() && only_participants()) {
            for (const auto& result : session_.node().broadcast(channel, line)) {
                if (auto* peer = find(result.peer)) ++(result.status ? peer->sent : peer->refused);
            }
            return;
        }
        for (auto& peer : peers_) ++(session_.node().send(peer.id, channel, line) ? peer.sent : peer.refused);
    }
    bool only_participants() {
        if (!only_) {
            const auto known = session_.node().peers();
            only_ = std::none_of(known.begin(), known.end(), [&](const auto& p) { return p.links > 0 && find(p.peer) == nullptr; });
        }
        return *only_;
    }

    void direct(Participant& peer, std::uint64_t n) {
        const auto line = message_line(plan_, n, wall_us());
        session_.node().async_send(peer.id, channel, Bytes(line.begin(), line.end()), [&peer](const Result<Receipt>& receipt) {
            if (receipt && receipt->outcome == Receipt::Outcome::delivered) {
                ++peer.sent;
                peer.trips.push_back(milliseconds(receipt->after));
            } else {
                ++peer.refused;
            }
        });
    }

    Exit failed(const Error& error, std::string_view hint = {}) {
        return session_.interrupted() ? Exit::interrupted : out_.fail(error, "kith test", hint);
    }

    // The peer's name is cleaned in shown().
    void print(Participant& peer) {
        const auto info = session_.node().peer(peer.id);
        const auto name = info ? shown(*info) : peer.id.short_id();
        const auto connect = std::find_if(connects_.begin(), connects_.end(), [&](const auto& c) { return c.first == peer.id; });
        const auto expected = peer.plan ? peer.plan->per_peer() : plan_.per_peer();
        const double p50 = percentile(peer.trips, 0.5);
        const double p99 = percentile(peer.trips, 0.99);
        auto json = object("test");
        json["peer"] = peer.id.text();
        json["name"] = name;
        if (info) json["path"] = info->path;
        if (connect != connects_.end()) json["connect_ms"] = connect->second;
        json["sent"] = peer.sent;
        json["refused"] = peer.refused;
        json["received"] = peer.received;
        json["expected"] = expected;
        json["wrong"] = peer.wrong;
        json["ok"] = peer.complete();
        json["p50_ms"] = p50;
        json["p99_ms"] = p99;
        json["one_way_p50_ms"] = percentile(peer.one_way, 0.5);
        json["one_way_p99_ms"] = percentile(peer.one_way, 0.99);
        out_.emit(json);
        const std::string fill(columns(name) < 20 ? 20 - columns(name) : 1, ' ');
        const auto verdict = out_.paint(peer.complete() ? Style::good : Style::bad, peer.complete() ? "ok" : "FAILED");
        out_.line(fmt::format("{}{}  {:<10}  {:>9}  {:>7}  {:>15}  {:>8}  {:>8.2f}  {:>8.2f}  {}", name, fill, info ? info->path : "",
                              connect == connects_.end() ? "it did" : fmt::format("{:.1f} ms", connect->second), peer.sent,
                              fmt::format("{} of {}", peer.received, expected), peer.wrong == 0 ? "yes" : "NO", p50, p99, verdict));
    }

    Exit report(double took_ms) {
        if (session_.interrupted()) return Exit::interrupted;
        out_.line(out_.paint(Style::dim, fmt::format("{:<20}  {:<10}  {:>9}  {:>7}  {:>15}  {:>8}  {:>8}  {:>8}", "peer", "path", "connect",
                                                     "sent", "received", "in order", "p50 ms", "p99 ms")));
        for (auto& peer : peers_) print(peer);
        const bool ok = all([](const auto& p) { return p.complete(); });
        const bool damaged = !all([](const auto& p) { return p.wrong == 0; });
        auto json = object("result");
        json["ok"] = ok;
        json["counted"] = plan_.counted(peers_.size());
        json["on_wire"] = plan_.on_wire(peers_.size());
        json["sent_ms"] = sent_ms_;
        json["took_ms"] = took_ms;
        out_.emit(json);
        if (ok) {
            out_.line(
                fmt::format("All {} messages ({} on the wire) arrived in order; sent within {:.0f} ms, everything there after {:.0f} ms.",
                            plan_.counted(peers_.size()), plan_.on_wire(peers_.size()), sent_ms_, took_ms));
            return Exit::ok;
        }
        if (damaged) return failed({Errc::malformed, "messages came out of order or changed"});
        return failed({Errc::timeout, "not every message arrived in time"});
    }

    Session& session_;
    Output& out_;
    const Plan plan_;
    const std::size_t wanted_;
    const double pause_;
    std::vector<PeerId> found_;  // run the test too, in the order in which they were met
    std::vector<std::pair<PeerId, Clock::time_point>> dialled_;
    std::vector<std::pair<PeerId, double>> connects_;   // ms
    std::deque<std::pair<PeerId, std::string>> early_;  // from peers that were ready before this one
    std::vector<Participant> peers_;                    // fixed from `meet` on
    std::optional<bool> only_;
    std::size_t left_ = 0;
    Clock::time_point begin_;
    double sent_ms_ = 0;
};

}  // namespace

Exit run_test(const Common& common, const TestOptions& options, Output& out) {
    if (options.peers == 0 || options.rounds == 0 || options.messages == 0 || options.rounds > max_per_peer ||
        options.messages > max_per_peer || Plan{options.rounds, options.messages}.per_peer() > max_per_peer) {
        return out.fail(Error{Errc::invalid_argument, "peers, rounds and messages must be at least 1, and not too many"}, "kith test",
                        "kith test --help");
    }
    Session session{common, out, Needs{.listen = true, .lan = true, .auto_connect = true, .serve_perf = false, .if_busy = IfBusy::guest}};
    if (!session.lan()) {
        return out.fail(Error{Errc::invalid_argument, "test finds its peers on the LAN, and --no-lan switches that off"}, "kith test",
                        "leave out --no-lan");
    }
    if (auto ok = session.prepare(); !ok) return out.fail(ok.error(), "could not use the identity");
    Test test{session, options};
    test.listen();
    if (auto ok = session.start(); !ok) return out.fail(ok.error(), "could not start");
    const auto exit = test.run(after(from_seconds(common.wait.value_or(default_wait))));
    session.stop();
    return exit;
}

}  // namespace kith::app
