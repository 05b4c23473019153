// SPDX-License-Identifier: Apache-2.0
#include "kith/node.hpp"

#include <csignal>
#include <future>
#include <sys/signalfd.h>
#include <unistd.h>

#include <poll.h>

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
        case PeerState::found: return "found";
        case PeerState::connecting: return "connecting";
        case PeerState::connected: return "connected";
        case PeerState::identified: return "identified";
        case PeerState::disconnected: return "disconnected";
        case PeerState::lost: return "lost";
    }
    return "unknown";
}

Node::Node(Config config) : impl_(std::make_shared<Impl>(std::move(config))) {}
Node::~Node() { impl_->stop(); }

Status Node::start() { return impl_->start(); }
void Node::stop() { impl_->stop(); }
std::size_t Node::poll(Duration timeout) { return impl_->poll(timeout); }
std::size_t Node::dispatch() { return impl_->callbacks_->run(); }
int Node::dispatch_fd() const { return impl_->callbacks_->descriptor(); }

void Node::run() {
    sigset_t signals;
    sigset_t before;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, &before);
    const int descriptor = ::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    pollfd wait{descriptor, POLLIN, 0};
    const bool polled = impl_->config_.threads == ThreadMode::polled;
    while (impl_->running_) {
        if (polled) impl_->poll(std::chrono::milliseconds{100});
        if (::poll(&wait, 1, polled ? 0 : 100) > 0) break;
    }
    if (descriptor >= 0) ::close(descriptor);
    impl_->stop();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

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

Result<PeerId> Node::connect(const Multiaddr& target, const Wait& wait) { return pick<PeerId>(impl_->wait_for(connecting(target_of(target)), wait)); }
Result<PeerId> Node::connect(const PeerId& target, const Wait& wait) { return pick<PeerId>(impl_->wait_for(connecting({target, {}}), wait)); }

void Node::async_connect(const Multiaddr& target, Function<void(Result<PeerId>)> done, const Wait& wait) {
    impl_->operation(connecting(target_of(target)), [done = std::move(done)](OpValue v) mutable { done(pick<PeerId>(std::move(v))); }, wait, false);
}
void Node::async_connect(const PeerId& target, Function<void(Result<PeerId>)> done, const Wait& wait) {
    impl_->operation(connecting({target, {}}), [done = std::move(done)](OpValue v) mutable { done(pick<PeerId>(std::move(v))); }, wait, false);
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

void Node::async_send(const PeerId& peer, std::string_view channel, Bytes bytes, Function<void(Result<Receipt>)> done, const SendOptions& options) {
    Error why;
    auto* state = impl_->channel(peer, channel, &why);
    auto shared = std::make_shared<Function<void(Result<Receipt>)>>(std::move(done));
    if (state != nullptr) {
        const auto ok = impl_->send(*state, bytes, &bytes, options, [shared](Result<Receipt> r) { (*shared)(std::move(r)); });
        if (ok) return;
        why = ok.error();
    }
    impl_->callback([shared, why = std::move(why)] { (*shared)(why); });
}

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
    auto with_wait = options;
    if (with_wait.wait == Duration{}) with_wait.wait = wait.timeout;
    const auto ok = impl_->send(*state, bytes, nullptr, with_wait, [shared](Result<Receipt> result) {
        const std::scoped_lock lock(shared->mutex);
        shared->result = std::move(result);
        shared->wake.notify_all();
    });
    if (!ok) return ok.error();
    if (impl_->config_.threads == ThreadMode::polled) {
        const auto end = saturating_add(io::steady_now(), wait.timeout);
        while (io::steady_now() < end && !wait.stop.stop_requested()) {
            {
                const std::scoped_lock lock(shared->mutex);
                if (shared->result) return std::move(*shared->result);
            }
            impl_->poll(std::chrono::milliseconds{50});
        }
        return Errc::timeout;
    }
    std::unique_lock lock(shared->mutex);
    const auto limit = std::min<Duration>(wait.timeout, std::chrono::hours{24 * 365});
    const bool there = shared->wake.wait_for(lock, wait.stop, limit, [&] { return shared->result.has_value(); });
    if (!there) return wait.stop.stop_requested() ? Errc::cancelled : Errc::timeout;
    return std::move(*shared->result);
}

Channel Node::channel(const PeerId& peer, std::string_view name) {
    Error why;
    auto* state = impl_->channel(peer, name, &why);
    return state == nullptr ? Channel{} : Channel{std::make_shared<Channel::Impl>(impl_, state)};
}

Status Channel::send(ByteView bytes, const SendOptions& options) {
    const auto node = impl_ ? impl_->node.lock() : nullptr;
    if (!node) return Errc::stopped;
    return node->send(*impl_->state, bytes, nullptr, options, {});
}

Status Channel::send(Bytes&& bytes, const SendOptions& options) {
    const auto node = impl_ ? impl_->node.lock() : nullptr;
    if (!node) return Errc::stopped;
    return node->send(*impl_->state, bytes, &bytes, options, {});
}

void Node::on_message(std::string_view channel, Function<void(const Message&)> handler) {
    impl_->callbacks_->set_handler(channel, [handler = std::move(handler)](std::span<const Message> messages) mutable {
        for (const auto& message : messages) handler(message);
    });
}

void Node::on_messages(std::string_view channel, Function<void(std::span<const Message>)> handler) {
    impl_->callbacks_->set_handler(channel, std::move(handler));
}

// ---- streams and protocols

void Node::handle_protocol(std::string_view protocol, Function<void(Stream)> handler) { impl_->handle_protocol(protocol, std::move(handler)); }

Result<Stream> Node::open_stream(const PeerId& peer, std::string_view protocol, const Wait& wait) {
    return pick<Stream>(impl_->wait_for(
        [peer, id = std::string{protocol}](engine::Engine& engine, OpId op, Instant now) { engine.open_raw(op, peer, id, now); }, wait));
}

void Node::async_open_stream(const PeerId& peer, std::string_view protocol, Function<void(Result<Stream>)> done, const Wait& wait) {
    impl_->operation([peer, id = std::string{protocol}](engine::Engine& engine, OpId op, Instant now) { engine.open_raw(op, peer, id, now); },
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
    return pick_perf(impl_->wait_for(
        [=](engine::Engine& engine, OpId op, Instant now) { engine.perf(op, peer, upload, download, now); }, wait));
}

void Node::on_peer(Function<void(const PeerEvent&)> handler) { impl_->set_peer_handler(std::move(handler)); }

}  // namespace v0
}  // namespace kith
