// SPDX-License-Identifier: Apache-2.0
#include "crypto/keyfile.hpp"

#include <sodium.h>

#include <algorithm>

#include "base/reader.hpp"
#include "crypto/hash.hpp"

namespace kith::crypto {
namespace {

constexpr std::string_view magic = "kithkey";
constexpr std::uint8_t version = 1;
constexpr std::uint8_t kind_plain = 0;
constexpr std::uint8_t kind_sealed = 1;
constexpr std::size_t salt_size = crypto_pwhash_argon2id_SALTBYTES;
constexpr std::size_t nonce_size = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t check_size = crypto_aead_xchacha20poly1305_ietf_ABYTES;
constexpr std::size_t seed_size = 32;
constexpr std::size_t header_size = 20 + salt_size + nonce_size;
constexpr std::uint32_t least_memory_kib = crypto_pwhash_argon2id_MEMLIMIT_MIN / 1024;
static_assert(header_size + seed_size + check_size == key_file_size && salt_size + nonce_size == key_file_random && check_size == 16);

struct Layout {
    ByteView header;
    bool sealed = false;
    KeyFileCost cost{0, 0};
    ByteView salt;
    ByteView nonce;
    ByteView body;
    ByteView check;
};

bool within_bounds(KeyFileCost cost) noexcept {
    constexpr KeyFileCost most = KeyFileCost::largest();
    return cost.passes >= 1 && cost.passes <= most.passes && cost.memory_kib >= least_memory_kib && cost.memory_kib <= most.memory_kib;
}

Result<Layout> read_layout(ByteView file) {
    if (file.size() != key_file_size) return Error{Errc::malformed, "a key file has 108 bytes"};
    Layout out;
    out.header = file.first(header_size);
    Reader in(file);
    ByteView name;
    ByteView zero;
    std::uint8_t found_version = 0;
    std::uint8_t kind = 0;
    // The size is known: no read below can fail.
    in.take(magic.size(), name);
    in.u8(found_version);
    in.u8(kind);
    in.take(3, zero);
    in.u32(out.cost.passes);
    in.u32(out.cost.memory_kib);
    in.take(salt_size, out.salt);
    in.take(nonce_size, out.nonce);
    in.take(seed_size, out.body);
    in.take(check_size, out.check);

    if (as_text(name) != magic) return Error{Errc::malformed, "not a kith key file"};
    if (found_version != version) return Error{Errc::malformed, "a key file of a version that this program does not know"};
    if (kind != kind_plain && kind != kind_sealed) return Error{Errc::malformed, "a key file of an unknown kind"};
    out.sealed = kind == kind_sealed;
    const auto is_zero = [](std::uint8_t b) { return b == 0; };
    if (!std::all_of(zero.begin(), zero.end(), is_zero)) return Error{Errc::malformed, "the key file is damaged"};
    if (out.sealed) {
        if (!within_bounds(out.cost)) return Error{Errc::malformed, "the key file asks for more than 10 passes, or not 8 KiB to 1 GiB"};
    } else if (out.cost.passes != 0 || out.cost.memory_kib != 0 || !std::all_of(out.salt.begin(), out.salt.end(), is_zero) ||
               !std::all_of(out.nonce.begin(), out.nonce.end(), is_zero)) {
        return Error{Errc::malformed, "the key file is damaged"};
    }
    return out;
}

// The key that seals the seed.
Result<Secret32> stretch(std::string_view passphrase, ByteView salt, KeyFileCost cost) {
    Secret32 out;
    if (crypto_pwhash_argon2id(out.bytes().data(), out.view().size(), passphrase.data(), passphrase.size(), salt.data(), cost.passes,
                               std::size_t{cost.memory_kib} * 1024, crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0) {
        return Error{Errc::limit_exceeded, "not enough memory to work on the key file's passphrase"};
    }
    return out;
}

Digest plain_check(ByteView header, ByteView seed) { return Sha256{}.update(header).update(seed).finish(); }

}  // namespace

Result<Bytes> encode_key_file(ByteView seed32, std::optional<std::string_view> passphrase, ByteView random_bytes, KeyFileCost cost) {
    if (seed32.size() != seed_size) return Error{Errc::invalid_argument, "a key's seed has 32 bytes"};
    if (passphrase && passphrase->empty()) return Error{Errc::invalid_argument, "the passphrase is empty"};
    if (passphrase && random_bytes.size() != key_file_random) return Error{Errc::invalid_argument, "a key file takes 40 random bytes"};
    if (passphrase && !within_bounds(cost)) {
        return Error{Errc::invalid_argument, "the key file's cost is 1 to 10 passes over 8 KiB to 1 GiB"};
    }

    Bytes file(key_file_size);
    Writer out(file);
    out.bytes(as_bytes(magic));
    out.u8(version);
    out.u8(passphrase ? kind_sealed : kind_plain);
    out.advance(3);
    if (!passphrase) {
        out.advance(header_size - out.size());
        Digest check = plain_check(out.written(), seed32);
        out.bytes(seed32);
        out.bytes(ByteView(check).first(check_size));
        wipe(check);
        return file;
    }
    out.u32(cost.passes);
    out.u32(cost.memory_kib);
    out.bytes(random_bytes);
    auto key = stretch(*passphrase, random_bytes.first(salt_size), cost);
    if (!key) return key.error();
    const ByteView header = out.written();
    const MutableBytes body = out.rest();
    crypto_aead_xchacha20poly1305_ietf_encrypt_detached(body.data(), body.data() + seed_size, nullptr, seed32.data(), seed32.size(),
                                                        header.data(), header.size(), nullptr, random_bytes.data() + salt_size,
                                                        key->view().data());
    return file;
}

Result<bool> key_file_sealed(ByteView file) {
    auto layout = read_layout(file);
    if (!layout) return layout.error();
    return layout->sealed;
}

Result<Secret32> decode_key_file(ByteView file, std::optional<std::string_view> passphrase) {
    auto layout = read_layout(file);
    if (!layout) return layout.error();
    if (!layout->sealed) {
        // Damage before misuse: a flipped kind byte must not look like a wrong call.
        Digest check = plain_check(layout->header, layout->body);
        const bool good = equal(ByteView(check).first(check_size), layout->check);
        wipe(check);
        if (!good) return Error{Errc::malformed, "the key file is damaged"};
        if (passphrase) return Error{Errc::invalid_argument, "the key file has no passphrase"};
        return Secret32(layout->body.first<seed_size>());
    }
    if (!passphrase) return Error{Errc::invalid_argument, "the key file needs a passphrase"};
    if (passphrase->empty()) return Errc::wrong_passphrase;  // no file is made with it
    auto key = stretch(*passphrase, layout->salt, layout->cost);
    if (!key) return key.error();
    Secret32 seed;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt_detached(seed.bytes().data(), nullptr, layout->body.data(), layout->body.size(),
                                                            layout->check.data(), layout->header.data(), layout->header.size(),
                                                            layout->nonce.data(), key->view().data()) != 0) {
        return Errc::wrong_passphrase;
    }
    return seed;
}

}  // namespace kith::crypto
