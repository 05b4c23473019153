// SPDX-License-Identifier: Apache-2.0
// Files that hold a secret. Adversary: another user of the machine, who must neither read the secret, nor put one of his own
// in its place, nor make us write into a file of his choice.
#pragma once

#include <cstddef>
#include <string>

#include "io/file.hpp"
#include "kith/bytes.hpp"
#include "kith/error.hpp"

namespace kith::io {

inline constexpr std::size_t max_key_file = 64 * 1024;

// Makes the folder, and what is missing above it, with mode 0700. An existing one is accepted when it is ours or root's and
// nobody else may write in it. file_insecure: it is not; `detail` names it and the command that mends it.
Status make_private_folder(const std::string& path);

// The content of a regular file of ours with mode 0600 (or fewer rights), in a folder as above. file_insecure: a symbolic link, not a
// regular file, another owner, rights for group or others, or such a folder; `detail` names it and says what to do. too_large above
// 64 KiB; io_error with os_error ENOENT when there is none. The caller wipes the bytes.
Result<Bytes> read_key_file(const std::string& path);

// As atomic_write, with mode 0600, in a folder that make_private_folder() accepts or makes. file_insecure: `path` is there and not
// a regular file of ours. too_large above 64 KiB.
Status write_key_file(const std::string& path, ByteView secret, Existing existing = Existing::keep);

}  // namespace kith::io
