// SPDX-License-Identifier: Apache-2.0
// Judges the histories of two processes (history.hpp) by testing::Checker, the judge of the simulator. Prints one JSON line and ends
// with 1 when there is a violation.
// Usage: history_check LOG LOG
#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "testing/checker.hpp"

namespace {

using Json = nlohmann::json;
using kith::testing::Checker;

struct Entry {
    std::int64_t t = 0;
    std::size_t node = 0;  // whose history it is
    Json json;
};

using LaneKey = std::tuple<std::size_t, std::size_t, std::string, int>;  // from, to, channel, priority

class Judge {
public:
    void read(const std::string& path) {
        std::ifstream file(path);
        std::size_t node = 0;
        bool started = false;
        for (std::string line; std::getline(file, line);) {
            auto json = Json::parse(line, nullptr, false);
            if (json.is_discarded()) {  // the last line of a killed process may be torn; any other is a defect of the test
                if (file.peek() != EOF) checker_.violation(path + " has a line that is no JSON");
                continue;
            }
            if (json.at("k") == "start") {
                node = json.at("node").get<std::size_t>();
                started = true;
            }
            entries_.push_back({json.at("t").get<std::int64_t>(), node, std::move(json)});
        }
        if (!started) checker_.violation(path + " has no start");
    }

    int run() {
        std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.t < b.t; });
        for (const auto& entry : entries_) {
            const auto kind = entry.json.at("k").get<std::string>();
            if (kind == "accept") accept(entry);
            if (kind == "deliver") deliver(entry);
            if (kind == "receipt") receipt(entry);
        }
        const auto violations = checker_.verdict();
        Json out;
        out["type"] = "verdict";
        out["accepted"] = checker_.accepted();
        out["delivered"] = delivered_;
        out["receipts"] = receipts_;
        out["marked"] = checker_.marked();
        out["violations"] = violations;
        std::cout << out.dump() << "\n";
        return violations.empty() ? 0 : 1;
    }

private:
    static LaneKey lane(std::size_t from, std::size_t to, const Json& json) {
        return {from, to, json.at("channel").get<std::string>(), json.at("priority").get<int>()};
    }
    static std::uint64_t hash(const Json& json) { return std::stoull(json.at("hash").get<std::string>()); }
    std::string text(const Entry& entry) const { return "node " + std::to_string(entry.node) + " said " + entry.json.dump(); }

    // The checker makes the message once more; it must be the one that was sent.
    void accept(const Entry& entry) {
        const auto& json = entry.json;
        const auto key = lane(entry.node, json.at("to").get<std::size_t>(), json);
        const auto& [from, to, channel, priority] = key;
        auto& made = made_[key];
        const auto token = ++last_token_;
        auto bytes = checker_.make(from, to, channel, static_cast<kith::Priority>(priority), json.at("size").get<std::size_t>(), token);
        made.push_back({std::move(bytes), token});
        if (made.size() != json.at("n").get<std::uint64_t>() || kith::testing::hash_of(made.back().bytes) != hash(json)) {
            checker_.violation("not the message that the test was to send: " + text(entry));
        }
    }

    void deliver(const Entry& entry) {
        const auto& json = entry.json;
        const auto key = lane(json.at("from").get<std::size_t>(), entry.node, json);
        const auto number = json.at("n").get<std::uint64_t>();
        auto& made = made_[key];
        if (number == 0 || number > made.size()) return checker_.violation("a message that nobody sent: " + text(entry));
        auto& message = made[number - 1];
        if (message.taken) return checker_.violation("a second time: " + text(entry));
        if (message.bytes.size() != json.at("size").get<std::size_t>() || kith::testing::hash_of(message.bytes) != hash(json)) {
            return checker_.violation("other bytes: " + text(entry));
        }
        const auto& [from, to, channel, priority] = key;
        checker_.delivered(from, to, channel, message.bytes, json.at("repeat").get<bool>());
        checker_.released(from, 1);  // seen from outside, room is given back with the receipt: judged below
        message.bytes = {};
        message.taken = true;
        ++delivered_;
    }

    void receipt(const Entry& entry) {
        const auto& json = entry.json;
        const auto& made = made_[lane(entry.node, json.at("to").get<std::size_t>(), json)];
        const auto number = json.at("n").get<std::uint64_t>();
        if (number == 0 || number > made.size()) return checker_.violation("a receipt for no message: " + text(entry));
        if (json.at("outcome") != "delivered") return checker_.violation("not delivered: " + text(entry));
        checker_.receipt(made[number - 1].token, kith::Receipt::Outcome::delivered);
        ++receipts_;
    }

    struct Made {
        kith::Bytes bytes;  // until it was handed over
        std::uint64_t token = 0;
        bool taken = false;
    };
    Checker checker_;
    std::vector<Entry> entries_;
    std::map<LaneKey, std::vector<Made>> made_;  // by number - 1
    std::uint64_t last_token_ = 0;
    std::uint64_t delivered_ = 0;
    std::uint64_t receipts_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::cerr << "usage: history_check LOG LOG\n";
        return 2;
    }
    Judge judge;
    for (int i = 1; i < argc; ++i) judge.read(argv[i]);
    return judge.run();
}
