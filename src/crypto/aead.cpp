// SPDX-License-Identifier: Apache-2.0
#include "crypto/aead.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <sodium.h>

#include <algorithm>

namespace kith::crypto {
namespace {

Aead::Nonce noise_nonce(std::uint64_t number) noexcept {
    Aead::Nonce nonce{};
    for (std::size_t i = 0; i < 8; ++i) nonce[4 + i] = static_cast<std::uint8_t>(number >> (8 * i));
    return nonce;
}

EVP_CIPHER_CTX* evp(void* context) noexcept { return static_cast<EVP_CIPHER_CTX*>(context); }

// OpenSSL counts in int.
constexpr std::size_t max_evp = 1U << 30U;

// libsodium's text pointers must not be null, which those of an empty span may be.
const std::uint8_t* not_null(ByteView text, const std::uint8_t* other) noexcept { return text.empty() ? other : text.data(); }
std::uint8_t* not_null(MutableBytes text, std::uint8_t* other) noexcept { return text.empty() ? other : text.data(); }

// The tag is fixed-size, the text is not empty (it has at least `crossover` bytes), the associated data may be.
bool update(EVP_CIPHER_CTX* context, ByteView ad, ByteView from, MutableBytes to) noexcept {
    int n = 0;
    if (!ad.empty() && EVP_CipherUpdate(context, nullptr, &n, ad.data(), static_cast<int>(ad.size())) != 1) return false;
    if (EVP_CipherUpdate(context, to.data(), &n, from.data(), static_cast<int>(from.size())) != 1) return false;
    return static_cast<std::size_t>(n) == from.size();
}

}  // namespace

static_assert(sizeof(Aead) == 40);

Aead::Aead(const Secret32& key) noexcept : key_(key.clone()) {}

void Aead::FreeContext::operator()(void* context) const noexcept { EVP_CIPHER_CTX_free(evp(context)); }

// True: the context stands ready for a record. False: take the other library; no text has been touched yet.
bool Aead::prepare(const Nonce& nonce, bool sealing, std::size_t text, std::size_t ad) noexcept {
    if (text < crossover || text > max_evp || ad > max_evp) return false;
    if (context_ == nullptr) {
        ERR_set_mark();
        std::unique_ptr<void, FreeContext> made(EVP_CIPHER_CTX_new());
        const bool ok =
            made != nullptr && EVP_CipherInit_ex(evp(made.get()), EVP_chacha20_poly1305(), nullptr, key_.view().data(), nullptr, 1) == 1;
        ERR_pop_to_mark();
        if (!ok) return false;
        context_ = std::move(made);
    }
    return EVP_CipherInit_ex(evp(context_.get()), nullptr, nullptr, nullptr, nonce.data(), sealing ? 1 : 0) == 1;
}

void Aead::seal(const Nonce& nonce, ByteView ad, ByteView from, MutableBytes to, Tag tag) noexcept {
    if (!prepare(nonce, true, from.size(), ad.size())) {
        crypto_aead_chacha20poly1305_ietf_encrypt_detached(not_null(to, tag.data()), tag.data(), nullptr, not_null(from, tag.data()),
                                                           from.size(), ad.data(), ad.size(), nullptr, nonce.data(), key_.view().data());
        return;
    }
    EVP_CIPHER_CTX* context = evp(context_.get());
    int n = 0;
    if (update(context, ad, from, to) && EVP_CipherFinal_ex(context, to.data() + to.size(), &n) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(tag_size), tag.data()) == 1) {
        return;
    }
    // Cannot happen with a prepared context. If it does, nothing readable may leave: the peer refuses a record of zeros.
    wipe(to);
    wipe(tag);
}

bool Aead::open(const Nonce& nonce, ByteView ad, ByteView from, MutableBytes to, TagView tag) noexcept {
    bool good = false;
    if (prepare(nonce, false, from.size(), ad.size())) {
        EVP_CIPHER_CTX* context = evp(context_.get());
        std::array<std::uint8_t, tag_size> expected;  // OpenSSL takes it by a pointer that is not const
        std::copy(tag.begin(), tag.end(), expected.begin());
        int n = 0;
        good = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tag_size), expected.data()) == 1 &&
               update(context, ad, from, to) && EVP_CipherFinal_ex(context, to.data() + to.size(), &n) == 1;
    } else {
        std::uint8_t none = 0;
        good = crypto_aead_chacha20poly1305_ietf_decrypt_detached(not_null(to, &none), nullptr, not_null(from, tag.data()), from.size(),
                                                                  tag.data(), ad.data(), ad.size(), nonce.data(), key_.view().data()) == 0;
    }
    // OpenSSL has written the text before it compares the tag; unauthentic plaintext must not be seen.
    if (!good) wipe(to);
    return good;
}

void Aead::seal(std::uint64_t nonce, ByteView ad, ByteView from, MutableBytes to, Tag tag) noexcept {
    seal(noise_nonce(nonce), ad, from, to, tag);
}

bool Aead::open(std::uint64_t nonce, ByteView ad, ByteView from, MutableBytes to, TagView tag) noexcept {
    return open(noise_nonce(nonce), ad, from, to, tag);
}

void Aead::seal(std::uint64_t nonce, ByteView ad, MutableBytes text, Tag tag) noexcept { seal(noise_nonce(nonce), ad, text, text, tag); }

bool Aead::open(std::uint64_t nonce, ByteView ad, MutableBytes text, TagView tag) noexcept {
    return open(noise_nonce(nonce), ad, text, text, tag);
}

}  // namespace kith::crypto
