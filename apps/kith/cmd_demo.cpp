// SPDX-License-Identifier: Apache-2.0
// kith demo: two separate processes, each with an identity of its own, find each other by mDNS and talk.
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "child.hpp"
#include "home.hpp"
#include "kith/peer_id.hpp"
#include "parse.hpp"
#include "probes.hpp"
#include "sanitize.hpp"
#include "session.hpp"

namespace kith::app {
namespace {

constexpr std::chrono::seconds default_limit{30};

struct Actor {
    std::string name;
    Child child;
    std::string id;
    bool sees_other = false;
    std::string path;
    std::string address;
    std::vector<std::string> heard;  // from the other, in order
    std::size_t receipts = 0;
    double last_receipt_ms = 0;
};

struct Line {
    std::size_t from;
    std::string_view text;
};

constexpr std::array script{
    Line{0, "hello bo, I found you by myself"},
    Line{1, "hello ana! nobody told me your address either"},
    Line{0, "this line is encrypted with Noise, and only your key opens it"},
    Line{1, "and here is my receipt for it. See you: \xE2\x9C\x93 \xE6\x97\xA5\xE6\x9C\xAC"},
};

class Demo {
public:
    Demo(Output& out, std::vector<Actor>& actors, Deadline deadline) : out_(out), actors_(actors), deadline_(deadline) {}

    Exit run() {
        out_.line("Two kith processes on this machine, each with a new identity, told nothing about each other:");
        if (!until([&] { return !actors_[0].id.empty() && !actors_[1].id.empty(); })) return failed("a process did not start");
        for (const auto& actor : actors_) {
            out_.line(fmt::format("  {:<4} {}  (process {})", actor.name, actor.id, actor.child.pid()));
            auto json = object("demo");
            json["step"] = "started";
            json["name"] = actor.name;
            json["peer"] = actor.id;
            out_.emit(json);
        }
        const auto begin = Clock::now();
        out_.note("Waiting for them to find each other by mDNS ...");
        if (!until([&] { return actors_[0].sees_other && actors_[1].sees_other; })) return not_met();
        const auto met = Clock::now() - begin;
        auto json = object("demo");
        json["step"] = "met";
        json["after_ms"] = milliseconds(met);
        json["path"] = actors_[0].path;
        out_.emit(json);
        out_.line(fmt::format("They met after {} ({}{}{}). What they say to each other:", duration_text(met), actors_[0].path,
                              actors_[0].address.empty() ? "" : ", ", actors_[0].address));
        for (const auto& line : script) {
            if (!say(line)) return failed(fmt::format("a message from {} did not arrive", actors_[line.from].name));
        }
        return Exit::ok;
    }

private:
    bool say(const Line& line) {
        auto& from = actors_[line.from];
        auto& to = actors_[1 - line.from];
        const auto receipts = from.receipts;
        const auto heard = to.heard.size();
        if (!from.child.write_line(fmt::format("/msg {} {}", to.id, line.text))) return false;
        if (!until([&] { return from.receipts > receipts && to.heard.size() > heard; })) return false;
        // The text that the other process printed, not the one that was sent.
        const auto& text = to.heard.back();
        out_.line(fmt::format("  {} {:>3} > {:<3}  {:<66}{}", clock(), from.name, to.name, clean(text),
                              out_.paint(Style::dim, fmt::format("delivered {:.2f} ms", from.last_receipt_ms))));
        auto json = object("demo");
        json["step"] = "message";
        json["from"] = from.id;
        json["to"] = to.id;
        json["text"] = text;
        json["after_ms"] = from.last_receipt_ms;
        out_.emit(json);
        return text == line.text && to.heard.size() == heard + 1;
    }

    static std::string clock() {
        const std::time_t now = std::time(nullptr);
        std::tm local{};
        ::localtime_r(&now, &local);
        return fmt::format("{:02}:{:02}:{:02}", local.tm_hour, local.tm_min, local.tm_sec);
    }

    template <class Done>
    bool until(const Done& done) {
        while (!done()) {
            if (interrupted_ || ended_ || Clock::now() >= deadline_) return false;
            std::array<pollfd, 5> watched{pollfd{signals_.fd(), POLLIN, 0}, pollfd{actors_[0].child.out_fd(), POLLIN, 0},
                                          pollfd{actors_[0].child.err_fd(), POLLIN, 0}, pollfd{actors_[1].child.out_fd(), POLLIN, 0},
                                          pollfd{actors_[1].child.err_fd(), POLLIN, 0}};
            ::poll(watched.data(), watched.size(), 100);
            if (watched[0].revents != 0 && signals_.take()) interrupted_ = true;
            for (std::size_t i = 0; i < actors_.size(); ++i) {
                if (!actors_[i].child.read()) ended_ = true;
                for (const auto& json : actors_[i].child.take()) on_json(i, json);
            }
        }
        return true;
    }

    void on_json(std::size_t who, const Json& json) {
        auto& actor = actors_[who];
        const auto& other = actors_[1 - who];
        const auto type = json.value("type", "");
        if (type == "ready") actor.id = json.value("peer", "");
        if (type == "peer" && json.value("state", "") == "identified" && json.value("peer", "") == other.id) {
            actor.sees_other = true;
            actor.path = json.value("path", "");
            actor.address = json.value("address", "");
        }
        if (type == "peer" && other.id.empty()) early_.emplace_back(who, json);
        if (type == "ready") replay();
        if (type == "message" && json.value("from", "") == other.id) actor.heard.push_back(json.value("text", ""));
        if (type == "delivered" && json.value("peer", "") == other.id) {
            actor.last_receipt_ms = json.value("after_ms", 0.0);
            ++actor.receipts;
        }
        if (type == "error") last_error_ = actor.name + ": " + json.value("doing", "") + ": " + json.value("message", "");
    }

    // One may have met the other before we read who the other is.
    void replay() {
        auto early = std::exchange(early_, {});
        for (const auto& [who, json] : early) on_json(who, json);
    }

    Exit failed(const std::string& what) {
        if (interrupted_) return Exit::interrupted;
        for (const auto& actor : actors_) {
            for (std::string_view rest = actor.child.errors(); !rest.empty();) {
                const auto end = std::min(rest.find('\n'), rest.size());
                out_.note(fmt::format("  {}: {}", actor.name, clean(rest.substr(0, end))));
                rest.remove_prefix(std::min(end + 1, rest.size()));
            }
        }
        if (!last_error_.empty()) out_.note("  " + clean(last_error_));
        return out_.fail(Error{Errc::timeout, "the demonstration did not succeed", what}, "demo", "run: kith doctor");
    }

    Exit not_met() {
        if (interrupted_) return Exit::interrupted;
        const auto all = interfaces();
        bool multicast = false;
        if (all) {
            for (const auto& i : *all) {
                if (!usable_on_lan(i) && !(i.up && i.loopback)) continue;
                for (const auto family : {Family::ip4, Family::ip6}) {
                    if (family == Family::ip4 ? !i.has_ip4 : !i.has_ip6) continue;
                    const auto ok = probe_multicast(i, family, std::chrono::seconds{1});
                    multicast = multicast || ok.has_value();
                    out_.note(fmt::format("  multicast over {} on {}: {}", family == Family::ip4 ? "IPv4" : "IPv6", i.name,
                                          ok ? "works" : ok.error().message()));
                }
            }
        }
        if (!multicast) return failed("this machine gives no network interface on which multicast works, and mDNS needs one");
        return failed("they did not find each other in time, although multicast works");
    }

    Output& out_;
    std::vector<Actor>& actors_;
    Deadline deadline_;
    Signals signals_;
    std::vector<std::pair<std::size_t, Json>> early_;
    std::string last_error_;
    bool interrupted_ = false;
    bool ended_ = false;
};

}  // namespace

Exit run_demo(const Common& common, Output& out) {
    const auto deadline = after(common.wait ? from_seconds(*common.wait) : Duration{default_limit});
    auto folder = TemporaryFolder::make();
    if (!folder) return out.fail(folder.error(), "demo");
    std::vector<Actor> actors;
    for (const std::string name : {"ana", "bo"}) {
        auto child = Child::start({"--json", "--home", (folder->path() / name).string(), "--name", name, "chat", "--channel", "demo"});
        if (!child) return out.fail(child.error(), "demo");
        actors.push_back(Actor{name, std::move(*child), {}, false, {}, {}, {}, 0, 0});
    }
    auto exit = Demo{out, actors, deadline}.run();
    for (auto& actor : actors) {
        const int code = actor.child.finish();
        if (exit == Exit::ok && code != 0) {
            exit = out.fail(Error{Errc::internal, "a process of the demonstration ended badly", fmt::format("{}: {}", actor.name, code)},
                            "demo");
        }
    }
    auto json = object("result");
    json["ok"] = exit == Exit::ok;
    out.emit(json);
    if (exit == Exit::ok) {
        out.line("It works: found, authenticated, encrypted, delivered, both ways.");
        out.line("Now for real: run `kith` in two terminals, or on two machines of one LAN.");
    }
    return exit;
}

}  // namespace kith::app
