// SPDX-License-Identifier: Apache-2.0
#include "home.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

namespace kith::app {
namespace {

Error system_error(std::string_view what, const std::filesystem::path& path, int code) {
    Error error{Errc::io_error, what, path.string()};
    error.os_error = code;
    return error;
}

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string{} : std::string{value};
}

std::string user_folder() {
    if (auto home = environment("HOME"); !home.empty()) return home;
    const passwd* entry = ::getpwuid(::getuid());
    return entry != nullptr && entry->pw_dir != nullptr ? std::string{entry->pw_dir} : std::string{"/"};
}

}  // namespace

std::filesystem::path default_home() {
    // The XDG specification says that a relative path is to be ignored.
    if (const std::filesystem::path data = environment("XDG_DATA_HOME"); data.is_absolute()) return data / "kith";
    return std::filesystem::path{user_folder()} / ".local" / "share" / "kith";
}

std::string default_name() {
    std::string user = environment("USER");
    if (user.empty()) {
        const passwd* entry = ::getpwuid(::getuid());
        user = entry != nullptr && entry->pw_name != nullptr ? entry->pw_name : "someone";
    }
    std::array<char, 256> host{};
    if (::gethostname(host.data(), host.size() - 1) != 0) return user;
    std::string text{host.data()};
    return user + "@" + text.substr(0, text.find('.'));
}

std::filesystem::path key_file(const std::filesystem::path& home) { return home / "identity.key"; }

Result<HomeLock> HomeLock::take(const std::filesystem::path& home) {
    std::error_code failed;
    if (!std::filesystem::exists(home, failed)) {
        if (home.has_parent_path()) std::filesystem::create_directories(home.parent_path(), failed);
        if (failed) return system_error("cannot make the folder", home.parent_path(), failed.value());
        if (::mkdir(home.c_str(), 0700) != 0 && errno != EEXIST) return system_error("cannot make the folder", home, errno);
    }
    const auto file = home / "lock";
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): the system's interface
    const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return system_error("cannot open the lock", file, errno);
    HomeLock lock{fd};
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return Error{Errc::refused, "another kith is running with this identity", home.string()};
        return system_error("cannot lock", file, errno);
    }
    return lock;
}

HomeLock::HomeLock(HomeLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

HomeLock& HomeLock::operator=(HomeLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
}

HomeLock::~HomeLock() {
    if (fd_ >= 0) ::close(fd_);
}

Result<TemporaryFolder> TemporaryFolder::make() {
    std::error_code failed;
    const auto base = std::filesystem::temp_directory_path(failed);
    if (failed) return system_error("no folder for temporary files", base, failed.value());
    std::string pattern = (base / "kith-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) return system_error("cannot make a temporary folder", base, errno);
    return TemporaryFolder{pattern};
}

TemporaryFolder::TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace kith::app
