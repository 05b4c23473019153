// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "handshake/noise.hpp"

namespace kith::handshake {
namespace {

std::size_t announced(ByteView in) noexcept { return static_cast<std::size_t>(in[0]) << 8 | in[1]; }

}  // namespace

NoiseSession::NoiseSession(CipherState send, CipherState receive) noexcept : send_(std::move(send)), receive_(std::move(receive)) {}

Result<std::size_t> NoiseSession::seal(MutableBytes record, std::size_t n) noexcept {
    if (n > max_plain) return Error{Errc::too_large, "noise: more than one record holds"};
    if (record.size() < n + overhead) return Error{Errc::invalid_argument, "noise: no room for the tag"};
    const std::size_t sealed = n + CipherState::tag_size;
    if (Status status = send_.seal({}, record.subspan(header_size, sealed)); !status) return std::move(status).error();
    record[0] = static_cast<std::uint8_t>(sealed >> 8);
    record[1] = static_cast<std::uint8_t>(sealed);
    return header_size + sealed;
}

Result<std::optional<MutableBytes>> NoiseSession::open(MutableBytes& in) noexcept {
    // The number did not advance with the bad record, so going on could accept an older state of the stream.
    if (broken_) return Error{Errc::decrypt_failed, "noise: an earlier record was refused"};
    if (in.size() < header_size) return std::optional<MutableBytes>{};
    const std::size_t length = announced(in);
    if (length < CipherState::tag_size) {
        broken_ = true;
        return Error{Errc::protocol_error, "noise: record too short for a tag"};
    }
    if (in.size() < header_size + length) return std::optional<MutableBytes>{};
    auto plain = receive_.open({}, in.subspan(header_size, length));
    if (!plain) {
        broken_ = true;
        return std::move(plain).error();
    }
    in = in.subspan(header_size + length);
    return std::optional{*plain};
}

std::size_t NoiseSession::missing(ByteView in) noexcept {
    if (in.size() < header_size) return overhead - in.size();
    if (announced(in) < CipherState::tag_size) return 0;  // open() refuses it already
    const std::size_t whole = header_size + announced(in);
    return whole > in.size() ? whole - in.size() : 0;
}

void NoiseSession::trim() noexcept {
    send_.trim();
    receive_.trim();
}

}  // namespace kith::handshake
