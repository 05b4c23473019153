// SPDX-License-Identifier: Apache-2.0
// kith ping: round trips to any libp2p peer.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "events.hpp"
#include "parse.hpp"
#include "session.hpp"
#include "targets.hpp"

namespace kith::app {
namespace {

constexpr double default_wait = 10;  // to reach the peer, and for each answer
constexpr std::uint64_t default_count = 4;

struct Summary {
    std::uint64_t sent = 0;
    std::uint64_t answers = 0;
    double least = 0;
    double most = 0;
    double sum = 0;

    void add(double ms) {
        least = answers == 0 ? ms : std::min(least, ms);
        most = std::max(most, ms);
        sum += ms;
        ++answers;
    }
};

}  // namespace

Exit run_ping(const Common& common, const PingOptions& options, Output& out) {
    Session session{common, out, needs_for(options.target)};
    if (auto ok = session.start(); !ok) return out.fail(ok.error(), "could not start");
    const auto wait = from_seconds(common.wait.value_or(default_wait));
    const auto reached = reach(session, options.target, after(wait));
    if (!reached) return reached.exit;

    const auto count = common.count.value_or(default_count);
    Summary summary;
    std::optional<Error> failure;
    for (; summary.sent < count; ++summary.sent) {
        if (summary.sent > 0) session.pump([] { return false; }, after(from_seconds(options.interval)));
        if (session.interrupted() || out.broken()) break;
        auto answer =
            session.await<Result<PingResult>>([&](auto done) { session.node().async_ping(reached.peer, std::move(done), Wait{wait, {}}); },
                                              after(saturating_add(wait, std::chrono::milliseconds{500})));
        if (!answer) {
            if (answer.error() == Errc::cancelled && session.interrupted()) break;
            failure = answer.error();
            if (*failure != Errc::timeout) break;
            out.note("No answer in time");
            continue;
        }
        failure.reset();
        const double ms = milliseconds(answer->rtt);
        summary.add(ms);
        auto json = object("ping");
        json["rtt_ms"] = ms;
        json["sequence"] = summary.sent + 1;
        json["peer"] = reached.peer.text();
        out.emit(json);
        const auto info = session.node().peer(reached.peer);
        out.line(fmt::format("{} answers in {:.3f} ms  {}", shown(session.node(), reached.peer), ms, info ? info->path : ""));
    }
    session.stop();
    if (summary.answers > 1) {
        out.line(out.paint(Style::dim, fmt::format("{} answers: least {:.3f}, mean {:.3f}, most {:.3f} ms", summary.answers, summary.least,
                                                   summary.sum / static_cast<double>(summary.answers), summary.most)));
    }
    if (failure) return out.fail(*failure, fmt::format("no answer from {}", options.target));
    if (summary.answers == 0 && count > 0) return Exit::interrupted;
    return Exit::ok;
}

}  // namespace kith::app
