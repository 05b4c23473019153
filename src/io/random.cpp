// SPDX-License-Identifier: Apache-2.0
#include "io/random.hpp"

#include <sys/random.h>

#include <cerrno>

#include "io/os_error.hpp"

namespace kith::io {

Status random_bytes(MutableBytes out) {
    while (!out.empty()) {
        const auto n = ::getrandom(out.data(), out.size(), 0);
        if (n < 0) {
            if (errno == EINTR) continue;
            return os_error(errno, "getrandom");
        }
        out = out.subspan(static_cast<std::size_t>(n));
    }
    return {};
}

}  // namespace kith::io
