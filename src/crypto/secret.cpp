// SPDX-License-Identifier: Apache-2.0
#include "crypto/secret.hpp"

#include <sodium.h>

#include <algorithm>
#include <utility>

namespace kith::crypto {

void wipe(MutableBytes bytes) noexcept {
    if (!bytes.empty()) sodium_memzero(bytes.data(), bytes.size());
}

bool equal(ByteView a, ByteView b) noexcept {
    if (a.size() != b.size()) return false;
    return a.empty() || sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

SecretBytes::SecretBytes(std::size_t size) : data_(size == 0 ? nullptr : std::make_unique<std::uint8_t[]>(size)), size_(size) {}

SecretBytes::SecretBytes(ByteView bytes) : SecretBytes(bytes.size()) { std::copy(bytes.begin(), bytes.end(), data_.get()); }

SecretBytes::SecretBytes(SecretBytes&& other) noexcept : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
        clear();
        data_ = std::move(other.data_);
        size_ = std::exchange(other.size_, 0);
    }
    return *this;
}

void SecretBytes::clear() noexcept {
    wipe(bytes());
    data_.reset();
    size_ = 0;
}

LockedSecret::LockedSecret(std::size_t size) : size_(size) {
    if (size == 0) return;
    // sodium_malloc() aborts the program where sodium_init() has not been called, and a SigningKey may come first.
    const bool ready = sodium_init() >= 0;
    // libsodium ignores a refused mlock here and keeps the guard pages; it gives null only without pages at all.
    if (ready) data_ = static_cast<std::uint8_t*>(sodium_malloc(size));
    guarded_ = data_ != nullptr;
    if (!guarded_) data_ = std::make_unique<std::uint8_t[]>(size).release();
    std::fill_n(data_, size, std::uint8_t{0});  // libsodium fills with 0xdb
}

LockedSecret::LockedSecret(ByteView bytes) : LockedSecret(bytes.size()) { std::copy(bytes.begin(), bytes.end(), data_); }

LockedSecret::LockedSecret(LockedSecret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), guarded_(std::exchange(other.guarded_, false)) {}

LockedSecret& LockedSecret::operator=(LockedSecret&& other) noexcept {
    if (this != &other) {
        clear();
        data_ = std::exchange(other.data_, nullptr);
        size_ = std::exchange(other.size_, 0);
        guarded_ = std::exchange(other.guarded_, false);
    }
    return *this;
}

void LockedSecret::clear() noexcept {
    if (data_ == nullptr) return;
    if (guarded_) {
        sodium_free(data_);  // wipes
    } else {
        wipe(bytes());
        const std::unique_ptr<std::uint8_t[]> heap(data_);
    }
    data_ = nullptr;
    size_ = 0;
    guarded_ = false;
}

}  // namespace kith::crypto
