// SPDX-License-Identifier: Apache-2.0
#include "wire/noise_payload.hpp"

#include "wire/keys.hpp"
#include "wire/proto.hpp"

namespace kith::wire {
namespace {

constexpr std::uint32_t key_tag = 1;
constexpr std::uint32_t signature_tag = 2;
constexpr std::uint32_t extensions_tag = 4;
constexpr std::uint32_t certhash_tag = 1;
constexpr std::uint32_t muxer_tag = 2;

Error above(std::string_view what) { return {Errc::limit_exceeded, what}; }

Status take(Bytes& out, const Field& field, std::size_t max, std::string_view what) {
    if (field.bytes.size() > max) return above(what);
    out.assign(field.bytes.begin(), field.bytes.end());
    return {};
}

Status read_extension(NoisePayload& out, const Field& field) {
    if (field.is_bytes(certhash_tag)) {
        if (out.certhashes.size() == NoisePayload::max_certhashes) return above("too many certificate hashes in a Noise payload");
        Bytes hash;
        if (auto status = take(hash, field, NoisePayload::max_certhash_size, "a certificate hash is too long"); !status) return status;
        out.certhashes.push_back(std::move(hash));
    } else if (field.is_bytes(muxer_tag)) {
        if (out.muxers.size() == NoisePayload::max_muxers) return above("more than 100 muxers in a Noise payload");
        if (field.bytes.size() > NoisePayload::max_muxer_size) return above("the name of a muxer is longer than 64 bytes");
        out.muxers.emplace_back(as_text(field.bytes));
    }
    return {};
}

}  // namespace

Bytes encode_noise_payload(const NoisePayload& payload) {
    Bytes out;
    put_bytes_field(out, key_tag, payload.identity_key);
    put_bytes_field(out, signature_tag, payload.identity_sig);
    if (payload.certhashes.empty() && payload.muxers.empty()) return out;
    Bytes extensions;
    for (const auto& hash : payload.certhashes) put_bytes_field(extensions, certhash_tag, hash);
    for (const auto& muxer : payload.muxers) put_bytes_field(extensions, muxer_tag, as_bytes(muxer));
    put_bytes_field(out, extensions_tag, extensions);
    return out;
}

Result<NoisePayload> decode_noise_payload(ByteView bytes) {
    if (bytes.size() > NoisePayload::max_size) return above("the Noise payload is too long");
    NoisePayload out;
    auto status = for_each_field(bytes, [&out](const Field& field) -> Status {
        if (field.is_bytes(key_tag)) return take(out.identity_key, field, max_public_key_size, "the identity key is too long");
        if (field.is_bytes(signature_tag)) {
            return take(out.identity_sig, field, NoisePayload::max_signature_size, "the identity signature is too long");
        }
        // Protobuf joins a message field that comes twice; so the limits count over all of them.
        if (field.is_bytes(extensions_tag)) return for_each_field(field.bytes, [&out](const Field& f) { return read_extension(out, f); });
        return {};
    });
    if (!status) return std::move(status).error();
    return out;
}

}  // namespace kith::wire
