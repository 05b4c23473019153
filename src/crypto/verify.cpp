// SPDX-License-Identifier: Apache-2.0
#include "crypto/verify.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "crypto/ed25519.hpp"
#include "crypto/public_key_info.hpp"

namespace kith::crypto {
namespace {

template <auto free_function>
struct Free {
    template <class T>
    void operator()(T* object) const noexcept {
        free_function(object);
    }
};

using Number = std::unique_ptr<BIGNUM, Free<BN_free>>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, Free<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Free<OSSL_PARAM_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;

// The host program may use OpenSSL on this thread too: what fails in here must not appear in its error queue.
class QuietErrors {
public:
    QuietErrors() noexcept { ERR_set_mark(); }
    ~QuietErrors() { ERR_pop_to_mark(); }
    QuietErrors(const QuietErrors&) = delete;
    QuietErrors& operator=(const QuietErrors&) = delete;
};

Number number(ByteView big_endian) { return Number(BN_bin2bn(big_endian.data(), static_cast<int>(big_endian.size()), nullptr)); }

Key import(const char* type, OSSL_PARAM_BLD* builder) {
    const Params params(OSSL_PARAM_BLD_to_param(builder));
    const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
    EVP_PKEY* made = nullptr;
    if (params == nullptr || context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
        return nullptr;
    }
    return Key(made);
}

Result<Key> rsa_key(ByteView key_data) {
    auto parts = read_rsa_key(key_data);
    if (!parts) return parts.error();
    const Builder builder(OSSL_PARAM_BLD_new());
    const Number n = number(parts->modulus);
    const Number e = number(parts->exponent);
    if (builder == nullptr || n == nullptr || e == nullptr || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
        return Error{Errc::internal, "no memory for an RSA key"};
    }
    Key key = import("RSA", builder.get());
    if (key == nullptr) return Error{Errc::invalid_key, "not an RSA key"};
    return key;
}

// fromdata() refuses a point that is not on the curve.
Result<Key> ec_key(std::string_view group, ByteView point) {
    const Builder builder(OSSL_PARAM_BLD_new());
    if (builder == nullptr || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size()) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1) {
        return Error{Errc::internal, "no memory for an elliptic curve key"};
    }
    Key key = import("EC", builder.get());
    if (key == nullptr) return Error{Errc::invalid_key, "not a point of the key's curve"};
    return key;
}

// Every kind but Ed25519.
Result<Key> read_key(KeyType type, ByteView key_data) {
    switch (type) {
        case KeyType::rsa:
            return rsa_key(key_data);
        case KeyType::secp256k1:
            if (key_data.size() != 33 || !is_point(key_data, 32)) {
                return Error{Errc::invalid_key, "a secp256k1 key that is not a compressed point of 33 bytes"};
            }
            return ec_key("secp256k1", key_data);
        case KeyType::ecdsa: {
            auto parts = read_ec_key(key_data);
            if (!parts) return parts.error();
            return ec_key(parts->group, parts->point);
        }
        case KeyType::ed25519:
            break;
    }
    return Error{Errc::invalid_key, "a key of an unknown type"};
}

Result<PublicKey32> read_ed25519(ByteView key_data) {
    PublicKey32 key;
    if (key_data.size() != key.size()) return Error{Errc::invalid_key, "an Ed25519 key that is not 32 bytes"};
    std::copy(key_data.begin(), key_data.end(), key.begin());
    return key;
}

}  // namespace

Status verify(KeyType type, ByteView key_data, ByteView message, ByteView signature) {
    bool good = false;
    if (type == KeyType::ed25519) {
        auto key = read_ed25519(key_data);
        if (!key) return key.error();
        good = ed25519_verify(*key, message, signature);
    } else {
        const QuietErrors quiet;
        auto key = read_key(type, key_data);
        if (!key) return key.error();
        const DigestContext context(EVP_MD_CTX_new());
        if (context == nullptr) return Error{Errc::internal, "no memory for a signature check"};
        // RSA: PKCS #1 v1.5 is the padding unless another is set. A signature of another size than the modulus, or not
        // in DER, is refused inside.
        good = EVP_DigestVerifyInit_ex(context.get(), nullptr, "SHA256", nullptr, nullptr, key->get(), nullptr) == 1 &&
               EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
    }
    if (!good) return Error{Errc::bad_signature};
    return {};
}

Status check_public_key(KeyType type, ByteView key_data) {
    if (type == KeyType::ed25519) {
        auto key = read_ed25519(key_data);
        if (!key) return key.error();
        return {};
    }
    const QuietErrors quiet;
    auto key = read_key(type, key_data);
    if (!key) return key.error();
    return {};
}

}  // namespace kith::crypto
