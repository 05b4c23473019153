// SPDX-License-Identifier: Apache-2.0
// All of kith but the Asio adapter (kith/asio.hpp) and the test tools (kith/testing.hpp).
#pragma once

// IWYU pragma: begin_exports
#include "kith/bytes.hpp"
#include "kith/config.hpp"
#include "kith/error.hpp"
#include "kith/event.hpp"
#include "kith/event_loop.hpp"
#include "kith/function.hpp"
#include "kith/identity.hpp"
#include "kith/message.hpp"
#include "kith/multiaddr.hpp"
#include "kith/node.hpp"
#include "kith/peer_id.hpp"
#include "kith/pressure.hpp"
#include "kith/stats.hpp"
#include "kith/stream.hpp"
#include "kith/time.hpp"
#include "kith/version.hpp"
// IWYU pragma: end_exports
