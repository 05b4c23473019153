// SPDX-License-Identifier: Apache-2.0
// The life of a node: what start() builds and stop() takes apart.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <future>
#include <string>

#include "crypto/init.hpp"
#include "io/clock.hpp"
#include "io/random.hpp"
#include "kith/version.hpp"
#include "node/identity_secret.hpp"
#include "node/impl.hpp"

namespace kith {
inline namespace v0 {
namespace {

// What stop() still writes per link is bounded, so that a fast reader cannot keep us.
constexpr int last_turns = 64;
// How long a handler may keep a node with a database from stopping in order.
constexpr Duration callback_patience = std::chrono::seconds{2};

// Our threads leave signals to the program's own; else Ctrl-C could end the program in one of ours before run() sees it.
class SignalsBlocked {
public:
    SignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGPROF}) sigdelset(&all, own);
        pthread_sigmask(SIG_BLOCK, &all, &before_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

private:
    sigset_t before_{};
};

}  // namespace

Node::Impl::Impl(Config config) : config_(std::move(config)), stop_fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    thresholds_ = node::Thresholds{config_};
    outbox_limits_ = node::Thresholds{config_.outbox_messages, config_.outbox_bytes};
    outbox_total_limits_ = node::Thresholds{config_.outbox_total_messages, config_.outbox_total_bytes};
    callbacks_ = std::make_shared<node::Callbacks>(dispatch(), std::move(config_.executor), config_.max_events);
}

// stop() came before, from the Node; the loop's thread may still be under this, when it dropped the last reference.
Node::Impl::~Impl() {
    if (thread_.joinable()) thread_.detach();
    if (stop_fd_ >= 0) ::close(stop_fd_);
}

node::Dispatch Node::Impl::dispatch() const {
    if (config_.threads != ThreadMode::own) return node::Dispatch::loop;
    if (config_.manual_dispatch) return node::Dispatch::manual;
    return config_.executor ? node::Dispatch::executor : node::Dispatch::thread;
}

Result<std::shared_ptr<Identity>> Node::Impl::identity() {
    if (config_.identity) return config_.identity;
    auto made = config_.home.empty() ? Identity::generate() : Identity::load_or_create(config_.home / "identity.key");
    if (!made) return made.error();
    return std::make_shared<Identity>(std::move(*made));
}

engine::Config Node::Impl::engine_config(const Identity::Secret& secret) const {
    engine::Config out;
    out.self = secret.id;
    out.identity_key = secret.public_key;
    out.name = config_.name;
    out.agent = config_.agent.empty() ? "kith/" + std::string{version()} : config_.agent;
    if (!config_.name.empty() && config_.agent.empty()) out.agent += " " + config_.name.substr(0, 64);
    const auto& limits = config_.limits;
    out.gate.max_links = limits.max_links;
    out.gate.max_links_per_address = limits.max_links_per_address;
    out.gate.max_handshakes = limits.max_handshakes;
    out.gate.max_handshakes_per_address = limits.max_handshakes_per_address;
    out.gate.links_per_second = limits.new_links_per_second;
    out.gate.links_per_second_per_address = limits.new_links_per_second_per_address;
    out.max_links_per_peer = limits.max_links_per_peer;
    out.max_streams_per_link = limits.max_streams_per_link;
    out.max_window_per_link = limits.max_window_per_link;
    out.max_channels_per_peer = limits.max_channels_per_peer;
    out.max_peers_known = limits.max_peers_known;
    out.max_addresses_per_peer = limits.max_addresses_per_peer;
    out.max_message = config_.max_message;
    out.max_outbound = config_.max_outbound;
    out.dial_timeout = config_.dial_timeout;
    out.handshake_timeout = config_.handshake_timeout;
    out.negotiation_timeout = config_.negotiation_timeout;
    out.ping_after_idle = config_.ping_after_idle;
    out.dead_after_silence = config_.dead_after_silence;
    out.keep_connected = config_.keep_connected;
    out.lan = config_.lan;
    out.lan_auto_connect = config_.lan_auto_connect;
    out.serve_perf = config_.serve_perf;
    out.durable = storage_ != nullptr;
    out.durable_from_known = config_.durable_from != DurableFrom::nobody;
    out.durable_from_all = config_.durable_from == DurableFrom::everybody;
    out.inbox_bytes = config_.inbox_bytes;
    return out;
}

Status Node::Impl::start() {
    {
        const std::scoped_lock lock(life_mutex_);
        if (started_.exchange(true)) return Errc::already_started;
    }
    const auto fail = [this](Error why) {
        driver_.reset();
        engine_.reset();
        if (storage_) storage_->finish(storage_->loaded().clean);  // nothing was handed over
        storage_.reset();
        own_loop_.reset();
        loop_ = nullptr;
        started_ = false;
        return Status{std::move(why)};
    };
    if (auto ok = crypto::init(); !ok) return fail(ok.error());
    if (auto ok = node::Thresholds::check(config_); !ok) return fail(ok.error());
    if (config_.threads == ThreadMode::loop && config_.loop == nullptr) {
        return fail({Errc::invalid_argument, "ThreadMode::loop needs Config::loop"});
    }
    std::vector<Multiaddr> listen;
    for (const auto& text : config_.listen) {
        auto address = Multiaddr::parse(text);
        if (!address) return fail(address.error());
        listen.push_back(std::move(*address));
    }
    auto identity = this->identity();
    if (!identity) return fail(identity.error());
    identity_ = *identity;
    crypto::Secret32 seed;
    if (auto ok = io::random_bytes(seed.bytes()); !ok) return fail(ok.error());

    if (config_.threads != ThreadMode::loop) own_loop_ = std::make_shared<EventLoop>();
    loop_ = own_loop_ ? own_loop_.get() : config_.loop;
    if (auto ok = loop_->status(); !ok) return fail(ok.error());
    id_ = identity_->peer_id();
    if (auto ok = open_store(); !ok) return fail(ok.error());
    engine_ = std::make_unique<engine::Engine>(engine_config(identity_->secret()), identity_->secret().key, std::move(seed), io::now());
    driver_ = std::make_unique<node::Driver>(*loop_, *engine_, [this](engine::Outputs& outputs) { take(outputs); });
    if (storage_) restore_lanes();
    {
        const std::scoped_lock lock(table_mutex_);
        for (const auto& [protocol, handler] : protocols_) engine_->serve_raw(protocol, io::now());
    }
    if (auto ok = driver_->listen(listen); !ok) return fail(ok.error());
    if (config_.lan) {
        // Without multicast the node is of use all the same; `kith doctor` tells.
        if (const auto lan = driver_->start_lan(); !lan) config_.lan = false;
    }
    // A reference for the length of a turn: the node may go away in one of its callbacks.
    hook_ = loop_->on_turn([weak = weak_from_this()] {
        const auto self = weak.lock();
        return self && self->turn();
    });
    const SignalsBlocked blocked;
    auto give_back = [weak = weak_from_this()](std::vector<node::ConsumedRow>& consumed, delivery::Batch&& spent) {
        const auto self = weak.lock();
        if (!self) return;  // while it stops, too: what was handled must be on record
        const bool first = self->handoff_.add([&](node::Arena& arena) {
            arena.consumed.insert(arena.consumed.end(), consumed.begin(), consumed.end());
            if (spent.messages.capacity() != 0) arena.spent.push_back(std::move(spent));
        });
        if (first) self->wake();
    };
    callbacks_->start(std::move(give_back), [weak = weak_from_this()] {
        const auto self = weak.lock();
        if (self && !self->loop_->on_loop_thread()) self->wake();  // on it, the end of the turn calls them
    });
    if (storage_) start_store();
    running_ = true;
    loop_->post([] {});  // what listening and mDNS want to say
    if (config_.threads == ThreadMode::own) {
        thread_ = std::thread([loop = own_loop_] { loop->run().has_value(); });
    }
    return {};
}

void Node::Impl::stop() {
    {
        std::unique_lock lock(life_mutex_);
        if (!started_) return;
        if (!running_) {  // someone else stops or has stopped it
            if (callbacks_->on_callback_thread()) {
                lock.unlock();
                callbacks_->stop();
                return;
            }
            if (loop_ != nullptr && loop_->on_loop_thread()) return;
            stopped_wake_.wait(lock, [&] { return stopped_; });
            lock.unlock();
            callbacks_->wait_idle();
            return;
        }
        running_ = false;  // from here on nothing is posted: what was comes before what follows
    }
    wake_senders();
    // What a handler has seen must be known before the database is closed, or it would come again without a mark.
    const bool clean = storage_ && callbacks_->quiesce(callback_patience) && storage_->may_be_clean();
    if (loop_->on_loop_thread()) {
        if (in_driver_) {
            loop_->post([self = shared_from_this(), clean] { self->shutdown(clean); });
        } else {
            shutdown(clean);
        }
    } else if (config_.threads == ThreadMode::own) {
        loop_->post([this, clean] { shutdown(clean); });
        thread_.join();
    } else {
        on_loop([this, clean] { shutdown(clean); });
    }
    callbacks_->stop();
    const std::scoped_lock lock(life_mutex_);
    stopped_ = true;
    stopped_wake_.notify_all();
}

void Node::Impl::shutdown(bool clean) {
    if (!engine_) return;
    take_starts();
    take_handoff(io::now());
    in_driver_ = true;
    for (int i = 0; i < last_turns && driver_->turn(io::now()); ++i) {
    }  // what was sent before stop() goes out
    if (storage_) {
        settle_storage();
        driver_->turn(io::now());
    }
    driver_->shutdown(io::now());
    if (storage_) {
        settle_storage();
        take(engine_->outputs());
        storage_->finish(clean);
    }
    in_driver_ = false;
    std::vector<std::uint64_t> ops;
    for (const auto& [id, op] : ops_) ops.push_back(id);
    for (const auto op : ops) finish(OpId{op}, Error{Errc::stopped});
    for (const auto& [ref, weak] : std::exchange(streams_, {})) {
        if (auto stream = weak.lock()) stream->on_closed(Errc::stopped);
    }
    std::vector<std::uint64_t> tokens;
    for (const auto& [token, waiting] : receipts_) tokens.push_back(token);
    for (const auto token : tokens) tell(token, Error{Errc::stopped});
    {
        const std::scoped_lock lock(table_mutex_);
        last_stats_ = engine_->stats();
        last_stats_.send_calls = driver_->send_calls();
        last_stats_.receive_calls = driver_->receive_calls();
    }
    loop_->remove_hook(hook_);
    driver_.reset();
    engine_.reset();
    if (dispatch() == node::Dispatch::loop) callbacks_->stop();
    if (own_loop_) loop_->stop();
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto n = ::write(stop_fd_, &one, sizeof one);
}

void Node::Impl::wake_senders() {
    {
        const std::scoped_lock waiting(outbox_mutex_);
        outbox_room_.notify_all();
    }
    const std::scoped_lock lock(table_mutex_);
    for (auto& [peer, channels] : channels_) {
        for (auto& [name, channel] : channels) {
            const std::scoped_lock waiting(channel->mutex);
            channel->room.notify_all();
        }
    }
}

std::size_t Node::Impl::poll(Duration timeout) {
    if (!running() || config_.threads != ThreadMode::polled) return 0;
    const auto loop = own_loop_;
    if (callbacks_->waiting()) loop->post([] {});  // a blocking call left them
    const auto before = callbacks_run_;
    const auto handled = loop->poll(timeout);
    return handled + (callbacks_run_ - before);
}

void Node::Impl::run() {
    if (!running()) return;
    sigset_t signals;
    sigset_t before;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, &before);
    const int descriptor = ::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    std::array<pollfd, 2> ends{pollfd{descriptor, POLLIN, 0}, pollfd{stop_fd_, POLLIN, 0}};
    const auto ended = [&](int timeout) { return ::poll(ends.data(), ends.size(), timeout) > 0; };

    // Without a thread of our own, this one drives the loop, if no other does.
    std::array<WatchId, 2> watches{};
    const bool drive = config_.threads != ThreadMode::own && loop_->call_if_idle([&] {
        for (std::size_t i = 0; i < ends.size(); ++i) {
            if (auto watch = loop_->watch(ends[i].fd, {.readable = true}, [](Ready) {})) watches[i] = *watch;
        }
    });
    if (drive) {
        if (callbacks_->waiting()) loop_->post([] {});
        while (!ended(0)) loop_->poll(Duration::max());
        loop_->call_if_idle([&] {
            for (const auto watch : watches) loop_->unwatch(watch);
        });
    } else {
        while (!ended(-1)) {
        }
    }
    // Taken away, or it would end the program as soon as it is unblocked. A second one does: stop() may take its time.
    signalfd_siginfo info{};
    [[maybe_unused]] const auto n = ::read(descriptor, &info, sizeof info);
    if (descriptor >= 0) ::close(descriptor);
    stop();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace v0
}  // namespace kith
