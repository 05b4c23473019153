// SPDX-License-Identifier: Apache-2.0
// Small files, whole: read with a limit, write so that a crash leaves the old content or the new.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "kith/bytes.hpp"
#include "kith/error.hpp"

namespace kith::io {

enum class Existing : std::uint8_t { replace, keep };

// too_large above `max` bytes; io_error with os_error ENOENT when it does not exist.
Result<Bytes> read_file(const std::string& path, std::size_t max);

// Writes a new file beside `path`, gives it to the disk, puts it in place and gives the folder to the disk. With
// Existing::keep an existing `path` stays and the call fails with io_error, os_error EEXIST. `mode` is exact: the umask does not
// change it. On an error nothing stays behind, and `path` is as it was, or, when only the last step failed, new.
Status atomic_write(const std::string& path, ByteView content, mode_t mode, Existing existing = Existing::replace);

}  // namespace kith::io
