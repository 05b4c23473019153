// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kith/bytes.hpp"
#include "kith/error.hpp"

namespace kith::io {

// Fills `out` from the system's generator, which may wait once, early after boot. On an error `out` must not be used: there is
// no weaker source to fall back to.
Status random_bytes(MutableBytes out);

}  // namespace kith::io
