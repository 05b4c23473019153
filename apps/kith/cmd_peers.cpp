// SPDX-License-Identifier: Apache-2.0
// kith peers: who is near.
#include <fmt/format.h>

#include <cstddef>
#include <set>

#include "events.hpp"
#include "parse.hpp"
#include "sanitize.hpp"
#include "session.hpp"

namespace kith::app {
namespace {

constexpr double default_wait = 2;

void print(Output& out, const PeerInfo& info) {
    out.emit(to_json(info));
    const auto name = shown(info);
    const std::string fill(columns(name) < 24 ? 24 - columns(name) : 1, ' ');
    out.line(fmt::format("{}{}  {:<16}  {}", out.paint(Style::bold, name), fill, path_text(info), info.peer.text()));
    for (const auto& address : info.addresses) out.line(out.paint(Style::dim, "    " + address.text()));
}

Exit watch(Session& session, Deadline deadline) {
    auto& out = session.out();
    std::uint64_t shown_events = 0;
    session.node().on_peer([&](const PeerEvent& event) {
        const auto info = session.node().peer(event.peer);
        out.emit(to_json(event, info ? &*info : nullptr));
        out.line(fmt::format("{}  {:<12}  {}  {}", clock_text(), name(event.state), shown(session.node(), event.peer), event.path));
        ++shown_events;
    });
    if (auto ok = session.start(); !ok) return out.fail(ok.error(), "could not start");
    out.note("Watching the LAN; Ctrl-C ends ...");
    session.pump([&] { return session.common().count && shown_events >= *session.common().count; }, deadline);
    session.stop();
    return Exit::ok;
}

}  // namespace

Exit run_peers(const Common& common, const PeersOptions& options, Output& out) {
    Session session{common, out, Needs{.listen = false, .lan = true, .auto_connect = true, .serve_perf = false, .if_busy = IfBusy::guest}};
    if (!session.lan()) {
        return out.fail(Error{Errc::invalid_argument, "peers looks on the LAN, and --no-lan switches that off"}, "could not look for peers",
                        "leave out --no-lan");
    }
    if (auto ok = session.prepare(); !ok) return out.fail(ok.error(), "could not use the identity");
    if (options.watch) return watch(session, common.wait ? after(from_seconds(*common.wait)) : never);

    std::set<PeerId> printed;
    const auto enough = [&] { return common.count && printed.size() >= *common.count; };
    const auto print_once = [&](const PeerInfo& info) {
        if (!enough() && printed.insert(info.peer).second) print(out, info);
    };
    // As soon as a peer told its name; those that never do are printed at the end.
    session.node().on_peer([&](const PeerEvent& event) {
        if (event.state != PeerState::identified) return;
        if (const auto info = session.node().peer(event.peer)) print_once(*info);
    });
    if (auto ok = session.start(); !ok) return out.fail(ok.error(), "could not start");
    const double wait = common.wait.value_or(default_wait);
    out.note(fmt::format("Looking on the LAN for {:g} s ...", wait));
    session.pump(enough, after(from_seconds(wait)));
    for (const auto& info : session.node().peers()) print_once(info);
    session.stop();
    if (printed.empty()) out.note("Nobody found. Is kith running on another machine of this LAN? `kith doctor` tests multicast here.");
    return Exit::ok;
}

}  // namespace kith::app
