// SPDX-License-Identifier: Apache-2.0
// Any bytes as a key file. Sealed files of more than the cheapest cost are not opened: Argon2id would eat the time.
#include <cstdlib>
#include <optional>

#include "crypto/keyfile.hpp"

using namespace kith;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

// A plain file accepted is the one that encoding its seed gives: one seed, one file.
void check_plain(ByteView file) {
    const auto seed = crypto::decode_key_file(file, std::nullopt);
    if (!seed) {
        require(seed.error().code == Errc::malformed || seed.error().code == Errc::invalid_argument);
        return;
    }
    const auto again = crypto::encode_key_file(seed->view(), std::nullopt, {});
    require(again.has_value() && crypto::equal(*again, file));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView file{data, size};
    const auto sealed = crypto::key_file_sealed(file);
    check_plain(file);
    if (!sealed) {
        require(sealed.error().code == Errc::malformed);
        const auto refused = crypto::decode_key_file(file, "x");
        require(!refused && refused.error().code == Errc::malformed);
    } else if (*sealed) {
        const bool cheap = file[15] <= 2 && file[16] == 0 && file[17] == 0 && file[18] == 0;
        if (cheap) {
            const auto opened = crypto::decode_key_file(file, "x");
            require(opened.has_value() || opened.error().code == Errc::wrong_passphrase);
        }
    }
    if (size >= 72) {
        const auto made = crypto::encode_key_file(file.first(32), "x", file.subspan(32, crypto::key_file_random), {1, 8});
        require(made.has_value());
        const auto opened = crypto::decode_key_file(*made, "x");
        require(opened.has_value() && crypto::equal(opened->view(), file.first(32)));
    }
    return 0;
}
