// SPDX-License-Identifier: Apache-2.0
// Any bytes as a key and a signature: first byte the type, two bytes the size of the key, key, signature.
#include <algorithm>
#include <cstdlib>

#include "crypto/verify.hpp"

using namespace kith;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 3) return 0;
    const auto type = static_cast<crypto::KeyType>(data[0] % 5);
    const ByteView rest{data + 3, size - 3};
    const std::size_t key_size = std::min<std::size_t>(rest.size(), static_cast<std::size_t>(data[1]) << 8U | data[2]);
    const ByteView key = rest.first(key_size);

    const Status known = crypto::check_public_key(type, key);
    const Status status = crypto::verify(type, key, as_bytes("message"), rest.subspan(key_size));
    if (!known) {
        require(known.error().code == Errc::invalid_key && !known.error().what.empty());
        require(!status && status.error().code == Errc::invalid_key);
    } else {
        require(status.has_value() || status.error().code == Errc::bad_signature);
        require(key.size() <= crypto::max_key_data);
    }
    return 0;
}
