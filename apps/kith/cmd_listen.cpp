// SPDX-License-Identifier: Apache-2.0
// kith listen: prints what arrives, for scripts.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "events.hpp"
#include "parse.hpp"
#include "sanitize.hpp"
#include "session.hpp"

namespace kith::app {
namespace {

void print_ready(Session& session) {
    auto& node = session.node();
    auto& out = session.out();
    out.emit(ready_json(node));
    out.line(fmt::format("Listening as {}  {}", out.paint(Style::bold, clean_name(node.name())), node.id().text()));
    for (const auto& address : node.addresses()) out.line(out.paint(Style::dim, "    " + address.text()));
}

void print_message(Session& session, const Message& message) {
    auto& out = session.out();
    out.emit(to_json(message));
    if (out.json()) return;
    const auto text = valid_utf8(message.text()) ? clean(message.text(), {.lines = true, .indent = "    ", .limit = 0})
                                                 : fmt::format("({} bytes that are no text)", message.bytes().size());
    out.line(fmt::format("{}  {}  {}{}{}", clock_text(), out.paint(Style::accent, shown(session.node(), message.from)),
                         message.channel == "chat" ? "" : fmt::format("[{}] ", clean_name(message.channel)), text,
                         message.maybe_repeat ? "  (maybe a repeat)" : ""));
}

void print_peer(Session& session, const PeerEvent& event) {
    auto& out = session.out();
    const auto info = session.node().peer(event.peer);
    out.emit(to_json(event, info ? &*info : nullptr));
    if (out.json() || event.state == PeerState::connecting || event.state == PeerState::identified) return;
    out.line(out.paint(Style::dim, fmt::format("{}  {} {}{}{}", clock_text(), shown(session.node(), event.peer), name(event.state),
                                               event.path.empty() ? "" : "  ", event.path)));
}

}  // namespace

Exit run_listen(const Common& common, const ListenOptions& options, Output& out) {
    Session session{common, out,
                    Needs{.listen = true, .lan = true, .auto_connect = true, .serve_perf = options.serve_perf, .if_busy = IfBusy::refuse}};
    if (auto ok = session.prepare(); !ok) {
        return out.fail(ok.error(), "could not use the identity",
                        ok.error() == Errc::refused ? "end the other kith, or give this one its own: --home DIR" : "");
    }
    std::uint64_t received = 0;
    const auto enough = [&] { return common.count && received >= *common.count; };
    auto channels = options.channels;
    channels.emplace_back("chat");
    std::sort(channels.begin(), channels.end());
    channels.erase(std::unique(channels.begin(), channels.end()), channels.end());
    for (const auto& channel : channels) {
        session.node().on_message(channel, [&](const Message& message) {
            print_message(session, message);
            // What was not printed must not be acknowledged, as returning does while the node runs.
            if (out.broken()) session.stop();
            ++received;
        });
    }
    session.node().on_peer([&](const PeerEvent& event) { print_peer(session, event); });
    if (auto ok = session.start(); !ok) return out.fail(ok.error(), "could not listen");
    print_ready(session);
    out.note(session.lan() ? "Waiting for peers and messages; Ctrl-C ends ..." : "Waiting for links to these addresses; Ctrl-C ends ...");
    session.pump(enough, common.wait ? after(from_seconds(*common.wait)) : never);
    session.stop();
    return Exit::ok;
}

}  // namespace kith::app
