// SPDX-License-Identifier: Apache-2.0
#include "kith/identity.hpp"

#include <array>
#include <cerrno>

#include "crypto/init.hpp"
#include "crypto/keyfile.hpp"
#include "io/key_file.hpp"
#include "io/random.hpp"
#include "node/identity_secret.hpp"
#include "wire/keys.hpp"

namespace kith {
inline namespace v0 {

Identity::Secret::Secret(const crypto::Secret32& seed)
    : key(seed), public_key(wire::encode_public_key(crypto::KeyType::ed25519, key.public_key())), id(wire::peer_id_of(public_key)) {}

Identity::Identity(std::unique_ptr<Secret> secret) noexcept : secret_(std::move(secret)) {}
Identity::Identity(Identity&&) noexcept = default;
Identity& Identity::operator=(Identity&&) noexcept = default;
Identity::~Identity() = default;

const PeerId& Identity::peer_id() const noexcept { return secret_->id; }

Result<Identity> Identity::generate() {
    if (auto ok = crypto::init(); !ok) return ok.error();
    crypto::Secret32 seed;
    if (auto ok = io::random_bytes(seed.bytes()); !ok) return ok.error();
    return Identity{std::make_unique<Secret>(seed)};
}

Result<Identity> Identity::from_seed(ByteView seed) {
    if (seed.size() != 32) return Error{Errc::invalid_argument, "a seed has 32 bytes"};
    crypto::Secret32 copy{seed.first<32>()};
    return Identity{std::make_unique<Secret>(copy)};
}

Result<Identity> Identity::load(const std::filesystem::path& file, std::optional<std::string_view> passphrase) {
    if (auto ok = crypto::init(); !ok) return ok.error();
    auto bytes = io::read_key_file(file.string());
    if (!bytes) return bytes.error();
    auto seed = crypto::decode_key_file(*bytes, passphrase);
    crypto::wipe(*bytes);
    if (!seed) {
        auto error = seed.error();
        if (error.detail.empty()) error.detail = file.string();
        return error;
    }
    return Identity{std::make_unique<Secret>(*seed)};
}

Result<Identity> Identity::load_or_create(const std::filesystem::path& file, std::optional<std::string_view> passphrase) {
    auto loaded = load(file, passphrase);
    if (loaded || loaded.error().os_error != ENOENT) return loaded;
    auto made = generate();
    if (!made) return made;
    auto saved = made->save(file, passphrase);
    if (!saved && saved.error().os_error == EEXIST) return load(file, passphrase);  // another process was first
    if (!saved) return saved.error();
    return made;
}

Status Identity::save(const std::filesystem::path& file, std::optional<std::string_view> passphrase) const {
    std::array<std::uint8_t, crypto::key_file_random> random{};
    if (auto ok = io::random_bytes(random); !ok) return ok;
    auto bytes = crypto::encode_key_file(secret_->key.seed(), passphrase, random);
    if (!bytes) return bytes.error();
    auto ok = io::write_key_file(file.string(), *bytes);
    crypto::wipe(*bytes);
    return ok;
}

}  // namespace v0
}  // namespace kith
