// SPDX-License-Identifier: Apache-2.0
// On the system's disk: folder, modes, lock, ballast, and files that are not ours or not of this version.
#include <gtest/gtest.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>

#include "store/checksum.hpp"
#include "unit/store/support.hpp"

namespace {

using namespace kith;
using namespace kith::storage;
using namespace kith::store::test;
using kith::store::Checksum;
using kith::store::Database;
using kith::store::Options;

mode_t mode_of(const std::filesystem::path& path) {
    struct stat info{};
    EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777U;
}

// Runs SQL on a closed database; the first value of the last row.
std::string sql(const std::filesystem::path& path, const std::string& text) {
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
    std::string out;
    const auto row = [](void* to, int, char** values, char**) {
        *static_cast<std::string*>(to) = values[0] != nullptr ? values[0] : "";
        return 0;
    };
    EXPECT_EQ(sqlite3_exec(db, text.c_str(), row, &out, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
    return out;
}

std::string content_of(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

TEST(StoreFiles, ArePrivateUnderAnyUmask) {
    const Folder folder;
    const auto path = folder / "a/b/kith.db";
    for (const mode_t mask : {0U, 0177U}) {
        std::filesystem::remove_all(folder / "a");
        if (mask == 0177U) std::filesystem::create_directories(folder / "a/b");
        const auto old = ::umask(mask);
        auto db = Database::open(path, {});
        ::umask(old);
        ASSERT_TRUE(db) << db.error();
        ASSERT_TRUE(db->apply(Writer{}.open_out(1, 1).request));
        ASSERT_TRUE(db->commit());
        for (const auto* end : {"", "-wal", ".lock", ".ballast"}) EXPECT_EQ(mode_of(path.string() + end), 0600U) << end;
        if (mask == 0) {
            EXPECT_EQ(mode_of(folder / "a"), 0700U);
            EXPECT_EQ(mode_of(folder / "a/b"), 0700U);
        }
        EXPECT_TRUE(db->close());
        EXPECT_FALSE(std::filesystem::exists(path.string() + "-shm"));
    }
}

TEST(StoreFiles, AFileThatOthersMayReadIsClosedToThem) {
    const Folder folder;
    const auto path = folder / "kith.db";
    ASSERT_TRUE(Database::open(path, {})->close());
    ASSERT_EQ(::chmod(path.c_str(), 0664), 0);
    ASSERT_TRUE(Database::open(path, {}));
    EXPECT_EQ(mode_of(path), 0600U);
}

TEST(StoreFiles, ASecondProcessIsRefused) {
    const Folder folder;
    const auto path = folder / "kith.db";
    std::array<int, 2> ready{};
    std::array<int, 2> end{};
    ASSERT_EQ(::pipe(ready.data()), 0);
    ASSERT_EQ(::pipe(end.data()), 0);
    const auto child = ::fork();
    if (child == 0) {
        auto db = Database::open(path, {});
        char byte = db ? 'y' : 'n';
        (void)!::write(ready[1], &byte, 1);
        (void)!::read(end[0], &byte, 1);
        ::_exit(0);  // as a killed process: nothing is closed
    }
    char byte = 0;
    ASSERT_EQ(::read(ready[0], &byte, 1), 1);
    ASSERT_EQ(byte, 'y');
    const auto second = Database::open(path, {});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error(), Errc::in_use);
    EXPECT_NE(second.error().message().find(path.string()), std::string::npos) << second.error();
    ASSERT_EQ(::write(end[1], &byte, 1), 1);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    auto third = Database::open(path, {});
    ASSERT_TRUE(third) << third.error();
    EXPECT_FALSE(third->load()->clean);
    EXPECT_EQ(Database::open(path, {}).error(), Errc::in_use) << "nor the same process twice";
    for (const int fd : {ready[0], ready[1], end[0], end[1]}) ::close(fd);
}

TEST(StoreFiles, ALinkIsTheFileItLeadsTo) {
    const Folder folder;
    std::filesystem::create_directory(folder / "real");
    std::filesystem::create_directory_symlink(folder / "real", folder / "way");
    std::filesystem::create_symlink(folder / "real/kith.db", folder / "link.db");
    auto db = Database::open(folder / "real/kith.db", {});
    ASSERT_TRUE(db);
    EXPECT_EQ(Database::open(folder / "way/kith.db", {}).error(), Errc::in_use);
    EXPECT_EQ(Database::open(folder / "link.db", {}).error(), Errc::in_use);
    ASSERT_TRUE(db->close());
    std::ofstream{folder / "real/kith.db"} << std::string(9000, 'x');
    ASSERT_TRUE(Database::open(folder / "link.db", {}));
    EXPECT_TRUE(std::filesystem::is_symlink(folder / "link.db"));
    EXPECT_TRUE(std::filesystem::exists(folder / "real/kith.db.damaged-1"));
}

TEST(StoreFiles, AProcessThatDiesLosesNothingThatWasCommitted) {
    const Folder folder;
    const auto path = folder / "kith.db";
    const auto child = ::fork();
    if (child == 0) {
        auto db = Database::open(path, {});
        const bool ok = db && db->apply(Writer{}.open_out(1, 1).append(1, 1, "kept").request) && db->commit() &&
                        db->apply(Writer{}.append(1, 2, "not yet").request);
        ::_exit(ok ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
    auto db = Database::open(path, {});
    ASSERT_TRUE(db) << db.error();
    const auto messages = db->fetch(FetchOut{1, 1, 10, 1000});
    ASSERT_TRUE(messages);
    ASSERT_EQ(messages->size(), 1U);
    EXPECT_EQ(as_text((*messages)[0].bytes), "kept");
}

TEST(StoreFiles, ANewerVersionIsRefusedAndNotTouched) {
    const Folder folder;
    const auto path = folder / "kith.db";
    {
        auto db = Database::open(path, {});
        ASSERT_TRUE(db->apply(Writer{}.open_out(1, 1).append(1, 1, "of the future").request));
        ASSERT_TRUE(db->commit());
        ASSERT_TRUE(db->close());
    }
    sql(path, "ALTER TABLE state ADD COLUMN fresh; PRAGMA user_version=2");
    const auto before = content_of(path);
    const auto refused = Database::open(path, {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), Errc::newer_version);
    EXPECT_EQ(content_of(path), before);
    EXPECT_FALSE(std::filesystem::exists(path.string() + ".damaged-1"));
}

TEST(StoreFiles, AnotherProgramsDatabaseIsRefusedAndNotTouched) {
    const Folder folder;
    const auto path = folder / "places.db";
    sql(path, "CREATE TABLE bookmarks(url); INSERT INTO bookmarks VALUES('x')");
    const auto before = content_of(path);
    const auto refused = Database::open(path, {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), Errc::invalid_argument);
    EXPECT_EQ(content_of(path), before);
}

TEST(StoreFiles, WhatIsNoDatabaseIsMovedAside) {
    const Folder folder;
    const auto path = folder / "kith.db";
    const std::string text(5000, 't');
    std::ofstream{path} << text;
    auto db = Database::open(path, {});
    ASSERT_TRUE(db) << db.error();
    const auto note = db->load()->note;
    EXPECT_NE(note.find("damaged"), std::string::npos) << note;
    EXPECT_NE(note.find(path.string() + ".damaged-1"), std::string::npos) << note;
    EXPECT_EQ(content_of(path.string() + ".damaged-1"), text);
    ASSERT_TRUE(db->apply(Writer{}.open_out(db->load()->last_out + 1, 1).request));
    ASSERT_TRUE(db->commit());
}

TEST(StoreFiles, BadPaths) {
    const Folder folder;
    EXPECT_EQ(Database::open("", {}).error(), Errc::invalid_argument);
    EXPECT_EQ(Database::open(folder / "x", {.vfs = "no such vfs"}).error(), Errc::invalid_argument);
    std::filesystem::create_directory(folder / "folder");
    EXPECT_EQ(Database::open(folder / "folder", {}).error(), Errc::invalid_argument);
    EXPECT_EQ(Database::open("/proc/nothing/here.db", {}).error(), Errc::io_error);
    std::ofstream{folder / "file"} << "x";
    EXPECT_EQ(Database::open(folder / "file/kith.db", {}).error(), Errc::io_error);
}

TEST(StoreFiles, TheBallastIsTakenWhenThereIsSpaceAndOnlyIfWanted) {
    const Folder folder;
    const auto path = folder / "kith.db";
    ASSERT_TRUE(Database::open(path, {.ballast = 0})->close());
    EXPECT_FALSE(std::filesystem::exists(path.string() + ".ballast"));
    ASSERT_TRUE(Database::open(path, {})->close());
    EXPECT_EQ(std::filesystem::file_size(path.string() + ".ballast"), std::size_t{1} << 20);
    std::filesystem::remove(path.string() + ".ballast");
    const auto space = std::filesystem::space(path.parent_path()).available;
    ASSERT_TRUE(Database::open(path, {.ballast = space / 4})->close());
    EXPECT_FALSE(std::filesystem::exists(path.string() + ".ballast")) << "the disk has not eight times as much";
}

// A file system of 16 MiB that only this process sees; it must have no threads.
bool mount_small_disk(const std::filesystem::path& at) {
    const auto user = ::geteuid();
    const auto group = ::getegid();
    const auto write = [](const char* file, const std::string& text) { std::ofstream{file} << text; };
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    write("/proc/self/setgroups", "deny");
    write("/proc/self/uid_map", "0 " + std::to_string(user) + " 1");
    write("/proc/self/gid_map", "0 " + std::to_string(group) + " 1");
    return ::mount("tmpfs", at.c_str(), "tmpfs", 0, "size=16m") == 0;
}

// The number of the first step that was not as it should be.
int live_on_a_full_disk(const std::filesystem::path& folder) {
    if (!mount_small_disk(folder)) return 1;
    const auto path = folder / "kith.db";
    const auto ballast = path.string() + ".ballast";
    const auto filler = folder / "filler";
    auto db = Database::open(path, {});
    Writer first;
    first.open_out(1, 1).begin_in(1, 1);
    for (std::uint64_t seq = 1; seq <= 100; ++seq) first.append(1, seq, "waits", seq);
    if (!db || !db->apply(first.request) || !db->commit()) return 2;
    if (!std::filesystem::exists(ballast)) return 3;
    {
        std::ofstream out(filler, std::ios::binary);
        const std::string block(4096, 'f');
        while (out.write(block.data(), 4096).flush()) {
        }
    }
    // New messages find no room. What is already there stays, and so does the way to get rid of it.
    std::uint64_t seq = 101;
    Status stored;
    while (stored && seq < 200) {
        stored = db->apply(Writer{}.append(1, seq, std::string(100'000, 'n')).request);
        if (stored) stored = db->commit();
        if (stored) ++seq;
    }
    if (stored || !(stored.error() == Errc::disk_full) || !db->broken()) return 4;
    if (std::filesystem::exists(ballast)) return 5;
    db = Errc::stopped;
    db = Database::open(path, {});
    if (!db) return 6;
    if (db->load()->out.at(0).next != seq) return 7;
    if (std::filesystem::exists(ballast)) return 8;
    for (std::uint64_t upto = 1; upto <= 50; ++upto) {
        if (!db->apply(Writer{}.settle(1, upto).advance(1, 1, upto - 1, upto).put(upto, 1, upto, "came").request)) return 9;
        if (!db->commit()) return 10;
    }
    std::filesystem::remove(filler);
    if (!db->apply(Writer{}.append(1, seq, std::string(100'000, 'n')).request) || !db->commit()) return 11;
    if (!std::filesystem::exists(ballast)) return 12;
    return 0;
}

TEST(StoreFiles, OnAFullDiskTheBallastMakesRoomForAcknowledgements) {
    const Folder folder;
    const auto at = folder / "disk";
    std::filesystem::create_directory(at);
    const auto child = ::fork();
    if (child == 0) ::_exit(live_on_a_full_disk(at));
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0) << "the step that failed";
}

TEST(StoreChecksum, IsCrc32c) {
    EXPECT_EQ(Checksum{0x3837363534333231}.value(), 0x6087809AU) << "of the text 12345678";
    EXPECT_EQ(Checksum{1}.bytes(as_bytes("hello world")).value(), 0xCEF9F650U);
    EXPECT_NE(Checksum{1}.number(2).value(), Checksum{2}.number(1).value());
}

}  // namespace
