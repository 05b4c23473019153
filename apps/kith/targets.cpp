// SPDX-License-Identifier: Apache-2.0
#include "targets.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "events.hpp"
#include "match.hpp"
#include "sanitize.hpp"

namespace kith::app {
namespace {

// A second peer that fits must get its chance to be seen. One that has just answered somebody else stays silent for a second
// (RFC 6762 section 6), and is asked again after one: for names, of which anybody can have any, that is worth waiting for.
constexpr std::chrono::milliseconds settle_id{500};
constexpr std::chrono::milliseconds settle_name{1500};
constexpr std::chrono::milliseconds settle_more{1500};

bool all_told(const Node& node) {
    const auto peers = node.peers();
    return std::none_of(peers.begin(), peers.end(), [](const PeerInfo& info) {
        return info.on_lan && (info.state == PeerState::found || info.state == PeerState::connecting || info.state == PeerState::connected);
    });
}

// The node's own deadline comes first: its error knows more.
constexpr std::chrono::milliseconds grace{500};

Deadline past(Deadline deadline) { return deadline == never ? never : deadline + grace; }

Duration left(Deadline deadline) {
    if (deadline == never) return Duration::max();
    return std::max<Duration>(deadline - Clock::now(), std::chrono::milliseconds{1});
}

struct Search {
    std::vector<PeerInfo> peers;
    std::vector<std::size_t> found;
};

Search look(const Node& node, std::string_view query) {
    Search out{node.peers(), {}};
    std::vector<Candidate> candidates;
    for (const auto& info : out.peers) candidates.push_back({info.peer.text(), info.name});
    out.found = match(query, candidates);
    return out;
}

Result<PeerId> search(Session& session, const std::string& target, Deadline deadline) {
    session.out().note(fmt::format("Looking for {} on the LAN ...", clean(target)));
    // Nothing to do in it: its call ends a wait, and then the peers are looked at again.
    session.node().on_peer([](const PeerEvent&) {});
    Search now;
    const bool seen = session.pump(
        [&] {
            now = look(session.node(), target);
            return !now.found.empty();
        },
        deadline);
    if (!seen) {
        if (session.interrupted()) return Errc::cancelled;
        return Error{Errc::unknown_peer, "nobody on the LAN has that name or id", clean(target)};
    }
    if (!PeerId::parse(target)) {
        const auto id = now.peers[now.found.front()].peer.text();
        const bool by_id = id.starts_with(target) || id.ends_with(target);
        session.pump([] { return false; }, std::min(deadline, after(by_id ? settle_id : settle_name)));
        // Those that are seen but have not told their name yet may have the same one.
        session.pump([&] { return all_told(session.node()); }, std::min(deadline, after(settle_more)));
        if (session.interrupted()) return Errc::cancelled;
        now = look(session.node(), target);
    }
    if (now.found.size() > 1) {
        std::string who;
        for (const auto i : now.found)
            who += fmt::format("{}{} {}", who.empty() ? "" : ", ", shown(now.peers[i]), now.peers[i].peer.text());
        return Error{Errc::invalid_argument, "several peers fit", who};
    }
    if (now.found.empty()) return Error{Errc::unknown_peer, "the peer has just left"};
    const auto& info = now.peers[now.found.front()];
    session.out().note(fmt::format("Found {}  {}", shown(info), info.peer.text()));
    return info.peer;
}

std::string_view advice(const Error& error, TargetKind kind, bool lan) {
    if (error == Errc::invalid_argument) return "give more characters of the peer id";
    if (error == Errc::unknown_peer && !lan) return "give the address: `kith listen` prints it on the other machine; or leave out --no-lan";
    if (error == Errc::unknown_peer) return "check that kith runs there and is on the same LAN (kith peers), or give its address";
    if ((error == Errc::dial_failed || error == Errc::connection_refused || error == Errc::timeout) && kind == TargetKind::address) {
        return "check that kith listen or kith chat runs there, the port in the address, and the firewall";
    }
    return {};
}

}  // namespace

TargetKind kind_of(std::string_view target) {
    if (target.starts_with('/')) return TargetKind::address;
    return PeerId::parse(target) ? TargetKind::id : TargetKind::part;
}

Needs needs_for(std::string_view target) {
    const auto kind = kind_of(target);
    Needs needs;
    needs.lan = kind != TargetKind::address;
    // Names are told over the link; ids are in the announcement.
    needs.auto_connect = kind == TargetKind::part;
    return needs;
}

Reached reach(Session& session, const std::string& target, Deadline deadline) {
    auto& node = session.node();
    const auto kind = kind_of(target);
    const auto failed = [&](const Error& error) {
        return Reached{{}, session.out().fail(error, fmt::format("could not reach {}", target), advice(error, kind, session.lan()))};
    };
    if (kind == TargetKind::address) {
        auto address = Multiaddr::parse(target);
        if (!address) return failed(address.error());
        session.out().note(fmt::format("Connecting to {} ...", address->text()));
        auto peer = session.await<Result<PeerId>>(
            [&](auto done) { node.async_connect(*address, std::move(done), Wait{left(deadline), {}}); }, past(deadline));
        if (!peer) return failed(peer.error());
        return {*peer, Exit::ok};
    }
    std::optional<PeerId> peer;
    if (kind == TargetKind::id) {
        peer = *PeerId::parse(target);
        if (*peer == node.id()) return failed(Error{Errc::invalid_argument, "that is your own id"});
    }
    if (!session.lan()) return failed(Error{Errc::unknown_peer, "the LAN is switched off", target});
    if (auto found = search(session, peer ? peer->text() : target, deadline); found) {
        peer = *found;
    } else {
        return failed(found.error());
    }
    session.out().note(fmt::format("Connecting to {} ...", peer->short_id()));
    auto connected = session.await<Result<PeerId>>([&](auto done) { node.async_connect(*peer, std::move(done), Wait{left(deadline), {}}); },
                                                   past(deadline));
    if (!connected) return failed(connected.error());
    return {*connected, Exit::ok};
}

}  // namespace kith::app
