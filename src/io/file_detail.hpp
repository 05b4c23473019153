// SPDX-License-Identifier: Apache-2.0
// Shared by file.cpp and key_file.cpp.
#pragma once

#include <cstddef>
#include <string>

#include "io/fd.hpp"
#include "kith/bytes.hpp"
#include "kith/error.hpp"

namespace kith::io {

Result<Bytes> read_all(int fd, std::size_t max, const std::string& path);
std::string folder_of(const std::string& path);
Status sync_folder(const std::string& folder);

}  // namespace kith::io
