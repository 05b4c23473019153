// SPDX-License-Identifier: Apache-2.0
// ChaCha20-Poly1305 (RFC 8439) with one key for many records.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "crypto/secret.hpp"
#include "kith/bytes.hpp"

namespace kith::crypto {

// One key. Both directions are possible, though a protocol has one Aead per direction. Two libraries do the work, the
// faster one for each size of record; the bytes are the same.
//
// Memory: the object is 40 bytes. The first record of `crossover` bytes or more makes a cipher context on the heap (see
// context_bytes), which is kept; trim() gives it back, for links that fall idle. No other allocation, ever: a record
// never fails for want of memory, it is only slower.
//
// A moved-from Aead must only be assigned to or destroyed: its key is gone.
//
// The caller never uses a nonce twice for sealing with one key, and ends the link when open() says false.
class Aead {
public:
    static constexpr std::size_t tag_size = 16;
    static constexpr std::size_t nonce_size = 12;
    static constexpr std::size_t crossover = 128;       // bytes of text from which the cipher context is the faster way
    static constexpr std::size_t context_bytes = 1056;  // about, with OpenSSL 3.0: three allocations
    using Tag = std::span<std::uint8_t, tag_size>;
    using TagView = std::span<const std::uint8_t, tag_size>;
    using Nonce = std::array<std::uint8_t, nonce_size>;

    explicit Aead(const Secret32& key) noexcept;
    Aead(Aead&&) noexcept = default;
    Aead& operator=(Aead&&) noexcept = default;
    Aead(const Aead&) = delete;
    Aead& operator=(const Aead&) = delete;
    ~Aead() = default;

    // In place. The number is the nonce of the Noise framework: four zero bytes, then 64 bits little-endian.
    void seal(std::uint64_t nonce, ByteView ad, MutableBytes text, Tag tag) noexcept;
    // False: forged or damaged, and `text` is all zero.
    [[nodiscard]] bool open(std::uint64_t nonce, ByteView ad, MutableBytes text, TagView tag) noexcept;

    // From `from` to `to`, which have the same size (a precondition) and are the same bytes or do not overlap. After a
    // false, `to` is all zero.
    void seal(std::uint64_t nonce, ByteView ad, ByteView from, MutableBytes to, Tag tag) noexcept;
    [[nodiscard]] bool open(std::uint64_t nonce, ByteView ad, ByteView from, MutableBytes to, TagView tag) noexcept;

    // With the whole nonce, for protocols that are not Noise.
    void seal(const Nonce& nonce, ByteView ad, ByteView from, MutableBytes to, Tag tag) noexcept;
    [[nodiscard]] bool open(const Nonce& nonce, ByteView ad, ByteView from, MutableBytes to, TagView tag) noexcept;

    void trim() noexcept { context_.reset(); }
    bool has_context() const noexcept { return context_ != nullptr; }

private:
    struct FreeContext {
        void operator()(void* context) const noexcept;
    };

    bool prepare(const Nonce& nonce, bool sealing, std::size_t text, std::size_t ad) noexcept;

    Secret32 key_;
    std::unique_ptr<void, FreeContext> context_;
};

}  // namespace kith::crypto
