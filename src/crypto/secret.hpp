// SPDX-License-Identifier: Apache-2.0
// Holders of secret bytes. They are wiped when they die and when they are moved from; a copy is always written out as
// clone(). No comparison operator: use equal(), which takes the same time wherever the difference is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "kith/bytes.hpp"

namespace kith::crypto {

// Overwrites with zeros in a way that the compiler may not remove.
void wipe(MutableBytes bytes) noexcept;

// True when sizes and bytes are the same. The time depends on the sizes only.
bool equal(ByteView a, ByteView b) noexcept;

// N secret bytes inside the object: for keys that live as long as a handshake or a connection. All zero at first.
template <std::size_t N>
class Secret {
public:
    static constexpr std::size_t size = N;

    Secret() noexcept = default;
    explicit Secret(std::span<const std::uint8_t, N> bytes) noexcept { copy_from(bytes.data()); }
    Secret(Secret&& other) noexcept {
        copy_from(other.bytes_);
        other.clear();
    }
    Secret& operator=(Secret&& other) noexcept {
        if (this != &other) {
            copy_from(other.bytes_);
            other.clear();
        }
        return *this;
    }
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret() { clear(); }

    Secret clone() const noexcept { return Secret(std::span<const std::uint8_t, N>(bytes_)); }
    void clear() noexcept { wipe(bytes_); }

    // Both are valid as long as the object stays where it is.
    ByteView view() const noexcept { return bytes_; }
    MutableBytes bytes() noexcept { return bytes_; }
    std::span<const std::uint8_t, N> fixed() const noexcept { return std::span<const std::uint8_t, N>(bytes_); }

private:
    void copy_from(const std::uint8_t* from) noexcept {
        for (std::size_t i = 0; i < N; ++i) bytes_[i] = from[i];
    }

    std::uint8_t bytes_[N] = {};
};

using Secret32 = Secret<32>;

// Secret bytes of a size known at run time, on the heap: passphrases, decrypted files. The size never changes, so
// that no old copy stays behind.
class SecretBytes {
public:
    SecretBytes() noexcept = default;
    explicit SecretBytes(std::size_t size);  // zeros
    explicit SecretBytes(ByteView bytes);    // a copy; the source remains the caller's to wipe
    SecretBytes(SecretBytes&& other) noexcept;
    SecretBytes& operator=(SecretBytes&& other) noexcept;
    SecretBytes(const SecretBytes&) = delete;
    SecretBytes& operator=(const SecretBytes&) = delete;
    ~SecretBytes() { clear(); }

    SecretBytes clone() const { return SecretBytes(view()); }
    void clear() noexcept;  // wiped and empty

    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    ByteView view() const noexcept { return {data_.get(), size_}; }
    MutableBytes bytes() noexcept { return {data_.get(), size_}; }

private:
    std::unique_ptr<std::uint8_t[]> data_;
    std::size_t size_ = 0;
};

// Secret bytes for keys that live as long as the program (the identity): pages of their own between guard pages, kept
// out of swap and core dumps. It costs four pages, so it is not for keys of one connection. Where the system refuses to
// lock memory (RLIMIT_MEMLOCK) the pages stay unlocked; where it refuses pages, the bytes are on the heap. Both are
// wiped at the end.
class LockedSecret {
public:
    LockedSecret() noexcept = default;        // empty
    explicit LockedSecret(std::size_t size);  // zeros
    explicit LockedSecret(ByteView bytes);    // a copy; the source remains the caller's to wipe
    LockedSecret(LockedSecret&& other) noexcept;
    LockedSecret& operator=(LockedSecret&& other) noexcept;
    LockedSecret(const LockedSecret&) = delete;
    LockedSecret& operator=(const LockedSecret&) = delete;
    ~LockedSecret() { clear(); }

    LockedSecret clone() const { return LockedSecret(view()); }
    void clear() noexcept;  // wiped, given back, empty

    std::size_t size() const noexcept { return size_; }
    bool guarded() const noexcept { return guarded_; }  // false: heap, because the system gave no pages
    ByteView view() const noexcept { return {data_, size_}; }
    MutableBytes bytes() noexcept { return {data_, size_}; }

private:
    std::uint8_t* data_ = nullptr;  // owned; freed by clear() in the way it was made
    std::size_t size_ = 0;
    bool guarded_ = false;
};

}  // namespace kith::crypto
