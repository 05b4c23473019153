// SPDX-License-Identifier: Apache-2.0
#include "io/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include "base/hex.hpp"
#include "io/file_detail.hpp"
#include "io/os_error.hpp"
#include "io/random.hpp"

namespace kith::io {

Result<Bytes> read_all(int fd, std::size_t max, const std::string& path) {
    struct stat info{};
    if (::fstat(fd, &info) != 0) return os_error(errno, "stat", path);
    const Error too_large{Errc::too_large, "file", path + " is larger than " + std::to_string(max) + " bytes"};
    if (info.st_size > 0 && static_cast<std::uint64_t>(info.st_size) > max) return too_large;
    // One block from the start: growing would leave copies of a secret in freed memory. One byte more shows a file that grew.
    Bytes out(static_cast<std::size_t>(info.st_size) + 1);
    std::size_t used = 0;
    for (;;) {
        if (used == out.size()) {
            if (used > max) return too_large;
            out.resize(std::min(max, 2 * used) + 1);
        }
        const auto n = ::read(fd, out.data() + used, out.size() - used);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return os_error(errno, "read", path);
        if (n == 0) break;
        used += static_cast<std::size_t>(n);
    }
    if (used > max) return too_large;
    out.resize(used);
    return out;
}

std::string folder_of(const std::string& path) {
    const auto slash = path.find_last_of('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

Result<Bytes> read_file(const std::string& path, std::size_t max) {
    const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd) return os_error(errno, "open", path);
    return read_all(fd.get(), max, path);
}

namespace {

Status write_all(int fd, ByteView content, mode_t mode, const std::string& path) {
    if (::fchmod(fd, mode) != 0) return os_error(errno, "chmod", path);
    while (!content.empty()) {
        const auto n = ::write(fd, content.data(), content.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return os_error(errno, "write", path);
        content = content.subspan(static_cast<std::size_t>(n));
    }
    if (::fsync(fd) != 0) return os_error(errno, "fsync", path);
    return {};
}

}  // namespace

Status atomic_write(const std::string& path, ByteView content, mode_t mode, Existing existing) {
    std::array<std::uint8_t, 8> suffix{};
    if (auto random = random_bytes(suffix); !random) return random;
    const auto folder = folder_of(path);
    const auto temporary = path + ".new-" + to_hex(suffix);
    // The random name keeps two writers apart; O_EXCL and O_NOFOLLOW keep out a file that somebody else prepared.
    Fd fd{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR)};
    if (!fd) return os_error(errno, "create", temporary);
    auto written = write_all(fd.get(), content, mode, temporary);
    fd.reset();
    if (written) {
        // link() refuses an existing name; rename() replaces it.
        const bool keep = existing == Existing::keep;
        const int failed = keep ? ::link(temporary.c_str(), path.c_str()) : std::rename(temporary.c_str(), path.c_str());
        if (failed != 0) written = os_error(errno, keep ? "link" : "rename", path);
        if (!keep && failed == 0) return sync_folder(folder);
    }
    const bool placed = static_cast<bool>(written);
    (void)::unlink(temporary.c_str());
    if (!placed) return written;
    return sync_folder(folder);
}

Status sync_folder(const std::string& folder) {
    const Fd fd{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!fd) return os_error(errno, "open", folder);
    // Some file systems cannot (EINVAL): there the rename is as good as it gets.
    if (::fsync(fd.get()) != 0 && errno != EINVAL) return os_error(errno, "fsync", folder);
    return {};
}

}  // namespace kith::io
