// SPDX-License-Identifier: Apache-2.0
#include "store/files.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "store/vfs_files.hpp"

namespace kith::store {
namespace {

Error os_error(int code, std::string_view what, const std::string& path) {
    const bool full = code == ENOSPC || code == EDQUOT;
    Error error{full ? Errc::disk_full : Errc::io_error, what, path};
    error.os_error = code;
    return error;
}

std::string folder_of(const std::string& path) {
    const auto slash = path.find_last_of('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

Status sync_folder(const std::string& folder) {
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return os_error(errno, "open", folder);
    const int failed = ::fsync(fd) != 0 ? errno : 0;
    ::close(fd);
    // Some file systems cannot: there it is as good as it gets.
    if (failed != 0 && failed != EINVAL) return os_error(failed, "fsync", folder);
    return {};
}

Status make_folder(const std::string& path) {
    const auto parent = folder_of(path);
    if (::mkdir(path.c_str(), S_IRWXU) == 0) return sync_folder(parent);
    if (errno == EEXIST) return {};
    if (errno != ENOENT || parent == path) return os_error(errno, "make the folder", path);
    if (auto ok = make_folder(parent); !ok) return ok;
    if (::mkdir(path.c_str(), S_IRWXU) == 0) return sync_folder(parent);
    return errno == EEXIST ? Status{} : Status{os_error(errno, "make the folder", path)};
}

}  // namespace

Result<Files> Files::open(std::string path, std::string vfs, std::size_t ballast) {
    Files out;
    out.path_ = std::move(path);
    out.vfs_ = std::move(vfs);
    if (out.path_.empty() || out.path_.find('\0') != std::string::npos) return Error{Errc::invalid_argument, "the database needs a path"};
    if (!out.vfs_.empty()) {
        if (sqlite3_vfs_find(out.vfs_.c_str()) == nullptr) return Error{Errc::invalid_argument, "no such VFS", out.vfs_};
        return out;
    }
    out.ballast_ = ballast;
    if (auto ok = make_folder(folder_of(out.path_)); !ok) return ok.error();
    // Through whatever links it was named: the lock and the log belong beside the file itself.
    std::error_code failed;
    if (const auto real = std::filesystem::weakly_canonical(out.path_, failed); !failed) out.path_ = real.string();
    const auto lock = out.path_ + ".lock";
    out.lock_ = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (out.lock_ < 0) return os_error(errno, "open the lock", lock);
    if (::flock(out.lock_, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return Error{Errc::in_use, "locked", out.path_};
        return os_error(errno, "lock", lock);
    }
    struct stat info{};
    if (::stat((out.path_ + ".ballast").c_str(), &info) == 0) out.ballasted_ = true;
    if (::stat(out.path_.c_str(), &info) == 0) {
        if (!S_ISREG(info.st_mode)) return Error{Errc::invalid_argument, "the database is not a file", out.path_};
        if ((info.st_mode & 0177U) != 0 && ::chmod(out.path_.c_str(), S_IRUSR | S_IWUSR) != 0) return os_error(errno, "chmod", out.path_);
    }
    return out;
}

Files::Files(Files&& other) noexcept
    : path_(std::move(other.path_)),
      vfs_(std::move(other.vfs_)),
      ballast_(other.ballast_),
      ballasted_(other.ballasted_),
      lock_(std::exchange(other.lock_, -1)) {}

Files& Files::operator=(Files&& other) noexcept {
    if (this == &other) return *this;
    close();
    path_ = std::move(other.path_);
    vfs_ = std::move(other.vfs_);
    ballast_ = other.ballast_;
    ballasted_ = other.ballasted_;
    lock_ = std::exchange(other.lock_, -1);
    return *this;
}

Files::~Files() { close(); }

// The lock file stays: removing it would let two processes hold locks on two files of one name.
void Files::close() noexcept {
    if (lock_ >= 0) ::close(lock_);
    lock_ = -1;
}

Status Files::create() const {
    if (!vfs_.empty()) return {};
    const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (fd < 0) return errno == EEXIST ? Status{} : Status{os_error(errno, "create", path_)};
    const int failed = ::fchmod(fd, S_IRUSR | S_IWUSR) != 0 ? errno : 0;
    ::close(fd);
    if (failed != 0) return os_error(failed, "chmod", path_);
    return sync_folder(folder_of(path_));
}

Result<bool> Files::exists(const std::string& path) const {
    if (!vfs_.empty()) return vfs_exists(vfs_, path);
    struct stat info{};
    if (::stat(path.c_str(), &info) == 0) return true;
    if (errno == ENOENT) return false;
    return os_error(errno, "stat", path);
}

Result<std::uint64_t> Files::size(const std::string& path) const {
    if (!vfs_.empty()) return vfs_size(vfs_, path);
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return os_error(errno, "stat", path);
    return static_cast<std::uint64_t>(info.st_size);
}

Status Files::move(const std::string& from, const std::string& to) const {
    if (!vfs_.empty()) return vfs_move(vfs_, from, to);
    if (std::rename(from.c_str(), to.c_str()) != 0) return os_error(errno, "rename", from);
    return sync_folder(folder_of(to));
}

Status Files::remove(const std::string& path) const {
    if (!vfs_.empty()) return vfs_remove(vfs_, path);
    if (::unlink(path.c_str()) != 0) {
        if (errno == ENOENT) return {};
        return os_error(errno, "remove", path);
    }
    return sync_folder(folder_of(path));
}

void Files::drop_ballast() noexcept {
    if (!ballasted_) return;
    (void)::unlink((path_ + ".ballast").c_str());
    ballasted_ = false;
}

void Files::take_ballast() noexcept {
    if (ballasted_ || ballast_ == 0) return;
    struct statvfs disk{};
    if (::statvfs(folder_of(path_).c_str(), &disk) != 0) return;
    if (disk.f_bavail < 8 * ballast_ / disk.f_frsize) return;
    const auto path = path_ + ".ballast";
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (fd < 0) return;
    const bool taken = ::posix_fallocate(fd, 0, static_cast<off_t>(ballast_)) == 0;
    ::close(fd);
    if (taken) ballasted_ = true;
    if (!taken) (void)::unlink(path.c_str());
}

}  // namespace kith::store
