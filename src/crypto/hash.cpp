// SPDX-License-Identifier: Apache-2.0
// OpenSSL 3 calls its direct SHA-256 functions deprecated in favour of EVP. A handshake takes some sixty hashes of one to
// three blocks, and there EVP costs four times as much (250 against 60 ns for 64 bytes, measured) and allocates a context
// for each; libsodium has no SHA instructions (285 ns). The functions use the same assembly as EVP.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/hash.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <memory>
#include <new>

namespace kith::crypto {
namespace {

constexpr std::size_t block_size = 64;

SHA256_CTX& context(std::array<std::byte, 112>& state) noexcept { return *std::launder(reinterpret_cast<SHA256_CTX*>(state.data())); }

// A keyed start of HMAC, for several messages under one key.
class HmacKey {
public:
    explicit HmacKey(ByteView key) noexcept {
        std::array<std::uint8_t, block_size> pad{};
        if (key.size() > block_size) {
            const Digest shorter = sha256(key);
            std::copy(shorter.begin(), shorter.end(), pad.begin());
        } else {
            std::copy(key.begin(), key.end(), pad.begin());
        }
        for (auto& byte : pad) byte ^= 0x36;
        inner_.update(pad);
        for (auto& byte : pad) byte ^= 0x36 ^ 0x5c;
        outer_.update(pad);
        wipe(pad);
    }

    Sha256 begin() const noexcept { return inner_; }
    Digest finish(Sha256& begun) const noexcept {
        Sha256 outer = outer_;
        return outer.update(begun.finish()).finish();
    }

private:
    Sha256 inner_;
    Sha256 outer_;
};

}  // namespace

static_assert(sizeof(SHA256_CTX) == 112 && alignof(SHA256_CTX) <= alignof(std::uint64_t), "Sha256 holds the context inside");

Sha256::Sha256() noexcept {
    ::new (static_cast<void*>(state_.data())) SHA256_CTX;
    SHA256_Init(&context(state_));
}

Sha256::~Sha256() { wipe({reinterpret_cast<std::uint8_t*>(state_.data()), state_.size()}); }

Sha256& Sha256::update(ByteView data) noexcept {
    if (!data.empty()) SHA256_Update(&context(state_), data.data(), data.size());
    return *this;
}

Digest Sha256::finish() noexcept {
    Digest out;
    SHA256_Final(out.data(), &context(state_));
    SHA256_Init(&context(state_));
    return out;
}

Digest sha256(ByteView data) noexcept { return Sha256{}.update(data).finish(); }

Digest hmac_sha256(ByteView key, ByteView data) noexcept {
    const HmacKey keyed(key);
    Sha256 inner = keyed.begin();
    inner.update(data);
    return keyed.finish(inner);
}

Status hkdf_sha256(ByteView salt, ByteView ikm, ByteView info, MutableBytes out) {
    Digest digest = hmac_sha256(salt, ikm);
    if (out.size() > 255 * digest.size()) return Error{Errc::invalid_argument, "HKDF gives at most 8160 bytes"};
    const HmacKey prk(digest);
    std::uint8_t counter = 1;
    for (std::size_t done = 0; done < out.size(); ++counter) {
        Sha256 inner = prk.begin();
        if (counter > 1) inner.update(digest);
        inner.update(info).update({&counter, 1});
        digest = prk.finish(inner);
        const std::size_t n = std::min(digest.size(), out.size() - done);
        std::copy_n(digest.begin(), n, out.begin() + static_cast<std::ptrdiff_t>(done));
        done += n;
    }
    wipe(digest);
    return {};
}

void noise_hkdf2(std::span<const std::uint8_t, 32> chaining_key, ByteView input, Secret32& out1, Secret32& out2) noexcept {
    static constexpr std::uint8_t one = 1;
    static constexpr std::uint8_t two = 2;
    Digest prk = hmac_sha256(chaining_key, input);
    const HmacKey keyed(prk);
    Sha256 inner = keyed.begin();
    inner.update({&one, 1});
    Digest first = keyed.finish(inner);
    inner = keyed.begin();
    inner.update(first).update({&two, 1});
    Digest second = keyed.finish(inner);
    out1 = Secret32(first);
    out2 = Secret32(second);
    wipe(prk);
    wipe(first);
    wipe(second);
}

}  // namespace kith::crypto
