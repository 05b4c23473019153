// SPDX-License-Identifier: Apache-2.0
#include "wire/multiaddr_value.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/endpoint.hpp"
#include "kith/multiaddr.hpp"
#include "wire/base58.hpp"
#include "wire/varint.hpp"

namespace kith::wire {
namespace {

using enum ValueKind;
using M = Multiaddr;

constexpr std::array<Protocol, 29> protocols{
    Protocol{M::ip4, "ip4", ip4, 4},
    Protocol{M::tcp, "tcp", port, 2},
    Protocol{M::ip6, "ip6", ip6, 16},
    Protocol{M::ip6zone, "ip6zone", word, variable_size},
    Protocol{M::ipcidr, "ipcidr", prefix_length, 1},
    Protocol{M::dns, "dns", host, variable_size},
    Protocol{M::dns4, "dns4", host, variable_size},
    Protocol{M::dns6, "dns6", host, variable_size},
    Protocol{M::dnsaddr, "dnsaddr", host, variable_size},
    Protocol{M::sctp, "sctp", port, 2},
    Protocol{M::udp, "udp", port, 2},
    Protocol{M::webrtc_direct, "webrtc-direct", none, 0},
    Protocol{M::webrtc, "webrtc", none, 0},
    Protocol{M::p2p_circuit, "p2p-circuit", none, 0},
    Protocol{M::unix_path, "unix", path, variable_size},
    Protocol{M::p2p, "p2p", peer, variable_size},
    Protocol{M::onion3, "onion3", onion3, 37},
    Protocol{M::tls, "tls", none, 0},
    Protocol{M::sni, "sni", host, variable_size},
    Protocol{M::noise, "noise", none, 0},
    Protocol{M::quic, "quic", none, 0},
    Protocol{M::quic_v1, "quic-v1", none, 0},
    Protocol{M::webtransport, "webtransport", none, 0},
    Protocol{M::certhash, "certhash", multihash, variable_size},
    Protocol{M::ws, "ws", none, 0},
    Protocol{M::wss, "wss", none, 0},
    Protocol{M::http, "http", none, 0},
    Protocol{M::http_path, "http-path", percent, variable_size},
    Protocol{M::memory, "memory", word, variable_size},
};

constexpr std::size_t max_host = 253;
constexpr std::size_t onion3_address = 35;

// Visible ASCII without '/': a name that can neither end its component nor hide something in a terminal or a log.
bool is_word(ByteView value) {
    return !value.empty() && std::all_of(value.begin(), value.end(), [](auto c) { return c > 0x20 && c < 0x7f && c != '/'; });
}

bool is_multihash(ByteView value) {
    const auto code = get_varint(value);
    if (!code) return false;
    value = value.subspan(code.size);
    const auto length = get_varint(value);
    return length && length.value == value.size() - length.size && length.value > 0;
}

std::optional<unsigned> number(std::string_view text, unsigned max) {
    unsigned value = 0;
    if (text.empty() || text.size() > 5) return std::nullopt;
    const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (bad != std::errc{} || end != text.data() + text.size() || value > max) return std::nullopt;
    return value;
}

void append_u16(Bytes& out, unsigned value) {
    out.push_back(static_cast<std::uint8_t>(value >> 8));
    out.push_back(static_cast<std::uint8_t>(value));
}

std::string percent_encode(ByteView bytes) {
    constexpr std::string_view plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()";  // encodeURIComponent
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const auto byte : bytes) {
        if (plain.find(static_cast<char>(byte)) != std::string_view::npos) {
            out.push_back(static_cast<char>(byte));
        } else {
            out.push_back('%');
            out.push_back(digits[byte >> 4]);
            out.push_back(digits[byte & 15]);
        }
    }
    return out;
}

bool percent_decode(std::string_view text, Bytes& out) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out.push_back(static_cast<std::uint8_t>(text[i]));
            continue;
        }
        if (text.size() - i < 3) return false;
        std::uint8_t value = 0;
        const auto* const digits = text.data() + i + 1;
        const auto [end, bad] = std::from_chars(digits, digits + 2, value, 16);
        if (bad != std::errc{} || end != digits + 2) return false;
        out.push_back(value);
        i += 2;
    }
    return true;
}

std::string_view parse_ip(std::string_view text, bool v6, Bytes& out) {
    const std::string_view wrong = v6 ? "ip6 wants an IPv6 address" : "ip4 wants an IPv4 address";
    if (text.find('%') != std::string_view::npos) return "a zone stands in front, as /ip6zone/Z/ip6/A";
    const auto ip = IpAddress::parse(text);
    if (!ip || ip->v6 != v6) return wrong;
    const auto bytes = ip->view();
    out.insert(out.end(), bytes.begin(), bytes.end());
    return {};
}

std::string_view parse_onion3(std::string_view text, Bytes& out) {
    constexpr std::string_view wrong = "onion3 wants 56 base32 characters, a colon and a port 1-65535";
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) return wrong;
    const auto address = from_base32(text.substr(0, colon));
    const auto port_number = number(text.substr(colon + 1), 65535);
    if (!address || address->size() != onion3_address || !port_number) return wrong;
    out.insert(out.end(), address->begin(), address->end());
    append_u16(out, *port_number);
    return {};
}

std::string_view port_error(const Protocol& protocol) {
    if (protocol.code == M::tcp) return "tcp wants a number 0-65535";
    return protocol.code == M::udp ? "udp wants a number 0-65535" : "sctp wants a number 0-65535";
}

}  // namespace

const Protocol* find_protocol(std::uint32_t code) noexcept {
    const auto* const found = std::find_if(protocols.begin(), protocols.end(), [&](const auto& p) { return p.code == code; });
    return found == protocols.end() ? nullptr : &*found;
}

const Protocol* find_protocol(std::string_view name) noexcept {
    if (name == "ipfs") name = "p2p";
    const auto* const found = std::find_if(protocols.begin(), protocols.end(), [&](const auto& p) { return p.name == name; });
    return found == protocols.end() ? nullptr : &*found;
}

std::string_view check_value(const Protocol& protocol, ByteView value) {
    switch (protocol.kind) {
        case none:
        case ip4:
        case ip6:
        case port:
        case prefix_length:
            return {};  // every value of the right size is good
        case host:
            return is_word(value) && value.size() <= max_host ? "" : "a host name is 1-253 visible ASCII characters without a slash";
        case word:
            return is_word(value) ? "" : "a name is visible ASCII characters without a slash";
        case path:
            return !value.empty() && value[0] == '/' ? "" : "unix wants an absolute path";
        case percent:
            return value.empty() ? "http-path wants a path" : "";
        case peer:
            return PeerId::from_multihash(value) ? "" : "p2p wants a peer id";
        case onion3:
            return value[onion3_address] == 0 && value[onion3_address + 1] == 0 ? "onion3 wants a port 1-65535" : "";
        case multihash:
            return is_multihash(value) ? "" : "certhash wants a multihash";
    }
    return "unknown kind of value";
}

std::string_view parse_value(const Protocol& protocol, std::string_view text, Bytes& out) {
    switch (protocol.kind) {
        case none:
            return {};
        case ip4:
        case ip6:
            return parse_ip(text, protocol.kind == ip6, out);
        case port: {
            const auto value = number(text, 65535);
            if (!value) return port_error(protocol);
            append_u16(out, *value);
            return {};
        }
        case prefix_length: {
            const auto value = number(text, 255);
            if (!value) return "ipcidr wants a number 0-255";
            out.push_back(static_cast<std::uint8_t>(*value));
            return {};
        }
        case host:
        case word: {
            const auto bytes = as_bytes(text);
            out.insert(out.end(), bytes.begin(), bytes.end());
            break;
        }
        case path:
        case percent:
            if (!percent_decode(text, out)) return "a percent sign wants two hex digits";
            break;
        case peer: {
            const auto id = PeerId::parse(text);
            if (!id) return "p2p wants a peer id";
            out.insert(out.end(), id->multihash().begin(), id->multihash().end());
            return {};
        }
        case onion3:
            if (const auto wrong = parse_onion3(text, out); !wrong.empty()) return wrong;
            break;
        case multihash: {
            const auto bytes = from_multibase(text);
            if (!bytes) return "certhash wants a multihash in multibase";
            out.insert(out.end(), bytes->begin(), bytes->end());
            break;
        }
    }
    return check_value(protocol, out);
}

std::string value_text(const Protocol& protocol, ByteView value) {
    switch (protocol.kind) {
        case none:
            return {};
        case ip4:
        case ip6: {
            IpAddress ip;
            ip.v6 = protocol.kind == ip6;
            std::copy(value.begin(), value.end(), ip.bytes.begin());
            return ip.text();
        }
        case port:
            return std::to_string(value[0] * 256u + value[1]);
        case prefix_length:
            return std::to_string(value[0]);
        case host:
        case word:
            return std::string{as_text(value)};
        case path:
        case percent:
            return percent_encode(value);
        case peer:
            return to_base58(value);
        case onion3:
            return to_base32(value.first(onion3_address)) + ":" + std::to_string(value[onion3_address] * 256u + value[onion3_address + 1]);
        case multihash:
            return "u" + to_base64url(value);
    }
    return {};
}

}  // namespace kith::wire
