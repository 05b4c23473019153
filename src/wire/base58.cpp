// SPDX-License-Identifier: Apache-2.0
#include "wire/base58.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/hex.hpp"

namespace kith::wire {
namespace {

constexpr std::string_view base58_digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
constexpr std::string_view base36_digits = "0123456789abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view base32_digits = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::string_view base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view base64url_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

using Table = std::array<std::int8_t, 256>;

constexpr Table table_of(std::string_view digits, bool either_case) {
    Table out{};
    for (auto& value : out) value = -1;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        const char c = digits[i];
        out[static_cast<std::uint8_t>(c)] = static_cast<std::int8_t>(i);
        if (either_case && c >= 'a' && c <= 'z') out[static_cast<std::uint8_t>(c - 'a' + 'A')] = static_cast<std::int8_t>(i);
    }
    return out;
}

constexpr Table base58_table = table_of(base58_digits, false);
constexpr Table base36_table = table_of(base36_digits, true);
constexpr Table base32_table = table_of(base32_digits, true);
constexpr Table base64_table = table_of(base64_digits, false);
constexpr Table base64url_table = table_of(base64url_digits, false);

// A number written in a base that is no power of two; leading zero digits stand for leading zero bytes.
std::optional<Bytes> from_big_base(std::string_view text, const Table& table, unsigned base, char zero) {
    if (text.size() > max_big_base_text) return std::nullopt;
    const auto zeros = std::min(text.find_first_not_of(zero), text.size());
    Bytes little;  // least significant byte first
    little.reserve(text.size());
    for (const char c : text.substr(zeros)) {
        const auto digit = table[static_cast<std::uint8_t>(c)];
        if (digit < 0) return std::nullopt;
        unsigned carry = static_cast<unsigned>(digit);
        for (auto& byte : little) {
            carry += byte * base;
            byte = static_cast<std::uint8_t>(carry);
            carry >>= 8;
        }
        if (carry != 0) little.push_back(static_cast<std::uint8_t>(carry));
    }
    little.insert(little.end(), zeros, 0);
    std::reverse(little.begin(), little.end());
    return little;
}

std::string to_bits(ByteView bytes, std::string_view digits, unsigned width) {
    std::string out;
    out.reserve((bytes.size() * 8 + width - 1) / width);
    unsigned held = 0;
    unsigned bits = 0;
    for (const auto byte : bytes) {
        held = ((held << 8) | byte) & 0xffff;
        bits += 8;
        while (bits >= width) {
            bits -= width;
            out.push_back(digits[(held >> bits) & ((1u << width) - 1)]);
        }
    }
    if (bits > 0) out.push_back(digits[(held << (width - bits)) & ((1u << width) - 1)]);
    return out;
}

std::optional<Bytes> from_bits(std::string_view text, const Table& table, unsigned width) {
    Bytes out;
    out.reserve(text.size() * width / 8);
    unsigned held = 0;
    unsigned bits = 0;
    for (const char c : text) {
        const auto digit = table[static_cast<std::uint8_t>(c)];
        if (digit < 0) return std::nullopt;
        held = ((held << width) | static_cast<unsigned>(digit)) & 0xffff;
        bits += width;
        if (bits >= 8) {
            bits -= 8;
            out.push_back(static_cast<std::uint8_t>(held >> bits));
        }
    }
    // What is left pads the last digit: less than a digit, and zero, or two texts would mean the same bytes.
    if (bits >= width || (held & ((1u << bits) - 1)) != 0) return std::nullopt;
    return out;
}

}  // namespace

std::string to_base58(ByteView bytes) {
    std::size_t zeros = 0;
    while (zeros < bytes.size() && bytes[zeros] == 0) ++zeros;
    std::string little;
    little.reserve(bytes.size() * 138 / 100 + 2);
    for (const auto byte : bytes.subspan(zeros)) {
        unsigned carry = byte;
        for (auto& digit : little) {
            carry += static_cast<unsigned>(digit) << 8;
            digit = static_cast<char>(carry % 58);
            carry /= 58;
        }
        for (; carry != 0; carry /= 58) little.push_back(static_cast<char>(carry % 58));
    }
    std::string out(zeros, '1');
    out.reserve(zeros + little.size());
    for (auto digit = little.rbegin(); digit != little.rend(); ++digit) out.push_back(base58_digits[static_cast<std::uint8_t>(*digit)]);
    return out;
}

std::optional<Bytes> from_base58(std::string_view text) { return from_big_base(text, base58_table, 58, '1'); }
std::optional<Bytes> from_base36(std::string_view text) { return from_big_base(text, base36_table, 36, '0'); }
std::string to_base32(ByteView bytes) { return to_bits(bytes, base32_digits, 5); }
std::optional<Bytes> from_base32(std::string_view text) { return from_bits(text, base32_table, 5); }
std::string to_base64url(ByteView bytes) { return to_bits(bytes, base64url_digits, 6); }
std::optional<Bytes> from_base64url(std::string_view text) { return from_bits(text, base64url_table, 6); }
std::optional<Bytes> from_base64(std::string_view text) { return from_bits(text, base64_table, 6); }

std::optional<Bytes> from_multibase(std::string_view text) {
    if (text.empty()) return std::nullopt;
    const auto digits = text.substr(1);
    switch (text[0]) {
        case 'f':
        case 'F':
            return from_hex(digits);
        case 'b':
        case 'B':
            return from_base32(digits);
        case 'k':
        case 'K':
            return from_base36(digits);
        case 'z':
            return from_base58(digits);
        case 'm':
            return from_base64(digits);
        case 'u':
            return from_base64url(digits);
        default:
            return std::nullopt;
    }
}

}  // namespace kith::wire
