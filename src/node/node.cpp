// SPDX-License-Identifier: Apache-2.0
#include "kith/node.hpp"

#include <condition_variable>
#include <mutex>
#include <optional>

#include "io/clock.hpp"
#include "node/impl.hpp"

namespace kith {
inline namespace v0 {
namespace {

template <class T>
Result<T> pick(OpValue value) {
    if (auto* found = std::get_if<T>(&value)) return std::move(*found);
    if (auto* error = std::get_if<Error>(&value)) return std::move(*error);
    return Error{Errc::internal, "an operation ended with the wrong kind of result"};
}

Result<PerfResult> pick_perf(OpValue value) {
    auto numbers = pick<std::vector<std::uint64_t>>(std::move(value));
    if (!numbers) return numbers.error();
    const auto ns = [](std::uint64_t n) { return Duration{static_cast<std::int64_t>(n)}; };
    return PerfResult{(*numbers)[0], (*numbers)[1], ns((*numbers)[2]), ns((*numbers)[3])};
}

}  // namespace

std::string_view name(PeerState state) noexcept {
    switch (state) {
        case PeerState::found:
            return "found";
        case PeerState::connecting:
            return "connecting";
        case PeerState::connected:
            return "connected";
        case PeerState::identified:
            return "identified";
        case PeerState::disconnected:
            return "disconnected";
        case PeerState::lost:
            return "lost";
    }
    return "unknown";
}

Node::Node(Config config) : impl_(std::make_shared<Impl>(std::move(config))) {}
Node::~Node() { impl_->stop(); }

// A copy where callbacks run inside: one of them may destroy this node.
Status Node::start() { return impl_->start(); }
void Node::stop() {
    const auto impl = impl_;
    impl->stop();
}
void Node::run() {
    const auto impl = impl_;
    impl->run();
}
std::size_t Node::poll(Duration timeout) {
    const auto impl = impl_;
    return impl->poll(timeout);
}
std::size_t Node::dispatch() {
    const auto callbacks = impl_->callbacks_;
    return callbacks->descriptor() >= 0 ? callbacks->run() : 0;
}
int Node::dispatch_fd() const { return impl_->callbacks_->descriptor(); }

const PeerId& Node::id() const { return impl_->id_; }
const std::string& Node::name() const { return impl_->config_.name; }
std::vector<Multiaddr> Node::addresses() const { return impl_->addresses(); }
Stats Node::stats() const { return impl_->stats(); }

std::vector<PeerInfo> Node::peers() const {
    std::vector<PeerInfo> out;
    impl_->query([&](engine::Engine& engine, Instant) { out = engine.peers(); });
    return out;
}

Result<PeerInfo> Node::peer(const PeerId& peer) const {
    std::optional<PeerInfo> out;
    if (!impl_->query([&](engine::Engine& engine, Instant) { out = engine.peer(peer); })) return Errc::stopped;
    if (!out) return Errc::unknown_peer;
    return std::move(*out);
}

// ---- connect

namespace {

auto connecting(engine::ConnectTarget target) {
    return [target = std::move(target)](engine::Engine& engine, OpId op, Instant now) { engine.connect(op, target, now); };
}

engine::ConnectTarget target_of(const Multiaddr& address) { return {address.peer().value_or(PeerId{}), {address}}; }

}  // namespace

Result<PeerId> Node::connect(const Multiaddr& target, const Wait& wait) {
    return pick<PeerId>(impl_->wait_for(connecting(target_of(target)), wait));
}
Result<PeerId> Node::connect(const PeerId& target, const Wait& wait) {
    return pick<PeerId>(impl_->wait_for(connecting({target, {}}), wait));
}

void Node::async_connect(const Multiaddr& target, Function<void(Result<PeerId>)> done, const Wait& wait) {
    impl_->operation(
        connecting(target_of(target)), [done = std::move(done)](OpValue v) mutable { done(pick<PeerId>(std::move(v))); }, wait, false);
}
void Node::async_connect(const PeerId& target, Function<void(Result<PeerId>)> done, const Wait& wait) {
    impl_->operation(
        connecting({target, {}}), [done = std::move(done)](OpValue v) mutable { done(pick<PeerId>(std::move(v))); }, wait, false);
}

Status Node::add_address(const Multiaddr& address) {
    const auto peer = address.peer();
    if (!peer) return Error{Errc::invalid_argument, "the address does not end in /p2p/<id>", address.text()};
    const bool done = impl_->query([&](engine::Engine& engine, Instant now) {
        engine.add_address(*peer, address, peer::Source::user, std::nullopt, now);
        impl_->take_reachability(engine.outputs());
    });
    return done ? Status{} : Status{Errc::stopped};
}

void Node::disconnect(const PeerId& peer) {
    impl_->post([peer](engine::Engine& engine, Instant now) { engine.disconnect(peer, now); });
}

// ---- messages

Status Node::send(const PeerId& peer, std::string_view channel, ByteView bytes, const SendOptions& options) {
    Error why;
    auto* state = impl_->channel(peer, channel, &why);
    if (state == nullptr) return why;
    return impl_->send(*state, bytes, nullptr, options, {});
}

Status Node::send(const PeerId& peer, std::string_view channel, ByteView bytes, const SendOptions& options, const Wait& wait) {
    Error why;
    auto* state = impl_->channel(peer, channel, &why);
    if (state == nullptr) return why;
    auto with_wait = options;
    with_wait.wait = wait.timeout;
    return impl_->send(*state, bytes, nullptr, with_wait, {}, wait.stop);
}

std::vector<BroadcastResult> Node::broadcast(std::string_view channel, ByteView bytes, const SendOptions& options) {
    return impl_->broadcast(channel, bytes, options);
}

SendId Node::async_send(const PeerId& peer, std::string_view channel, Bytes bytes, Function<void(Result<Receipt>)> done,
                        const SendOptions& options) {
    Error why;
    auto* state = impl_->channel(peer, channel, &why);
    auto shared = std::make_shared<Function<void(Result<Receipt>)>>(std::move(done));
    if (state != nullptr) {
        std::uint64_t token = 0;
        node::Waiting waiting{[shared](Result<Receipt> r) {
                                  if (*shared) (*shared)(std::move(r));
                              },
                              false, options.until};
        const auto ok = impl_->send(*state, bytes, &bytes, options, std::move(waiting), {}, &token);
        if (ok) return {peer, token};
        why = ok.error();
    }
    impl_->answer([shared, why = std::move(why)] {
        if (*shared) (*shared)(why);
    });
    return {peer, 0};
}

void Node::cancel(const SendId& message) { impl_->cancel(message); }
void Node::forget(const PeerId& peer) { impl_->forget(peer); }
Result<QueueInfo> Node::outbox(const PeerId& peer) const { return impl_->outbox(peer); }

Result<Receipt> Node::deliver(const PeerId& peer, std::string_view channel, ByteView bytes, const SendOptions& options, const Wait& wait) {
    if (!impl_->may_block()) return Errc::would_deadlock;
    Error why;
    auto* state = impl_->channel(peer, channel, &why);
    if (state == nullptr) return why;
    struct Shared {
        std::mutex mutex;
        std::condition_variable_any wake;
        std::optional<Result<Receipt>> result;
    };
    auto shared = std::make_shared<Shared>();
    const auto end = saturating_add(io::steady_now(), wait.timeout);
    auto with_wait = options;
    if (with_wait.wait == Duration{}) with_wait.wait = wait.timeout;
    node::Waiting waiting{[shared](Result<Receipt> result) {
                              const std::scoped_lock lock(shared->mutex);
                              shared->result = std::move(result);
                              shared->wake.notify_all();
                          },
                          true, options.until};
    const auto ok = impl_->send(*state, bytes, nullptr, with_wait, std::move(waiting), wait.stop);
    if (!ok) return ok.error();
    const auto left = end == Duration::max() ? end : end - io::steady_now();
    impl_->await(
        [&](Duration limit) {
            std::unique_lock lock(shared->mutex);
            return shared->wake.wait_for(lock, wait.stop, limit, [&] { return shared->result.has_value(); }) || wait.stop.stop_requested();
        },
        left);
    const std::scoped_lock lock(shared->mutex);
    if (shared->result) return std::move(*shared->result);
    return wait.stop.stop_requested() ? Errc::cancelled : Errc::timeout;
}

Channel Node::channel(const PeerId& peer, std::string_view name) { return Channel{std::make_shared<Channel::Impl>(impl_, peer, name)}; }

Status Channel::send(ByteView bytes, const SendOptions& options) {
    if (!impl_) return Error{Errc::invalid_argument, "an empty channel handle"};
    return impl_->send(bytes, nullptr, options);
}

Status Channel::send(Bytes&& bytes, const SendOptions& options) {
    if (!impl_) return Error{Errc::invalid_argument, "an empty channel handle"};
    return impl_->send(bytes, &bytes, options);
}

Status Channel::send(ByteView bytes, const SendOptions& options, const Wait& wait) {
    if (!impl_) return Error{Errc::invalid_argument, "an empty channel handle"};
    auto with_wait = options;
    with_wait.wait = wait.timeout;
    return impl_->send(bytes, nullptr, with_wait, wait.stop);
}

int Channel::pressure() const noexcept { return impl_ ? impl_->pressure() : 0; }

Result<QueueInfo> Node::queue(const PeerId& peer, std::string_view channel) const { return impl_->queue(peer, channel); }

void Node::on_message(std::string_view channel, Function<void(const Message&)> handler, const Subscription& subscription) {
    impl_->callbacks_->set_handler(channel, {std::move(handler), {}, subscription.after});
}

void Node::on_messages(std::string_view channel, Function<void(std::span<const Message>)> handler, const Subscription& subscription) {
    impl_->callbacks_->set_handler(channel, {{}, std::move(handler), subscription.after});
}

// ---- streams and protocols

void Node::handle_protocol(std::string_view protocol, Function<void(Stream)> handler) {
    impl_->handle_protocol(protocol, std::move(handler));
}

Result<Stream> Node::open_stream(const PeerId& peer, std::string_view protocol, const Wait& wait) {
    return pick<Stream>(impl_->wait_for(
        [peer, id = std::string{protocol}](engine::Engine& engine, OpId op, Instant now) { engine.open_raw(op, peer, id, now); }, wait));
}

void Node::async_open_stream(const PeerId& peer, std::string_view protocol, Function<void(Result<Stream>)> done, const Wait& wait) {
    impl_->operation(
        [peer, id = std::string{protocol}](engine::Engine& engine, OpId op, Instant now) { engine.open_raw(op, peer, id, now); },
        [done = std::move(done)](OpValue v) mutable { done(pick<Stream>(std::move(v))); }, wait, false);
}

namespace {

auto pinging(const PeerId& peer) {
    return [peer](engine::Engine& engine, OpId op, Instant now) { engine.ping(op, peer, now); };
}
Result<PingResult> pick_ping(OpValue value) {
    auto rtt = pick<Duration>(std::move(value));
    if (!rtt) return rtt.error();
    return PingResult{*rtt};
}

}  // namespace

Result<PingResult> Node::ping(const PeerId& peer, const Wait& wait) { return pick_ping(impl_->wait_for(pinging(peer), wait)); }

void Node::async_ping(const PeerId& peer, Function<void(Result<PingResult>)> done, const Wait& wait) {
    impl_->operation(pinging(peer), [done = std::move(done)](OpValue v) mutable { done(pick_ping(std::move(v))); }, wait, false);
}

Result<PerfResult> Node::perf(const PeerId& peer, std::uint64_t upload, std::uint64_t download, const Wait& wait) {
    return pick_perf(
        impl_->wait_for([=](engine::Engine& engine, OpId op, Instant now) { engine.perf(op, peer, upload, download, now); }, wait));
}

void Node::on_pressure(Function<void(const PressureEvent&)> handler) { impl_->set_pressure_handler(std::move(handler)); }

void Node::on_outcome(Function<void(const DurableOutcome&)> handler) { impl_->set_outcome_handler(std::move(handler)); }

void Node::on_notice(Function<void(const Notice&)> handler) { impl_->set_notice_handler(std::move(handler)); }

void Node::on_peer(Function<void(const PeerEvent&)> handler) { impl_->set_peer_handler(std::move(handler)); }

}  // namespace v0
}  // namespace kith
