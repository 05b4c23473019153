// SPDX-License-Identifier: Apache-2.0
// kith send: messages, each waited for until the receiver has it.
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "events.hpp"
#include "parse.hpp"
#include "session.hpp"
#include "targets.hpp"

namespace kith::app {
namespace {

constexpr double default_wait = 10;  // to reach the peer, and for each receipt
constexpr std::size_t max_in_flight = 256;
constexpr std::size_t max_message = 1U << 20U;

std::string_view outcome_name(Receipt::Outcome outcome) {
    switch (outcome) {
        case Receipt::Outcome::delivered:
            return "delivered";
        case Receipt::Outcome::stored:
            return "stored";
        case Receipt::Outcome::processed:
            return "processed";
        case Receipt::Outcome::expired:
            return "expired";
        case Receipt::Outcome::cancelled:
            return "cancelled";
        case Receipt::Outcome::replaced:
            return "replaced";
        case Receipt::Outcome::sent:
            return "sent";
        case Receipt::Outcome::failed:
            return "failed";
        case Receipt::Outcome::unknown:
            return "unknown";
    }
    return "unknown";
}

class Sender {
public:
    Sender(Session& session, const app::SendOptions& options, PeerId peer, Duration wait)
        : session_(session), options_(options), peer_(peer), wait_(wait) {}

    Exit one(std::string_view text) {
        if (!submit(as_bytes(text))) return exit_;
        return drain(0);
    }

    Exit from_input() {
        std::string pending;
        std::array<char, 64 * 1024> chunk;
        for (bool end = false; !end && exit_ == Exit::ok;) {
            if (!session_.turn(waiting_.empty() ? never : waiting_.front().deadline, STDIN_FILENO)) {
                if (session_.interrupted()) return Exit::interrupted;
                report();
                if (!waiting_.empty() && Clock::now() >= waiting_.front().deadline) drain(waiting_.size() - 1);
                continue;
            }
            const auto n = ::read(STDIN_FILENO, chunk.data(), chunk.size());
            if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
            end = n <= 0;
            if (n > 0) pending.append(chunk.data(), static_cast<std::size_t>(n));
            if (pending.size() > max_message + 1 && (options_.whole || pending.find('\n') == std::string::npos)) return too_large();
            if (!options_.whole && !lines(pending, end)) return exit_;
            if (options_.whole && end && !submit(as_bytes(pending))) return exit_;
        }
        return drain(0);
    }

private:
    using Slot = std::shared_ptr<std::optional<Result<Receipt>>>;
    struct Waiting {
        Slot slot;
        Deadline deadline;
        std::size_t size = 0;
    };

    Exit too_large() {
        return exit_ = session_.out().fail(Error{Errc::too_large, "more than 1 MiB in one message"}, "could not send",
                                           "send it in parts; files come with a later version");
    }

    bool lines(std::string& pending, bool end) {
        std::size_t from = 0;
        for (auto at = pending.find('\n'); at != std::string::npos; at = pending.find('\n', from)) {
            if (!submit(as_bytes(std::string_view{pending}.substr(from, at - from)))) return false;
            from = at + 1;
        }
        pending.erase(0, from);
        return !end || pending.empty() || submit(as_bytes(pending));
    }

    bool submit(ByteView bytes) {
        if (drain(max_in_flight - 1) != Exit::ok) return false;
        if (bytes.size() > max_message) return too_large() == Exit::ok;
        auto slot = std::make_shared<std::optional<Result<Receipt>>>();
        session_.node().async_send(peer_, options_.channel, Bytes(bytes.begin(), bytes.end()),
                                   [slot](Result<Receipt> result) { slot->emplace(std::move(result)); });
        waiting_.push_back({slot, after(wait_), bytes.size()});
        return true;
    }

    // Prints what is answered, in the order of sending.
    void report() {
        while (!waiting_.empty() && waiting_.front().slot->has_value() && exit_ == Exit::ok) {
            const auto result = std::move(**waiting_.front().slot);
            const auto size = waiting_.front().size;
            waiting_.pop_front();
            if (!result) {
                exit_ = session_.out().fail(result.error(), fmt::format("could not send to {}", options_.target));
            } else {
                print(*result, size);
            }
        }
    }

    void print(const Receipt& receipt, std::size_t size) {
        auto& out = session_.out();
        const auto info = session_.node().peer(peer_);
        auto json = object(outcome_name(receipt.outcome));
        json["peer"] = peer_.text();
        json["channel"] = options_.channel;
        json["bytes"] = size;
        json["after_ms"] = milliseconds(receipt.after);
        if (info && !info->path.empty()) json["path"] = info->path;
        if (receipt.outcome == Receipt::Outcome::delivered || receipt.outcome == Receipt::Outcome::sent) {
            out.emit(json);
            out.line(fmt::format("{} to {}  {}  {}", out.paint(Style::good, outcome_name(receipt.outcome)), shown(session_.node(), peer_),
                                 info ? info->path : "", duration_text(receipt.after)));
            return;
        }
        exit_ =
            out.fail(Error{Errc::link_lost, receipt.outcome == Receipt::Outcome::failed ? "the message was not delivered"
                                                                                        : "it is not known whether the message arrived"},
                     fmt::format("could not send to {}", options_.target));
    }

    Exit no_receipt() {
        const auto info = session_.node().peer(peer_);
        const bool gone = !info || info->links == 0;
        return session_.out().fail(
            gone ? Error{Errc::not_connected, "the peer went away before it confirmed"} : Error{Errc::timeout, "no receipt from the peer"},
            fmt::format("could not send to {}", options_.target),
            gone ? std::string{"send it again when the peer is back"}
                 : fmt::format("check that something listens to the channel '{}' there", options_.channel));
    }

    // Until at most `most` messages wait for their receipt.
    Exit drain(std::size_t most) {
        report();
        while (waiting_.size() > most && exit_ == Exit::ok) {
            const bool answered = session_.pump([&] { return waiting_.front().slot->has_value(); }, waiting_.front().deadline);
            if (session_.interrupted() || session_.out().broken()) return exit_ = Exit::interrupted;
            if (!answered) return exit_ = no_receipt();
            report();
        }
        return exit_;
    }

    Session& session_;
    const app::SendOptions& options_;
    PeerId peer_;
    Duration wait_;
    std::deque<Waiting> waiting_;
    Exit exit_ = Exit::ok;
};

}  // namespace

Exit run_send(const Common& common, const app::SendOptions& options, Output& out) {
    Session session{common, out, needs_for(options.target)};
    if (options.text != "-" && options.text.size() > max_message) {
        return out.fail(Error{Errc::too_large, "more than 1 MiB in one message"}, "could not send");
    }
    if (auto ok = session.start(); !ok) return out.fail(ok.error(), "could not start");
    const auto wait = from_seconds(common.wait.value_or(default_wait));
    const auto reached = reach(session, options.target, after(wait));
    if (!reached) return reached.exit;
    Sender sender{session, options, reached.peer, wait};
    const auto exit = options.text == "-" ? sender.from_input() : sender.one(options.text);
    session.stop();
    return exit;
}

}  // namespace kith::app
