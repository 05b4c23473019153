// SPDX-License-Identifier: Apache-2.0
// Who a node is: an Ed25519 key pair. The peer id is the public key.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>

#include "kith/error.hpp"
#include "kith/peer_id.hpp"

namespace kith {
inline namespace v0 {

// Owns the secret in locked memory that is wiped at the end. Movable, not copyable; thread-safe to read.
class Identity {
public:
    // A new one from the system's random source. Fails only when the system has none (io_error).
    static Result<Identity> generate();
    // The same key for the same 32 bytes: for tests.
    static Result<Identity> from_seed(ByteView seed);
    // Reads `file`; makes and stores a new identity when there is none. The file must be a regular file of this user with
    // mode 0600, its directory is made with 0700. Errors: file_insecure, wrong_passphrase, malformed, io_error.
    static Result<Identity> load_or_create(const std::filesystem::path& file, std::optional<std::string_view> passphrase = {});
    static Result<Identity> load(const std::filesystem::path& file, std::optional<std::string_view> passphrase = {});
    // Writes atomically. With a passphrase the key is sealed by XChaCha20-Poly1305 under Argon2id (about half a second).
    Status save(const std::filesystem::path& file, std::optional<std::string_view> passphrase = {}) const;

    const PeerId& peer_id() const noexcept;

    Identity(Identity&&) noexcept;
    Identity& operator=(Identity&&) noexcept;
    ~Identity();

    class Secret;  // opaque: kith's own
    const Secret& secret() const noexcept { return *secret_; }

private:
    explicit Identity(std::unique_ptr<Secret> secret) noexcept;
    std::unique_ptr<Secret> secret_;
};

}  // namespace v0
}  // namespace kith
