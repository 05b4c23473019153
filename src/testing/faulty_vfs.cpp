// SPDX-License-Identifier: Apache-2.0
#include "testing/faulty_vfs.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>

#include "testing/faulty_disk.hpp"

namespace kith::testing {
namespace {

using Disk = FaultyVfs::Disk;
using Call = FaultyVfs::Call;

// SQLite gives the memory; xClose ends it.
struct Handle {
    sqlite3_file base;
    Disk* disk;
    std::string* file;
    std::shared_ptr<FaultyFile>* content;
    bool sync_folder;  // with the first sync, as SQLite's own VFS does for a new log or journal
};

Handle& of(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file); }
Disk& of(sqlite3_vfs* vfs) { return *static_cast<Disk*>(vfs->pAppData); }

int close(sqlite3_file* file) {
    delete of(file).file;
    delete of(file).content;
    return SQLITE_OK;
}

int read(sqlite3_file* file, void* out, int amount, sqlite3_int64 at) {
    auto& handle = of(file);
    if (const int code = handle.disk->enter(Call::read, SQLITE_IOERR_READ); code != SQLITE_OK) return code;
    const auto& now = (*handle.content)->now;
    const auto wanted = static_cast<std::size_t>(amount);
    const auto from = static_cast<std::size_t>(at);
    const auto there = from < now.size() ? std::min(wanted, now.size() - from) : 0;
    if (there > 0) std::memcpy(out, now.data() + from, there);
    if (there == wanted) return SQLITE_OK;
    std::memset(static_cast<char*>(out) + there, 0, wanted - there);
    return SQLITE_IOERR_SHORT_READ;
}

int write(sqlite3_file* file, const void* data, int amount, sqlite3_int64 at) {
    auto& handle = of(file);
    if (const int code = handle.disk->enter(Call::write, SQLITE_IOERR_WRITE); code != SQLITE_OK) return code;
    auto& content = **handle.content;
    const auto size = static_cast<std::size_t>(amount);
    if (handle.disk->full && static_cast<std::size_t>(at) + size > content.now.size()) return SQLITE_FULL;
    content.write(static_cast<std::uint64_t>(at), {static_cast<const std::uint8_t*>(data), size});
    return SQLITE_OK;
}

int truncate(sqlite3_file* file, sqlite3_int64 size) {
    auto& handle = of(file);
    if (const int code = handle.disk->enter(Call::truncate, SQLITE_IOERR_TRUNCATE); code != SQLITE_OK) return code;
    if (static_cast<std::size_t>(size) != (*handle.content)->now.size()) (*handle.content)->truncate(static_cast<std::uint64_t>(size));
    return SQLITE_OK;
}

int sync(sqlite3_file* file, int /*flags*/) {
    auto& handle = of(file);
    if (const int code = handle.disk->enter(Call::sync, SQLITE_IOERR_FSYNC); code != SQLITE_OK) {
        if (!handle.disk->dead) (*handle.content)->settle(handle.disk->random);
        return code;
    }
    (*handle.content)->sync();
    handle.disk->synced(*handle.file, handle.sync_folder);
    handle.sync_folder = false;
    return SQLITE_OK;
}

int file_size(sqlite3_file* file, sqlite3_int64* out) {
    *out = static_cast<sqlite3_int64>((*of(file).content)->now.size());
    return SQLITE_OK;
}

int lock(sqlite3_file* /*file*/, int /*level*/) { return SQLITE_OK; }
int reserved(sqlite3_file* /*file*/, int* out) {
    *out = 0;
    return SQLITE_OK;
}
int control(sqlite3_file* /*file*/, int /*op*/, void* /*argument*/) { return SQLITE_NOTFOUND; }
int sector_size(sqlite3_file* /*file*/) { return 512; }
// As SQLite assumes of every disk: bytes beside a write are not harmed.
int device(sqlite3_file* /*file*/) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

constexpr sqlite3_io_methods methods{1,       close,       read,   write,   truncate, sync,    file_size, lock,    lock,   reserved,
                                     control, sector_size, device, nullptr, nullptr,  nullptr, nullptr,   nullptr, nullptr};

int open_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* given) {
    auto& disk = of(vfs);
    file->pMethods = nullptr;
    if (const int code = disk.enter(Call::open, SQLITE_CANTOPEN); code != SQLITE_OK) return code == SQLITE_FULL ? code : SQLITE_CANTOPEN;
    const std::string path = name != nullptr ? name : "";
    auto at = disk.now.find(path);
    const bool made = at == disk.now.end();
    if (made) {
        if ((flags & SQLITE_OPEN_CREATE) == 0) return SQLITE_CANTOPEN;
        if (disk.full) return SQLITE_FULL;
        at = disk.now.emplace(path, std::make_shared<FaultyFile>()).first;
    }
    auto& handle = *new (file) Handle{};
    handle.disk = &disk;
    handle.file = new std::string(path);
    handle.content = new std::shared_ptr<FaultyFile>(at->second);
    handle.sync_folder = made && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
    handle.base.pMethods = &methods;
    if ((flags & SQLITE_OPEN_DELETEONCLOSE) != 0) disk.now.erase(at);
    if (given != nullptr) *given = flags;
    return SQLITE_OK;
}

int remove_file(sqlite3_vfs* vfs, const char* name, int sync_folder) {
    auto& disk = of(vfs);
    if (const int code = disk.enter(Call::remove, SQLITE_IOERR_DELETE); code != SQLITE_OK) return code;
    if (disk.now.erase(name) == 0) return SQLITE_IOERR_DELETE_NOENT;
    if (sync_folder != 0) disk.durable.erase(name);
    return SQLITE_OK;
}

int access(sqlite3_vfs* vfs, const char* name, int /*flags*/, int* out) {
    *out = of(vfs).now.contains(name) ? 1 : 0;
    return SQLITE_OK;
}

int full_path(sqlite3_vfs* /*vfs*/, const char* name, int size, char* out) {
    sqlite3_snprintf(size, out, "%s", name);
    return SQLITE_OK;
}

int randomness(sqlite3_vfs* vfs, int size, char* out) {
    for (int i = 0; i < size; ++i) out[i] = static_cast<char>(of(vfs).noise.u64());
    return size;
}

int sleep(sqlite3_vfs* /*vfs*/, int micros) { return micros; }
int time_now(sqlite3_vfs* /*vfs*/, double* out) {
    *out = 2460000.5;
    return SQLITE_OK;
}
int last_error(sqlite3_vfs* /*vfs*/, int /*size*/, char* /*out*/) { return 0; }

std::string unique_name() {
    static std::atomic<std::uint64_t> made{0};
    return "kith-faulty-" + std::to_string(++made);
}

}  // namespace

FaultyVfs::FaultyVfs(std::uint64_t seed) : disk_(std::make_unique<Disk>(seed)) {
    disk_->name = unique_name();
    auto& vfs = disk_->vfs;
    vfs.iVersion = 1;
    vfs.szOsFile = sizeof(Handle);
    vfs.mxPathname = 512;
    vfs.zName = disk_->name.c_str();
    vfs.pAppData = disk_.get();
    vfs.xOpen = open_file;
    vfs.xDelete = remove_file;
    vfs.xAccess = access;
    vfs.xFullPathname = full_path;
    vfs.xRandomness = randomness;
    vfs.xSleep = sleep;
    vfs.xCurrentTime = time_now;
    vfs.xGetLastError = last_error;
    sqlite3_vfs_register(&vfs, 0);
}

FaultyVfs::~FaultyVfs() { sqlite3_vfs_unregister(&disk_->vfs); }

const std::string& FaultyVfs::name() const noexcept { return disk_->name; }
std::uint64_t FaultyVfs::calls(Call call) const noexcept { return disk_->counts[static_cast<int>(call)]; }

void FaultyVfs::fail(Call call, std::uint64_t nth, Fault fault) { disk_->planned.push_back({call, calls(call) + nth, fault}); }
void FaultyVfs::halt(std::uint64_t nth) { disk_->halt_at = calls() + nth; }
bool FaultyVfs::halted() const noexcept { return disk_->dead; }
void FaultyVfs::fill(bool full) noexcept { disk_->full = full; }

void FaultyVfs::heal() noexcept {
    disk_->planned.clear();
    disk_->halt_at.reset();
    disk_->full = false;
    disk_->dead = false;
}

void FaultyVfs::crash() { heal(); }

void FaultyVfs::power_loss() {
    heal();
    // A removed file may come back: its content has the same fate.
    std::vector<std::shared_ptr<FaultyFile>> all;
    for (const auto* names : {&disk_->now, &disk_->durable}) {
        for (const auto& [name, file] : *names) {
            if (std::find(all.begin(), all.end(), file) == all.end()) all.push_back(file);
        }
    }
    for (const auto& file : all) {
        file->settle(disk_->random);
        file->now = file->durable;
    }
    disk_->settle_names();
}

std::shared_ptr<const FaultyVfs::Image> FaultyVfs::snapshot() const {
    auto image = std::make_shared<Image>();
    for (const auto& [name, file] : disk_->now) image->now.emplace(name, *file);
    for (const auto& [name, file] : disk_->durable) {
        const auto at = disk_->now.find(name);
        if (at != disk_->now.end() && at->second == file) {
            image->durable.insert(name);
        } else {
            image->only_durable.emplace(name, *file);
        }
    }
    return image;
}

void FaultyVfs::restore(const std::shared_ptr<const Image>& image) {
    disk_->now.clear();
    disk_->durable.clear();
    for (const auto& [name, file] : image->now) disk_->now.emplace(name, std::make_shared<FaultyFile>(file));
    for (const auto& name : image->durable) disk_->durable.emplace(name, disk_->now[name]);
    for (const auto& [name, file] : image->only_durable) disk_->durable.emplace(name, std::make_shared<FaultyFile>(file));
}

std::vector<std::string> FaultyVfs::files() const {
    std::vector<std::string> out;
    for (const auto& [name, file] : disk_->now) out.push_back(name);
    return out;
}

bool FaultyVfs::exists(const std::string& file) const { return disk_->now.contains(file); }

Bytes FaultyVfs::read(const std::string& file) const {
    const auto at = disk_->now.find(file);
    return at != disk_->now.end() ? at->second->now : Bytes{};
}

void FaultyVfs::write(const std::string& file, ByteView content) {
    auto fresh = std::make_shared<FaultyFile>();
    fresh->now.assign(content.begin(), content.end());
    fresh->durable = fresh->now;
    disk_->now[file] = fresh;
    disk_->durable[file] = fresh;
}

void FaultyVfs::remove(const std::string& file) {
    disk_->now.erase(file);
    disk_->durable.erase(file);
}

}  // namespace kith::testing
