// SPDX-License-Identifier: Apache-2.0
// The bytes of a key file: one Ed25519 seed, in clear or sealed under a passphrase. No file is opened here.
//
//   offset  size
//        0     7  "kithkey"
//        7     1  version, 1
//        8     1  kind: 0 plain, 1 sealed
//        9     3  zero
//       12     4  Argon2id passes, big-endian       (zero when plain)
//       16     4  Argon2id memory in KiB, likewise  (zero when plain)
//       20    16  salt                              (zero when plain)
//       36    24  nonce                             (zero when plain)
//       60    32  the seed; sealed: encrypted with XChaCha20-Poly1305, the 60 bytes before as associated data
//       92    16  sealed: the Poly1305 tag; plain: the first 16 bytes of SHA-256 of the 92 bytes before (against damage)
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "crypto/secret.hpp"
#include "kith/bytes.hpp"
#include "kith/error.hpp"

namespace kith::crypto {

inline constexpr std::size_t key_file_size = 108;
inline constexpr std::size_t key_file_random = 40;  // bytes of randomness that sealing takes: salt, then nonce

// The price of one guess at the passphrase, and of opening the file.
struct KeyFileCost {
    std::uint32_t passes = 3;                // 1 to 10
    std::uint32_t memory_kib = 256U * 1024;  // 8 KiB to 1 GiB

    static constexpr KeyFileCost moderate() { return {}; }                  // 0.5 s on a desktop processor of 2020
    static constexpr KeyFileCost interactive() { return {2, 64U * 1024}; }  // 0.1 s: the least for a person's key
    static constexpr KeyFileCost largest() { return {10, 1024U * 1024}; }   // what a reader accepts
};

// Without a passphrase the file is plain, `random_bytes` may be empty, and only the file's mode protects it.
// `random_bytes`: key_file_random bytes, fresh for each call. The result of the plain form is secret: wipe it.
// Errors: invalid_argument (size of seed or randomness, empty passphrase, cost outside the bounds), limit_exceeded
// (no memory for this cost: choose a smaller one).
Result<Bytes> encode_key_file(ByteView seed32, std::optional<std::string_view> passphrase, ByteView random_bytes,
                              KeyFileCost cost = KeyFileCost::moderate());

// True when decode_key_file() will ask for a passphrase. Error: malformed.
Result<bool> key_file_sealed(ByteView file);

// The seed. The cost is checked against KeyFileCost::largest() before it is paid.
// Errors: malformed (not such a file, damaged, or of a later version), wrong_passphrase (or a damaged sealed file),
// invalid_argument (a sealed file and no passphrase, or the reverse), limit_exceeded (no memory for the file's cost).
Result<Secret32> decode_key_file(ByteView file, std::optional<std::string_view> passphrase);

}  // namespace kith::crypto
