// SPDX-License-Identifier: Apache-2.0
// Files of a named SQLite VFS. It can open and delete but not rename, so a move is a copy that is synced before the old one goes.
#pragma once

#include <cstdint>
#include <string>

#include "kith/error.hpp"

namespace kith::store {

Result<bool> vfs_exists(const std::string& vfs, const std::string& path);
Result<std::uint64_t> vfs_size(const std::string& vfs, const std::string& path);
Status vfs_move(const std::string& vfs, const std::string& from, const std::string& to);
Status vfs_remove(const std::string& vfs, const std::string& path);

}  // namespace kith::store
