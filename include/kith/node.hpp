// SPDX-License-Identifier: Apache-2.0
// The facade: one node, its peers, channels and streams.
#pragma once

#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "kith/bytes.hpp"
#include "kith/config.hpp"
#include "kith/error.hpp"
#include "kith/event.hpp"
#include "kith/function.hpp"
#include "kith/message.hpp"
#include "kith/multiaddr.hpp"
#include "kith/peer_id.hpp"
#include "kith/pressure.hpp"
#include "kith/stats.hpp"
#include "kith/stream.hpp"

namespace kith {
inline namespace v0 {

struct PingResult {
    Duration rtt{};
};

struct PerfResult {
    std::uint64_t uploaded = 0;    // bytes
    std::uint64_t downloaded = 0;  // bytes
    Duration upload_time{};        // until the peer's first byte or end
    Duration download_time{};
};

// What became of a broadcast at one peer.
struct BroadcastResult {
    PeerId peer;
    Status status;
};

// A (peer, channel) pair for the hot path: send() without looking names up. Copyable, thread-safe; may be made before the peer is
// known; outliving the node is harmless (send says `stopped`).
class Channel {
public:
    Channel() = default;
    // As Node::send.
    Status send(ByteView bytes, const SendOptions& options = {});
    Status send(std::string_view text, const SendOptions& options = {}) { return send(as_bytes(text), options); }
    // Takes the buffer; 16 KiB and more are not copied.
    Status send(Bytes&& bytes, const SendOptions& options = {});
    Status send(ByteView bytes, const SendOptions& options, const Wait& wait);
    Status send(std::string_view text, const SendOptions& options, const Wait& wait) { return send(as_bytes(text), options, wait); }
    // 0 to 100, see kith/pressure.hpp; 0 while nothing was sent. Costs one atomic read.
    int pressure() const noexcept;

    class Impl;
    explicit Channel(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

private:
    std::shared_ptr<Impl> impl_;
};

// Threads: every member may be called from any thread, also from callbacks. Callbacks never run inside a call of yours and
// one at a time. Completions (`done`) are callbacks too; after stop() they are destroyed without being called. Blocking calls
// (those with Wait) return would_deadlock on the engine's or callback thread; send() there just does not wait. After stop() returned no
// callback runs. See docs/threading.md.
class Node {
public:
    explicit Node(Config config = {});
    ~Node();  // stops
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    // Loads or makes the identity, listens, announces. Errors: what the identity or the sockets say; already_started.
    Status start();
    // What was sent before still goes out as far as the system takes it at once; then the links are closed. Whoever waits gets
    // `stopped`, or the outcome `unknown` or `failed` of a message (with manual_dispatch or an executor: called by this thread).
    // Idempotent. Returns when no callback runs; inside a callback at once, and then nothing is called any more. A node is not
    // started again: already_started.
    void stop();
    // Blocks until stop(), SIGINT or SIGTERM, then stops. In ThreadMode::polled and ::loop it drives the loop, if no thread does.
    void run();
    // ThreadMode::polled: one turn; waits at most `timeout` for something to do. Returns how much was handled.
    std::size_t poll(Duration timeout = {});
    // Config::manual_dispatch: runs waiting callbacks; returns how many. dispatch_fd() is readable while some wait.
    std::size_t dispatch();
    int dispatch_fd() const;

    const PeerId& id() const;  // valid after start()
    const std::string& name() const;
    std::vector<Multiaddr> addresses() const;  // where we listen, with /p2p/<id>; unspecified addresses are expanded
    std::vector<PeerInfo> peers() const;
    Result<PeerInfo> peer(const PeerId& peer) const;  // unknown_peer
    Stats stats() const;

    // ---- connect
    // Target: a multiaddr (with or without /p2p/<id>). With an id the link counts only if that key is proved (wrong_peer).
    Result<PeerId> connect(const Multiaddr& target, const Wait& wait = {});
    // A peer with known addresses (LAN, identify, add_address). Connected already: at once.
    Result<PeerId> connect(const PeerId& target, const Wait& wait = {});
    void async_connect(const Multiaddr& target, Function<void(Result<PeerId>)> done, const Wait& wait = {});
    void async_connect(const PeerId& target, Function<void(Result<PeerId>)> done, const Wait& wait = {});
    Status add_address(const Multiaddr& address);  // must end in /p2p/<id>
    void disconnect(const PeerId& peer);           // closes all links and stops dialling it

    // ---- messages: named channels, whole messages
    // ok means admitted: kept until the receiver's handler returned, across cuts of the link. A durable message is safe from the
    // outcome `stored` on, milliseconds later; then it waits as long as it must. Refusals, at once and without allocation:
    // unknown_peer (neither connected nor an address known, nor durable messages waiting), queue_full, too_large, stopped,
    // not_supported, no_store.
    Status send(const PeerId& peer, std::string_view channel, ByteView bytes, const SendOptions& options = {});
    Status send(const PeerId& peer, std::string_view channel, std::string_view text, const SendOptions& options = {}) {
        return send(peer, channel, as_bytes(text), options);
    }
    // Waits for room until the deadline (queue_full) or the stop token (cancelled), whatever options.wait says. Without room on
    // the engine's or callback thread: would_block_callback, at once.
    Status send(const PeerId& peer, std::string_view channel, ByteView bytes, const SendOptions& options, const Wait& wait);
    Status send(const PeerId& peer, std::string_view channel, std::string_view text, const SendOptions& options, const Wait& wait) {
        return send(peer, channel, as_bytes(text), options, wait);
    }
    // To every connected peer, but those of which is known that they do not speak /kith/msg; one result for each. A full queue
    // holds up no other peer: with options.wait all get what room there is first, and then those without are waited for together.
    std::vector<BroadcastResult> broadcast(std::string_view channel, ByteView bytes, const SendOptions& options = {});
    std::vector<BroadcastResult> broadcast(std::string_view channel, std::string_view text, const SendOptions& options = {}) {
        return broadcast(channel, as_bytes(text), options);
    }
    // As send, and tells how it ended, or with SendOptions::until how far it came.
    SendId async_send(const PeerId& peer, std::string_view channel, Bytes bytes, Function<void(Result<Receipt>)> done,
                      const SendOptions& options = {});
    Result<Receipt> deliver(const PeerId& peer, std::string_view channel, ByteView bytes, const SendOptions& options = {},
                            const Wait& wait = {});
    // Ends a message as `cancelled` if it certainly was not and will not be handed over; else it ends as it would have. `done` tells.
    void cancel(const SendId& message);
    // Ends everything that waits for the peer, durable messages as well: as `failed`, or `unknown` when it was on the wire.
    void forget(const PeerId& peer);
    Channel channel(const PeerId& peer, std::string_view name);
    // How full the outbox of the peer is: its durable messages. Errors: unknown_peer.
    Result<QueueInfo> outbox(const PeerId& peer) const;
    // How full the queue to that peer and channel is, durable messages not counted. Errors: unknown_peer.
    Result<QueueInfo> queue(const PeerId& peer, std::string_view channel) const;

    // One handler per channel; a channel without handler keeps its senders waiting (nothing is lost). Returning from the
    // handler acknowledges; a durable message was acknowledged when it was on disk, and leaves it when the handler returned.
    // on_messages gets what came together, in order of arrival.
    void on_message(std::string_view channel, Function<void(const Message&)> handler, const Subscription& subscription = {});
    void on_messages(std::string_view channel, Function<void(std::span<const Message>)> handler, const Subscription& subscription = {});
    // How durable messages ended: those with a tag, and those that ended otherwise than delivered; also of earlier runs. Each is
    // forgotten when the handler returned; after a crash it can be told again.
    void on_outcome(Function<void(const DurableOutcome&)> handler);

    // ---- raw libp2p streams
    void handle_protocol(std::string_view protocol, Function<void(Stream)> handler);
    Result<Stream> open_stream(const PeerId& peer, std::string_view protocol, const Wait& wait = {});
    void async_open_stream(const PeerId& peer, std::string_view protocol, Function<void(Result<Stream>)> done, const Wait& wait = {});

    // ---- protocols every libp2p peer has
    Result<PingResult> ping(const PeerId& peer, const Wait& wait = {});
    void async_ping(const PeerId& peer, Function<void(Result<PingResult>)> done, const Wait& wait = {});
    Result<PerfResult> perf(const PeerId& peer, std::uint64_t upload, std::uint64_t download, const Wait& wait = {});

    // ---- events
    void on_peer(Function<void(const PeerEvent&)> handler);
    void on_notice(Function<void(const Notice&)> handler);  // set it before start(), to hear what became of the database
    // A queue reached the high watermark, or fell back to the low one; in turn, beginning with the high one, also for a queue
    // that is above when the handler is set. At most one of each is told per queue and run of callbacks; a slow callback thread
    // misses further pairs (counted in Stats::events_dropped), never the last state.
    void on_pressure(Function<void(const PressureEvent&)> handler);

    class Impl;

private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace v0
}  // namespace kith
