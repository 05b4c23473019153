// SPDX-License-Identifier: Apache-2.0
// Everything that can be set before start(). All fields have a good default.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kith/function.hpp"
#include "kith/identity.hpp"
#include "kith/pressure.hpp"
#include "kith/time.hpp"

namespace kith {
inline namespace v0 {

class EventLoop;

// Who runs the engine and the callbacks; see docs/threading.md.
enum class ThreadMode : std::uint8_t {
    own,     // the node has a thread for the engine and one for callbacks
    loop,    // both on Config::loop
    polled,  // both inside Node::poll()
};

// Whose durable messages are taken. A peer whose are not keeps them waiting until they are.
enum class DurableFrom : std::uint8_t {
    nobody,
    known,  // peers that were sent to or dialled from here, whose address was given to add_address, or that were known before
    everybody,
};

// What strangers may use. Counted per node; every refusal is counted in Stats.
struct Limits {
    std::size_t max_links = 20'000;
    std::size_t max_links_per_peer = 8;
    std::size_t max_links_per_address = 64;  // one IPv4 address, or one IPv6 /64
    std::size_t max_handshakes = 256;        // links that are not authenticated yet, in all
    std::size_t max_handshakes_per_address = 16;
    double new_links_per_second = 500;             // accepted links in all; burst of one second
    double new_links_per_second_per_address = 20;  // burst of 3 seconds; 127.0.0.0/8 and ::1 count like any other
    std::size_t max_streams_per_link = 256;        // opened by the peer
    std::size_t max_window_per_link = 64u << 20;   // yamux receive windows of one link, bytes
    std::size_t max_channels_per_peer = 64;
    std::size_t max_peers_known = 4096;
    std::size_t max_addresses_per_peer = 16;
};

struct Config {
    std::string name{};                                                      // a name for people; shown to authenticated peers only
    bool lan = true;                                                         // find peers on the LAN (mDNS) and be found
    bool lan_auto_connect = true;                                            // connect to every peer that is found there
    std::vector<std::string> listen{"/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0"};  // multiaddrs; empty: dial only
    std::filesystem::path home{};                                            // holds the key file; empty: a new identity for this run
    std::shared_ptr<Identity> identity{};                                    // instead of `home`
    std::filesystem::path store{};  // the file of durable messages; empty: kith.db in `home`, if set
    std::string agent{};            // agent version in identify; default "kith/<version>"

    ThreadMode threads = ThreadMode::own;
    EventLoop* loop = nullptr;                    // ThreadMode::loop; must outlive the node
    Function<void(Function<void()>)> executor{};  // ThreadMode::own: runs callbacks instead of the node's second thread; one at a time
    bool manual_dispatch = false;                 // ThreadMode::own: callbacks run in Node::dispatch()

    std::size_t max_message = 1u << 20;       // bytes of one message, both directions
    std::size_t max_queued_bytes = 8u << 20;  // waiting or unacknowledged, per peer and channel
    std::size_t max_queued_messages = 65'536;
    PressurePolicy pressure{};  // which priority gives way when such a queue fills
    int high_watermark = 90;    // percent; Node::on_pressure tells when a queue reaches it ...
    int low_watermark = 50;     // ... and when it has fallen to this one again; less than high_watermark
    bool durable = true;        // false: no database, though `home` or `store` is set
    // Durable messages that are not delivered yet, on disk: of one peer and of all together. Then queue_full.
    std::size_t outbox_messages = 1'000'000;
    std::size_t outbox_bytes = std::size_t{1} << 30;
    std::size_t outbox_total_messages = 4'000'000;
    std::size_t outbox_total_bytes = std::size_t{4} << 30;
    // Durable messages of one sender's channel and priority that the application has not processed, on disk: then he waits.
    std::size_t inbox_bytes = 64u << 20;
    DurableFrom durable_from = DurableFrom::known;
    std::size_t max_events = 4096;  // waiting for callbacks; older ones are dropped and counted

    // Links that this node dialled, with those being dialled; 0: no limit. Peers take turns when there are more of them, and
    // nothing is lost: docs/connections.md. Accepted links do not count.
    std::size_t max_outbound = 0;
    Duration dial_timeout = std::chrono::seconds{10};         // of one peer, all its addresses together; at most 30 s
    Duration handshake_timeout = std::chrono::seconds{10};    // from the TCP connection to the authenticated link
    Duration negotiation_timeout = std::chrono::seconds{10};  // of one stream
    Duration ping_after_idle = std::chrono::seconds{10};
    Duration dead_after_silence = std::chrono::seconds{15};
    bool keep_connected = true;  // dial again, with back-off, when the link to a peer that was dialled or sent to is lost
    bool serve_perf = false;     // answer /perf/1.0.0: lets any peer use the full bandwidth

    Limits limits{};
};

}  // namespace v0
}  // namespace kith
