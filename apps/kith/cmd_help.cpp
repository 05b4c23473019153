// SPDX-License-Identifier: Apache-2.0
// kith help TOPIC: what does not fit beside an option.
#include <fmt/format.h>

#include "chat_command.hpp"
#include "options.hpp"

namespace kith::app {
namespace {

constexpr std::string_view targets_text = R"(Wherever a command takes a TARGET:

  /ip4/192.0.2.1/tcp/4001               an address; whoever answers there is taken
  /ip4/192.0.2.1/tcp/4001/p2p/12D3...   an address and who must answer there (exit 4 if it is somebody else)
  12D3KooW...                           a whole peer id: found on the LAN
  kR4f                                  the beginning or end of a peer id, at least 4 characters
  bo@desk, or bo                        the name of a peer on the LAN. Names prove nothing: ids do)";

constexpr std::string_view json_text = R"(With --json every line of standard output is one object with "v":1 and "type":

  ready      peer, addresses, name                              listen, chat: first line
  peer       peer, state, path, address, name ...               listen, chat, peers --watch: a change
  peer       peer, state, addresses, name, path, rtt_ms ...     peers: one that was found
  message    from, channel, text (or base64), path              listen, chat
  delivered  peer, channel, after_ms                            send, chat: the receiver has it
  ping       rtt_ms, sequence, peer                             ping
  perf       uploaded, upload_seconds, downloaded ...           perf
  test       peer, name, sent, received, expected, wrong,       test: one peer; connect_ms when this side dialled,
             ok, p50_ms, p99_ms, one_way_p99_ms ...             one_way by the clocks of both machines
  check      name, verdict (ok, warn, fail), detail, advice     doctor
  demo       step (started, met, message) ...                   demo
  result     ok                                                 doctor, demo, test: last line
  error      code, message, hint, retriable, doing              whatever failed

Notes for people go to standard error. Ignore members that you do not know.)";

}  // namespace

Exit run_help(const std::string& topic, Output& out) {
    if (topic == "exit-codes") {
        for (const auto& row : exit_meanings()) {
            auto json = object("exit_code");
            json["code"] = value(row.code);
            json["meaning"] = row.text;
            out.emit(json);
            out.line(fmt::format("{:>4}  {}", value(row.code), row.text));
        }
        return Exit::ok;
    }
    if (topic == "targets" || topic == "json") {
        out.raw(topic == "json" ? json_text : targets_text);
        out.raw("\n");
        return Exit::ok;
    }
    if (topic == "chat") {
        for (const auto& row : chat_help()) out.line(fmt::format("  {:<18} {}", row.usage, row.text));
        return Exit::ok;
    }
    return out.fail(Error{Errc::invalid_argument, "no such topic", topic}, "help", "kith help exit-codes, targets, json or chat");
}

}  // namespace kith::app
