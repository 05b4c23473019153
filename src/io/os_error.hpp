// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "kith/error.hpp"

namespace kith::io {

// The error of a failed system call: `os_error` is errno, `what` static text. The code is the network's meaning where there
// is one (refused, unreachable, in use, lost, time-out, limits), else io_error.
Error os_error(int os_error, std::string_view what, std::string detail = {});
Errc errc_of(int os_error) noexcept;

}  // namespace kith::io
