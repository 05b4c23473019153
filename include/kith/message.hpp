// SPDX-License-Identifier: Apache-2.0
// What arrives, and how a message is sent.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kith/bytes.hpp"
#include "kith/function.hpp"
#include "kith/peer_id.hpp"
#include "kith/time.hpp"

namespace kith {
inline namespace v0 {

namespace detail {
class Chunk;                             // the counted memory a message lies in
struct Origin;                           // peer, channel and path of a lane, counted
void retain(Chunk*, Origin*) noexcept;   // thread-safe
void release(Chunk*, Origin*) noexcept;  // thread-safe
const PeerId& origin_peer(const Origin&) noexcept;
std::string_view origin_channel(const Origin&) noexcept;
std::string_view origin_path(const Origin&) noexcept;
}  // namespace detail

// What a message survives; docs/delivery.md is exact.
enum class Strength : std::uint8_t {
    unreliable,  // at most once; dropped when either side is full
    reliable,    // survives cuts of the link, not the end of either process
    durable,     // survives crashes and power loss of both sides; needs Config::store or Config::home
};

enum class Priority : std::uint8_t { low, normal, high, critical };

// How an accepted message ended, or how far it came.
struct Receipt {
    enum class Outcome : std::uint8_t {
        stored,     // durable: on this machine's disk; the promise begins. Not an end
        sent,       // unreliable: given to the link
        delivered,  // reliable: the other handler returned; durable: on the other machine's disk
        processed,  // as delivered, and the other application is done with it
        expired,    // its ttl ended; it was not and will not be handed over
        cancelled,  // likewise
        replaced,   // likewise: a newer message with the same key took its place
        failed,     // likewise: given up by stop() or forget(), the peer cannot take it, or our disk did not
        unknown,    // it was on the wire when ttl, stop() or forget() ended it
    };
    Outcome outcome = Outcome::delivered;
    Duration after{};  // from acceptance to the answer
};

struct SendOptions {
    Strength strength = Strength::reliable;
    Priority priority = Priority::normal;
    // How long send() may wait for room in the queue. Zero: refuse at once with queue_full. Inside a callback nothing waits:
    // would_block_callback.
    Duration wait{};
    // From acceptance on; zero: none. What is not delivered by then ends as `expired`, or as `unknown` when the peer may have it.
    Duration ttl{};
    // Other than zero: a message that waits with the same key for the same peer, channel and strength, and of which no byte was
    // sent, ends as `replaced` and gives this one its place and priority.
    std::uint64_t key = 0;
    // Durable: your own number for it. Other than zero: however it ends, Node::on_outcome tells, also after a restart. With zero
    // only ends other than `delivered` are told.
    std::uint64_t tag = 0;
    // What `done` and deliver() wait for: stored, delivered or processed. stored: durable only. An end that excludes it (expired,
    // cancelled, replaced, failed, unknown) is told instead.
    Receipt::Outcome until = Receipt::Outcome::delivered;
};

// Names a message of this run of the node, for Node::cancel().
struct SendId {
    PeerId peer;
    std::uint64_t token = 0;  // 0: it was refused
    explicit operator bool() const noexcept { return token != 0; }
};

// How a durable message ended, kept on disk until it was told.
struct DurableOutcome {
    PeerId peer;
    std::string channel;
    std::uint64_t tag = 0;  // SendOptions::tag
    Receipt::Outcome outcome = Receipt::Outcome::delivered;
};

// How a handler wants its messages.
struct Subscription {
    // Durable messages with an inbox_id up to this are not handed over: the application has stored their effect together with it.
    // Exact where the channel has one sender with one priority, whose messages come in the order of their numbers. With several,
    // keep one number for each `from` and compare in the handler.
    std::uint64_t after = 0;
};

// One received message: a slice of counted memory. In a callback it is borrowed and free; a copy keeps the memory (up to
// 64 KiB for a short text), detach() keeps just the bytes. Copies may be made and dropped on any thread, also after stop().
class Message {
public:
    PeerId from;
    std::string_view channel;
    std::string_view path;  // "LAN", "direct": how it came
    std::uint64_t sequence = 0;
    bool maybe_repeat = false;   // it may have been handed over before: docs/delivery.md says when that can be
    bool durable = false;        // it lies on this machine's disk until the handler returned
    std::uint64_t inbox_id = 0;  // of a durable one: its number there, rising, never used twice; store it with what you do

    ByteView bytes() const noexcept { return bytes_; }
    std::string_view text() const noexcept { return as_text(bytes_); }
    Bytes detach() const { return {bytes_.begin(), bytes_.end()}; }

    Message() = default;
    Message(const Message& other) noexcept { copy(other); }
    Message& operator=(const Message& other) noexcept {
        if (this != &other) {
            drop();
            copy(other);
        }
        return *this;
    }
    ~Message() { drop(); }

    // For the node: a message that borrows from a batch which outlives it.
    static Message borrow(detail::Chunk* chunk, detail::Origin* origin, ByteView bytes, std::uint64_t sequence, bool repeat,
                          std::uint64_t inbox = 0) noexcept {
        Message m;
        m.from = detail::origin_peer(*origin);
        m.channel = detail::origin_channel(*origin);
        m.path = detail::origin_path(*origin);
        m.sequence = sequence;
        m.maybe_repeat = repeat;
        m.durable = inbox != 0;
        m.inbox_id = inbox;
        m.bytes_ = bytes;
        m.chunk_ = chunk;
        m.origin_ = origin;
        return m;
    }

private:
    void copy(const Message& other) noexcept {
        from = other.from;
        channel = other.channel;
        path = other.path;
        sequence = other.sequence;
        maybe_repeat = other.maybe_repeat;
        durable = other.durable;
        inbox_id = other.inbox_id;
        bytes_ = other.bytes_;
        chunk_ = other.chunk_;
        origin_ = other.origin_;
        owned_ = origin_ != nullptr;
        if (owned_) detail::retain(chunk_, origin_);
    }
    void drop() noexcept {
        if (owned_) detail::release(chunk_, origin_);
        owned_ = false;
    }

    ByteView bytes_;
    detail::Chunk* chunk_ = nullptr;
    detail::Origin* origin_ = nullptr;
    bool owned_ = false;
};

}  // namespace v0
}  // namespace kith
