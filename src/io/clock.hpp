// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kith/time.hpp"

namespace kith::io {

// `steady` goes on while the system sleeps where the system offers such a clock (CLOCK_BOOTTIME), so that a deadline means
// the same to both sides of a link; `wall` is Unix time.
Instant now() noexcept;
Duration steady_now() noexcept;

}  // namespace kith::io
