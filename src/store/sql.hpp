// SPDX-License-Identifier: Apache-2.0
// SQLite with owners and with errors as values. Nothing here knows a table.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "kith/bytes.hpp"
#include "kith/error.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace kith::store {

// disk_full, damaged, in_use, io_error, too_large or limit_exceeded where SQLite's code means that; otherwise internal.
Error sql_error(sqlite3* db, int code, std::string_view what);

class Connection {
public:
    // `flags` as sqlite3_open_v2. Memory and file handles go with the object; a transaction that is open is rolled back.
    static Result<Connection> open(const std::string& file, const std::string& vfs, int flags);

    sqlite3* get() const noexcept { return db_.get(); }
    Status run(const char* sql);
    Result<std::string> text(const char* sql);      // first column of the first row; empty without one
    Result<std::uint64_t> number(const char* sql);  // likewise; 0 without one
    std::uint64_t changed() const noexcept;         // rows that the last statement changed
    void keep_log() noexcept;                       // closing leaves the write-ahead log as it is

private:
    struct Close {
        void operator()(sqlite3* db) const noexcept;
    };
    std::unique_ptr<sqlite3, Close> db_;
};

// Bound values are borrowed until reset(): the caller's bytes stay where they are. Columns are valid until the next step.
class Statement {
public:
    Statement() noexcept = default;
    static Result<Statement> prepare(const Connection& db, std::string_view sql);

    Statement& bind(int at, std::uint64_t value) noexcept;
    Statement& bind(int at, ByteView bytes) noexcept;

    Result<bool> step();  // true: there is a row
    Status run();         // to the end, then reset
    void reset() noexcept;

    std::uint64_t number(int column) const noexcept;
    ByteView bytes(int column) const noexcept;
    std::string_view text(int column) const noexcept { return as_text(bytes(column)); }

private:
    struct Finalize {
        void operator()(sqlite3_stmt* statement) const noexcept;
    };
    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
    int bound_ = 0;  // SQLite's code of the first bind that failed
};

// Resets a statement that a function steps through, however the function is left.
class Scan {
public:
    explicit Scan(Statement& statement) noexcept : statement_(statement) {}
    Scan(const Scan&) = delete;
    Scan& operator=(const Scan&) = delete;
    ~Scan() { statement_.reset(); }
    Result<bool> next() { return statement_.step(); }

private:
    Statement& statement_;
};

}  // namespace kith::store
