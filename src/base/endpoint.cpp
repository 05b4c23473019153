// SPDX-License-Identifier: Apache-2.0
#include "base/endpoint.hpp"

#include <algorithm>
#include <charconv>
#include <vector>

namespace kith {
namespace {

std::optional<IpAddress> parse_v4(std::string_view text) {
    IpAddress out;
    for (std::size_t i = 0; i < 4; ++i) {
        const auto dot = i < 3 ? text.find('.') : text.size();
        if (dot == std::string_view::npos || dot == 0 || dot > 3) return std::nullopt;
        const auto part = text.substr(0, dot);
        if (part.size() > 1 && part[0] == '0') return std::nullopt;  // would be octal elsewhere
        unsigned value = 0;
        const auto [end, bad] = std::from_chars(part.data(), part.data() + part.size(), value);
        if (bad != std::errc{} || end != part.data() + part.size() || value > 255) return std::nullopt;
        out.bytes[i] = static_cast<std::uint8_t>(value);
        text.remove_prefix(std::min(dot + 1, text.size()));
    }
    return text.empty() ? std::optional{out} : std::nullopt;
}

// Groups of up to four hex digits between colons, the last one perhaps a dotted quad.
bool parse_groups(std::string_view text, std::vector<std::uint8_t>& out) {
    while (!text.empty()) {
        const auto colon = text.find(':');
        const auto part = text.substr(0, colon);
        const bool last = colon == std::string_view::npos;
        if (last && part.find('.') != std::string_view::npos) {
            const auto quad = parse_v4(part);
            if (!quad) return false;
            out.insert(out.end(), quad->bytes.begin(), quad->bytes.begin() + 4);
            return true;
        }
        if (part.empty() || part.size() > 4) return false;
        unsigned value = 0;
        const auto [end, bad] = std::from_chars(part.data(), part.data() + part.size(), value, 16);
        if (bad != std::errc{} || end != part.data() + part.size()) return false;
        out.push_back(static_cast<std::uint8_t>(value >> 8));
        out.push_back(static_cast<std::uint8_t>(value));
        if (last) return true;
        text.remove_prefix(colon + 1);
        if (text.empty()) return false;
    }
    return true;
}

std::optional<IpAddress> parse_v6(std::string_view text) {
    IpAddress out;
    out.v6 = true;
    if (const auto percent = text.find('%'); percent != std::string_view::npos) {
        const auto zone = text.substr(percent + 1);
        const auto [end, bad] = std::from_chars(zone.data(), zone.data() + zone.size(), out.scope);
        if (bad != std::errc{} || end != zone.data() + zone.size()) return std::nullopt;
        text = text.substr(0, percent);
    }
    std::vector<std::uint8_t> head;
    std::vector<std::uint8_t> tail;
    const auto gap = text.find("::");
    if (gap == std::string_view::npos) {
        if (!parse_groups(text, head) || head.size() != 16) return std::nullopt;
    } else {
        if (!parse_groups(text.substr(0, gap), head) || !parse_groups(text.substr(gap + 2), tail)) return std::nullopt;
        if (head.size() + tail.size() > 14) return std::nullopt;
    }
    std::copy(head.begin(), head.end(), out.bytes.begin());
    std::copy(tail.rbegin(), tail.rend(), out.bytes.rbegin());
    return out;
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
    if (text.size() > 64) return std::nullopt;
    return text.find(':') == std::string_view::npos ? parse_v4(text) : parse_v6(text);
}

bool IpAddress::is_loopback() const noexcept {
    if (!v6) return bytes[0] == 127;
    return std::all_of(bytes.begin(), bytes.end() - 1, [](auto b) { return b == 0; }) && bytes[15] == 1;
}

bool IpAddress::is_unspecified() const noexcept {
    return std::all_of(bytes.begin(), bytes.begin() + (v6 ? 16 : 4), [](auto b) { return b == 0; });
}

bool IpAddress::is_link_local() const noexcept {
    return v6 ? bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80 : bytes[0] == 169 && bytes[1] == 254;
}

bool IpAddress::is_private() const noexcept {
    if (is_loopback() || is_link_local()) return true;
    if (v6) return (bytes[0] & 0xfe) == 0xfc;
    return bytes[0] == 10 || (bytes[0] == 172 && (bytes[1] & 0xf0) == 16) || (bytes[0] == 192 && bytes[1] == 168);
}

bool IpAddress::is_multicast() const noexcept { return v6 ? bytes[0] == 0xff : (bytes[0] & 0xf0) == 0xe0; }

std::string IpAddress::text() const {
    if (!v6) {
        std::string out;
        for (std::size_t i = 0; i < 4; ++i) {
            if (i != 0) out.push_back('.');
            out += std::to_string(bytes[i]);
        }
        return out;
    }
    std::array<unsigned, 8> groups{};
    for (std::size_t i = 0; i < 8; ++i) groups[i] = bytes[2 * i] * 256u + bytes[2 * i + 1];
    // RFC 5952: the longest run of two or more zero groups, the first of equals, becomes "::".
    std::size_t best = 8;
    std::size_t best_length = 1;
    for (std::size_t i = 0; i < 8; ++i) {
        std::size_t length = 0;
        while (i + length < 8 && groups[i + length] == 0) ++length;
        if (length > best_length) {
            best = i;
            best_length = length;
        }
    }
    std::string out;
    for (std::size_t i = 0; i < 8; ++i) {
        if (i == best) {
            out += "::";
            i += best_length - 1;
            continue;
        }
        if (!out.empty() && out.back() != ':') out.push_back(':');
        std::array<char, 4> digits{};
        const auto [end, ok] = std::to_chars(digits.data(), digits.data() + digits.size(), groups[i], 16);
        out.append(digits.data(), end);
    }
    if (scope != 0) out.append("%").append(std::to_string(scope));
    return out;
}

std::string Endpoint::text() const {
    const auto address = ip.text();
    return (ip.v6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

}  // namespace kith
