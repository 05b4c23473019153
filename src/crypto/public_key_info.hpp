// SPDX-License-Identifier: Apache-2.0
// SubjectPublicKeyInfo (RFC 5280, section 4.1; RFC 3279 for RSA, RFC 5480 for elliptic curves), the "PKIX DER" of libp2p.
// Read here and not by OpenSSL's decoders, so that every length is known before a number is built. Strict DER: one
// encoding per value, nothing behind the end.
#pragma once

#include <cstdint>
#include <string_view>

#include "kith/bytes.hpp"
#include "kith/error.hpp"

namespace kith::crypto {

// Borrowed from the key's bytes: unsigned, big-endian, no leading zero.
struct RsaKeyParts {
    ByteView modulus;
    ByteView exponent;
};

struct EcKeyParts {
    std::string_view group;    // OpenSSL's name: "P-256", "P-384", "P-521"
    std::uint8_t field_bytes;  // of one coordinate
    ByteView point;            // first byte and size checked, not whether it is on the curve
};

// Errors of both: invalid_key.
Result<RsaKeyParts> read_rsa_key(ByteView der);
Result<EcKeyParts> read_ec_key(ByteView der);

// A compressed (2, 3) or uncompressed (4) point of the right size.
bool is_point(ByteView point, std::size_t field_bytes) noexcept;

}  // namespace kith::crypto
