// SPDX-License-Identifier: Apache-2.0
#include "io/key_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "io/file_detail.hpp"
#include "io/os_error.hpp"

namespace kith::io {
namespace {

Error insecure(std::string_view what, const std::string& path, const std::string& fix) {
    return Error{Errc::file_insecure, what, path + ": " + fix};
}

// Whoever may write in the folder can replace the file, whatever the file's own mode says. The sticky bit does not help: he could
// put his file there before we do.
Status check_folder(const std::string& path) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return os_error(errno, "stat", path);
    if (!S_ISDIR(info.st_mode)) return insecure("not a folder", path, "move it away");
    if (info.st_uid != ::geteuid() && info.st_uid != 0)
        return insecure("the folder belongs to another user", path, "use a folder of your own");
    if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) return insecure("others may write in the folder", path, "chmod 700 " + path);
    return {};
}

Status check_file(const struct stat& info, const std::string& path) {
    if (!S_ISREG(info.st_mode)) return insecure("not a regular file", path, "move it away");
    if (info.st_uid != ::geteuid()) return insecure("the file belongs to another user", path, "use a file of your own");
    if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) return insecure("others have rights on the file", path, "chmod 600 " + path);
    return {};
}

Status make_folders(const std::string& path) {
    if (::mkdir(path.c_str(), S_IRWXU) == 0 || errno == EEXIST) return {};
    if (errno != ENOENT) return os_error(errno, "mkdir", path);
    const auto above = folder_of(path);
    if (above == path) return os_error(ENOENT, "mkdir", path);
    if (auto made = make_folders(above); !made) return made;
    if (::mkdir(path.c_str(), S_IRWXU) == 0 || errno == EEXIST) return {};
    return os_error(errno, "mkdir", path);
}

}  // namespace

Status make_private_folder(const std::string& path) {
    if (path.empty() || path.find('\0') != std::string::npos) return Error{Errc::invalid_argument, "not a path"};
    auto clean = path;
    while (clean.size() > 1 && clean.back() == '/') clean.pop_back();
    if (auto made = make_folders(clean); !made) return made;
    return check_folder(clean);
}

Result<Bytes> read_key_file(const std::string& path) {
    // O_NONBLOCK: a named pipe in its place must not stop us.
    const Fd fd{::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
    if (!fd) {
        if (errno == ELOOP) return insecure("a symbolic link", path, "put the file itself there");
        return os_error(errno, "open", path);
    }
    // Of the opened file, not of the name, which may be exchanged in between.
    struct stat info{};
    if (::fstat(fd.get(), &info) != 0) return os_error(errno, "stat", path);
    if (auto good = check_file(info, path); !good) return std::move(good).error();
    if (auto good = check_folder(folder_of(path)); !good) return std::move(good).error();
    return read_all(fd.get(), max_key_file, path);
}

Status write_key_file(const std::string& path, ByteView secret, Existing existing) {
    if (secret.size() > max_key_file) return Error{Errc::too_large, "key file", path};
    if (auto folder = make_private_folder(folder_of(path)); !folder) return folder;
    struct stat info{};
    if (::lstat(path.c_str(), &info) == 0) {
        if (S_ISLNK(info.st_mode)) return insecure("a symbolic link", path, "put the file itself there");
        if (!S_ISREG(info.st_mode)) return insecure("not a regular file", path, "move it away");
        if (info.st_uid != ::geteuid()) return insecure("the file belongs to another user", path, "use a file of your own");
    } else if (errno != ENOENT) {
        return os_error(errno, "stat", path);
    }
    return atomic_write(path, secret, S_IRUSR | S_IWUSR, existing);
}

}  // namespace kith::io
