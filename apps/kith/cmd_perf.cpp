// SPDX-License-Identifier: Apache-2.0
// kith perf: how fast bytes go through a link, by libp2p's perf protocol.
#include <fmt/format.h>

#include <chrono>

#include "events.hpp"
#include "parse.hpp"
#include "session.hpp"
#include "targets.hpp"

namespace kith::app {
namespace {

constexpr double default_wait = 120;

double megabytes_per_second(std::uint64_t bytes, Duration time) {
    const double seconds = std::chrono::duration<double>(time).count();
    return seconds > 0 ? static_cast<double>(bytes) / 1e6 / seconds : 0;
}

}  // namespace

Exit run_perf(const Common& common, const PerfOptions& options, Output& out) {
    Session session{common, out, needs_for(options.target)};
    if (auto ok = session.start(); !ok) return out.fail(ok.error(), "could not start");
    const auto wait = from_seconds(common.wait.value_or(default_wait));
    const auto reached = reach(session, options.target, after(std::min<Duration>(wait, std::chrono::seconds{10})));
    if (!reached) return reached.exit;
    out.note(fmt::format("Sending {} and fetching {} ...", size_text(options.upload), size_text(options.download)));
    const auto result = session.background<Result<PerfResult>>([&](std::stop_token stop) {
        return session.node().perf(reached.peer, options.upload, options.download, Wait{wait, std::move(stop)});
    });
    session.stop();
    if (!result) {
        return out.fail(result.error(), fmt::format("could not measure with {}", options.target),
                        result.error() == Errc::not_supported ? "start the other side with --serve-perf" : "");
    }
    auto json = object("perf");
    json["peer"] = reached.peer.text();
    json["uploaded"] = result->uploaded;
    json["upload_seconds"] = std::chrono::duration<double>(result->upload_time).count();
    json["upload_mb_s"] = megabytes_per_second(result->uploaded, result->upload_time);
    json["downloaded"] = result->downloaded;
    json["download_seconds"] = std::chrono::duration<double>(result->download_time).count();
    json["download_mb_s"] = megabytes_per_second(result->downloaded, result->download_time);
    out.emit(json);
    out.line(fmt::format("up    {:>10} in {:>8}  {:8.1f} MB/s", size_text(result->uploaded), duration_text(result->upload_time),
                         megabytes_per_second(result->uploaded, result->upload_time)));
    out.line(fmt::format("down  {:>10} in {:>8}  {:8.1f} MB/s", size_text(result->downloaded), duration_text(result->download_time),
                         megabytes_per_second(result->downloaded, result->download_time)));
    return Exit::ok;
}

}  // namespace kith::app
