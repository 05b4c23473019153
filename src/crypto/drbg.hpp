// SPDX-License-Identifier: Apache-2.0
// A deterministic random bit generator: randomness enters once, as an argument.
#pragma once

#include <array>
#include <cstdint>

#include "crypto/secret.hpp"
#include "kith/bytes.hpp"

namespace kith::crypto {

// ChaCha20 keystream with fast key erasure: each refill replaces the key, so what was given out before cannot be computed from
// the state. Seed it with 32 bytes from the system (node) or with a test's seed (simulator). Not thread-safe.
class Drbg {
public:
    explicit Drbg(Secret32 seed) noexcept : key_(std::move(seed)) {}

    void fill(MutableBytes out) noexcept;
    std::uint64_t u64() noexcept;
    Secret32 secret() noexcept;

private:
    void refill() noexcept;

    Secret32 key_;
    Secret<480> pool_;
    std::size_t used_ = 480;
};

}  // namespace kith::crypto
