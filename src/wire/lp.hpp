// SPDX-License-Identifier: Apache-2.0
// Length-prefixed messages: a varint, then that many bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kith/bytes.hpp"
#include "wire/varint.hpp"

namespace kith::wire {

inline void append_lp(Bytes& out, ByteView message) {
    append_varint(out, message.size());
    out.insert(out.end(), message.begin(), message.end());
}

// Cuts a byte stream into messages. It never reads behind the message it returns, so the rest belongs to the caller
// (or to the next protocol). The length is compared with the limit before anything is allocated, and memory grows with
// the bytes that arrived, not with the length that was announced.
class LpReader {
public:
    enum class State : std::uint8_t {
        need_more,   // all of `in` was taken
        message,     // message() is complete and valid until the next call; `in` starts behind it
        too_large,   // the announced length is above the limit. Final: drop the stream
        bad_length,  // the prefix is not a minimal varint. Final: drop the stream
    };

    explicit LpReader(std::size_t max_message) noexcept : max_(max_message) {}

    State feed(ByteView& in);

    ByteView message() const noexcept { return message_; }
    bool midway() const noexcept { return have_length_ || prefix_size_ != 0; }  // inside a message: an end of the stream here truncates it
    std::size_t buffered() const noexcept { return buffer_.size(); }

private:
    State take_prefix(ByteView& in) noexcept;

    std::size_t max_;
    std::uint8_t prefix_[max_varint_size]{};
    std::uint8_t prefix_size_ = 0;
    bool have_length_ = false;
    std::size_t length_ = 0;
    State failed_ = State::need_more;  // need_more: not failed
    Bytes buffer_;                     // a message that came in pieces
    ByteView message_;
};

}  // namespace kith::wire
