// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace kith::handshake {

// Who began: the initiator is the side that dialled (or that hole punching made the dialler).
enum class Role : std::uint8_t { initiator, responder };

}  // namespace kith::handshake
