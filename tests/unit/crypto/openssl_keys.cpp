// SPDX-License-Identifier: Apache-2.0
#include "openssl_keys.hpp"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "vectors.hpp"

namespace kith::crypto::test {
namespace {

Bytes element(std::uint8_t tag, ByteView content) {
    Bytes out{tag};
    const std::size_t n = content.size();
    if (n < 0x80) {
        out.push_back(static_cast<std::uint8_t>(n));
    } else if (n < 0x100) {
        out.push_back(0x81);
        out.push_back(static_cast<std::uint8_t>(n));
    } else {
        out.push_back(0x82);
        out.push_back(static_cast<std::uint8_t>(n >> 8U));
        out.push_back(static_cast<std::uint8_t>(n));
    }
    out.insert(out.end(), content.begin(), content.end());
    return out;
}

Bytes integer(ByteView value) {
    Bytes content(value.begin(), value.end());
    if (!content.empty() && (content[0] & 0x80U) != 0) content.insert(content.begin(), 0);
    return element(0x02, content);
}

Bytes join(std::initializer_list<Bytes> parts) {
    Bytes out;
    for (const auto& part : parts) out.insert(out.end(), part.begin(), part.end());
    return out;
}

}  // namespace

void ForeignKey::FreeKey::operator()(evp_pkey_st* key) const noexcept { EVP_PKEY_free(key); }

ForeignKey ForeignKey::rsa(unsigned bits) { return ForeignKey(EVP_RSA_gen(bits)); }

ForeignKey ForeignKey::ec(const std::string& group, bool compressed) {
    EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", group.c_str());
    EXPECT_NE(key, nullptr) << group;
    const char* form = compressed ? "compressed" : "uncompressed";
    EXPECT_EQ(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, form), 1);
    return ForeignKey(key);
}

Bytes ForeignKey::info() const {
    unsigned char* out = nullptr;
    const int n = i2d_PUBKEY(key_.get(), &out);
    EXPECT_GT(n, 0);
    Bytes bytes(out, out + n);
    OPENSSL_free(out);
    return bytes;
}

Bytes ForeignKey::point() const {
    Bytes out(200);
    std::size_t n = 0;
    EXPECT_EQ(EVP_PKEY_get_octet_string_param(key_.get(), OSSL_PKEY_PARAM_PUB_KEY, out.data(), out.size(), &n), 1);
    out.resize(n);
    return out;
}

Bytes ForeignKey::sign(ByteView message, const char* digest, bool pss) const {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_PKEY_CTX* key_context = nullptr;
    EXPECT_EQ(EVP_DigestSignInit_ex(context, &key_context, digest, nullptr, nullptr, key_.get(), nullptr), 1);
    if (pss) {
        EXPECT_EQ(EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING), 1);
    }
    Bytes out(2000);
    std::size_t n = out.size();
    EXPECT_EQ(EVP_DigestSign(context, out.data(), &n, message.data(), message.size()), 1);
    EVP_MD_CTX_free(context);
    out.resize(n);
    return out;
}

Bytes rsa_info(ByteView modulus, ByteView exponent) {
    const Bytes key = element(0x30, join({integer(modulus), integer(exponent)}));
    return element(0x30, join({hex("300d06092a864886f70d0101010500"), element(0x03, join({Bytes{0}, key}))}));
}

Bytes odd_number(std::size_t bits) {
    Bytes out = pattern((bits + 7) / 8, static_cast<std::uint32_t>(bits));
    const unsigned top = static_cast<unsigned>((bits - 1) % 8);
    out.front() = static_cast<std::uint8_t>((out.front() & ((1U << top) - 1)) | (1U << top));
    out.back() |= 1U;
    return out;
}

}  // namespace kith::crypto::test
