// SPDX-License-Identifier: Apache-2.0
// SHA-256 (FIPS 180-4), HMAC (RFC 2104), HKDF (RFC 5869) and the HKDF of the Noise framework (revision 34, section 4.3).
// Nothing here allocates, and nothing fails for a reason outside the arguments.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "crypto/secret.hpp"
#include "kith/bytes.hpp"
#include "kith/error.hpp"

namespace kith::crypto {

using Digest = std::array<std::uint8_t, 32>;

Digest sha256(ByteView data) noexcept;

// SHA-256 of data that comes in pieces. A copy continues from the same point. Wiped at the end.
class Sha256 {
public:
    Sha256() noexcept;
    Sha256(const Sha256&) noexcept = default;
    Sha256& operator=(const Sha256&) noexcept = default;
    ~Sha256();

    Sha256& update(ByteView data) noexcept;
    Digest finish() noexcept;  // the hash; the object then starts again from nothing

private:
    alignas(std::uint64_t) std::array<std::byte, 112> state_;
};

Digest hmac_sha256(ByteView key, ByteView data) noexcept;

// RFC 5869, extract and expand. Error: invalid_argument when `out` is longer than 255 * 32 bytes.
Status hkdf_sha256(ByteView salt, ByteView ikm, ByteView info, MutableBytes out);

// HKDF(chaining_key, input, 2) of the Noise framework. `out1` or `out2` may be the object that holds `chaining_key`
// or `input`.
void noise_hkdf2(std::span<const std::uint8_t, 32> chaining_key, ByteView input, Secret32& out1, Secret32& out2) noexcept;
inline void noise_hkdf2(const Secret32& chaining_key, ByteView input, Secret32& out1, Secret32& out2) noexcept {
    noise_hkdf2(chaining_key.fixed(), input, out1, out2);
}

}  // namespace kith::crypto
