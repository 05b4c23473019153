// SPDX-License-Identifier: Apache-2.0
#include "crypto/public_key_info.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>

#include "base/reader.hpp"
#include "crypto/verify.hpp"

namespace kith::crypto {
namespace {

constexpr std::uint8_t tag_integer = 0x02;
constexpr std::uint8_t tag_bit_string = 0x03;
constexpr std::uint8_t tag_null = 0x05;
constexpr std::uint8_t tag_oid = 0x06;
constexpr std::uint8_t tag_sequence = 0x30;

constexpr std::array<std::uint8_t, 9> oid_rsa{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};  // 1.2.840.113549.1.1.1
constexpr std::array<std::uint8_t, 7> oid_ec{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};               // 1.2.840.10045.2.1
constexpr std::array<std::uint8_t, 8> oid_p256{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};       // 1.2.840.10045.3.1.7
constexpr std::array<std::uint8_t, 5> oid_p384{0x2b, 0x81, 0x04, 0x00, 0x22};                         // 1.3.132.0.34
constexpr std::array<std::uint8_t, 5> oid_p521{0x2b, 0x81, 0x04, 0x00, 0x23};                         // 1.3.132.0.35

struct Curve {
    ByteView oid;
    std::string_view group;
    std::uint8_t field_bytes;
};

constexpr std::array<Curve, 3> curves{Curve{oid_p256, "P-256", 32}, Curve{oid_p384, "P-384", 48}, Curve{oid_p521, "P-521", 66}};

bool same(ByteView a, ByteView b) noexcept { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

// One element with the tag given; lengths in the shortest form only, of at most two bytes.
bool element(Reader& in, std::uint8_t tag, ByteView& content) noexcept {
    std::uint8_t found = 0;
    std::uint8_t first = 0;
    if (!in.u8(found) || found != tag || !in.u8(first)) return false;
    std::size_t length = first;
    if (first == 0x81) {
        std::uint8_t value = 0;
        if (!in.u8(value) || value < 0x80) return false;
        length = value;
    } else if (first == 0x82) {
        std::uint16_t value = 0;
        if (!in.u16(value) || value < 0x100) return false;
        length = value;
    } else if (first >= 0x80) {
        return false;
    }
    return in.take(length, content);
}

// A positive integer in the shortest form, without its sign byte.
bool positive(Reader& in, ByteView& out) noexcept {
    ByteView raw;
    if (!element(in, tag_integer, raw) || raw.empty() || (raw[0] & 0x80U) != 0) return false;
    if (raw[0] == 0) {
        if (raw.size() == 1 || (raw[1] & 0x80U) == 0) return false;
        raw = raw.subspan(1);
    }
    out = raw;
    return true;
}

// The two parts of a SubjectPublicKeyInfo: inside the AlgorithmIdentifier, and the key's bits (whole bytes).
bool split(ByteView der, ByteView& algorithm, ByteView& key) noexcept {
    Reader whole(der);
    ByteView info;
    if (!element(whole, tag_sequence, info) || !whole.empty()) return false;
    Reader in(info);
    ByteView bits;
    if (!element(in, tag_sequence, algorithm) || !element(in, tag_bit_string, bits) || !in.empty()) return false;
    if (bits.empty() || bits[0] != 0) return false;
    key = bits.subspan(1);
    return true;
}

Error malformed() { return {Errc::invalid_key, "the key is not a DER SubjectPublicKeyInfo"}; }

}  // namespace

bool is_point(ByteView point, std::size_t field_bytes) noexcept {
    if (point.empty()) return false;
    if (point[0] == 4) return point.size() == 1 + 2 * field_bytes;
    return (point[0] == 2 || point[0] == 3) && point.size() == 1 + field_bytes;
}

Result<RsaKeyParts> read_rsa_key(ByteView der) {
    if (der.size() > max_key_data) return Error{Errc::invalid_key, "an RSA key of more than 8192 bits"};
    ByteView algorithm;
    ByteView key;
    if (!split(der, algorithm, key)) return malformed();

    Reader id(algorithm);
    ByteView oid;
    ByteView null;
    if (!element(id, tag_oid, oid) || !element(id, tag_null, null) || !null.empty() || !id.empty()) return malformed();
    if (!same(oid, oid_rsa)) return Error{Errc::invalid_key, "not an RSA key"};

    Reader bits(key);
    ByteView pair;
    if (!element(bits, tag_sequence, pair) || !bits.empty()) return malformed();
    Reader numbers(pair);
    RsaKeyParts out;
    if (!positive(numbers, out.modulus) || !positive(numbers, out.exponent) || !numbers.empty()) return malformed();

    const std::size_t modulus_bits = (out.modulus.size() - 1) * 8 + static_cast<std::size_t>(std::bit_width(out.modulus.front()));
    if (modulus_bits < 2048) return Error{Errc::invalid_key, "an RSA key of less than 2048 bits"};
    if (modulus_bits > 8192) return Error{Errc::invalid_key, "an RSA key of more than 8192 bits"};
    if ((out.modulus.back() & 1U) == 0) return Error{Errc::invalid_key, "an RSA modulus that is even"};
    if (out.exponent.size() > 4) return Error{Errc::invalid_key, "an RSA exponent of more than 32 bits"};
    if ((out.exponent.back() & 1U) == 0 || (out.exponent.size() == 1 && out.exponent[0] < 3)) {
        return Error{Errc::invalid_key, "an RSA exponent that is even or 1"};
    }
    return out;
}

Result<EcKeyParts> read_ec_key(ByteView der) {
    if (der.size() > max_key_data) return malformed();
    ByteView algorithm;
    ByteView key;
    if (!split(der, algorithm, key)) return malformed();

    Reader id(algorithm);
    ByteView oid;
    ByteView name;
    // Curves given by their parameters are refused with the rest: CVE-2020-0601 was a verifier that believed them.
    if (!element(id, tag_oid, oid) || !element(id, tag_oid, name) || !id.empty()) return malformed();
    if (!same(oid, oid_ec)) return Error{Errc::invalid_key, "not an ECDSA key"};

    const auto curve = std::find_if(curves.begin(), curves.end(), [&](const Curve& c) { return same(c.oid, name); });
    if (curve == curves.end()) return Error{Errc::invalid_key, "an ECDSA key on a curve other than P-256, P-384 and P-521"};
    if (!is_point(key, curve->field_bytes)) return Error{Errc::invalid_key, "not a point of the key's curve"};
    return EcKeyParts{curve->group, curve->field_bytes, key};
}

}  // namespace kith::crypto
