// SPDX-License-Identifier: Apache-2.0
#include "testing/sim.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "crypto/ed25519.hpp"
#include "crypto/hash.hpp"
#include "wire/address.hpp"
#include "wire/keys.hpp"

namespace kith::testing {
namespace {

crypto::Secret32 secret(std::uint64_t a, std::uint64_t b) {
    std::array<std::uint8_t, 32> bytes{};
    Random random(a * 0x9E3779B97F4A7C15ULL + b);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random.u64());
    return crypto::Secret32{std::span<const std::uint8_t, 32>{bytes}};
}

constexpr std::size_t read_at_once = 256 * 1024;

}  // namespace

World::World(std::uint64_t seed) : random_(seed), seed_(seed) {
    now_.steady = std::chrono::hours{1};
    now_.wall = std::chrono::hours{24 * 365 * 50};
    receive_buffer_.resize(connection::max_record + read_at_once);
    send_buffer_.resize(engine::pull_room);
}

World::~World() = default;

NodeId World::add_node(Function<void(engine::Config&)> adjust) {
    auto node = std::make_unique<Node>();
    node->index = nodes_.size();
    const crypto::SigningKey key(secret(7, node->index));
    engine::Config config;
    config.identity_key = wire::encode_public_key(crypto::KeyType::ed25519, key.public_key());
    config.self = wire::peer_id_of(config.identity_key);
    config.agent = "kith/sim node" + std::to_string(node->index);
    config.lan = false;
    if (adjust) adjust(config);
    node->id = config.self;
    node->listen = {IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(node->index + 1)), 4001};
    node->config = config;
    nodes_.push_back(std::move(node));
    start(*nodes_.back());
    return nodes_.size() - 1;
}

// A new process of the node.
void World::start(Node& node) {
    const crypto::SigningKey key(secret(7, node.index));
    node.engine = std::make_unique<engine::Engine>(node.config, key, secret(seed_, 1000 + node.index + 1000 * node.life), now_);
    node.engine->set_listen_addresses({wire::from_tcp(node.listen)}, {}, now_);
    if (node.config.durable && !load_disk(node)) node.engine.reset();
}

void World::introduce(NodeId from, NodeId to) {
    if (!node(from).engine) return;
    engine(from).add_address(node(to).id, wire::from_tcp(node(to).listen), peer::Source::user, std::nullopt, now_);
    turn(node(from));
}

// FNV-1a over everything that happens.
void World::note(std::uint64_t what, std::uint64_t a, std::uint64_t b) noexcept {
    for (const auto value : {what, static_cast<std::uint64_t>(now_.steady.count()), a, b}) {
        for (int shift = 0; shift < 64; shift += 8) trace_ = (trace_ ^ ((value >> shift) & 0xFF)) * 0x100000001b3ULL;
    }
}

void World::schedule(Duration at, Function<void()> what) {
    queue_.push_back({std::max(at, now_.steady), ++order_, std::move(what)});
    std::push_heap(queue_.begin(), queue_.end(), Later{});
}

void World::at(Duration after, Function<void()> what) { schedule(now_.steady + after, std::move(what)); }

bool World::step() {
    Duration next = queue_.empty() ? Duration::max() : queue_.front().at;
    Node* due = nullptr;
    for (const auto& node : nodes_) {
        if (!node->engine) continue;
        const auto deadline = node->engine->next_deadline();
        const auto due_at = deadline ? std::max(deadline->steady, node->paused_until) : Duration::max();
        if (due_at < next) {
            next = std::max(due_at, now_.steady);
            due = node.get();
        }
    }
    if (next == Duration::max()) return false;
    same_instant_ = next == now_.steady ? same_instant_ + 1 : 0;
    if (stuck()) return false;
    now_.wall += next - now_.steady;
    now_.steady = next;
    ++events_;
    if (due != nullptr) {
        due->engine->tick(now_);
        turn(*due);
        return true;
    }
    std::pop_heap(queue_.begin(), queue_.end(), Later{});
    auto event = std::move(queue_.back());
    queue_.pop_back();
    event.what();
    return true;
}

void World::run_for(Duration span) {
    bool over = false;
    at(span, [&over] { over = true; });
    while (!over && step()) {
    }
}

bool World::run_until(Function<bool()> done, Duration limit) {
    const auto end = now_.steady + limit;
    while (!done()) {
        if (now_.steady > end || !step()) return done();
    }
    return true;
}

// ---- one turn of a node's driver

void World::turn(Node& node) {
    if (!node.engine) return;
    if (paused(node)) return when_awake(node.index, [this, &node] { turn(node); });
    // Other inputs of the same instant may come first, as they do when a real loop wakes up late.
    if (!node.dirty && random_.one_in(4) && !queue_.empty() && queue_.front().at == now_.steady) {
        node.dirty = true;
        schedule(now_.steady, [this, i = node.index] { turn(*nodes_[i]); });
        return;
    }
    node.dirty = false;
    drain(node);
    write(node);
    keep(node);
}

void World::drain(Node& node) {
    auto& out = node.engine->outputs();
    take_messages(node);
    // Lists are moved out first: carrying one entry out may be an input.
    const auto opens = std::exchange(out.open_links, {});
    const auto closes = std::exchange(out.close_links, {});
    const auto writes = std::exchange(out.wants_write, {});
    const auto streams = std::exchange(out.streams, {});
    const auto completions = std::exchange(out.completions, {});
    const auto events = std::exchange(out.events, {});
    const auto released = std::exchange(out.released, {});
    const auto outcomes = std::exchange(out.outcomes, {});
    for (const auto& item : std::exchange(out.notices, {})) {
        if (node.on_notice) node.on_notice(item);
    }
    out.reachability.clear();
    out.resolve.clear();
    out.packets.clear();
    for (const auto& open : opens) dial(node, open);
    for (const auto link : writes) {
        note(1, node.index, link.value);
        node.writing.push_back(link);
    }
    for (const auto& item : released) {
        if (node.on_released) node.on_released(item);
    }
    for (const auto& item : outcomes) {
        if (node.on_outcome) node.on_outcome(item);
    }
    for (const auto& item : completions) {
        if (node.on_completion) node.on_completion(item);
    }
    for (const auto& item : streams) {
        if (node.on_stream) node.on_stream(item);
    }
    for (const auto& item : events) {
        if (node.on_event) node.on_event(item);
    }
    for (const auto& item : closes) close(node, item.link);
}

// The batch goes to the application, which takes its time; then one answer per row goes back.
void World::take_messages(Node& node) {
    auto& messages = node.engine->outputs().messages;
    if (messages.empty()) return;
    node.application.push_back(std::make_unique<delivery::Batch>(std::move(messages)));
    messages = {};
    node.engine->end_batch();
    node.app_free = std::max(node.app_free, now_.steady) + random_.between(Duration{}, profile.max_app_delay);
    schedule(node.app_free, [this, &node] { consume(node); });
}

// The oldest batch: whatever pauses come between, they stay in order.
void World::consume(Node& node) {
    if (!node.engine || node.application.empty()) return;
    if (paused(node)) return when_awake(node.index, [this, &node] { consume(node); });
    auto batch = std::move(node.application.front());
    node.application.pop_front();
    struct Last {
        std::uint32_t source, row, generation;
        std::uint64_t mark;
    };
    std::vector<Last> rows;
    bool any_held = false;
    for (const auto& message : batch->messages) {
        if (!node.held_channel.empty() && detail::origin_channel(*message.origin) == node.held_channel) {
            any_held = true;
            continue;
        }
        if (node.on_message) node.on_message(message);
        note(2, message.seq, message.bytes.size());
        if (message.seq == 0) continue;
        const auto same = std::find_if(rows.begin(), rows.end(), [&](const Last& last) {
            return last.source == message.source && last.row == message.row && last.generation == message.generation;
        });
        if (same == rows.end()) {
            rows.push_back({message.source, message.row, message.generation, message.mark()});
        } else {
            same->mark = message.mark();
        }
    }
    for (const auto& row : rows) node.engine->consumed(row.source, row.row, row.generation, row.mark, now_);
    if (any_held) {
        std::erase_if(batch->messages, [&](const auto& m) { return detail::origin_channel(*m.origin) != node.held_channel; });
        node.held.push_back(std::move(batch));
    }
    turn(node);
}

std::size_t World::Node::held_bytes() const {
    std::size_t sum = 0;
    for (const auto& batch : held) {
        for (const auto& message : batch->messages) sum += message.bytes.size();
    }
    return sum;
}

void World::release_channel(NodeId i) {
    auto& node = *nodes_[i];
    node.held_channel.clear();
    auto held = std::exchange(node.held, {});
    for (auto batch = held.rbegin(); batch != held.rend(); ++batch) node.application.push_front(std::move(*batch));
    for (std::size_t n = held.size(); n > 0; --n) schedule(now_.steady, [this, &node] { consume(node); });
}

// ---- sockets

void World::dial(Node& node, const engine::OpenLink& open) {
    note(3, node.index, open.link.value);
    const auto id = wires_.size();
    wires_.push_back(std::make_unique<Wire>());
    auto& wire = *wires_.back();
    wire.profile = profile;
    wire.ends[0] = {node.index, open.link, true, {}};
    node.wires[open.link] = id;
    const auto found = std::find_if(nodes_.begin(), nodes_.end(), [&](const auto& n) { return n->listen == open.to; });
    const auto fail = [this, id, me = node.index](Errc code, Duration after) {
        later(after, me, [this, id, code] {
            auto& end = wires_[id]->ends[0];
            if (!end.open) return;
            end.open = false;
            wires_[id]->alive = false;
            auto& dialler = *nodes_[end.node];
            dialler.wires.erase(end.link);
            dialler.engine->link_failed(end.link, Error{code, "simulated"}, now_);
            turn(dialler);
        });
    };
    if (found == nodes_.end()) return fail(Errc::unreachable, wire.profile.delay);
    auto& target = **found;
    if (!target.engine) return target.accept == Accept::hang ? void() : fail(Errc::connection_refused, 2 * wire.profile.delay);
    const auto mode = target.accept_until > now_.steady ? target.accept : Accept::normal;
    if (mode == Accept::hang) return;  // nobody answers: the engine's own deadline ends it
    if (mode == Accept::refuse) return fail(Errc::connection_refused, 2 * wire.profile.delay);
    const Endpoint from{node.listen.ip, static_cast<std::uint16_t>(40'000 + id % 20'000)};
    later(wire.profile.delay, target.index, [this, id, from, to = target.index] {
        auto& w = *wires_[id];
        if (!w.ends[0].open) return;
        auto& acceptor = *nodes_[to];
        if (!acceptor.engine) return;  // it died meanwhile: nobody answers
        const auto link = acceptor.engine->accepted(acceptor.listen, from, now_);
        w.ends[1].node = to;
        if (!link) {
            w.ends[0].out.fin = true;
            w.ends[1].out.fin = true;
        } else {
            w.ends[1].link = link;
            w.ends[1].open = true;
            acceptor.wires[link] = id;
        }
        later(w.profile.delay, w.ends[0].node, [this, id, from] {
            auto& end = wires_[id]->ends[0];
            if (!end.open) return;
            auto& dialler = *nodes_[end.node];
            dialler.engine->link_up(end.link, {from, nodes_[wires_[id]->ends[1].node]->listen}, now_);
            turn(dialler);
            if (!wires_[id]->ends[1].open && wires_[id]->ends[1].out.fin) arm(id, 1);
        });
        if (link) turn(acceptor);
    });
}

// CloseLink: what can still be written is, whatever the buffer; then FIN.
void World::close(Node& node, LinkId link) {
    note(4, node.index, link.value);
    const auto it = node.wires.find(link);
    if (it == node.wires.end()) {
        node.engine->link_closed(link, Error{Errc::cancelled}, now_);
        return;
    }
    const auto id = it->second;
    const int side = wires_[id]->ends[0].node == node.index && wires_[id]->ends[0].link == link ? 0 : 1;
    auto& end = wires_[id]->ends[side];
    for (;;) {
        const auto n = node.engine->pull(link, send_buffer_, now_);
        if (n == 0) break;
        end.out.buffer.insert(end.out.buffer.end(), send_buffer_.begin(), send_buffer_.begin() + static_cast<std::ptrdiff_t>(n));
    }
    end.out.fin = true;
    end.open = false;
    node.wires.erase(it);
    std::erase(node.writing, link);
    std::erase(node.blocked, link);
    transmit(id, side);
    arm(id, side);
    node.engine->link_closed(link, Error{Errc::cancelled}, now_);
    drain(node);
}

void World::write(Node& node) {
    if (!node.engine) return;
    if (paused(node)) return when_awake(node.index, [this, &node] { write(node); });
    std::deque<LinkId> again;
    while (!node.writing.empty()) {
        const auto link = node.writing.front();
        node.writing.pop_front();
        const auto pulled = pull(node, link);
        if (pulled == Pulled::more) again.push_back(link);
        if (pulled == Pulled::full) node.blocked.push_back(link);
    }
    node.writing = std::move(again);
    keep(node);
    // A pull can end a dial or a handshake: then there is something to carry out.
    auto& out = node.engine->outputs();
    if (!out.wants_write.empty() || !out.close_links.empty() || !out.open_links.empty() || !out.completions.empty() ||
        !out.events.empty() || !out.streams.empty()) {
        schedule(now_.steady, [this, &node] { turn(node); });
    } else if (!node.writing.empty()) {
        schedule(now_.steady, [this, &node] { write(node); });
    }
}

World::Pulled World::pull(Node& node, LinkId link) {
    const auto it = node.wires.find(link);
    if (it == node.wires.end()) return Pulled::nothing;
    const auto id = it->second;
    auto& wire = *wires_[id];
    const int side = wire.ends[0].node == node.index && wire.ends[0].link == link ? 0 : 1;
    auto& pipe = wire.ends[side].out;
    if (pipe.size() >= wire.profile.backlog) return Pulled::full;  // tried again when bytes have arrived: see arrive()
    const auto n = node.engine->pull(link, send_buffer_, now_);
    note(5, link.value, n);
    if (n == 0) return Pulled::nothing;
    if (pipe.sent == pipe.buffer.size()) {
        pipe.buffer.clear();
        pipe.sent = 0;
    }
    pipe.buffer.insert(pipe.buffer.end(), send_buffer_.begin(), send_buffer_.begin() + static_cast<std::ptrdiff_t>(n));
    transmit(id, side);
    return Pulled::more;
}

// Cuts what the socket accepted into segments and gives each its time of arrival.
void World::transmit(WireId id, int from) {
    auto& wire = *wires_[id];
    auto& pipe = wire.ends[from].out;
    while (pipe.sent < pipe.buffer.size()) {
        const auto most = std::max(wire.profile.min_segment, static_cast<std::size_t>(random_.skewed(wire.profile.max_segment)));
        const auto n = std::min(most, pipe.buffer.size() - pipe.sent);
        pipe.free =
            std::max(pipe.free, now_.steady) + Duration{static_cast<std::int64_t>(static_cast<double>(n) / wire.profile.rate * 1e9)};
        const auto begin = pipe.buffer.begin() + static_cast<std::ptrdiff_t>(pipe.sent);
        pipe.flying.push_back({pipe.free + wire.profile.delay, Bytes(begin, begin + static_cast<std::ptrdiff_t>(n))});
        pipe.flying_bytes += n;
        pipe.sent += n;
    }
    arm(id, from);
}

void World::arm(WireId id, int from) {
    auto& wire = *wires_[id];
    auto& pipe = wire.ends[from].out;
    if (pipe.armed || !wire.alive || (pipe.flying.empty() && !pipe.fin)) return;
    pipe.armed = true;
    auto when = pipe.flying.empty() ? now_.steady + wire.profile.delay : pipe.flying.front().at;
    when = std::max(when, pipe.stalled_until);
    schedule(when, [this, id, from] { arrive(id, from); });
}

void World::arrive(WireId id, int from) {
    auto& wire = *wires_[id];
    auto& pipe = wire.ends[from].out;
    pipe.armed = false;
    if (!wire.alive) return;
    if (pipe.stalled_until > now_.steady) return arm(id, from);
    auto& to = wire.ends[1 - from];
    if (to.open && paused(*nodes_[to.node])) {
        pipe.stalled_until = nodes_[to.node]->paused_until + Duration{1};
        return arm(id, from);
    }
    // One read takes what is there.
    MutableBytes room{receive_buffer_};
    std::size_t head = to.open ? nodes_[to.node]->engine->take_head(to.link, room) : 0;
    std::size_t size = head;
    bool broken = false;
    while (!pipe.flying.empty() && pipe.flying.front().at <= now_.steady && !broken) {
        auto& segment = pipe.flying.front();
        auto n = segment.bytes.size();
        if (size + n > room.size()) break;
        if (pipe.reset_in && *pipe.reset_in <= n) {
            n = *pipe.reset_in;
            broken = true;
        } else if (pipe.reset_in) {
            *pipe.reset_in -= n;
        }
        std::copy_n(segment.bytes.begin(), n, room.begin() + static_cast<std::ptrdiff_t>(size));
        size += n;
        pipe.flying_bytes -= segment.bytes.size();
        pipe.flying.pop_front();
        if (random_.one_in(3)) break;  // a reader that was fast saw less
    }
    const bool eof = pipe.flying.empty() && pipe.sent == pipe.buffer.size() && pipe.fin;
    if (to.open && size != 0) {
        auto& node = *nodes_[to.node];
        note(6, to.link.value, size);
        node.engine->received(to.link, room.first(size), now_);
        turn(node);
    }
    if (broken) return reset(id);
    if (eof) {
        ended(id, 1 - from);
        return;
    }
    arm(id, from);
    // The sender's buffer has room again.
    auto& back = wire.ends[from];
    if (!back.open || pipe.size() >= wire.profile.backlog) return;
    auto& sender = *nodes_[back.node];
    if (std::erase(sender.blocked, back.link) == 0) return;
    sender.writing.push_back(back.link);
    write(sender);
}

void World::ended(WireId id, int side) {
    auto& end = wires_[id]->ends[side];
    if (!end.open) return;
    auto& node = *nodes_[end.node];
    if (paused(node)) return when_awake(end.node, [this, id, side] { ended(id, side); });
    end.open = false;
    node.wires.erase(end.link);
    std::erase(node.writing, end.link);
    std::erase(node.blocked, end.link);
    end.out.fin = true;  // its own closing answers
    arm(id, side);
    node.engine->link_closed(end.link, Error{Errc::link_lost, "the connection ended"}, now_);
    turn(node);
}

void World::reset(WireId id) {
    auto& wire = *wires_[id];
    if (!wire.alive) return;
    wire.alive = false;
    ++cuts_;
    for (int side = 0; side < 2; ++side) {
        wire.ends[side].out.flying.clear();
        ended(id, side);
    }
}

// ---- faults

std::vector<WireId> World::open_wires() const {
    std::vector<WireId> out;
    for (WireId i = 0; i < wires_.size(); ++i) {
        if (wires_[i]->alive && wires_[i]->ends[0].open && wires_[i]->ends[1].open) out.push_back(i);
    }
    return out;
}

void World::cut(WireId id, Cut how) {
    auto& wire = *wires_[id];
    if (!wire.alive) return;
    note(7, id, static_cast<std::uint64_t>(how));
    switch (how) {
        case Cut::rst:
            reset(id);
            return;
        case Cut::fin: {
            ++cuts_;
            ended(id, random_.one_in(2) ? 0 : 1);
            return;
        }
        case Cut::silent:
            ++cuts_;
            stall(id, true, true, std::chrono::hours{24});
            return;
    }
}

void World::reset_after(WireId id, bool towards_dialler, std::size_t bytes) {
    wires_[id]->ends[towards_dialler ? 1 : 0].out.reset_in = bytes;
}

void World::stall(WireId id, bool to_acceptor, bool to_dialler, Duration span) {
    auto& wire = *wires_[id];
    note(8, id, static_cast<std::uint64_t>(span.count()));
    if (to_acceptor) wire.ends[0].out.stalled_until = now_.steady + span;
    if (to_dialler) wire.ends[1].out.stalled_until = now_.steady + span;
}

void World::heal() {
    note(9, 0, 0);
    for (const auto& node : nodes_) {
        node->accept = Accept::normal;
        node->accept_until = {};
    }
    for (WireId id = 0; id < wires_.size(); ++id) {
        for (int side = 0; side < 2; ++side) {
            auto& pipe = wires_[id]->ends[side].out;
            pipe.reset_in.reset();
            if (pipe.stalled_until <= now_.steady) continue;
            pipe.stalled_until = now_.steady;
            if (!pipe.armed) continue;
            pipe.armed = false;  // the old event finds nothing to do that a new one has not done
            arm(id, side);
        }
    }
}

}  // namespace kith::testing
