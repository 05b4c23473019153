// SPDX-License-Identifier: Apache-2.0
// Nodes with a database, and what is needed to stop and start them with the same identity and file.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "unit/node/support.hpp"

namespace kith::node::test {

struct Got {
    std::string text;
    std::uint64_t inbox = 0;
    bool repeat = false;
    bool durable = false;
};

// One machine: its folder outlives its nodes.
class Machine {
public:
    Config config() const {
        auto out = local();
        out.home = folder_.path;
        out.durable_from = DurableFrom::everybody;
        return out;
    }
    Node& start() { return start(config()); }
    Node& start(Config config) {
        node_ = std::make_unique<Node>(std::move(config));
        const auto ok = node_->start();
        EXPECT_TRUE(ok) << (ok ? Error{} : Error{Status{ok}.error()});
        return *node_;
    }
    void stop() { node_.reset(); }
    Node& operator*() noexcept { return *node_; }
    Node* operator->() noexcept { return node_.get(); }
    const std::filesystem::path& home() const noexcept { return folder_.path; }

    // Puts what comes into `got`.
    void listen(std::string_view channel, const Subscription& subscription = {}) {
        node_->on_message(
            channel, [this](const Message& m) { got.add({std::string{m.text()}, m.inbox_id, m.maybe_repeat, m.durable}); }, subscription);
    }
    Log<Got> got;

private:
    Folder folder_;
    std::unique_ptr<Node> node_;
};

inline void connect(Machine& from, Machine& to) {
    const auto peer = from->connect(to->addresses().front(), patient);
    ASSERT_TRUE(peer) << peer.error();
}

inline SendOptions durable(Receipt::Outcome until = Receipt::Outcome::delivered) {
    SendOptions options;
    options.strength = Strength::durable;
    options.until = until;
    return options;
}

}  // namespace kith::node::test
