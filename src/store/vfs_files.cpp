// SPDX-License-Identifier: Apache-2.0
#include "store/vfs_files.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <vector>

#include "kith/bytes.hpp"
#include "store/sql.hpp"

namespace kith::store {
namespace {

Error failed(int code, std::string_view what) { return sql_error(nullptr, code, what); }

class File {
public:
    File() = default;
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() {
        if (open_ && at()->pMethods != nullptr) at()->pMethods->xClose(at());
    }

    Status open(const std::string& vfs, const std::string& path, int flags) {
        auto* disk = sqlite3_vfs_find(vfs.c_str());
        if (disk == nullptr) return Error{Errc::invalid_argument, "no such VFS", vfs};
        // SQLite reads parameters behind the name's end: there must be two zeros.
        name_ = path;
        name_.append(2, '\0');
        memory_.assign(static_cast<std::size_t>(disk->szOsFile) / sizeof(std::max_align_t) + 1, {});
        int given = 0;
        const int code = disk->xOpen(disk, name_.c_str(), at(), flags | SQLITE_OPEN_MAIN_DB, &given);
        open_ = true;
        if (code != SQLITE_OK) return failed(code, "open a file");
        return {};
    }
    Result<std::uint64_t> size() {
        sqlite3_int64 out = 0;
        if (const int code = at()->pMethods->xFileSize(at(), &out); code != SQLITE_OK) return failed(code, "size of a file");
        return static_cast<std::uint64_t>(out);
    }
    Status read(MutableBytes out, std::uint64_t from) {
        const int code = at()->pMethods->xRead(at(), out.data(), static_cast<int>(out.size()), static_cast<sqlite3_int64>(from));
        if (code != SQLITE_OK) return failed(code, "read a file");
        return {};
    }
    Status write(ByteView data, std::uint64_t to) {
        const int code = at()->pMethods->xWrite(at(), data.data(), static_cast<int>(data.size()), static_cast<sqlite3_int64>(to));
        if (code != SQLITE_OK) return failed(code, "write a file");
        return {};
    }
    Status finish(std::uint64_t size) {
        if (const int code = at()->pMethods->xTruncate(at(), static_cast<sqlite3_int64>(size)); code != SQLITE_OK) {
            return failed(code, "truncate a file");
        }
        if (const int code = at()->pMethods->xSync(at(), SQLITE_SYNC_NORMAL); code != SQLITE_OK) return failed(code, "sync a file");
        return {};
    }

private:
    sqlite3_file* at() noexcept { return reinterpret_cast<sqlite3_file*>(memory_.data()); }

    std::string name_;
    std::vector<std::max_align_t> memory_;
    bool open_ = false;
};

}  // namespace

Result<bool> vfs_exists(const std::string& vfs, const std::string& path) {
    auto* disk = sqlite3_vfs_find(vfs.c_str());
    int there = 0;
    const int code = disk != nullptr ? disk->xAccess(disk, path.c_str(), SQLITE_ACCESS_EXISTS, &there) : SQLITE_ERROR;
    if (code != SQLITE_OK) return failed(code, "look for a file");
    return there != 0;
}

Result<std::uint64_t> vfs_size(const std::string& vfs, const std::string& path) {
    File file;
    if (auto ok = file.open(vfs, path, SQLITE_OPEN_READWRITE); !ok) return ok.error();
    return file.size();
}

Status vfs_move(const std::string& vfs, const std::string& from, const std::string& to) {
    {
        File in;
        File out;
        if (auto ok = in.open(vfs, from, SQLITE_OPEN_READWRITE); !ok) return ok;
        if (auto ok = out.open(vfs, to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE); !ok) return ok;
        const auto size = in.size();
        if (!size) return size.error();
        Bytes block(std::size_t{1} << 16);
        for (std::uint64_t at = 0; at < *size; at += block.size()) {
            const MutableBytes part{block.data(), static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), *size - at))};
            if (auto ok = in.read(part, at); !ok) return ok;
            if (auto ok = out.write(part, at); !ok) return ok;
        }
        if (auto ok = out.finish(*size); !ok) return ok;
    }
    return vfs_remove(vfs, from);
}

Status vfs_remove(const std::string& vfs, const std::string& path) {
    auto* disk = sqlite3_vfs_find(vfs.c_str());
    const int code = disk != nullptr ? disk->xDelete(disk, path.c_str(), 1) : SQLITE_ERROR;
    if (code != SQLITE_OK && code != SQLITE_IOERR_DELETE_NOENT) return failed(code, "remove a file");
    return {};
}

}  // namespace kith::store
