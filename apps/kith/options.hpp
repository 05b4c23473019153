// SPDX-License-Identifier: Apache-2.0
// What the command line said, and the commands that take it. Each returns its exit code.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "exit_code.hpp"
#include "output.hpp"

namespace kith::app {

// Options every command understands.
struct Common {
    bool json = false;
    std::filesystem::path home;
    std::vector<std::string> listen;  // empty: the default of the command
    bool no_lan = false;
    std::string name;                    // what peers see
    std::optional<std::uint64_t> count;  // -C
    std::optional<double> wait;          // -W, seconds
};

struct ChatOptions {
    std::string channel = "chat";
    bool serve_perf = false;
};

struct PeersOptions {
    bool watch = false;
};

struct PingOptions {
    std::string target;
    double interval = 0.2;  // seconds
};

struct SendOptions {
    std::string target;
    std::string text;  // "-": from standard input
    std::string channel = "chat";
    bool whole = false;  // standard input is one message, not one per line
};

struct ListenOptions {
    std::vector<std::string> channels;  // besides "chat"
    bool serve_perf = false;
};

struct PerfOptions {
    std::string target;
    std::uint64_t upload = 64U << 20U;
    std::uint64_t download = 64U << 20U;
};

struct TestOptions {
    std::uint64_t peers = 1;
    std::uint64_t rounds = 4;
    std::uint64_t messages = 3;
    double pause = 0.25;  // seconds
};

Exit run_chat(const Common& common, const ChatOptions& options, Output& out);
Exit run_id(const Common& common, Output& out);
Exit run_peers(const Common& common, const PeersOptions& options, Output& out);
Exit run_ping(const Common& common, const PingOptions& options, Output& out);
Exit run_send(const Common& common, const app::SendOptions& options, Output& out);
Exit run_listen(const Common& common, const ListenOptions& options, Output& out);
Exit run_perf(const Common& common, const PerfOptions& options, Output& out);
Exit run_test(const Common& common, const TestOptions& options, Output& out);
Exit run_demo(const Common& common, Output& out);
Exit run_doctor(const Common& common, Output& out);
Exit run_help(const std::string& topic, Output& out);

}  // namespace kith::app
