// SPDX-License-Identifier: Apache-2.0
// The kith peer of the interop matrix, over the public API. Usage and output: README.md beside this file.
#include <cstdlib>
#include <future>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "interop_streams.hpp"
#include "kith/kith.hpp"
#include "nlohmann/json.hpp"

namespace kith::interop {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::seconds step{25};  // for each thing that is waited for; the matrix gives 30
constexpr std::string_view pushed_protocol = "/test/pushed/1.0.0";
// What a kith node answers by itself, and what serve_streams() adds.
constexpr std::string_view spoken[] = {"/ipfs/id/1.0.0",  "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0", "/perf/1.0.0",
                                       "/kith/msg/1.0.0", echo_protocol,         upper_protocol};

struct Options {
    std::string action;
    std::string address;
    std::vector<std::string> listen;
    bool mdns = false;
    std::uint64_t count = 1;
    std::uint64_t bytes = 1;
    std::uint64_t streams = 1;
    std::uint64_t upload = 0;
    std::uint64_t download = 0;
};

// Called from the callback thread and from main: one write per line keeps lines whole.
void print(std::string_view type, Json json) {
    json["v"] = 1;
    json["type"] = type;
    std::cout << json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n" << std::flush;
}

int failed(std::string_view doing, const Error& error) {
    std::cerr << std::string{doing} + ": " + error.message() + "\n";
    return 1;
}

Json texts(const std::vector<Multiaddr>& addresses) {
    Json out = Json::array();
    for (const auto& address : addresses) out.push_back(address.text());
    return out;
}

Json identified(const PeerInfo& info) {
    Json out{{"peer", info.peer.text()}, {"protocols", info.protocols}, {"addresses", texts(info.addresses)}, {"agent", info.agent}};
    if (info.observed) out["observed"] = info.observed->text();
    return out;
}

// Whoever started us has seen enough, or is gone.
void wait_for_input_end() {
    while (std::cin.get() != std::char_traits<char>::eof()) {
    }
}

class Peer {
public:
    explicit Peer(const Options& options) : options_(options), node_(config(options)) { serve_streams(node_); }

    int run() {
        node_.on_peer([this](const PeerEvent& event) { on_event(event); });
        if (const auto ok = node_.start(); !ok) return failed("start", Status{ok}.error());
        if (options_.action == "serve") return serve();
        const auto address = Multiaddr::parse(options_.address);
        if (!address) return failed("address", address.error());
        const auto peer = node_.connect(*address, {step});
        if (!peer) return failed("connect", peer.error());
        if (options_.action == "identify") return identify();
        if (options_.action == "push") return push();
        if (options_.action == "ping") return ping(*peer);
        if (options_.action == "perf") return perf(*peer);
        if (options_.action == "echo") {
            const auto done = echo(node_, *peer, options_.bytes, options_.streams, {step});
            if (!done) return failed("echo", Status{done}.error());
            print("echo", {{"bytes", options_.bytes}, {"streams", options_.streams}, {"ok", true}});
            return 0;
        }
        const auto done = half_close(node_, *peer, {step});
        if (!done) return failed("half-close", Status{done}.error());
        print("half-close", {{"ok", true}});
        return 0;
    }

private:
    static Config config(const Options& options) {
        Config out;
        out.lan = options.mdns;
        out.listen = options.listen;
        out.serve_perf = true;
        out.keep_connected = false;  // a test wants to see what ends
        return out;
    }

    // On the callback thread.
    void on_event(const PeerEvent& event) {
        const bool serving = options_.action == "serve";
        if (serving && event.state == PeerState::found) {
            if (const auto info = node_.peer(event.peer)) {
                print("discovered", {{"peer", event.peer.text()}, {"addresses", texts(info->addresses)}});
            }
        }
        if (serving) print("peer", {{"state", name(event.state)}, {"peer", event.peer.text()}});
        if (event.state != PeerState::identified) return;
        const auto info = node_.peer(event.peer);
        if (!info) return;
        if (serving) print("identify", identified(*info));
        if (!first_) return;
        first_->set_value(*info);
        first_.reset();
    }

    int serve() {
        print("ready", {{"peer", node_.id().text()}, {"addresses", texts(node_.addresses())}});
        wait_for_input_end();
        return 0;
    }

    int identify() {
        if (told_.wait_for(step) != std::future_status::ready) return failed("identify", Errc::timeout);
        auto json = identified(told_.get());
        json["self"] = {{"peer", node_.id().text()}, {"protocols", spoken}, {"addresses", texts(node_.addresses())}};
        print("identify", std::move(json));
        wait_for_input_end();
        return 0;
    }

    int push() {
        if (told_.wait_for(step) != std::future_status::ready) return failed("identify", Errc::timeout);
        node_.handle_protocol(pushed_protocol, [](Stream stream) { stream.close_write(); });
        print("push", {{"ok", true}});
        wait_for_input_end();
        return 0;
    }

    int ping(const PeerId& peer) {
        for (std::uint64_t i = 0; i < options_.count; ++i) {
            const auto answer = node_.ping(peer, {step});
            if (!answer) return failed("ping", answer.error());
            print("ping", {{"rtt_ms", std::chrono::duration<double, std::milli>(answer->rtt).count()}});
        }
        return 0;
    }

    int perf(const PeerId& peer) {
        const auto rate = [](std::uint64_t bytes, Duration time) {
            return time > Duration{} ? static_cast<double>(bytes) / 1e6 / std::chrono::duration<double>(time).count() : 0.0;
        };
        const auto result = node_.perf(peer, options_.upload, options_.download, {step});
        if (!result) return failed("perf", result.error());
        print("perf", {{"upload_mb_s", rate(result->uploaded, result->upload_time)},
                       {"download_mb_s", rate(result->downloaded, result->download_time)}});
        return 0;
    }

    const Options options_;
    std::optional<std::promise<PeerInfo>> first_{std::in_place};  // the first identify, until it came
    std::future<PeerInfo> told_ = first_->get_future();
    Node node_;  // last: its callbacks use the others
};

std::optional<Options> parse(const std::vector<std::string>& words) {
    if (words.empty()) return std::nullopt;
    Options out;
    out.action = words.front();
    constexpr std::string_view actions[] = {"serve", "identify", "push", "ping", "echo", "half-close", "perf"};
    if (std::find(std::begin(actions), std::end(actions), out.action) == std::end(actions)) return std::nullopt;
    std::size_t at = 1;
    if (out.action != "serve") {
        if (words.size() < 2) return std::nullopt;
        out.address = words[at++];
    }
    const std::map<std::string_view, std::uint64_t*> numbers{{"--count", &out.count},
                                                             {"--bytes", &out.bytes},
                                                             {"--streams", &out.streams},
                                                             {"--upload", &out.upload},
                                                             {"--download", &out.download}};
    for (; at < words.size(); ++at) {
        const auto& word = words[at];
        if (word == "--json") continue;  // there is no other output
        if (word == "--mdns") {
            out.mdns = true;
            continue;
        }
        if (++at == words.size()) return std::nullopt;
        if (word == "--listen") {
            out.listen.push_back(words[at]);
            continue;
        }
        const auto number = numbers.find(word);
        if (number == numbers.end()) return std::nullopt;
        char* end = nullptr;
        *number->second = std::strtoull(words[at].c_str(), &end, 10);
        if (end == words[at].c_str() || *end != '\0') return std::nullopt;
    }
    if (out.listen.empty()) out.listen = {"/ip4/127.0.0.1/tcp/0"};
    return out;
}

}  // namespace
}  // namespace kith::interop

int main(int argc, char** argv) {
    const auto options = kith::interop::parse({argv + 1, argv + argc});
    if (!options) {
        std::cerr << "usage: interop-peer serve | identify|push|ping|echo|half-close|perf ADDR [options]\n";
        return 2;
    }
    kith::interop::Peer peer{*options};
    return peer.run();
}
