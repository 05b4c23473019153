// SPDX-License-Identifier: Apache-2.0
// Who a peer is: the hash of its public key, or a local id for a peer that has no key.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>

#include "kith/bytes.hpp"
#include "kith/error.hpp"

namespace kith {
inline namespace v0 {

// A trivially copyable value. The kind is part of it: a classic id never equals a key id, whatever its bytes.
//   none     default constructed; names nobody
//   key      a libp2p peer id: the multihash of a serialized public key. What it names can prove itself
//   classic  16 bytes made locally for a peer without a key. Never written to a libp2p wire, never verified
class PeerId {
public:
    enum class Kind : std::uint8_t { none, key, classic };
    static constexpr std::size_t max_size = 46;
    static constexpr std::size_t classic_size = 16;

    constexpr PeerId() noexcept = default;

    // Every usual text: base58btc ("12D3Koo...", "Qm...") and CIDv1 of a libp2p key in multibase base32 ("b"), base36
    // ("k"), base58btc ("z") or base16 ("f"). Fails with invalid_peer_id; `what` says what was wrong.
    static Result<PeerId> parse(std::string_view text);

    // The binary form. Only what the libp2p peer-id specification allows: identity of 1 to 42 bytes, or SHA2-256.
    static Result<PeerId> from_multihash(ByteView multihash);

    static PeerId classic(std::span<const std::uint8_t, classic_size> local_id) noexcept;

    Kind kind() const noexcept { return kind_; }
    explicit operator bool() const noexcept { return kind_ != Kind::none; }

    ByteView bytes() const noexcept { return ByteView{bytes_}.first(size_); }
    // Empty unless the kind is key.
    ByteView multihash() const noexcept { return kind_ == Kind::key ? bytes() : ByteView{}; }

    std::string text() const;      // base58btc; "classic:" and hex for a classic id; "" for none
    std::string cid() const;       // CIDv1, base32; "" unless the kind is key
    std::string short_id() const;  // "12D3KooW…kR4f", for people only: not unique

    friend constexpr bool operator==(const PeerId&, const PeerId&) noexcept = default;
    friend std::strong_ordering operator<=>(const PeerId& a, const PeerId& b) noexcept {
        if (const auto order = a.kind_ <=> b.kind_; order != 0) return order;
        if (const auto order = a.bytes_ <=> b.bytes_; order != 0) return order;
        return a.size_ <=> b.size_;
    }

private:
    std::array<std::uint8_t, max_size> bytes_{};  // unused bytes stay 0: comparison reads all of them
    std::uint8_t size_ = 0;
    Kind kind_ = Kind::none;
};

std::ostream& operator<<(std::ostream& out, const PeerId& id);

}  // namespace v0
}  // namespace kith

// The last bytes of a key id are key or hash material. A peer may choose them, so tables keyed by ids of strangers must
// be bounded in size, as all of kith's are.
template <>
struct std::hash<kith::PeerId> {
    std::size_t operator()(const kith::PeerId& id) const noexcept {
        std::uint64_t h = 0xcbf29ce484222325ULL ^ static_cast<std::uint64_t>(id.kind());
        for (const auto byte : id.bytes()) h = (h ^ byte) * 0x100000001b3ULL;
        return static_cast<std::size_t>(h);
    }
};
