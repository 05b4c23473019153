// SPDX-License-Identifier: Apache-2.0
// The folder with the identity, and who may use it at a time.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "kith/error.hpp"
#include "kith/identity.hpp"

namespace kith::app {

std::filesystem::path default_home();  // $XDG_DATA_HOME/kith, else ~/.local/share/kith
std::string default_name();            // user@host
std::filesystem::path key_file(const std::filesystem::path& home);

// At most one running program speaks for an identity: two at once would take each other's messages. Holds flock() on
// <home>/lock; the system drops it when the process ends, however it ends.
class HomeLock {
public:
    HomeLock() = default;
    // Makes `home` (0700) if needed. `refused` when another process holds it.
    static Result<HomeLock> take(const std::filesystem::path& home);

    HomeLock(HomeLock&& other) noexcept;
    HomeLock& operator=(HomeLock&& other) noexcept;
    HomeLock(const HomeLock&) = delete;
    HomeLock& operator=(const HomeLock&) = delete;
    ~HomeLock();

private:
    explicit HomeLock(int fd) noexcept : fd_(fd) {}
    int fd_ = -1;
};

// A folder that is removed at the end.
class TemporaryFolder {
public:
    static Result<TemporaryFolder> make();
    TemporaryFolder(TemporaryFolder&& other) noexcept;
    TemporaryFolder& operator=(TemporaryFolder&&) = delete;
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder();

    const std::filesystem::path& path() const noexcept { return path_; }

private:
    explicit TemporaryFolder(std::filesystem::path path) : path_(std::move(path)) {}
    std::filesystem::path path_;
};

}  // namespace kith::app
