// SPDX-License-Identifier: Apache-2.0
#include "swarm.hpp"

#include <utility>

#include "common.hpp"
#include "io/clock.hpp"
#include "io/random.hpp"
#include "wire/address.hpp"
#include "wire/keys.hpp"

namespace bench {
namespace {

constexpr std::size_t read_size = 64 * 1024;

kith::crypto::Secret32 random_secret() {
    kith::crypto::Secret32 out;
    if (!kith::io::random_bytes(out.bytes())) fail("random bytes");
    return out;
}

}  // namespace

Swarm::Swarm(kith::EventLoop& loop) : loop_(loop) {
    read_buffer_.resize(read_size + kith::connection::max_record);
    write_buffer_.resize(kith::engine::pull_room);
    tick();
}

Swarm::~Swarm() {
    for (auto& member : members_) {
        if (member->watch) loop_.unwatch(member->watch);
    }
}

Swarm::Member& Swarm::add() {
    const kith::crypto::SigningKey key(random_secret());
    kith::engine::Config config;
    config.identity_key = kith::wire::encode_public_key(kith::crypto::KeyType::ed25519, key.public_key());
    config.self = kith::wire::peer_id_of(config.identity_key);
    config.agent = "kith-bench/1";
    config.lan = false;
    config.keep_connected = false;
    members_.push_back(std::make_unique<Member>());
    auto& member = *members_.back();
    member.engine = std::make_unique<kith::engine::Engine>(std::move(config), key, random_secret(), kith::io::now());
    return member;
}

void Swarm::dial(const kith::Endpoint& to, std::size_t count, std::size_t at_once, kith::Function<void()> done) {
    to_ = to;
    wanted_ = count;
    done_ = std::move(done);
    for (std::size_t i = 0; i < at_once && i < count; ++i) dial_next();
}

void Swarm::dial_next() {
    if (members_.size() == wanted_) return;
    auto& member = add();
    member.engine->connect(kith::OpId{1}, {{}, {kith::wire::from_tcp(to_)}}, kith::io::now());
    carry_out(member);
}

kith::Endpoint Swarm::listen(std::size_t count, kith::Function<void()> done) {
    wanted_ = count;
    done_ = std::move(done);
    kith::Endpoint at;
    at.ip = kith::IpAddress::v4(127, 0, 0, 1);
    auto made = kith::io::TcpListener::listen(at);
    if (!made) fail(made.error().message());
    listener_.emplace(std::move(*made));
    auto watched = loop_.watch(listener_->fd(), {.readable = true}, [this](kith::Ready) {
        for (;;) {
            auto accepted = listener_->accept();
            if (accepted.state == kith::io::AcceptState::would_block) return;
            if (accepted.state != kith::io::AcceptState::accepted) fail("accept");
            auto& member = add();
            const auto link = member.engine->accepted(accepted.socket->local(), accepted.remote, kith::io::now());
            watch(member, std::move(*accepted.socket), link, false);
            carry_out(member);
        }
    });
    if (!watched) fail(watched.error().message());
    return listener_->local();
}

void Swarm::watch(Member& member, kith::io::TcpSocket socket, kith::LinkId link, bool connecting) {
    member.socket.emplace(std::move(socket));
    member.link = link;
    member.connecting = connecting;
    auto made = loop_.watch(member.socket->fd(), {.readable = !connecting, .writable = connecting},
                            [this, &member](kith::Ready) { on_ready(member); });
    if (!made) fail(made.error().message());
    member.watch = *made;
}

void Swarm::on_ready(Member& member) {
    if (member.connecting) {
        if (const auto ok = member.socket->connect_result(); !ok) fail(ok.error().message());
        member.connecting = false;
        if (!loop_.modify(member.watch, {.readable = true})) fail("modify");
        member.engine->link_up(member.link, {member.socket->local(), member.socket->remote()}, kith::io::now());
        return carry_out(member);
    }
    const kith::MutableBytes room{read_buffer_};
    const auto head = member.engine->take_head(member.link, room);
    const auto got = member.socket->read(room.subspan(head, read_size));
    if (got.state == kith::io::IoState::ok) {
        member.engine->received(member.link, room.first(head + got.n), kith::io::now());
    } else if (got.state != kith::io::IoState::would_block) {
        fail("the measured node closed a link");
    }
    carry_out(member);
}

void Swarm::carry_out(Member& member) {
    auto& engine = *member.engine;
    auto& out = engine.outputs();
    const auto now = kith::io::now();
    std::size_t up = 0;
    for (;;) {
        up += take_events(member, now);
        const auto opens = std::exchange(out.open_links, {});
        const auto writes = std::exchange(out.wants_write, {});
        if (!out.close_links.empty()) fail("a link of the swarm ended");
        if (opens.empty() && writes.empty()) break;
        for (const auto& open : opens) {
            auto socket = kith::io::TcpSocket::connect_start(open.to);
            if (!socket) fail(socket.error().message());
            watch(member, std::move(*socket), open.link, true);
        }
        for (const auto id : writes) {
            while (const auto n = engine.pull(id, write_buffer_, now)) {
                // Handshakes, pings and a greeting: less than any socket takes at once.
                if (member.socket->write(kith::ByteView{write_buffer_}.first(n)).n != n) fail("write");
            }
        }
    }
    if (up == 0) return;
    linked_ += up;
    if (to_.port != 0) dial_next();
    if (linked_ == wanted_) done_();
}

// How many links came up.
std::size_t Swarm::take_events(Member& member, kith::Instant now) {
    auto& engine = *member.engine;
    auto& out = engine.outputs();
    std::size_t up = 0;
    for (const auto& event : std::exchange(out.events, {})) {
        if (event.state != kith::PeerState::connected) continue;
        ++up;
        if (greeting_.empty()) continue;
        const auto lane = engine.lane(event.peer, "bench", kith::Strength::reliable, kith::Priority::normal, now);
        if (!lane) fail(lane.error().message());
        engine.send(*lane, {.bytes = greeting_}, now);
        engine.flush_sends(now);
    }
    out.completions = {};
    out.reachability = {};
    out.released = {};
    out.outcomes = {};
    return up;
}

void Swarm::tick() {
    const auto now = kith::io::now();
    for (auto& member : members_) {
        const auto due = member->engine->next_deadline();
        if (!due || *due > now) continue;
        member->engine->tick(now);
        carry_out(*member);
    }
    loop_.after(std::chrono::milliseconds{100}, [this] { tick(); });
}

}  // namespace bench
