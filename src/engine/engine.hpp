// SPDX-License-Identifier: Apache-2.0
// The composer of everything: links, streams, protocols, messages, peers. A pure state machine: no socket, no clock, no thread.
//
// One turn of its driver: give every input that is ready, then read outputs() once and carry them out (clear_outputs()), then
// pull() every link that wants to write until 0 or until its socket is full, then sleep until next_deadline().
// Inputs are the methods that take `now`. Bytes given in are lent for the call. Nothing here calls back.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "crypto/drbg.hpp"
#include "crypto/ed25519.hpp"
#include "engine/links.hpp"
#include "engine/peers.hpp"
#include "engine/raw_streams.hpp"
#include "engine/registry.hpp"
#include "engine/timers.hpp"
#include "engine/types.hpp"
#include "kith/function.hpp"
#include "kith/stats.hpp"
#include "peer/book.hpp"
#include "peer/gate.hpp"
#include "peer/slots.hpp"

namespace kith::protocol {
class Identify;
class Ping;
class Perf;
}  // namespace kith::protocol

namespace kith::discovery {
class Mdns;
}

namespace kith::engine {

inline constexpr std::string_view message_protocol = "/kith/msg/1.0.0";
inline constexpr Duration dial_stagger =
    std::chrono::milliseconds{250};                                    // the next address starts when the former has not answered by then
inline constexpr std::size_t pull_room = 8 * connection::record_room;  // bytes that one pull() fills at most

class Engine {
public:
    // `seed`: 32 random bytes, the only randomness that the engine gets.
    Engine(Config config, const crypto::SigningKey& key, crypto::Secret32 seed, Instant now);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    // ---- outputs
    Outputs& outputs() noexcept { return outputs_; }
    std::optional<Instant> next_deadline() const;
    // Writes sealed records (at most pull_room bytes) of a link; 0: nothing more to write now.
    std::size_t pull(LinkId link, MutableBytes out, Instant now);

    // ---- inputs: links (engine_links.cpp)
    LinkId accepted(const Endpoint& local, const Endpoint& remote, Instant now);  // id 0: refused, close the socket
    void link_up(LinkId link, const LinkUp& ends, Instant now);                   // answer to OpenLink
    void link_failed(LinkId link, const Error& error, Instant now);               // likewise
    void link_closed(LinkId link, const Error& error, Instant now);               // the socket ended, or CloseLink is done
    // Copies the saved beginning of a record into `room` (at least connection::max_record bytes) and returns its size: read
    // behind it, then give both to received().
    std::size_t take_head(LinkId link, MutableBytes room);
    void received(LinkId link, MutableBytes bytes, Instant now);
    void tick(Instant now);  // everything that is due

    // ---- inputs: dialling (engine_dial.cpp)
    void set_listen_addresses(std::vector<Multiaddr> addresses, std::vector<std::uint16_t> any_v6_ports, Instant now);
    void connect(OpId op, const ConnectTarget& target, Instant now);  // completes with PeerId or Error
    void cancel(OpId op, const Error& why, Instant now);
    void disconnect(const PeerId& peer, Instant now);
    void add_address(const PeerId& peer, const Multiaddr& address, peer::Source source, std::optional<Instant> expires, Instant now);
    void lan_lost(const PeerId& peer, Instant now);
    void resolved(std::uint64_t query, std::span<const IpAddress> addresses, const Error* error, Instant now);

    // ---- inputs: the LAN (engine_lan.cpp)
    void lan_start(Instant now);
    void lan_interfaces(std::vector<LanInterface> interfaces, Instant now);
    void lan_packet(std::uint32_t interface, const Endpoint& from, ByteView bytes, Instant now);
    void lan_stop(Instant now);

    // ---- inputs: messages (engine_messages.cpp)
    Result<LaneHandle> lane(const PeerId& peer, std::string_view channel, Strength strength, Priority priority, Instant now);
    void send(LaneHandle lane, delivery::Outgoing message, Instant now);  // admitted before
    void cancel_send(const PeerId& peer, std::uint64_t token, Instant now);
    // Ends everything that waits for the peer, durable messages too.
    void forget_messages(const PeerId& peer, Instant now);
    bool send_unreliable(const PeerId& peer, std::string_view channel, ByteView bytes, Instant now);
    void flush_sends(Instant now);  // after a batch of send()
    void consumed(std::uint32_t source, std::uint32_t row, std::uint32_t generation, std::uint64_t mark, Instant now);
    void busy(std::uint32_t source, std::uint32_t row, delivery::Busy why, Instant now);
    void end_batch() noexcept { packer_.end_batch(); }  // after the driver took outputs().messages

    // ---- inputs: the disk (engine_storage.cpp). The request of a turn is taken once per turn, before its fetches.
    bool wants_storage() const noexcept { return !journal_.empty(); }
    storage::Request take_request() { return journal_.take(); }
    void storage_loaded(const storage::Loaded& loaded, Instant now);
    void storage_done(storage::Ticket up_to, Instant now);
    void storage_failed(Instant now);  // this ticket and all later ones, until:
    void storage_reopened(const storage::Loaded& loaded, Instant now);
    void fetched_out(storage::LaneKey lane, const std::vector<storage::OutMessage>& messages, Instant now);
    void fetched_in(storage::LaneKey lane, std::vector<storage::InMessage> messages, Instant now);

    // ---- inputs: streams and protocols (engine_streams.cpp)
    connection::Tag add_handler(std::shared_ptr<protocol::Handler> handler) { return registry_.add(std::move(handler)); }
    void serve(std::string_view protocol, connection::Tag handler, ProtocolLimits limits, Instant now);
    void act(connection::Tag handler, protocol::Actions& actions, Instant now);  // what a command to a handler asked for
    void serve_raw(std::string_view protocol, Instant now);
    void open_raw(OpId op, const PeerId& peer, std::string_view protocol, Instant now);
    void write_raw(StreamRef stream, ByteView bytes, Instant now);
    void close_raw(StreamRef stream, Instant now);
    void reset_raw(StreamRef stream, Instant now);
    void consumed_raw(StreamRef stream, std::size_t bytes, Instant now);
    void ping(OpId op, const PeerId& peer, Instant now);  // completes with Duration
    void perf(OpId op, const PeerId& peer, std::uint64_t upload, std::uint64_t download, Instant now);

    // Ends everything: abandons messages, says goodbye on links. Drain and pull once more, then drop the engine.
    void stop(Instant now);

    // ---- looking (engine_peers.cpp)
    std::vector<PeerInfo> peers() const;
    std::optional<PeerInfo> peer(const PeerId& id) const;
    Stats stats() const;
    Load load() const;
    std::size_t links() const noexcept { return links_.size(); }
    std::size_t timers() const noexcept { return timers_.size(); }
    const Config& config() const noexcept { return config_; }

private:
    // waiting for a slot --start_dial()--> started --> (removed)
    struct Dialing {
        PeerId peer;  // none: whoever answers
        bool started = false;
        peer::Slots::Need need = peer::Slots::Need::use;  // while it waits
        std::deque<Multiaddr> waiting;                    // not tried yet
        std::vector<std::uint64_t> queries;               // being resolved
        std::vector<LinkId> attempts;
        std::vector<OpId> waiters;
        Error last;
        std::string report;  // what became of each address
    };

    static connection::NoiseIdentity handshake_identity(const crypto::SigningKey& key, crypto::Secret32 secret);

    // links
    connection::Config connection_config(connection::Role role, const PeerId& expected) const;
    void start_handshake(Link& link, connection::Role role, const PeerId& expected, Instant now);
    void established(Link& link, Instant now);
    void close(Link& link, const Error& why, Instant now);
    void gone(Link& link, const Error& why, Instant now);  // bookkeeping of a link that ends
    void touch(Link& link);
    void liveness(Link& link, Instant now);
    void on_event(Link& link, connection::Event& event, Instant now);
    void receive(LinkId id, MutableBytes bytes, Instant now);
    void receive_carried(LinkId id, ByteView bytes, Instant now);
    void bury(LinkId carried);
    void sweep();
    void on_timer(const TimerKey& key, Instant now);
    std::size_t pull_link(Link& link, MutableBytes out, Instant now);
    protocol::Handler::Pulled pull_stream(Link& link, const connection::Connection::Grant& grant, Instant now);

    // dialling
    void dial(OpId op, const ConnectTarget& target, peer::Slots::Need need, Instant now);
    void start_dial(std::uint64_t dial, Instant now);
    void try_next(std::uint64_t dial, Instant now);
    void attempt_failed(std::uint64_t dial, LinkId link, const Error& error, Instant now);
    void finish_dial(std::uint64_t dial, const Result<PeerId>& result, Instant now);

    // dialling again, and outgoing slots (engine_slots.cpp)
    static bool has_work(const PeerState& peer);
    bool wanted(const PeerId& id);  // for a reason that lasts: messages wait, it is to be kept, or the LAN connects
    void redial(PeerState& peer, Instant now);
    void redial_due(PeerState& peer, Instant now);
    void schedule_redial(PeerState& peer, const Error& why, bool ours, Instant now);
    void network_changed(Instant now);
    void heard_on_lan(const PeerId& id, const Multiaddr& address, bool news, Instant now);
    void want_slot(std::uint64_t dial, peer::Slots::Need need, Instant now);
    void hold_slot(std::uint64_t dial);
    void free_slot(std::uint64_t dial, Instant now);
    void review_slots(Instant now);
    peer::Slots::Use slot_use(std::uint64_t dial);

    // LAN
    void refresh_lan(Instant now);
    void drain_lan(Instant now);

    // streams
    void on_proposal(Link& link, const connection::Event& event, Instant now);
    void drop_stream(Link& link, StreamId id);
    void end_stream(Link& link, StreamId id, const protocol::StreamEnd& end, Instant now);
    void both_finished(Link& link, StreamId id, Instant now);
    void open_stream(connection::Tag tag, const protocol::OpenStream& open, Instant now);
    void adopt(const protocol::AdoptAsLink& request, Instant now);
    protocol::StreamInfo info(const Link& link, StreamId id, const StreamState& stream) const;
    protocol::LinkInfo info(const Link& link) const;
    using HandlerCall = Function<void(protocol::Handler&, protocol::Actions&)>;
    void call(connection::Tag tag, Instant now, HandlerCall what);
    void identified(LinkId link, const wire::Identify& info, Instant now);
    void refresh_identify(Instant now);
    void push_identify(Instant now);

    // messages
    LinkId message_link(const PeerState& peer);
    void attach(PeerState& peer, Instant now);
    void reattach_later(PeerState& peer, Instant now);
    void message_stream_ended(Link& link, StreamId id, const protocol::StreamEnd& end, Instant now);
    void message_stream_opened(Link& link, StreamId id, Instant now);
    void message_bytes(Link& link, StreamId id, ByteView bytes, Instant now);
    delivery::Sender& sender_of(PeerState& peer);
    delivery::Receiver& receiver_of(PeerState& peer);
    bool durable_allowed(const PeerState& peer) const;
    void review_durable(const PeerId& id);
    void drain_sender(PeerState& peer);
    void drain_receiver(PeerState& peer);
    void note_durable(const PeerState& peer);
    void tell_writers(PeerState& peer);
    void watch(PeerState& peer);
    void watch_due(PeerState& peer, Instant now);
    void note_partials(PeerState& peer);
    void note_ack(PeerState& peer);
    void unsupported(PeerState& peer, Instant now);
    void spare_links(PeerState& peer, Instant now);
    void note_idle(PeerState& peer);
    bool is_idle(const PeerState& peer) const;
    void forget(PeerState& peer);

    // peers
    void event(const PeerId& peer, PeerState* state, kith::PeerState what, const Link* link, const Error* error);
    void reachable(const PeerId& peer);
    PeerInfo describe(const PeerId& id, const peer::Known* known, const PeerState* state) const;

    Config config_;
    crypto::Drbg random_;
    connection::NoiseIdentity noise_;
    Outputs outputs_;
    Timers timers_;
    LinkTable links_;
    PeerTable peers_;
    peer::Book book_;
    peer::Gate gate_;
    Registry registry_;
    std::unordered_map<std::uint64_t, Dialing> dials_;
    peer::Slots slots_;
    peer::Pace pace_;
    struct HeldSlot {
        std::size_t uses = 0;  // the dial and its sockets
        LinkId link{};         // that it made
    };
    std::unordered_map<std::uint64_t, HeldSlot> held_slots_;  // by dial, from the moment it waits; empty when slots are not limited
    struct Query {
        std::uint64_t dial = 0;
        std::uint16_t port = 0;
    };
    std::unordered_map<std::uint64_t, Query> queries_;
    delivery::Packer packer_;
    delivery::Journal journal_;
    std::vector<std::uint32_t> durable_peers_;  // slots with durable lanes or rows; such peers are never erased
    std::deque<std::uint32_t> partial_peers_;   // slots that were left with unfinished messages, oldest first
    std::vector<std::uint32_t> ack_peers_;      // slots with an acknowledgement to come
    std::vector<std::uint32_t> dirty_peers_;    // slots with new messages in this batch
    std::vector<std::uint32_t> idle_peers_;     // slots that may have become idle since the last sweep
    struct Resting {
        std::uint32_t slot = 0;
        std::uint64_t rested = 0;
    };
    std::deque<Resting> resting_;  // idle peers of whom only received messages are remembered, oldest first; some are stale
    std::size_t resting_count_ = 0;
    std::uint64_t rest_counter_ = 0;
    std::vector<std::unique_ptr<Link>> buried_;  // carried links that ended inside one of their own calls
    std::optional<Instant> pushed_at_;
    std::vector<Multiaddr> listen_addresses_;
    std::vector<std::uint16_t> listen_ports_v6_;  // of [::]: link-local addresses are announced with them
    std::vector<LanInterface> lan_interfaces_;
    std::unique_ptr<discovery::Mdns> mdns_;
    std::shared_ptr<RawStreams> raw_;
    std::shared_ptr<protocol::Identify> identify_;
    std::shared_ptr<protocol::Ping> ping_;
    std::shared_ptr<protocol::Perf> perf_;
    connection::Tag raw_tag_ = 0;
    connection::Tag identify_tag_ = 0;
    connection::Tag ping_tag_ = 0;
    connection::Tag perf_tag_ = 0;
    std::vector<protocol::Actions> spare_actions_;
    std::vector<StreamId> stalled_;  // of the records being written
    std::uint64_t last_link_ = 0;
    std::uint64_t last_dial_ = 0;
    std::uint64_t last_query_ = 0;
    Instant now_{};
    Stats stats_;
    bool stopping_ = false;
};

}  // namespace kith::engine
