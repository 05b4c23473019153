// SPDX-License-Identifier: Apache-2.0
// The payload of libp2p's Noise handshake messages 2 and 3 (github.com/libp2p/specs noise).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "kith/bytes.hpp"
#include "kith/error.hpp"

namespace kith::wire {

inline constexpr std::string_view noise_signature_prefix = "noise-libp2p-static-key:";  // signed together with the static key

struct NoisePayload {
    static constexpr std::size_t max_size = 65535;
    static constexpr std::size_t max_muxers = 100;
    static constexpr std::size_t max_muxer_size = 64;
    static constexpr std::size_t max_signature_size = 1024;  // of an 8192-bit RSA key
    static constexpr std::size_t max_certhashes = 16;
    static constexpr std::size_t max_certhash_size = 128;

    Bytes identity_key;  // serialized PublicKey, see keys.hpp
    Bytes identity_sig;
    std::vector<Bytes> certhashes;    // extensions.webtransport_certhashes
    std::vector<std::string> muxers;  // extensions.stream_muxers, in order of preference

    friend bool operator==(const NoisePayload&, const NoisePayload&) = default;
};

// Extensions are written only when there is one.
Bytes encode_noise_payload(const NoisePayload& payload);

// Unknown fields (the retired field 3 among them) are skipped. Fails with malformed; with limit_exceeded above a limit.
// A payload without key or signature decodes with empty members: the handshake refuses it.
Result<NoisePayload> decode_noise_payload(ByteView bytes);

}  // namespace kith::wire
