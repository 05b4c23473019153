// SPDX-License-Identifier: Apache-2.0
// Identities of the key kinds that kith does not make itself, made with OpenSSL.
#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <memory>

#include "fuzz/handshake/noise_peers.hpp"

namespace kith::handshake::testing {

using ForeignKey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

inline Bytes pkix(EVP_PKEY* key) {
    std::uint8_t* der = nullptr;
    const int n = i2d_PUBKEY(key, &der);
    Bytes out(der, der + (n > 0 ? n : 0));
    OPENSSL_free(der);
    return out;
}

inline Bytes foreign_sign(EVP_PKEY* key, ByteView text) {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
    std::size_t size = 0;
    Bytes out;
    if (EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key) != 1) return out;
    if (EVP_DigestSign(context.get(), nullptr, &size, text.data(), text.size()) != 1) return out;
    out.resize(size);
    if (EVP_DigestSign(context.get(), out.data(), &size, text.data(), text.size()) != 1) return {};
    out.resize(size);
    return out;
}

// `type` decides what key_data is: PKIX for rsa and ecdsa, the compressed point for secp256k1.
inline Bytes foreign_key_data(crypto::KeyType type, EVP_PKEY* key) {
    if (type != crypto::KeyType::secp256k1) return pkix(key);
    EVP_PKEY_set_utf8_string_param(key, "point-format", "compressed");
    std::uint8_t point[65];
    std::size_t size = 0;
    EVP_PKEY_get_octet_string_param(key, "encoded-pub-key", point, sizeof point, &size);
    Bytes out(point, point + size);
    if (size == 65) {  // this version of OpenSSL answers the uncompressed form
        out.resize(33);
        out[0] = static_cast<std::uint8_t>(2 + (point[64] & 1));
    }
    return out;
}

inline NoiseIdentity foreign_identity(crypto::KeyType type) {
    ForeignKey key{nullptr, &EVP_PKEY_free};
    if (type == crypto::KeyType::rsa) key.reset(EVP_RSA_gen(2048));
    if (type == crypto::KeyType::secp256k1) key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "secp256k1"));
    if (type == crypto::KeyType::ecdsa) key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
    NoiseIdentity who;
    who.static_secret = secret(9);
    who.static_public = crypto::x25519_public(who.static_secret);
    who.identity_key = wire::encode_public_key(type, foreign_key_data(type, key.get()));
    who.identity_sig = foreign_sign(key.get(), text_to_sign(who.static_public));
    return who;
}

// DER of an RSA key with a modulus of `bits` bits, all ones: nobody knows its factors, and nobody should reach for them.
inline Bytes rsa_der(std::size_t bits, std::size_t exponent_bytes = 3) {
    const auto wrap = [](std::uint8_t tag, const Bytes& inside) {
        Bytes out{tag};
        if (inside.size() < 0x80) {
            out.push_back(static_cast<std::uint8_t>(inside.size()));
        } else {
            out.insert(out.end(), {0x82, static_cast<std::uint8_t>(inside.size() >> 8), static_cast<std::uint8_t>(inside.size())});
        }
        out.insert(out.end(), inside.begin(), inside.end());
        return out;
    };
    const auto join = [](Bytes a, const Bytes& b) {
        a.insert(a.end(), b.begin(), b.end());
        return a;
    };
    Bytes modulus((bits + 7) / 8, 0xFF);
    if (bits % 8 != 0) modulus[0] = static_cast<std::uint8_t>((1 << bits % 8) - 1);
    if ((modulus[0] & 0x80) != 0) modulus.insert(modulus.begin(), 0);
    Bytes exponent(exponent_bytes, 1);
    const Bytes algorithm = wrap(0x30, {0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00});
    const Bytes key = wrap(0x30, join(wrap(0x02, modulus), wrap(0x02, exponent)));
    return wrap(0x30, join(algorithm, wrap(0x03, join({0}, key))));
}

}  // namespace kith::handshake::testing
