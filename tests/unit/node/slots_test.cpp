// SPDX-License-Identifier: Apache-2.0
// A fixed pool of outgoing connections for many more peers, with real sockets.
#include <algorithm>
#include <atomic>
#include <map>

#include "unit/node/support.hpp"

namespace kith::node::test {
namespace {

TEST(Slots, FourConnectionsServeSixtyFourPeers) {
    constexpr std::size_t peers = 64;
    constexpr std::size_t waves = 2;
    constexpr std::size_t per_wave = 10;
    constexpr std::uint64_t slots = 4;

    EventLoop loop;  // all receivers on one thread
    std::vector<Log<std::string>> got(peers);
    std::vector<std::unique_ptr<Node>> receivers;
    for (std::size_t i = 0; i < peers; ++i) {
        auto config = local();
        config.threads = ThreadMode::loop;
        config.loop = &loop;
        receivers.push_back(std::make_unique<Node>(std::move(config)));
        receivers[i]->on_message("chat", [&log = got[i]](const Message& m) { log.add(std::string{m.text()}); });
        ASSERT_TRUE(receivers[i]->start());
    }
    std::thread thread([&loop] { EXPECT_TRUE(loop.run()); });

    auto config = local();
    config.max_outbound = slots;
    Node sender(std::move(config));
    std::atomic<int> now{0};
    std::atomic<int> most{0};
    std::atomic<int> errors{0};
    sender.on_peer([&](const PeerEvent& e) {
        if (e.state == PeerState::connected) most = std::max(most.load(), ++now);
        if (e.state != PeerState::disconnected) return;
        --now;
        if (!e.error || e.error->code != Errc::going_away) ++errors;
    });
    ASSERT_TRUE(sender.start());
    for (const auto& node : receivers) ASSERT_TRUE(sender.add_address(node->addresses().front()));

    for (std::size_t wave = 0; wave < waves; ++wave) {
        for (std::size_t n = 0; n < per_wave; ++n) {
            for (std::size_t i = 0; i < peers; ++i) {
                const auto text = std::to_string(i) + "/" + std::to_string(wave * per_wave + n);
                ASSERT_TRUE(sender.send(receivers[i]->id(), "chat", text));
            }
        }
        for (auto& log : got) ASSERT_TRUE(log.wait_count((wave + 1) * per_wave)) << wave;
        EXPECT_LE(sender.stats().links_now, slots);
    }
    for (std::size_t i = 0; i < peers; ++i) {
        std::vector<std::string> sent;
        for (std::size_t n = 0; n < waves * per_wave; ++n) sent.push_back(std::to_string(i) + "/" + std::to_string(n));
        EXPECT_EQ(got[i].all(), sent) << i;
    }
    const auto stats = sender.stats();
    EXPECT_GE(stats.slots_given_up, peers - slots);
    EXPECT_EQ(stats.resyncs, 0U);
    EXPECT_LE(most, static_cast<int>(slots));
    EXPECT_EQ(errors, 0);
    sender.on_peer({});
    sender.stop();
    for (const auto& node : receivers) node->stop();
    loop.stop();
    thread.join();
}

}  // namespace
}  // namespace kith::node::test
