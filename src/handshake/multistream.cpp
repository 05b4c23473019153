// SPDX-License-Identifier: Apache-2.0
#include "handshake/multistream.hpp"

#include <algorithm>
#include <cstring>

namespace kith::handshake {

namespace mss {
namespace {

constexpr std::string_view not_available = "na";
constexpr std::string_view list_request = "ls";
constexpr std::string_view simultaneous_connect = "/libp2p/simultaneous-connect";

}  // namespace

bool is_proposable(std::string_view protocol) noexcept {
    return !protocol.empty() && protocol.size() < max_message && protocol.find('\n') == std::string_view::npos && protocol != header &&
           protocol != not_available && protocol != list_request;
}

void append_message(std::string& out, std::string_view text) {
    const std::size_t length = text.size() + 1;
    out.reserve(out.size() + length + 2);
    if (length < 0x80) {
        out.push_back(static_cast<char>(length));
    } else {
        out.push_back(static_cast<char>((length & 0x7F) | 0x80));
        out.push_back(static_cast<char>(length >> 7));
    }
    out.append(text).push_back('\n');
}

Result<bool> MessageReader::take(ByteView& in, std::size_t limit) {
    if (at_ == At::complete) {
        text_.clear();
        at_ = At::length;
    }
    while (!in.empty()) {
        if (at_ == At::text) {
            const std::size_t n = std::min<std::size_t>(length_ - text_.size(), in.size());
            text_.append(as_text(in.first(n)));
            in = in.subspan(n);
            if (text_.size() < length_) return false;
            if (text_.find('\n') != text_.size() - 1)
                return Error{Errc::protocol_error, "multistream: newline missing or inside a message"};
            at_ = At::complete;
            return true;
        }
        // The limit is below 2^14, so a length that needs a third byte is refused without reading it.
        const std::uint8_t byte = in.front();
        in = in.subspan(1);
        if (at_ == At::length) {
            length_ = byte & 0x7F;
            if ((byte & 0x80) != 0) {
                at_ = At::length_high;
                continue;
            }
        } else {
            if (byte == 0) return Error{Errc::protocol_error, "multistream: length is not minimal"};
            if ((byte & 0x80) != 0) return Error{Errc::protocol_error, "multistream: message too long"};
            length_ = static_cast<std::uint16_t>(length_ | (byte << 7));
        }
        if (length_ == 0) return Error{Errc::protocol_error, "multistream: empty message"};
        if (length_ > std::min(limit, max_message)) return Error{Errc::protocol_error, "multistream: message too long"};
        text_.reserve(length_);
        at_ = At::text;
    }
    return false;
}

std::size_t Outbox::pull(MutableBytes out) noexcept {
    const std::size_t n = std::min(out.size(), bytes_.size() - sent_);
    if (n != 0) std::memcpy(out.data(), bytes_.data() + sent_, n);
    sent_ += n;
    if (sent_ == bytes_.size()) {
        bytes_.clear();
        sent_ = 0;
    }
    return n;
}

}  // namespace mss

MssDialer::MssDialer(std::span<const std::string_view> proposals, bool lazy) : lazy_(lazy && proposals.size() == 1) {
    std::size_t size = 0;
    for (const auto proposal : proposals) {
        if (!mss::is_proposable(proposal)) state_ = State::failed;
        size += proposal.size() + 1;
    }
    if (proposals.empty() || state_ == State::failed) {
        state_ = State::failed;
        return;
    }
    proposals_.reserve(size - 1);
    for (const auto proposal : proposals) {
        if (!proposals_.empty()) proposals_.push_back('\n');
        proposals_.append(proposal);
    }
    outbox_.add(mss::header);
    outbox_.add(selected());
}

std::size_t MssDialer::pull(MutableBytes out) noexcept { return wants_pull() ? outbox_.pull(out) : 0; }

std::string_view MssDialer::selected() const noexcept {
    const std::string_view rest = std::string_view{proposals_}.substr(current_);
    return rest.substr(0, rest.find('\n'));
}

Result<std::size_t> MssDialer::received(ByteView in) {
    if (state_ == State::failed) {
        return proposals_.empty() ? Error{Errc::invalid_argument, "multistream: a protocol that cannot be proposed"}
                                  : Error{Errc::protocol_error, "multistream: the negotiation has failed before"};
    }
    const std::size_t offered = in.size();
    // Nothing longer than the longest answer that could be right is ever gathered.
    while (state_ == State::negotiating) {
        const auto complete = reader_.take(in, std::max(mss::header.size(), selected().size()) + 1);
        if (complete && !*complete) break;
        if (Status status = complete ? answer(reader_.text()) : Status{complete.error()}; !status) {
            state_ = State::failed;
            return std::move(status).error();
        }
    }
    return offered - in.size();
}

Status MssDialer::answer(std::string_view text) {
    if (!header_seen_) {
        if (text != mss::header) return Error{Errc::protocol_error, "multistream: the peer does not begin with the header"};
        header_seen_ = true;
        return {};
    }
    // A peer that answers before it can have read the proposal echoes blindly; believing it would skip the negotiation.
    if (!outbox_.empty()) return Error{Errc::protocol_error, "multistream: answer before the proposal"};
    if (text == selected()) {
        state_ = State::selected;
        return {};
    }
    if (text != mss::not_available) return Error{Errc::protocol_error, "multistream: the answer is neither the proposal nor na"};
    const std::size_t next = current_ + selected().size() + 1;
    if (next > proposals_.size()) {
        std::string list = proposals_;
        std::replace(list.begin(), list.end(), '\n', ' ');
        return Error{Errc::not_supported, "multistream: the peer supports none of", std::move(list)};
    }
    current_ = next;
    outbox_.add(selected());
    return {};
}

MssListener::MssListener(std::uint8_t max_proposals) : proposals_left_(max_proposals) { outbox_.add(mss::header); }

std::size_t MssListener::pull(MutableBytes out) noexcept { return wants_pull() ? outbox_.pull(out) : 0; }

std::optional<std::string_view> MssListener::proposal() const noexcept {
    return state_ == State::waiting ? std::optional{reader_.text()} : std::nullopt;
}

void MssListener::accept() {
    if (state_ != State::waiting) return;
    outbox_.add(reader_.text());
    state_ = State::selected;
}

void MssListener::reject() {
    if (state_ != State::waiting) return;
    outbox_.add(mss::not_available);
    state_ = State::negotiating;
}

Result<std::size_t> MssListener::received(ByteView in) {
    if (state_ == State::failed) return Error{Errc::protocol_error, "multistream: the negotiation has failed before"};
    const std::size_t offered = in.size();
    while (state_ == State::negotiating) {
        const auto complete = reader_.take(in, mss::max_message);
        if (complete && !*complete) break;
        if (Status status = complete ? message() : Status{complete.error()}; !status) {
            state_ = State::failed;
            return std::move(status).error();
        }
    }
    return offered - in.size();
}

Status MssListener::message() {
    const std::string_view text = reader_.text();
    if (!header_seen_) {
        if (text != mss::header) return Error{Errc::protocol_error, "multistream: the peer does not begin with the header"};
        header_seen_ = true;
        return {};
    }
    if (text == mss::header) return Error{Errc::protocol_error, "multistream: the header came twice"};
    // Without this an endless row of proposals would hold the negotiation, and its answers would pile up, at the peer's will.
    if (proposals_left_ == 0) return Error{Errc::protocol_error, "multistream: too many proposals"};
    --proposals_left_;
    if (text == mss::list_request || text == mss::simultaneous_connect || !mss::is_proposable(text)) {
        outbox_.add(mss::not_available);
    } else {
        state_ = State::waiting;
    }
    return {};
}

}  // namespace kith::handshake
