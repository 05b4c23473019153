// SPDX-License-Identifier: Apache-2.0
#include "io/file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "io/clock.hpp"
#include "io/key_file.hpp"
#include "io/random.hpp"
#include "unit/io/support.hpp"

namespace {

using namespace kith::io::test;
using kith::as_bytes;
using kith::as_text;
using kith::Errc;
using kith::io::atomic_write;
using kith::io::Existing;
using kith::io::make_private_folder;
using kith::io::read_file;
using kith::io::read_key_file;
using kith::io::write_key_file;

mode_t mode_of(const std::string& path) {
    struct stat info{};
    EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777U;
}
std::size_t entries(const std::string& folder) {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator{folder}, {}));
}

TEST(File, WritesAtomicallyWithTheExactMode) {
    const Folder folder;
    const auto path = folder / "data";
    const auto old = ::umask(077);
    EXPECT_TRUE(atomic_write(path, as_bytes("one"), 0644));
    ::umask(old);
    EXPECT_EQ(mode_of(path), 0644U);
    EXPECT_EQ(as_text(*read_file(path, 100)), "one");
    EXPECT_TRUE(atomic_write(path, as_bytes("two"), 0600));
    EXPECT_EQ(mode_of(path), 0600U);
    EXPECT_EQ(as_text(*read_file(path, 3)), "two");
    const auto kept = atomic_write(path, as_bytes("three"), 0600, Existing::keep);
    ASSERT_FALSE(kept);
    EXPECT_EQ(kept.error().os_error, EEXIST);
    EXPECT_EQ(as_text(*read_file(path, 3)), "two");
    EXPECT_TRUE(atomic_write(folder / "fresh", {}, 0600, Existing::keep));
    EXPECT_EQ(read_file(folder / "fresh", 0)->size(), 0U);
    EXPECT_EQ(entries(folder.string()), 2U) << "no temporary file stays behind";
}

TEST(File, ReadsUpToTheLimitOnly) {
    const Folder folder;
    EXPECT_TRUE(atomic_write(folder / "f", as_bytes("12345"), 0600));
    EXPECT_EQ(read_file(folder / "f", 4).error(), Errc::too_large);
    EXPECT_EQ(read_file(folder / "f", 5)->size(), 5U);
    const auto none = read_file(folder / "none", 5);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().os_error, ENOENT);
    EXPECT_NE(none.error().detail.find("none"), std::string::npos);
    // Files whose size the system does not say: read by growing, to the same limit.
    EXPECT_GT(read_file("/proc/self/status", 1 << 20)->size(), 100U);
    EXPECT_EQ(read_file("/proc/self/status", 100).error(), Errc::too_large);
    EXPECT_EQ(read_file(folder.string(), 1 << 20).error(), Errc::io_error);
}

TEST(File, AFailedWriteLeavesNothing) {
    const Folder folder;
    EXPECT_FALSE(atomic_write(folder / "no/such/folder", as_bytes("x"), 0600));
    std::filesystem::create_directory(folder / "taken");
    std::ofstream{folder / "taken/inside"} << "x";
    EXPECT_FALSE(atomic_write(folder / "taken", as_bytes("x"), 0600)) << "a folder is not replaced";
    EXPECT_EQ(entries(folder.string()), 1U);
}

TEST(KeyFile, RoundTripInAFolderThatItMakes) {
    const Folder folder;
    const auto path = folder / "a/b/identity.key";
    ASSERT_TRUE(write_key_file(path, as_bytes("secret")));
    EXPECT_EQ(mode_of(path), 0600U);
    EXPECT_EQ(mode_of(folder / "a/b"), 0700U);
    EXPECT_EQ(mode_of(folder / "a"), 0700U);
    EXPECT_EQ(as_text(*read_key_file(path)), "secret");
    const auto again = write_key_file(path, as_bytes("other"));
    ASSERT_FALSE(again) << "a key is not overwritten by accident";
    EXPECT_EQ(again.error().os_error, EEXIST);
    EXPECT_TRUE(write_key_file(path, as_bytes("other"), Existing::replace));
    EXPECT_EQ(as_text(*read_key_file(path)), "other");
    EXPECT_EQ(entries(folder / "a/b"), 1U);
    EXPECT_EQ(read_key_file(folder / "none").error().os_error, ENOENT);
}

void expect_insecure(const kith::Error& error, const std::string& path, const std::string& fix) {
    EXPECT_EQ(error, Errc::file_insecure);
    EXPECT_NE(error.detail.find(path), std::string::npos) << error.detail;
    EXPECT_NE(error.detail.find(fix), std::string::npos) << error.detail;
}

TEST(KeyFile, RefusesRightsForOthers) {
    const Folder folder;
    const auto path = folder / "key";
    ASSERT_TRUE(write_key_file(path, as_bytes("secret")));
    for (const mode_t mode : {0640U, 0604U, 0620U, 0610U, 0666U, 0601U}) {
        ASSERT_EQ(::chmod(path.c_str(), mode), 0);
        const auto read = read_key_file(path);
        ASSERT_FALSE(read) << std::oct << mode;
        expect_insecure(read.error(), path, "chmod 600 " + path);
    }
    ASSERT_EQ(::chmod(path.c_str(), 0400), 0);
    EXPECT_TRUE(read_key_file(path));
}

TEST(KeyFile, RefusesAFolderWhereOthersWrite) {
    const Folder folder;
    const auto home = folder / "home";
    const auto path = home + "/key";
    ASSERT_TRUE(write_key_file(path, as_bytes("secret")));
    for (const mode_t mode : {0770U, 0707U, 01777U}) {
        ASSERT_EQ(::chmod(home.c_str(), mode), 0);
        const auto read = read_key_file(path);
        ASSERT_FALSE(read);
        expect_insecure(read.error(), home, "chmod 700 " + home);
        const auto written = write_key_file(path, as_bytes("x"), Existing::replace);
        ASSERT_FALSE(written);
        expect_insecure(written.error(), home, "chmod 700");
    }
    ASSERT_EQ(::chmod(home.c_str(), 0755), 0);
    EXPECT_TRUE(read_key_file(path)) << "others may look into the folder";
}

TEST(KeyFile, RefusesLinksPipesAndFolders) {
    const Folder folder;
    ASSERT_TRUE(write_key_file(folder / "real", as_bytes("secret")));
    const auto link = folder / "link";
    std::filesystem::create_symlink(folder / "real", link);
    expect_insecure(read_key_file(link).error(), link, "the file itself");
    expect_insecure(write_key_file(link, as_bytes("x"), Existing::replace).error(), link, "the file itself");
    EXPECT_EQ(as_text(*read_key_file(folder / "real")), "secret") << "nothing was written through the link";
    const auto pipe = folder / "pipe";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    expect_insecure(read_key_file(pipe).error(), pipe, "move it away");
    expect_insecure(write_key_file(pipe, as_bytes("x"), Existing::replace).error(), pipe, "move it away");
    ASSERT_TRUE(make_private_folder(folder / "sub"));
    expect_insecure(read_key_file(folder / "sub").error(), folder / "sub", "move it away");
    expect_insecure(make_private_folder(folder / "real").error(), folder / "real", "move it away");
}

TEST(KeyFile, RefusesAnotherOwner) {
    // /etc/passwd is root's; as root, a file given to another user.
    const Folder folder;
    const auto path = folder / "key";
    if (::geteuid() == 0) {
        ASSERT_TRUE(write_key_file(path, as_bytes("secret")));
        ASSERT_EQ(::chown(path.c_str(), 1234, 1234), 0);
        expect_insecure(read_key_file(path).error(), path, "your own");
        expect_insecure(write_key_file(path, as_bytes("x"), Existing::replace).error(), path, "your own");
        ASSERT_TRUE(make_private_folder(folder / "his"));
        ASSERT_EQ(::chown((folder / "his").c_str(), 1234, 1234), 0);
        expect_insecure(make_private_folder(folder / "his").error(), folder / "his", "your own");
    } else {
        expect_insecure(read_key_file("/etc/passwd").error(), "/etc/passwd", "your own");
    }
}

TEST(KeyFile, HasALimit) {
    const Folder folder;
    const kith::Bytes big(kith::io::max_key_file + 1);
    EXPECT_EQ(write_key_file(folder / "key", big).error(), Errc::too_large);
    ASSERT_TRUE(atomic_write(folder / "key", big, 0600));
    EXPECT_EQ(read_key_file(folder / "key").error(), Errc::too_large);
    ASSERT_TRUE(atomic_write(folder / "key", kith::ByteView{big}.first(kith::io::max_key_file), 0600));
    EXPECT_EQ(read_key_file(folder / "key")->size(), kith::io::max_key_file);
}

TEST(KeyFile, BadPaths) {
    EXPECT_EQ(make_private_folder("").error(), Errc::invalid_argument);
    EXPECT_EQ(make_private_folder(std::string("/tmp/a\0b", 8)).error(), Errc::invalid_argument);
    EXPECT_FALSE(make_private_folder("/proc/nothing/here"));
    const Folder folder;
    EXPECT_TRUE(make_private_folder(folder / "with/slash///"));
    EXPECT_TRUE(make_private_folder(folder / "with/slash")) << "it is there already";
}

TEST(Random, FillsAndDiffers) {
    kith::Bytes a(1000);
    kith::Bytes b(1000);
    ASSERT_TRUE(kith::io::random_bytes(a));
    ASSERT_TRUE(kith::io::random_bytes(b));
    EXPECT_NE(a, b);
    EXPECT_NE(kith::Bytes(a.end() - 16, a.end()), kith::Bytes(16)) << "to the last byte";
    EXPECT_TRUE(kith::io::random_bytes({}));
}

TEST(Clock, SteadyRisesAndWallIsOfThisCentury) {
    const auto a = kith::io::now();
    const auto b = kith::io::now();
    EXPECT_LE(a, b);
    EXPECT_GT(a.wall, std::chrono::hours{24 * 365 * 54});
}

}  // namespace
