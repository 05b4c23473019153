// SPDX-License-Identifier: Apache-2.0
// Self-describing network addresses: "/ip4/192.0.2.1/tcp/4001/p2p/12D3Koo...".
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "kith/bytes.hpp"
#include "kith/error.hpp"
#include "kith/peer_id.hpp"

namespace kith {
inline namespace v0 {

// A value that owns the binary form, which is always valid: every component known, every value checked. Specification:
// github.com/multiformats/multiaddr. Equality is equality of the binary form.
class Multiaddr {
public:
    static constexpr std::size_t max_size = 1024;  // bytes of the binary form
    static constexpr std::size_t max_parts = 32;

    // Multicodec numbers of the protocols, as they stand in the binary form.
    enum Code : std::uint32_t {
        ip4 = 4,
        tcp = 6,
        ip6 = 41,
        ip6zone = 42,
        ipcidr = 43,
        dns = 53,
        dns4 = 54,
        dns6 = 55,
        dnsaddr = 56,
        sctp = 132,
        udp = 273,
        webrtc_direct = 280,
        webrtc = 281,
        p2p_circuit = 290,
        unix_path = 400,
        p2p = 421,
        onion3 = 445,
        tls = 448,
        sni = 449,
        noise = 454,
        quic = 460,
        quic_v1 = 461,
        webtransport = 465,
        certhash = 466,
        ws = 477,
        wss = 478,
        http = 480,
        http_path = 481,
        memory = 777,
    };

    // One component. `value` is borrowed from the Multiaddr and excludes a length prefix.
    struct Part {
        std::uint32_t code = 0;
        ByteView value;

        std::string_view name() const noexcept;  // "ip4"
        std::string text() const;                // "/ip4/192.0.2.1"
    };

    // Forward iteration over the components, front to back.
    class Iterator {
    public:
        using value_type = Part;
        using difference_type = std::ptrdiff_t;
        using iterator_category = std::forward_iterator_tag;
        using pointer = const Part*;
        using reference = const Part&;

        Iterator() = default;
        explicit Iterator(ByteView rest) noexcept : next_(rest) { read(); }

        reference operator*() const noexcept { return part_; }
        pointer operator->() const noexcept { return &part_; }
        Iterator& operator++() noexcept {
            read();
            return *this;
        }
        Iterator operator++(int) noexcept {
            auto old = *this;
            read();
            return old;
        }
        friend bool operator==(const Iterator& a, const Iterator& b) noexcept {
            return a.at_end_ == b.at_end_ && (a.at_end_ || a.next_.size() == b.next_.size());
        }
        ByteView rest() const noexcept { return next_; }  // the bytes behind this component

    private:
        void read() noexcept;

        ByteView next_;
        Part part_;
        bool at_end_ = true;
    };

    struct Parts {
        ByteView bytes;
        Iterator begin() const noexcept { return Iterator{bytes}; }
        Iterator end() const noexcept { return {}; }
    };

    Multiaddr() = default;  // empty: no component

    // Fail with invalid_multiaddr; `what` names the rule that was broken, `detail` the text it was broken by.
    static Result<Multiaddr> parse(std::string_view text);
    static Result<Multiaddr> from_bytes(ByteView bytes);

    bool empty() const noexcept { return bytes_.empty(); }
    ByteView bytes() const noexcept { return bytes_; }
    std::string text() const;  // canonical: "/p2p" for "/ipfs", base58btc peer ids, RFC 5952 addresses
    Parts parts() const noexcept { return {bytes_}; }

    std::optional<PeerId> peer() const;  // of the last component, when that is /p2p
    Multiaddr without_peer() const;      // without that component
    // With `id` as the last component; a /p2p that stands there is replaced. Unchanged if `id` is not of kind key or the
    // result would be longer than max_size.
    Multiaddr with_peer(const PeerId& id) const;

    friend bool operator==(const Multiaddr&, const Multiaddr&) noexcept = default;
    friend auto operator<=>(const Multiaddr&, const Multiaddr&) noexcept = default;

private:
    explicit Multiaddr(Bytes valid) noexcept : bytes_(std::move(valid)) {}

    Bytes bytes_;
};

std::ostream& operator<<(std::ostream& out, const Multiaddr& address);

}  // namespace v0
}  // namespace kith

template <>
struct std::hash<kith::Multiaddr> {
    std::size_t operator()(const kith::Multiaddr& address) const noexcept {
        return std::hash<std::string_view>{}(kith::as_text(address.bytes()));
    }
};
