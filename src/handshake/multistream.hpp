// SPDX-License-Identifier: Apache-2.0
// multistream-select 1.0: two ends of a byte stream agree on the protocol that is spoken behind it. Sans-IO.
//
// A message is: length (unsigned varint, newline included), text, newline. Both ends write "/multistream/1.0.0" first and
// need not wait for each other. The dialler proposes, the listener echoes the proposal or says "na".
// Spec: github.com/libp2p/specs, connections/README.md. Not offered: the listing "ls" and simultaneous-connect, both answered "na".
//
// One object serves one negotiation and belongs to the link or stream that negotiates; drop it when `done()`. It costs about
// 150 bytes and at most 1 KiB more while a message is in the middle. The deadline of a negotiation is the caller's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kith/bytes.hpp"
#include "kith/error.hpp"

namespace kith::handshake {

namespace mss {

inline constexpr std::string_view header = "/multistream/1.0.0";
inline constexpr std::size_t max_message = 1024;  // bytes of one message behind its length, newline included; as go and js
inline constexpr std::uint8_t default_max_proposals = 10;

// True for a text that may be proposed: 1..1023 bytes, no newline, none of the protocol's own words.
bool is_proposable(std::string_view protocol) noexcept;

// Appends one message to `out`.
void append_message(std::string& out, std::string_view text);

// Gathers one message from pieces of any size. Holds at most `max_message` bytes; the length is checked before room is made.
class MessageReader {
public:
    // Takes bytes from the front of `in`, never behind the newline of a message. True when `text()` is complete; a following
    // call begins the next message. protocol_error: a length of zero, above `limit`, or not minimal; newline missing or inside.
    Result<bool> take(ByteView& in, std::size_t limit);

    std::string_view text() const noexcept { return std::string_view{text_}.substr(0, text_.size() - 1); }

private:
    enum class At : std::uint8_t { length, length_high, text, complete };

    std::string text_;
    std::uint16_t length_ = 0;
    At at_ = At::length;
};

// Bytes waiting to be pulled.
class Outbox {
public:
    bool empty() const noexcept { return sent_ == bytes_.size(); }
    void add(std::string_view text) { append_message(bytes_, text); }
    std::size_t pull(MutableBytes out) noexcept;

private:
    std::string bytes_;
    std::size_t sent_ = 0;
};

}  // namespace mss

// The side that proposes.
//
//   negotiating --echo of the proposal--> selected
//   negotiating --"na", another one is left--> negotiating (the next proposal is pulled)
//   negotiating --"na", none left / broken rule--> failed
//
// Lazy (0-RTT): with exactly one proposal the caller may write application data right behind the pulled bytes, before any answer
// (see `may_write`). It must then keep feeding `received` even when it closed its own direction, must reset the stream when that
// fails, and must report nothing it wrote as delivered: the listener may answer "na".
class MssDialer {
public:
    enum class State : std::uint8_t { negotiating, selected, failed };

    // Proposals in order of preference, copied. One that is not `mss::is_proposable`, or none at all, makes the state `failed`
    // at once and `received` answers invalid_argument. `lazy` has an effect only with exactly one proposal.
    MssDialer(std::span<const std::string_view> proposals, bool lazy);
    explicit MssDialer(std::string_view proposal, bool lazy = false) : MssDialer(std::span{&proposal, 1}, lazy) {}

    bool wants_pull() const noexcept { return state_ != State::failed && !outbox_.empty(); }
    std::size_t pull(MutableBytes out) noexcept;  // how many bytes were written to `out`; any room is fine

    State state() const noexcept { return state_; }
    bool done() const noexcept { return state_ == State::selected; }
    bool lazy() const noexcept { return lazy_; }
    // Application data may be written now: all is pulled and either the answer came or this is lazy.
    bool may_write() const noexcept { return outbox_.empty() && (state_ == State::selected || (lazy_ && state_ == State::negotiating)); }
    // The agreed protocol; before that the one that is proposed now.
    std::string_view selected() const noexcept;

    // How many bytes were consumed: never beyond the newline that decides, so the rest belongs to the selected protocol.
    // not_supported: every proposal was answered "na" (`detail` lists them); protocol_error: the peer broke a rule. Both are
    // final: reset the stream, or close the link.
    Result<std::size_t> received(ByteView in);

private:
    Status answer(std::string_view text);

    std::string proposals_;  // joined by newlines, which no protocol contains
    mss::Outbox outbox_;
    mss::MessageReader reader_;
    std::size_t current_ = 0;  // where in `proposals_` the one being proposed begins
    State state_ = State::negotiating;
    bool lazy_ = false;
    bool header_seen_ = false;
};

// The side that answers.
//
//   negotiating --proposal--> waiting --accept()--> selected
//                               |--reject()--> negotiating ("na" is pulled)
//   negotiating --broken rule--> failed
class MssListener {
public:
    enum class State : std::uint8_t { negotiating, waiting, selected, failed };

    // `max_proposals`: how many proposals (and "ls") one negotiation may make, else protocol_error.
    explicit MssListener(std::uint8_t max_proposals = mss::default_max_proposals);

    bool wants_pull() const noexcept { return state_ != State::failed && !outbox_.empty(); }
    std::size_t pull(MutableBytes out) noexcept;

    State state() const noexcept { return state_; }
    bool done() const noexcept { return state_ == State::selected && outbox_.empty(); }  // what follows the echo may be written

    // A proposal that waits for accept() or reject(); the view lives until one of them, or this object, is gone.
    std::optional<std::string_view> proposal() const noexcept;
    void accept();  // no effect unless a proposal waits
    void reject();  // likewise
    std::string_view selected() const noexcept { return state_ == State::selected ? reader_.text() : std::string_view{}; }

    // How many bytes were consumed: nothing while a proposal waits, nothing after the selected proposal. Call again with the rest
    // after reject(). protocol_error is final.
    Result<std::size_t> received(ByteView in);

private:
    Status message();

    mss::Outbox outbox_;
    mss::MessageReader reader_;
    State state_ = State::negotiating;
    std::uint8_t proposals_left_;
    bool header_seen_ = false;
};

}  // namespace kith::handshake
