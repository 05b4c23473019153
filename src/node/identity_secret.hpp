// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crypto/ed25519.hpp"
#include "kith/identity.hpp"

namespace kith {
inline namespace v0 {

class Identity::Secret {
public:
    explicit Secret(const crypto::Secret32& seed);
    crypto::SigningKey key;
    Bytes public_key;  // serialized
    PeerId id;
};

}  // namespace v0
}  // namespace kith
