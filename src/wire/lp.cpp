// SPDX-License-Identifier: Apache-2.0
#include "wire/lp.hpp"

#include <algorithm>

namespace kith::wire {

LpReader::State LpReader::take_prefix(ByteView& in) noexcept {
    Varint length;
    if (prefix_size_ == 0) {
        length = get_varint(in);
        if (length) in = in.subspan(length.size);
    }
    while (!length && length.state == VarintState::need_more && !in.empty()) {
        prefix_[prefix_size_++] = in.front();  // at most 9: the ninth byte decides
        in = in.subspan(1);
        length = get_varint(ByteView{prefix_, prefix_size_});
    }
    if (length.state == VarintState::bad) return failed_ = State::bad_length;
    if (!length) return State::need_more;
    if (length.value > max_) return failed_ = State::too_large;
    length_ = static_cast<std::size_t>(length.value);
    have_length_ = true;
    return State::message;
}

LpReader::State LpReader::feed(ByteView& in) {
    if (failed_ != State::need_more) return failed_;
    message_ = {};
    if (!have_length_) {
        buffer_.clear();
        if (const auto state = take_prefix(in); state != State::message) return state;
    }
    if (buffer_.empty() && in.size() >= length_) {
        message_ = in.first(length_);
        in = in.subspan(length_);
    } else {
        const auto n = std::min(length_ - buffer_.size(), in.size());
        buffer_.insert(buffer_.end(), in.begin(), in.begin() + static_cast<std::ptrdiff_t>(n));
        in = in.subspan(n);
        if (buffer_.size() < length_) return State::need_more;
        message_ = buffer_;
    }
    have_length_ = false;
    prefix_size_ = 0;
    return State::message;
}

}  // namespace kith::wire
