// SPDX-License-Identifier: Apache-2.0
// kith doctor: what could keep peers apart on this machine, each with a verdict and one piece of advice.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <string>
#include <system_error>

#include "events.hpp"
#include "home.hpp"
#include "parse.hpp"
#include "probes.hpp"
#include "sanitize.hpp"
#include "session.hpp"

namespace kith::app {
namespace {

enum class Verdict : std::uint8_t { ok, warn, fail };

class Report {
public:
    explicit Report(Output& out) : out_(out) {}

    void add(std::string_view check, Verdict verdict, const std::string& detail, std::string_view advice = {}, Exit exit = Exit::network) {
        static constexpr std::array<std::string_view, 3> words{"ok", "warn", "fail"};
        static constexpr std::array styles{Style::good, Style::accent, Style::bad};
        const auto row = static_cast<std::size_t>(verdict);
        auto json = object("check");
        json["name"] = check;
        json["verdict"] = words[row];
        json["detail"] = detail;
        if (!advice.empty()) json["advice"] = advice;
        out_.emit(json);
        out_.line(fmt::format("{}  {:<11} {}", out_.paint(styles[row], fmt::format("{:<4}", words[row])), check, clean(detail)));
        if (!advice.empty()) out_.line(fmt::format("                  try: {}", advice));
        if (verdict == Verdict::fail && exit_ == Exit::ok) exit_ = exit;
    }

    Exit exit() const noexcept { return exit_; }

private:
    Output& out_;
    Exit exit_ = Exit::ok;
};

void check_identity(const Common& common, Report& report) {
    const auto file = key_file(common.home);
    std::error_code failed;
    if (!std::filesystem::exists(std::filesystem::symlink_status(file, failed))) {
        report.add("identity", Verdict::ok, fmt::format("none yet in {}; the first command makes it", common.home.string()));
        return;
    }
    const auto identity = Identity::load(file);
    if (!identity) {
        report.add("identity", Verdict::fail, fmt::format("{}: {}", file.string(), identity.error().message()), identity.error().hint(),
                   exit_code(identity.error().code));
        return;
    }
    report.add("identity", Verdict::ok, fmt::format("{} in {}", identity->peer_id().text(), file.string()));
    struct stat info{};
    if (::stat(common.home.c_str(), &info) == 0 && (info.st_mode & 077U) != 0) {
        report.add("home", Verdict::warn, fmt::format("{} has mode {:o}", common.home.string(), info.st_mode & 0777U),
                   "chmod 700 that folder: others need not see who you talk with");
    }
}

void check_ports(const Common& common, Report& report) {
    Config config;
    config.lan = false;
    if (!common.listen.empty()) config.listen = common.listen;
    config.manual_dispatch = true;
    Node node{std::move(config)};
    if (auto ok = node.start(); !ok) {
        report.add("ports", Verdict::fail, ok.error().message(), ok.error().hint(), exit_code(ok.error().code));
        return;
    }
    std::string where;
    for (const auto& address : node.addresses()) where += (where.empty() ? "" : ", ") + address.without_peer().text();
    node.stop();
    if (where.empty()) {
        report.add("ports", Verdict::fail, "nothing to listen on", "give --listen /ip4/0.0.0.0/tcp/0");
    } else {
        report.add("ports", Verdict::ok, "can listen on " + where);
    }
}

void check_multicast(const Interface& on, Report& report) {
    for (const auto family : {Family::ip4, Family::ip6}) {
        const bool ip4 = family == Family::ip4;
        if (ip4 ? !on.has_ip4 : !on.has_ip6) continue;
        if (on.loopback && !ip4 && on.has_ip4) continue;  // often without a route for IPv6 groups; one family is enough there
        const auto name = fmt::format("{} on {}", ip4 ? "IPv4" : "IPv6", on.name);
        const auto ok = probe_multicast(on, family, std::chrono::seconds{1});
        if (ok) {
            report.add("multicast", Verdict::ok, name + ": sent and received");
        } else {
            report.add("multicast", Verdict::warn, name + ": " + ok.error().message(),
                       "let UDP port 5353 through the firewall of this machine");
        }
    }
}

void check_lan(Report& report) {
    const auto all = interfaces();
    if (!all) {
        report.add("interfaces", Verdict::fail, all.error().message(), all.error().hint());
        return;
    }
    const bool any = std::any_of(all->begin(), all->end(), usable_on_lan);
    for (const auto& i : *all) {
        if (!usable_on_lan(i)) continue;
        report.add("interfaces", Verdict::ok, fmt::format("{}: {}", i.name, fmt::join(i.addresses, ", ")));
    }
    if (!any) {
        report.add("interfaces", Verdict::warn, "none that is up, has an address and can multicast: peers on a LAN cannot be found",
                   "connect a network, or reach peers by address: kith send /ip4/.../tcp/... TEXT");
    }
    for (const auto& i : *all) {
        // Without a network kith uses the loopback interface: programs on this machine still meet.
        if (usable_on_lan(i) || (!any && i.up && i.loopback)) check_multicast(i, report);
    }
}

void check_clock(Report& report) {
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    ::gmtime_r(&now, &utc);
    const auto text =
        fmt::format("{:04}-{:02}-{:02} {:02}:{:02} UTC", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min);
    if (utc.tm_year + 1900 < 2024) {
        report.add("clock", Verdict::warn, text + " cannot be right", "set the clock; messages carry the wrong time otherwise");
        return;
    }
    const auto kept = clock_synchronized();
    if (kept && !*kept) {
        report.add("clock", Verdict::ok, text + "; nothing on this machine keeps it exact");
    } else {
        report.add("clock", Verdict::ok, text + (kept ? ", kept exact by the system" : ""));
    }
}

void check_neighbours(const Common& common, Output& out, Report& report) {
    if (common.no_lan) return;
    Session session{common, out, Needs{.listen = false, .lan = true, .auto_connect = false, .serve_perf = false, .if_busy = IfBusy::guest}};
    if (auto ok = session.start(); !ok) {
        report.add("peers", Verdict::fail, ok.error().message(), ok.error().hint(), exit_code(ok.error().code));
        return;
    }
    out.note("Looking for peers for 2 s ...");
    session.pump([] { return false; }, after(std::chrono::seconds{2}));
    const auto count = session.node().peers().size();
    session.stop();
    report.add("peers", Verdict::ok, count == 0 ? "none on this LAN now" : fmt::format("{} on this LAN now", count),
               count == 0 ? "start kith on another machine of the LAN" : "");
}

}  // namespace

Exit run_doctor(const Common& common, Output& out) {
    Report report{out};
    check_identity(common, report);
    check_ports(common, report);
    check_lan(report);
    check_clock(report);
    check_neighbours(common, out, report);
    auto json = object("result");
    json["ok"] = report.exit() == Exit::ok;
    out.emit(json);
    return report.exit();
}

}  // namespace kith::app
