// SPDX-License-Identifier: Apache-2.0
#include "chat.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "events.hpp"
#include "match.hpp"
#include "parse.hpp"
#include "sanitize.hpp"

namespace kith::app {
namespace {

constexpr std::chrono::milliseconds same_line{150};
constexpr std::chrono::seconds patience{2};
constexpr std::chrono::seconds drain_time{10};
constexpr std::string_view message_protocol = "/kith/msg/1.0.0";

bool takes_messages(const PeerInfo& info) {
    // Before identify nothing is known: try.
    return info.protocols.empty() || std::find(info.protocols.begin(), info.protocols.end(), message_protocol) != info.protocols.end();
}

bool connected(const PeerInfo& info) { return info.links > 0 || info.state == PeerState::connected || info.state == PeerState::identified; }

}  // namespace

Chat::Chat(Session& session, const ChatOptions& options)
    : session_(session), options_(options), screen_(session.out(), [this](std::string_view text) { return completions(text); }) {}

Exit Chat::run() {
    auto& node = session_.node();
    node.on_peer([this](const PeerEvent& event) { on_peer(event); });
    node.on_message(options_.channel, [this](const Message& message) { on_message(message); });
    if (auto ok = session_.start(); !ok) return session_.out().fail(ok.error(), "could not start");
    started_ = true;
    greet();
    update_prompt();

    const auto& common = session_.common();
    const auto end = common.wait ? after(from_seconds(*common.wait)) : never;
    const auto ended = [&] {
        return quit_ || session_.interrupted() || session_.out().broken() || Clock::now() >= end ||
               (common.count && received_ >= *common.count);
    };
    while (!ended()) {
        if (session_.turn(std::min(end, next_tick()), STDIN_FILENO)) {
            if (!screen_.read([this](std::string_view line) { on_line(line); })) quit_ = true;
        }
        tick();
    }
    const auto unanswered = [this] {
        return std::any_of(said_.begin(), said_.end(), [](const SaidPtr& s) { return !s->waiting.empty(); });
    };
    if (unanswered() && !session_.interrupted()) {
        if (screen_.interactive()) screen_.print("Waiting for receipts; Ctrl-C ends at once ...");
        session_.pump([&] { return !unanswered(); }, after(drain_time));
    }
    for (const auto& said : said_) {
        if (!said->printed) show(*said);
    }
    session_.stop();
    return Exit::ok;
}

void Chat::greet() {
    auto& out = session_.out();
    out.emit(ready_json(session_.node()));
    screen_.print(fmt::format(
        "  You are  {}   {}   {}", out.paint(Style::bold, clean_name(session_.node().name())), session_.node().id().short_id(),
        out.paint(Style::dim, session_.guest() ? "(a guest, for this run)" : fmt::format("(key in {})", session_.common().home.string()))));
    if (session_.lan()) {
        screen_.print(out.paint(Style::dim, "  Peers on the LAN appear by themselves. /help shows what you can type."));
    } else {
        screen_.print(out.paint(Style::dim, "  The LAN is switched off: /connect ADDRESS reaches a peer. My addresses:"));
        for (const auto& address : session_.node().addresses()) screen_.print(out.paint(Style::dim, "    " + address.text()));
    }
}

void Chat::on_peer(const PeerEvent& event) {
    auto& out = session_.out();
    const auto info = session_.node().peer(event.peer);
    out.emit(to_json(event, info ? &*info : nullptr));
    const auto who = info ? shown(*info) : event.peer.short_id();
    if (std::find(numbers_.begin(), numbers_.end(), event.peer) == numbers_.end()) numbers_.push_back(event.peer);
    if (event.state == PeerState::identified && here_.insert(event.peer).second) {
        screen_.print(fmt::format("{} {}  {}  {}{}", out.paint(Style::good, "+"), out.paint(Style::bold, who),
                                  out.paint(Style::dim, event.peer.short_id()), info ? path_text(*info) : event.path,
                                  info && !takes_messages(*info) ? "  (speaks libp2p, but takes no kith messages)" : ""));
    }
    if (event.state == PeerState::disconnected && here_.erase(event.peer) > 0) {
        const auto why = event.error ? "  " + clean(event.error->message(), {.lines = false, .indent = {}, .limit = 200}) : std::string{};
        screen_.print(fmt::format("{} {} has left{}", out.paint(Style::bad, "-"), who, out.paint(Style::dim, why)));
    }
    update_prompt();
}

void Chat::on_message(const Message& message) {
    ++received_;
    auto& out = session_.out();
    out.emit(to_json(message));
    // What was not printed must not be acknowledged, as returning does while the node runs.
    if (out.broken()) session_.stop();
    if (out.json()) return;
    const auto text = valid_utf8(message.text()) ? clean(message.text(), {.lines = true, .indent = "       ", .limit = 0})
                                                 : fmt::format("({} bytes that are no text)", message.bytes().size());
    screen_.print(fmt::format("{}  {}  {}{}", out.paint(Style::dim, clock_text()),
                              out.paint(Style::accent, shown(session_.node(), message.from)), text,
                              message.maybe_repeat ? out.paint(Style::dim, "  (maybe a repeat)") : ""));
}

void Chat::on_line(std::string_view line) {
    const auto command = parse_chat(line);
    auto& out = session_.out();
    switch (command.verb) {
        case ChatVerb::nothing:
            return;
        case ChatVerb::say:
            return say(selected_ ? std::vector<PeerId>{*selected_} : everybody(), command.text);
        case ChatVerb::everybody:
            return say(everybody(), command.text);
        case ChatVerb::message:
            if (const auto peer = find(command.target)) say({*peer}, command.text);
            return;
        case ChatVerb::select:
            return select(command.target);
        case ChatVerb::peers:
            return list();
        case ChatVerb::connect:
            return connect(command.target);
        case ChatVerb::id:
            out.emit(ready_json(session_.node()));
            screen_.print(fmt::format("  {}  {}", clean_name(session_.node().name()), session_.node().id().text()));
            for (const auto& address : session_.node().addresses()) screen_.print("    " + address.text());
            return;
        case ChatVerb::help:
            for (const auto& row : chat_help()) screen_.print(fmt::format("  {:<18} {}", row.usage, row.text));
            return;
        case ChatVerb::quit:
            quit_ = true;
            return;
        case ChatVerb::incomplete:
            return problem(Error{Errc::invalid_argument, "write it as", command.text}, command.target);
        case ChatVerb::unknown:
            return problem(Error{Errc::invalid_argument, "no such command; /help lists them"}, command.target);
    }
}

void Chat::say(const std::vector<PeerId>& to, const std::string& text) {
    if (to.empty()) {
        return problem(Error{Errc::not_connected, "nobody is here yet"}, "not sent");
    }
    auto said = std::make_shared<Said>();
    said->number = ++lines_;
    said->text = text;
    said->waiting = to;
    said->print_at = after(same_line);
    said->complain_at = after(patience);
    said_.push_back(said);
    const auto bytes = as_bytes(text);
    for (const auto& peer : to) {
        session_.node().async_send(peer, options_.channel, Bytes(bytes.begin(), bytes.end()),
                                   [this, said, peer](const Result<Receipt>& result) { settled(said, peer, result); });
    }
}

void Chat::settled(const SaidPtr& said, const PeerId& peer, const Result<Receipt>& result) {
    auto& out = session_.out();
    std::erase(said->waiting, peer);
    const bool arrived = result && (result->outcome == Receipt::Outcome::delivered || result->outcome == Receipt::Outcome::sent);
    if (arrived) {
        auto json = object("delivered");
        json["peer"] = peer.text();
        json["channel"] = options_.channel;
        json["line"] = said->number;
        json["after_ms"] = milliseconds(result->after);
        out.emit(json);
        said->delivered.push_back(peer);
        said->slowest = std::max(said->slowest, result->after);
        if (said->printed) {
            screen_.print(out.paint(
                Style::dim, fmt::format("       delivered to {} after {}", shown(session_.node(), peer), duration_text(result->after))));
        }
        return;
    }
    const Error error = result ? Error{Errc::link_lost, "it is not known whether the message arrived"} : result.error();
    if (error == Errc::stopped || error == Errc::cancelled) return;
    problem(error, fmt::format("not delivered to {}: {}", shown(session_.node(), peer),
                               clean(said->text, {.lines = false, .indent = {}, .limit = 30})));
}

void Chat::show(Said& said) {
    said.printed = true;
    auto& out = session_.out();
    std::string status;
    if (!said.delivered.empty()) {
        const auto info = session_.node().peer(said.delivered.front());
        status = said.delivered.size() == 1 ? fmt::format("delivered {} {}", info ? info->path : "", duration_text(said.slowest))
                                            : fmt::format("delivered to {} within {}", said.delivered.size(), duration_text(said.slowest));
    }
    screen_.print(fmt::format("{}  {}  {}  {}", out.paint(Style::dim, clock_text()), out.paint(Style::bold, "me"),
                              clean(said.text, {.lines = true, .indent = "       ", .limit = 0}), out.paint(Style::dim, status)));
}

void Chat::tick() {
    const auto now = Clock::now();
    for (auto it = said_.begin(); it != said_.end();) {
        auto& said = **it;
        if (!said.printed && (said.waiting.empty() || now >= said.print_at)) {
            // A line that failed everywhere was reported already.
            if (said.waiting.empty() && said.delivered.empty()) {
                said.printed = true;
            } else {
                show(said);
            }
        }
        if (!said.waiting.empty() && !said.complained && now >= said.complain_at) {
            said.complained = true;
            std::string who;
            for (const auto& peer : said.waiting) who += (who.empty() ? "" : ", ") + shown(session_.node(), peer);
            screen_.print(session_.out().paint(Style::dim, fmt::format("       waiting for {} to take it ...", who)));
        }
        it = said.printed && said.waiting.empty() ? said_.erase(it) : std::next(it);
    }
}

Deadline Chat::next_tick() const {
    auto next = never;
    for (const auto& said : said_) {
        if (!said->printed) next = std::min(next, said->waiting.empty() ? Clock::now() : said->print_at);
        if (!said->complained && !said->waiting.empty()) next = std::min(next, said->complain_at);
    }
    return next;
}

std::vector<PeerId> Chat::everybody() const {
    std::vector<PeerId> out;
    for (const auto& info : session_.node().peers()) {
        if (connected(info) && takes_messages(info)) out.push_back(info.peer);
    }
    return out;
}

void Chat::list() {
    auto& out = session_.out();
    if (numbers_.empty()) screen_.print("  Nobody yet. Peers on the LAN appear by themselves; /connect ADDRESS reaches others.");
    for (std::size_t i = 0; i < numbers_.size(); ++i) {
        const auto info = session_.node().peer(numbers_[i]);
        if (!info) continue;
        auto json = to_json(*info);
        json["number"] = i + 1;
        out.emit(json);
        screen_.print(fmt::format("  {:>2}  {}  {}  {}", i + 1, out.paint(Style::bold, shown(*info)),
                                  out.paint(Style::dim, info->peer.short_id()), path_text(*info)));
    }
}

void Chat::select(const std::string& target) {
    if (target.empty()) {
        selected_.reset();
    } else if (const auto peer = find(target)) {
        selected_ = *peer;
    }
    update_prompt();
}

void Chat::connect(const std::string& text) {
    auto address = Multiaddr::parse(text);
    if (!address) return problem(address.error(), fmt::format("could not connect to {}", text));
    screen_.print(session_.out().paint(Style::dim, fmt::format("  connecting to {} ...", address->text())));
    session_.node().async_connect(*address, [this, text](const Result<PeerId>& result) {
        if (!result && result.error() != Errc::stopped) problem(result.error(), fmt::format("could not connect to {}", text));
    });
}

std::optional<PeerId> Chat::find(const std::string& target) {
    std::size_t number = 0;
    const auto [rest, failed] = std::from_chars(target.data(), target.data() + target.size(), number);
    if (failed == std::errc{} && rest == target.data() + target.size() && number >= 1 && number <= numbers_.size()) {
        return numbers_[number - 1];
    }
    const auto peers = session_.node().peers();
    std::vector<Candidate> candidates;
    for (const auto& info : peers) candidates.push_back({info.peer.text(), info.name});
    const auto found = match(target, candidates);
    if (found.size() == 1) return peers[found.front()].peer;
    if (found.empty()) {
        problem(Error{Errc::unknown_peer, "no peer here has that number, name or id; /peers lists them"}, target);
    } else {
        problem(Error{Errc::invalid_argument, "several peers fit; use the number that /peers shows"}, target);
    }
    return {};
}

void Chat::update_prompt() {
    if (!screen_.interactive() || !started_) return;
    const auto all = everybody();
    if (selected_) {
        screen_.prompt(fmt::format("{}> ", shown(session_.node(), *selected_)));
    } else if (all.size() == 1) {
        screen_.prompt(fmt::format("{}> ", shown(session_.node(), all.front())));
    } else {
        screen_.prompt(all.empty() ? std::string{"> "} : fmt::format("all {}> ", all.size()));
    }
}

std::vector<std::string> Chat::completions(std::string_view before_cursor) const {
    const auto space = before_cursor.rfind(' ');
    const auto word = space == std::string_view::npos ? before_cursor : before_cursor.substr(space + 1);
    std::vector<std::string> out;
    if (space == std::string_view::npos) {
        for (const auto command : chat_words()) {
            if (word.starts_with('/') && command.starts_with(word)) out.emplace_back(command);
        }
        return out;
    }
    for (const auto& info : session_.node().peers()) {
        const auto name = shown(info);
        if (name.starts_with(word) && name.find(' ') == std::string::npos) out.push_back(name);
    }
    return out;
}

void Chat::problem(const Error& error, std::string_view doing) {
    auto& out = session_.out();
    if (out.json()) {
        auto json = to_json(error);
        json["doing"] = doing;
        out.emit(json);
        return;
    }
    const auto what = error.what.empty() ? error.message() : std::string{error.what} + (error.detail.empty() ? "" : " " + error.detail);
    screen_.print(
        fmt::format("{} {}: {}", out.paint(Style::bad, "!"), clean(doing), clean(what, {.lines = false, .indent = {}, .limit = 300})));
}

Exit run_chat(const Common& common, const ChatOptions& options, Output& out) {
    Session session{common, out,
                    Needs{.listen = true, .lan = true, .auto_connect = true, .serve_perf = options.serve_perf, .if_busy = IfBusy::guest}};
    if (auto ok = session.prepare(); !ok) return out.fail(ok.error(), "could not use the identity");
    Chat chat{session, options};
    return chat.run();
}

}  // namespace kith::app
