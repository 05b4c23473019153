// SPDX-License-Identifier: Apache-2.0
#include "store/sql.hpp"

#include <sqlite3.h>

#include <cerrno>

namespace kith::store {
namespace {

Errc errc_of(int code, int os_error) noexcept {
    switch (code & 0xFF) {
        case SQLITE_FULL:
            return Errc::disk_full;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
        case SQLITE_CONSTRAINT:  // a row stands where none can be
        case SQLITE_ERROR:       // our own statements do not fit to the tables
        case SQLITE_SCHEMA:
        case SQLITE_MISMATCH:
            return Errc::damaged;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return Errc::in_use;
        case SQLITE_NOMEM:
            return Errc::limit_exceeded;
        case SQLITE_TOOBIG:
            return Errc::too_large;
        case SQLITE_IOERR:
            // Where space is given out late, a full disk shows at fsync.
            return os_error == ENOSPC || os_error == EDQUOT ? Errc::disk_full : Errc::io_error;
        case SQLITE_CANTOPEN:
        case SQLITE_PERM:
        case SQLITE_READONLY:
        case SQLITE_AUTH:
            return Errc::io_error;
        default:
            return Errc::internal;
    }
}

}  // namespace

Error sql_error(sqlite3* db, int code, std::string_view what) {
    const int os_error = db != nullptr ? sqlite3_system_errno(db) : 0;
    const auto errc = errc_of(code, os_error);
    std::string detail = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
    Error error{errc, what, detail + ", SQLite code " + std::to_string(code)};
    if (errc == Errc::io_error || errc == Errc::disk_full) error.os_error = os_error;
    return error;
}

void Connection::Close::operator()(sqlite3* db) const noexcept { sqlite3_close_v2(db); }

Result<Connection> Connection::open(const std::string& file, const std::string& vfs, int flags) {
    sqlite3* raw = nullptr;
    const int code = sqlite3_open_v2(file.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX, vfs.empty() ? nullptr : vfs.c_str());
    Connection out;
    out.db_.reset(raw);
    if (code != SQLITE_OK) return sql_error(raw, code, "open the database");
    sqlite3_extended_result_codes(raw, 1);
    // What a file says about functions, views and triggers is not believed.
    sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    sqlite3_db_config(raw, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
    sqlite3_db_config(raw, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
    return out;
}

Status Connection::run(const char* sql) {
    const int code = sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return sql_error(db_.get(), code, "database");
    return {};
}

Result<std::string> Connection::text(const char* sql) {
    auto statement = Statement::prepare(*this, sql);
    if (!statement) return statement.error();
    const auto row = statement->step();
    if (!row) return row.error();
    return *row ? std::string{statement->text(0)} : std::string{};
}

Result<std::uint64_t> Connection::number(const char* sql) {
    auto statement = Statement::prepare(*this, sql);
    if (!statement) return statement.error();
    const auto row = statement->step();
    if (!row) return row.error();
    return *row ? statement->number(0) : 0;
}

std::uint64_t Connection::changed() const noexcept { return static_cast<std::uint64_t>(sqlite3_changes64(db_.get())); }

void Connection::keep_log() noexcept { sqlite3_db_config(db_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr); }

void Statement::Finalize::operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }

Result<Statement> Statement::prepare(const Connection& db, std::string_view sql) {
    sqlite3_stmt* raw = nullptr;
    const int code = sqlite3_prepare_v3(db.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
    if (code != SQLITE_OK) return sql_error(db.get(), code, "prepare");
    Statement out;
    out.statement_.reset(raw);
    return out;
}

Statement& Statement::bind(int at, std::uint64_t value) noexcept {
    const int code = sqlite3_bind_int64(statement_.get(), at, static_cast<sqlite3_int64>(value));
    if (bound_ == SQLITE_OK) bound_ = code;
    return *this;
}

Statement& Statement::bind(int at, ByteView bytes) noexcept {
    // A null pointer would become NULL.
    const void* data = bytes.empty() ? static_cast<const void*>("") : bytes.data();
    const int code = sqlite3_bind_blob64(statement_.get(), at, data, bytes.size(), SQLITE_STATIC);
    if (bound_ == SQLITE_OK) bound_ = code;
    return *this;
}

Result<bool> Statement::step() {
    auto* db = sqlite3_db_handle(statement_.get());
    const int code = bound_ != SQLITE_OK ? bound_ : sqlite3_step(statement_.get());
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return sql_error(db, code, "database");
}

Status Statement::run() {
    const Scan scan(*this);
    for (;;) {
        const auto row = step();
        if (!row) return row.error();
        if (!*row) return {};
    }
}

void Statement::reset() noexcept {
    sqlite3_reset(statement_.get());
    bound_ = SQLITE_OK;
}

std::uint64_t Statement::number(int column) const noexcept {
    return static_cast<std::uint64_t>(sqlite3_column_int64(statement_.get(), column));
}

ByteView Statement::bytes(int column) const noexcept {
    const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_.get(), column));
    const int size = sqlite3_column_bytes(statement_.get(), column);
    return data == nullptr ? ByteView{} : ByteView{data, static_cast<std::size_t>(size)};
}

}  // namespace kith::store
