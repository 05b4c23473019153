// SPDX-License-Identifier: Apache-2.0
#include "node/driver.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "io/clock.hpp"
#include "wire/address.hpp"

namespace kith::node {
namespace {

constexpr std::size_t receive_size = 256 * 1024;
constexpr int accepts_per_turn = 64;
constexpr Duration accept_pause = std::chrono::milliseconds{100};
constexpr Duration resolve_deadline = std::chrono::seconds{5};

}  // namespace

Driver::Driver(EventLoop& loop, engine::Engine& engine, Function<void(engine::Outputs&)> on_outputs)
    : loop_(loop), engine_(engine), on_outputs_(std::move(on_outputs)) {
    receive_buffer_.resize(receive_size + connection::max_record);
    send_buffer_.resize(engine::pull_room);
}

Driver::~Driver() {
    if (accept_again_) loop_.cancel(accept_again_);
    if (timer_) loop_.cancel(timer_);
    for (auto& [id, socket] : sockets_) loop_.unwatch(socket->watch);
    for (auto& listener : listeners_) loop_.unwatch(listener->watch);
}

Status Driver::listen(const std::vector<Multiaddr>& addresses) {
    for (const auto& address : addresses) {
        const auto endpoint = wire::tcp_endpoint(address);
        if (!endpoint) return Error{Errc::unsupported_address, "listen needs /ip4 or /ip6 with /tcp", address.text()};
        auto made = io::TcpListener::listen(*endpoint);
        if (!made) {
            auto error = made.error();
            // A machine without IPv6 still listens on IPv4.
            if (endpoint->ip.v6 && endpoint->ip.is_unspecified() && addresses.size() > 1 && error.code != Errc::address_in_use) continue;
            if (error.detail.empty()) error.detail = address.text();
            listeners_.clear();
            return error;
        }
        listeners_.push_back(std::make_unique<Listener>(Listener{std::move(*made), {}}));
    }
    for (auto& listener : listeners_) {
        auto* at = listener.get();
        auto watch = loop_.watch(at->tcp.fd(), {.readable = true}, [this, at](Ready) { on_accept(*at); });
        if (!watch) return watch.error();
        at->watch = *watch;
    }
    monitor_ = std::make_unique<io::NetworkMonitor>(loop_, [this] { refresh_addresses(); });
    refresh_addresses();
    return {};
}

Status Driver::start_lan() {
    lan_ = std::make_unique<Lan>(loop_, engine_);
    return lan_->start(io::now());
}

std::vector<Multiaddr> Driver::addresses() const {
    std::vector<Multiaddr> out;
    const auto interfaces = io::list_interfaces();
    for (const auto& listener : listeners_) {
        const auto local = listener->tcp.local();
        if (!local.ip.is_unspecified()) {
            out.push_back(wire::from_tcp(local));
            continue;
        }
        if (!interfaces) continue;
        for (const auto& interface : *interfaces) {
            if (!interface.up) continue;
            for (const auto& address : interface.addresses) {
                if (address.ip.v6 != local.ip.v6 || address.ip.is_link_local()) continue;
                out.push_back(wire::from_tcp({address.ip, local.port}));
            }
        }
    }
    return out;
}

void Driver::refresh_addresses() {
    const auto now = io::now();
    std::vector<std::uint16_t> any_v6;
    for (const auto& listener : listeners_) {
        const auto local = listener->tcp.local();
        if (local.ip.v6 && local.ip.is_unspecified()) any_v6.push_back(local.port);
    }
    engine_.set_listen_addresses(addresses(), std::move(any_v6), now);
    if (lan_) lan_->network_changed(now);
}

void Driver::on_accept(Listener& listener) {
    for (int i = 0; i < accepts_per_turn; ++i) {
        auto accepted = listener.tcp.accept();
        switch (accepted.state) {
            case io::AcceptState::accepted:
                break;
            case io::AcceptState::dropped:
                continue;
            case io::AcceptState::would_block:
                return;
            case io::AcceptState::exhausted:
            case io::AcceptState::error: {
                loop_.modify(listener.watch, {}).has_value();
                if (accept_again_) return;
                accept_again_ = loop_.after(accept_pause, [this] {
                    accept_again_ = {};
                    for (const auto& l : listeners_) loop_.modify(l->watch, {.readable = true}).has_value();
                });
                return;
            }
        }
        const auto now = io::now();
        const auto id = engine_.accepted(accepted.socket->local(), accepted.remote, now);
        if (!id) {
            accepted.socket->close_reset();
            continue;
        }
        auto socket = std::make_unique<Socket>(std::move(*accepted.socket));
        auto watch = loop_.watch(socket->tcp.fd(), {.readable = true}, [this, id](Ready ready) { on_ready(id, ready); });
        if (!watch) {
            engine_.link_closed(id, watch.error(), now);
            continue;
        }
        socket->watch = *watch;
        sockets_[id] = std::move(socket);
    }
}

void Driver::open(const engine::OpenLink& request) {
    const auto now = io::now();
    auto tcp = io::TcpSocket::connect_start(request.to);
    if (!tcp) {
        engine_.link_failed(request.link, tcp.error(), now);
        return;
    }
    auto socket = std::make_unique<Socket>(std::move(*tcp));
    socket->connecting = true;
    const auto id = request.link;
    auto watch = loop_.watch(socket->tcp.fd(), {.writable = true}, [this, id](Ready ready) { on_ready(id, ready); });
    if (!watch) {
        engine_.link_failed(id, watch.error(), now);
        return;
    }
    socket->watch = *watch;
    socket->wants_writable = true;
    sockets_[id] = std::move(socket);
}

void Driver::on_ready(LinkId id, Ready ready) {
    const auto it = sockets_.find(id);
    if (it == sockets_.end()) return;
    auto& socket = *it->second;
    if (socket.connecting) {
        on_connected(id, socket);
        return;
    }
    if (ready.readable || ready.error || ready.hangup) {
        read(id, socket);
        if (!sockets_.contains(id)) return;
    }
    if (ready.writable && socket.wants_writable) {
        watch_writable(socket, false);
        if (!socket.queued) {
            socket.queued = true;
            writers_.push_back(id);
        }
    }
}

void Driver::on_connected(LinkId id, Socket& socket) {
    const auto now = io::now();
    if (auto ok = socket.tcp.connect_result(); !ok) {
        loop_.unwatch(socket.watch);
        sockets_.erase(id);
        engine_.link_failed(id, ok.error(), now);
        return;
    }
    socket.connecting = false;
    socket.wants_writable = false;
    loop_.modify(socket.watch, {.readable = true}).has_value();
    engine_.link_up(id, {socket.tcp.local(), socket.tcp.remote()}, now);
}

// One read of the whole buffer a turn and link: others get their turn, and what comes meanwhile is the next batch.
void Driver::read(LinkId id, Socket& socket) {
    const MutableBytes buffer{receive_buffer_};
    const auto head = engine_.take_head(id, buffer);
    const auto got = socket.tcp.read(buffer.subspan(head, receive_size));
    ++receive_calls_;
    const auto now = io::now();
    switch (got.state) {
        case io::IoState::ok:
            engine_.received(id, buffer.first(head + got.n), now);
            return;
        case io::IoState::would_block:
            if (head != 0) engine_.received(id, buffer.first(head), now);
            return;
        case io::IoState::eof:
            lost(id, {Errc::link_lost, "the peer closed the connection"});
            return;
        case io::IoState::error:
            lost(id, got.error());
            return;
    }
}

void Driver::lost(LinkId id, const Error& why) {
    const auto it = sockets_.find(id);
    if (it == sockets_.end()) return;
    loop_.unwatch(it->second->watch);
    sockets_.erase(it);
    engine_.link_closed(id, why, io::now());
}

void Driver::watch_writable(Socket& socket, bool on) {
    if (socket.wants_writable == on) return;
    socket.wants_writable = on;
    loop_.modify(socket.watch, {.readable = true, .writable = on}).has_value();
}

// True: nothing is left of it, or `blocked` says that the system takes no more. False: the socket is broken.
bool Driver::flush_tail(Socket& socket, bool& blocked) {
    blocked = false;
    while (socket.tail_sent < socket.tail.size()) {
        const auto wrote = socket.tcp.write(ByteView{socket.tail}.subspan(socket.tail_sent));
        ++send_calls_;
        if (wrote.state == io::IoState::would_block) {
            blocked = true;
            return true;
        }
        if (wrote.state != io::IoState::ok) return false;
        socket.tail_sent += wrote.n;
    }
    socket.tail = {};
    socket.tail_sent = 0;
    return true;
}

bool Driver::write(LinkId id, Socket& socket, Instant now, bool& more) {
    more = false;
    bool blocked = false;
    if (!flush_tail(socket, blocked)) return false;
    if (blocked) {
        watch_writable(socket, true);
        return true;
    }
    const auto n = engine_.pull(id, send_buffer_, now);
    if (n == 0) return true;
    const auto wrote = socket.tcp.write(ByteView{send_buffer_}.first(n));
    ++send_calls_;
    if (wrote.state == io::IoState::error || wrote.state == io::IoState::eof) return false;
    const auto taken = wrote.state == io::IoState::ok ? wrote.n : 0;
    if (taken < n) {
        socket.tail.assign(send_buffer_.begin() + static_cast<std::ptrdiff_t>(taken),
                           send_buffer_.begin() + static_cast<std::ptrdiff_t>(n));
        socket.tail_sent = 0;
        watch_writable(socket, true);
        return true;
    }
    more = true;  // ask again next turn, after the others
    return true;
}

void Driver::close(LinkId id, Instant now) {
    const auto it = sockets_.find(id);
    if (it != sockets_.end()) {
        auto& socket = *it->second;
        bool blocked = false;
        if (!socket.connecting && flush_tail(socket, blocked) && !blocked) {
            const auto n = engine_.pull(id, send_buffer_, now);
            if (n != 0) socket.tcp.write(ByteView{send_buffer_}.first(n));
        }
        loop_.unwatch(socket.watch);
        sockets_.erase(it);
    }
    engine_.link_closed(id, {}, now);
}

void Driver::resolve(const engine::Resolve& request) {
    if (!resolver_) resolver_ = std::make_unique<io::Resolver>(loop_);
    const auto family = request.name.kind == wire::DnsName::Kind::dns4   ? io::Family::v4
                        : request.name.kind == wire::DnsName::Kind::dns6 ? io::Family::v6
                                                                         : io::Family::any;
    const auto query = request.query;
    auto started = resolver_->resolve(request.name.host, family, resolve_deadline, [this, query](Result<io::Resolver::Addresses> found) {
        if (found) {
            engine_.resolved(query, *found, nullptr, io::now());
        } else {
            engine_.resolved(query, {}, &found.error(), io::now());
        }
    });
    if (!started) engine_.resolved(query, {}, &started.error(), io::now());
}

bool Driver::turn(Instant now) {
    if (const auto due = engine_.next_deadline(); due && *due <= now) engine_.tick(now);
    auto& out = engine_.outputs();
    // What is carried out here may cause more outputs; those come at once too.
    for (;;) {
        for (const auto id : out.wants_write) {
            const auto it = sockets_.find(id);
            if (it == sockets_.end() || it->second->queued) continue;
            it->second->queued = true;
            writers_.push_back(id);
        }
        out.wants_write.clear();  // keeps its memory
        for (const auto& request : std::exchange(out.open_links, {})) open(request);
        for (const auto& request : std::exchange(out.resolve, {})) resolve(request);
        for (const auto& request : std::exchange(out.close_links, {})) close(request.link, now);
        if (lan_) lan_->carry_out(out);
        out.packets.clear();
        on_outputs_(out);
        if (out.wants_write.empty() && out.open_links.empty() && out.close_links.empty() && out.resolve.empty()) break;
    }
    bool again = false;
    for (auto left = writers_.size(); left > 0; --left) {
        const auto id = writers_.front();
        writers_.pop_front();
        const auto it = sockets_.find(id);
        if (it == sockets_.end()) continue;
        it->second->queued = false;
        bool more = false;
        if (!write(id, *it->second, now, more)) {
            lost(id, {Errc::link_lost, "the connection broke while writing"});
            again = true;
            continue;
        }
        if (more) {
            it->second->queued = true;
            writers_.push_back(id);
        }
    }
    set_timer();
    const bool outputs = !out.wants_write.empty() || !out.open_links.empty() || !out.close_links.empty() || !out.messages.empty() ||
                         !out.released.empty() || !out.completions.empty() || !out.streams.empty() || !out.events.empty() ||
                         !out.reachability.empty() || !out.packets.empty() || !out.outcomes.empty();
    return again || outputs || !writers_.empty();
}

void Driver::set_timer() {
    const auto due = engine_.next_deadline();
    if (due == timer_at_ && timer_) return;
    if (timer_) loop_.cancel(std::exchange(timer_, {}));
    timer_at_ = due;
    if (due) {
        timer_ = loop_.at(*due, [this] { timer_ = {}; });  // turn() ticks, after all that was readable has been read
    }
}

void Driver::shutdown(Instant now) {
    if (lan_) lan_->stop(now);
    engine_.stop(now);
    turn(now);
    for (auto& listener : listeners_) loop_.unwatch(listener->watch);
    listeners_.clear();
    std::vector<LinkId> open;
    for (const auto& [id, socket] : sockets_) open.push_back(id);
    for (const auto id : open) close(id, now);
    turn(now);
    monitor_.reset();
    resolver_.reset();
    lan_.reset();
}

}  // namespace kith::node
