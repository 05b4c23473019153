// SPDX-License-Identifier: Apache-2.0
#include "kith/peer_id.hpp"

#include <algorithm>
#include <ostream>

#include "base/hex.hpp"
#include "wire/base58.hpp"

namespace kith {
inline namespace v0 {
namespace {

constexpr std::size_t max_text = 128;  // the longest form, base16, takes 93
constexpr std::size_t max_inlined = 42;
constexpr std::uint8_t identity = 0x00;
constexpr std::uint8_t sha2_256 = 0x12;
constexpr std::uint8_t cid_version = 0x01;
constexpr std::uint8_t libp2p_key = 0x72;

Error bad(std::string_view what, std::string_view text) { return {Errc::invalid_peer_id, what, std::string{text.substr(0, max_text)}}; }

}  // namespace

Result<PeerId> PeerId::from_multihash(ByteView multihash) {
    if (multihash.size() < 3) return Error{Errc::invalid_peer_id, "too short for a multihash"};
    const std::size_t length = multihash[1];
    switch (multihash[0]) {
        case identity:
            if (length > max_inlined) return Error{Errc::invalid_peer_id, "an identity multihash holds at most 42 bytes"};
            break;
        case sha2_256:
            if (length != 32) return Error{Errc::invalid_peer_id, "a sha2-256 multihash holds 32 bytes"};
            break;
        default:
            return Error{Errc::invalid_peer_id, "the multihash is neither identity nor sha2-256"};
    }
    if (multihash.size() != 2 + length) return Error{Errc::invalid_peer_id, "the multihash has another length than it says"};
    PeerId out;
    std::copy(multihash.begin(), multihash.end(), out.bytes_.begin());
    out.size_ = static_cast<std::uint8_t>(multihash.size());
    out.kind_ = Kind::key;
    return out;
}

Result<PeerId> PeerId::parse(std::string_view text) {
    if (text.empty()) return Error{Errc::invalid_peer_id, "empty"};
    if (text.size() > max_text) return bad("too long", text);
    const bool plain = text[0] == '1' || text.starts_with("Qm");
    if (!plain && std::string_view{"bBkKzfF"}.find(text[0]) == std::string_view::npos) return bad("neither base58 nor a CID", text);
    const auto bytes = plain ? wire::from_base58(text) : wire::from_multibase(text);
    if (!bytes) return bad(plain ? "a character is not base58" : "a character is not of the CID's base", text);
    ByteView multihash{*bytes};
    if (!plain) {
        if (multihash.size() < 2 || multihash[0] != cid_version) return bad("the CID is not of version 1", text);
        if (multihash[1] != libp2p_key) return bad("the CID does not name a libp2p key", text);
        multihash = multihash.subspan(2);
    }
    auto out = from_multihash(multihash);
    if (!out) return bad(out.error().what, text);
    return out;
}

PeerId PeerId::classic(std::span<const std::uint8_t, classic_size> local_id) noexcept {
    PeerId out;
    std::copy(local_id.begin(), local_id.end(), out.bytes_.begin());
    out.size_ = classic_size;
    out.kind_ = Kind::classic;
    return out;
}

std::string PeerId::text() const {
    switch (kind_) {
        case Kind::key:
            return wire::to_base58(bytes());
        case Kind::classic:
            return "classic:" + to_hex(bytes());
        case Kind::none:
            break;
    }
    return {};
}

std::string PeerId::cid() const {
    if (kind_ != Kind::key) return {};
    Bytes bytes{cid_version, libp2p_key};
    bytes.insert(bytes.end(), bytes_.begin(), bytes_.begin() + size_);
    return "b" + wire::to_base32(bytes);
}

std::string PeerId::short_id() const {
    auto all = text();
    if (all.size() <= 13) return all;
    return all.substr(0, 8) + "…" + all.substr(all.size() - 4);
}

std::ostream& operator<<(std::ostream& out, const PeerId& id) { return out << (id ? id.text() : "(no peer)"); }

}  // namespace v0
}  // namespace kith
