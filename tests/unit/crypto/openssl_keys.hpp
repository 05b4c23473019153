// SPDX-License-Identifier: Apache-2.0
// Keys of the foreign kinds for tests, made, written and used for signing by OpenSSL.
#pragma once

#include <memory>
#include <string>

#include "crypto/verify.hpp"
#include "kith/bytes.hpp"

struct evp_pkey_st;

namespace kith::crypto::test {

class ForeignKey {
public:
    static ForeignKey rsa(unsigned bits);
    static ForeignKey ec(const std::string& group, bool compressed = false);

    Bytes info() const;   // SubjectPublicKeyInfo
    Bytes point() const;  // of an elliptic curve key, in its form
    Bytes sign(ByteView message, const char* digest = "SHA256", bool pss = false) const;

private:
    struct FreeKey {
        void operator()(evp_pkey_st* key) const noexcept;
    };
    explicit ForeignKey(evp_pkey_st* key) : key_(key) {}
    std::unique_ptr<evp_pkey_st, FreeKey> key_;
};

// A SubjectPublicKeyInfo with these numbers, which need not be a working key. Big-endian, no leading zeros.
Bytes rsa_info(ByteView modulus, ByteView exponent);

// A number of that many bits that is odd and otherwise arbitrary.
Bytes odd_number(std::size_t bits);

}  // namespace kith::crypto::test
