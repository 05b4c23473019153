// SPDX-License-Identifier: Apache-2.0
// The files around a database: folder, lock, ballast, and moving one aside. With a VFS of its own (a simulated machine) there is
// no folder, no lock and no ballast, and files are moved by copying.
#pragma once

#include <cstddef>
#include <string>

#include "kith/error.hpp"

namespace kith::store {

class Files {
public:
    Files() noexcept = default;
    // Makes the folder (0700), takes the lock (in_use when another process has it), and makes sure that `path` is a file of mode
    // 0600 if it exists.
    static Result<Files> open(std::string path, std::string vfs, std::size_t ballast);
    Files(Files&& other) noexcept;
    Files& operator=(Files&& other) noexcept;
    Files(const Files&) = delete;
    Files& operator=(const Files&) = delete;
    ~Files();

    const std::string& path() const noexcept { return path_; }
    const std::string& vfs() const noexcept { return vfs_; }

    Status create() const;  // an empty file with mode 0600, where there is none; SQLite gives its helpers the same mode
    Result<bool> exists(const std::string& path) const;
    Result<std::uint64_t> size(const std::string& path) const;
    Status move(const std::string& from, const std::string& to) const;  // durable when it returns
    Status remove(const std::string& path) const;                       // likewise; fine when there is none

    void drop_ballast() noexcept;
    void take_ballast() noexcept;  // if it is missing and the disk has eight times as much left
    bool short_of_space() const noexcept { return ballast_ > 0 && !ballasted_; }

private:
    void close() noexcept;

    std::string path_;
    std::string vfs_;
    std::size_t ballast_ = 0;
    bool ballasted_ = false;
    int lock_ = -1;
};

}  // namespace kith::store
