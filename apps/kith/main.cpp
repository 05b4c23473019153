// SPDX-License-Identifier: Apache-2.0
// The kith program: reads the command line and runs one command.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <clocale>
#include <exception>
#include <functional>
#include <string>
#include <string_view>

#include "home.hpp"
#include "kith/version.hpp"
#include "options.hpp"
#include "parse.hpp"
#include "sanitize.hpp"

namespace {

using namespace kith::app;

struct Arguments {
    Common common;
    ChatOptions chat;
    PeersOptions peers;
    PingOptions ping;
    kith::app::SendOptions send;
    ListenOptions listen;
    PerfOptions perf;
    TestOptions test;
    std::string topic = "exit-codes";
    std::function<Exit(const Arguments&, Output&)> command;
};

// Bytes as "64MiB"; shown as a usage error when it is none.
CLI::Option* size_option(CLI::App* to, const std::string& name, std::uint64_t& value, const std::string& text) {
    return to
        ->add_option_function<std::string>(
            name,
            [&value, name](const std::string& given) {
                const auto size = parse_size(given);
                if (!size) throw CLI::ValidationError(name, fmt::format("'{}' is not a size; write it like 64MiB", given));
                value = *size;
            },
            text)
        ->type_name("BYTES");
}

void add_common(CLI::App& app, Common& common) {
    app.add_flag("--json", common.json, "one JSON object per line; see: kith help json");
    app.add_option("--home", common.home, "folder of the identity")->type_name("DIR");
    app.add_option("--listen", common.listen, "where to accept links; may be repeated")->type_name("MULTIADDR")->allow_extra_args(false);
    app.add_flag("--no-lan", common.no_lan, "neither look for peers on the LAN nor be found there");
    app.add_option("--name", common.name, "the name peers see")->type_name("NAME");
    app.add_option("-C,--count", common.count, "end after so many (messages, pings, peers)")->type_name("N");
    app.add_option("-W,--wait", common.wait, "end after so many seconds, or wait so long for an answer")
        ->option_text("S")
        ->check(CLI::NonNegativeNumber);
}

void add_commands(CLI::App& app, Arguments& a) {
    const auto command = [&](const std::string& name, const std::string& text, auto run) {
        auto* sub = app.add_subcommand(name, text);
        sub->fallthrough();
        sub->callback([&a, run] { a.command = run; });
        return sub;
    };
    auto* chat = command("chat", "talk, line by line (also what kith alone does)",
                         [](const Arguments& args, Output& out) { return run_chat(args.common, args.chat, out); });
    chat->add_option("--channel", a.chat.channel, "the channel to talk on")->type_name("NAME");
    chat->add_flag("--serve-perf", a.chat.serve_perf, "answer kith perf");

    command("id", "who am I", [](const Arguments& args, Output& out) { return run_id(args.common, out); });

    auto* peers =
        command("peers", "who is near", [](const Arguments& args, Output& out) { return run_peers(args.common, args.peers, out); });
    peers->add_flag("--watch", a.peers.watch, "go on, and print every change");

    auto* ping = command("ping", "measure round trips to any libp2p peer",
                         [](const Arguments& args, Output& out) { return run_ping(args.common, args.ping, out); });
    ping->add_option("TARGET", a.ping.target, "see: kith help targets")->required()->option_text(" ");
    ping->add_option("-i,--interval", a.ping.interval, "seconds between two pings")->option_text("S")->check(CLI::NonNegativeNumber);

    auto* send = command("send", "send a message and wait until it is delivered",
                         [](const Arguments& args, Output& out) { return run_send(args.common, args.send, out); });
    send->add_option("TARGET", a.send.target, "see: kith help targets")->required()->option_text(" ");
    send->add_option("TEXT", a.send.text, "the message; - sends each line of standard input")->required()->option_text(" ");
    send->add_option("--channel", a.send.channel, "the channel to send on")->type_name("NAME");
    send->add_flag("--whole", a.send.whole, "with -: all of standard input is one message");

    auto* listen = command("listen", "print what arrives, for scripts",
                           [](const Arguments& args, Output& out) { return run_listen(args.common, args.listen, out); });
    listen->add_option("--channel", a.listen.channels, "a channel besides 'chat'; may be repeated")
        ->type_name("NAME")
        ->allow_extra_args(false);
    listen->add_flag("--serve-perf", a.listen.serve_perf, "answer kith perf");

    auto* perf = command("perf", "measure how fast bytes go to a peer and back",
                         [](const Arguments& args, Output& out) { return run_perf(args.common, args.perf, out); });
    perf->add_option("TARGET", a.perf.target, "see: kith help targets")->required()->option_text(" ");
    size_option(perf, "--upload", a.perf.upload, "how much to send, default 64MiB");
    size_option(perf, "--download", a.perf.download, "how much to fetch, default 64MiB");

    auto* test = command("test", "csend's sequence with every peer of the LAN that runs it too, and a verdict",
                         [](const Arguments& args, Output& out) { return run_test(args.common, args.test, out); });
    test->add_option("--peers", a.test.peers, "how many others to wait for, default 1")->type_name("N");
    test->add_option("--rounds", a.test.rounds, "default 4")->type_name("N");
    test->add_option("--messages", a.test.messages, "broadcasts, and messages to each peer, in a round; default 3")->type_name("N");
    test->add_option("--pause", a.test.pause, "seconds between two rounds, default 0.25")->option_text("S")->check(CLI::NonNegativeNumber);

    command("demo", "two processes find each other and talk: shows that it works here",
            [](const Arguments& args, Output& out) { return run_demo(args.common, out); });
    command("doctor", "check identity, ports, interfaces, multicast and clock",
            [](const Arguments& args, Output& out) { return run_doctor(args.common, out); });
    command("help", "more about: exit-codes, targets, json, chat", [](const Arguments& args, Output& out) {
        return run_help(args.topic, out);
    })->add_option("TOPIC", a.topic);
}

// The first thing to do about a wrong command line, in one line.
std::string usage_hint(const CLI::App& app) {
    for (const auto* sub : app.get_subcommands()) return fmt::format("kith {} --help", sub->get_name());
    return "kith --help";
}

Exit run(int argc, char** argv) {
    Arguments arguments;
    CLI::App app{"kith: direct, encrypted messages between peers", "kith"};
    app.set_version_flag("--version", "kith " + std::string{kith::version()});
    app.require_subcommand(0, 1);
    app.footer("Exit codes: kith help exit-codes.  Without a command: kith chat.");
    add_common(app, arguments.common);
    add_commands(app, arguments);

    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        const auto chosen = app.get_subcommands();
        fmt::print("{}", chosen.empty() ? app.help() : chosen.front()->help("kith"));
        return Exit::ok;
    } catch (const CLI::CallForVersion& version) {
        fmt::print("{}\n", version.what());
        return Exit::ok;
    } catch (const CLI::ParseError& wrong) {
        const bool json = std::any_of(argv, argv + argc, [](const char* word) { return std::string_view{word} == "--json"; });
        Output out{json};
        return out.fail(kith::Error{kith::Errc::invalid_argument, "the command line is wrong", wrong.what()}, "usage", usage_hint(app));
    }
    auto& common = arguments.common;
    if (common.home.empty()) common.home = default_home();
    Output out{common.json};
    if (!arguments.command) return run_chat(common, arguments.chat, out);
    return arguments.command(arguments, out);
}

}  // namespace

int main(int argc, char** argv) {
    std::setlocale(LC_CTYPE, "");
    try {
        return value(run(argc, argv));
    } catch (const std::exception& foreign) {
        // kith itself throws nothing; this is memory, or a defect of a library.
        fmt::print(stderr, "kith: {}\n", clean(foreign.what()));
        return value(Exit::local);
    }
}
