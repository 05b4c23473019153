// SPDX-License-Identifier: Apache-2.0
#include "crypto/drbg.hpp"

#include <sodium.h>

#include <algorithm>
#include <cstring>

namespace kith::crypto {

void Drbg::refill() noexcept {
    Secret<512> block;
    constexpr std::array<std::uint8_t, crypto_stream_chacha20_ietf_NONCEBYTES> nonce{};
    crypto_stream_chacha20_ietf(block.bytes().data(), 512, nonce.data(), key_.view().data());
    std::memcpy(key_.bytes().data(), block.view().data(), 32);
    std::memcpy(pool_.bytes().data(), block.view().data() + 32, 480);
    used_ = 0;
}

void Drbg::fill(MutableBytes out) noexcept {
    while (!out.empty()) {
        if (used_ == 480) refill();
        const auto n = std::min(out.size(), 480 - used_);
        const auto taken = pool_.bytes().subspan(used_, n);
        std::memcpy(out.data(), taken.data(), n);
        wipe(taken);
        used_ += n;
        out = out.subspan(n);
    }
}

std::uint64_t Drbg::u64() noexcept {
    std::array<std::uint8_t, 8> bytes{};
    fill(bytes);
    std::uint64_t out = 0;
    for (const auto b : bytes) out = (out << 8) | b;
    return out;
}

Secret32 Drbg::secret() noexcept {
    Secret32 out;
    fill(out.bytes());
    return out;
}

}  // namespace kith::crypto
