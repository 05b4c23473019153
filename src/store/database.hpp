// SPDX-License-Identifier: Apache-2.0
// The database of durable delivery: one SQLite file. What the requests mean: base/storage.hpp. What lies in the file:
// docs/storage-format.md.
//
// Blocking, for one thread at a time. Whatever fails, but for a refused open(), breaks the object: the transaction is rolled
// back, every later call gives the same error, and the next move is to destroy it and open() again. What was not committed is
// then not there - except a commit() that failed, of which only load() knows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/storage.hpp"
#include "kith/error.hpp"

namespace kith::store {

struct Options {
    std::string vfs{};                           // SQLite's name of a VFS; empty: the system's. A VFS of your own: no lock, no folder
    std::size_t ballast = std::size_t{1} << 20;  // bytes kept in `<file>.ballast` and set free when the disk is full; 0: none
    std::uint64_t seed = 0;                      // random: the new epochs of a repair come from it
};

class Database {
public:
    // Makes what is missing: folder (0700), file (0600), tables. A file that was not closed, and any small one, is checked; a
    // damaged one is moved aside to `<file>.damaged-<n>` and what is readable of it is taken over, outgoing lanes with new epochs
    // (Loaded::note says so). Errors: in_use, newer_version (nothing was changed), invalid_argument (no path, not a database of
    // ours), disk_full, io_error.
    static Result<Database> open(const std::filesystem::path& file, const Options& options);
    Database(Database&& other) noexcept;
    Database& operator=(Database&& other) noexcept;
    ~Database();  // as if the process died here: without close() the next open() checks everything

    // Into the transaction, which begins with the first request. `internal`: an operation that does not fit to what is stored
    // (an Advance or Append that is not at its place, an unknown lane).
    Status apply(const storage::Request& request);
    // All requests since the last one, in one commit that is on the disk when this returns. It may succeed and leave the object
    // broken: when the log could not be written into the file afterwards.
    Status commit();
    void rollback();
    bool pending() const noexcept;  // there is something to commit
    bool broken() const noexcept;

    // Reads see what was applied, committed or not. A row whose checksum does not fit is never returned: damaged.
    Result<storage::Loaded> load();
    Result<std::vector<storage::OutMessage>> fetch(const storage::FetchOut& wanted);
    Result<std::vector<storage::InMessage>> fetch(const storage::FetchIn& wanted);
    Result<std::vector<storage::OutcomeRow>> outcomes(std::uint64_t after, std::size_t most);

    // Goodbye: what was not committed is rolled back, the log goes into the file. Every later call gives `stopped`.
    Status close();

private:
    struct Impl;
    explicit Database(std::unique_ptr<Impl> impl) noexcept;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kith::store
