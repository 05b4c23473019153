// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kith/error.hpp"

namespace kith::crypto {

// Lets the library choose the fastest implementation for this processor. Call it once before the first use; calling it
// again, or from several threads, does no harm. Without it everything gives the same results, only slower
// (a LockedSecret calls it by itself, for the guarded pages need it).
// Error: internal (no source of randomness in the system; nothing of kith can work then).
Status init();

}  // namespace kith::crypto
