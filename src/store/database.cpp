// SPDX-License-Identifier: Apache-2.0
#include "store/database.hpp"

#include <sqlite3.h>

#include <cstdlib>
#include <string_view>
#include <utility>

#include "base/mutant.hpp"
#include "store/impl.hpp"
#include "store/repair.hpp"

namespace kith::store {
namespace {

constexpr int log_limit = 1000;                           // pages in the log before they go into the file: 4 MiB
constexpr int short_log_limit = 64;                       // on a disk without room for more
constexpr std::size_t lanes_kept = 64;                    // rows that stay in memory between transactions
constexpr std::uint64_t always_checked = 16u << 20;       // a file of this size is read in milliseconds
constexpr std::uint64_t checked_thoroughly = 100u << 20;  // above, the quick check has to do

// Exclusive locking lets SQLite keep the log's index in memory of its own instead of a shared file.
constexpr const char* settings =
    "PRAGMA locking_mode=EXCLUSIVE;PRAGMA foreign_keys=OFF;PRAGMA cell_size_check=ON;PRAGMA secure_delete=FAST;"
    "PRAGMA temp_store=MEMORY;PRAGMA cache_size=-4096;PRAGMA mmap_size=0";

// "unable to get the page. error code=266": the disk did not read (primary code 10), or there was no room (13). What is on it is not
// known to be damaged.
bool disk_refused(const std::string& said) {
    constexpr std::string_view mark = "error code=";
    const auto at = said.find(mark);
    if (at == std::string::npos) return false;
    const auto code = std::strtol(said.c_str() + at + mark.size(), nullptr, 10) & 0xFF;
    return code == SQLITE_IOERR || code == SQLITE_FULL;
}

Status check_pages(Connection& db, bool thoroughly) {
    const auto* sql = thoroughly ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)";
    auto said = db.text(sql);
    // A read that failed is told as if it were damage. Then it is another answer the second time.
    if (said && *said != "ok") said = db.text(sql);
    if (!said) return said.error();
    if (disk_refused(*said)) return Error{Errc::io_error, "the pages could not be read", *said};
    if (*said != "ok") return Error{Errc::damaged, "the pages", *said};
    return {};
}

int note_log(void* impl_log_pages, sqlite3* /*db*/, const char* /*name*/, int pages) {
    *static_cast<int*>(impl_log_pages) = pages;
    return SQLITE_OK;
}

}  // namespace

Error misfit(std::string_view what) { return {Errc::internal, what}; }

void Slots::clear() noexcept {
    used_.clear();
    from_ = 1;
}

void Slots::use(std::uint32_t slot) {
    if (slot >= used_.size()) used_.resize(std::size_t{slot} + 1);
    used_[slot] = true;
}

void Slots::free(std::uint32_t slot) noexcept {
    if (slot < used_.size()) used_[slot] = false;
    if (slot < from_) from_ = slot;
}

Result<std::uint32_t> Slots::take() {
    while (from_ < used_.size() && used_[from_]) ++from_;
    if (from_ > max_slot) return Error{Errc::limit_exceeded, "too many message lanes in one database"};
    const auto slot = static_cast<std::uint32_t>(from_);
    use(slot);
    return slot;
}

Database::Impl::~Impl() { disconnect(Log::stays); }

void Database::Impl::disconnect(Log log) noexcept {
    // At the end of a process that is said to be dead, or on a disk that failed, nothing more is written.
    if (db.get() != nullptr && log == Log::stays) db.keep_log();
    begin_statement = {};
    commit_statement = {};
    tables = {};
    db = {};
}

Status Database::Impl::connect() {
    if (auto ok = files.create(); !ok) return ok;
    auto opened = Connection::open(files.path(), files.vfs(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (!opened) return opened.error();
    db = std::move(*opened);
    if (auto ok = db.run(settings); !ok) return ok;
    // Before anything is written: it might be somebody else's.
    const auto form = form_of(db);
    if (!form) return form.error();
    const auto mode = db.text("PRAGMA journal_mode=WAL");
    if (!mode) return mode.error();
    if (*mode != "wal") return Error{Errc::io_error, "the database cannot have a write-ahead log", *mode};
    if (auto ok = db.run(planted(Mutant::synchronous_normal) ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL"); !ok) return ok;
    sqlite3_wal_hook(db.get(), note_log, &log_pages);

    if (*form == Form::empty) {
        if (auto ok = db.run("BEGIN IMMEDIATE"); !ok) return ok;
        if (auto ok = make_tables(db); !ok) return ok;
        if (note.empty()) note = "a new database was made";
    }
    for (const auto& [statement, sql] : {std::pair{&begin_statement, "BEGIN IMMEDIATE"}, std::pair{&commit_statement, "COMMIT"}}) {
        auto prepared = Statement::prepare(db, sql);
        if (!prepared) return prepared.error();
        *statement = std::move(*prepared);
    }
    auto prepared = Tables::prepare(db);
    if (!prepared) return prepared.error();
    tables = std::move(*prepared);
    if (*form == Form::empty) {
        was_clean = true;
        state.clean = false;
        if (auto ok = tables.put(state); !ok) return ok;
        if (auto ok = commit_statement.run(); !ok) return ok;
    }

    const auto before = tables.state();
    if (!before) return before.error();
    if (*form == Form::ours) was_clean = before->clean;
    const auto size = files.size(files.path());
    if (!size) return size.error();
    if (!was_clean || *size <= always_checked) {
        if (auto ok = check_pages(db, *size <= checked_thoroughly); !ok) return ok;
    }
    auto inspected = inspect(db, tables, !was_clean);
    if (!inspected) return inspected.error();
    content = std::move(*inspected);
    state = content->state;
    for (const auto& lane : content->out) out_slots.use(lane.slot);
    for (const auto& lane : content->in) in_slots.use(lane.slot);

    if (!was_clean) {
        // After an fsync that failed, pages of the log may be in the system's cache and never reach the disk, and with them all
        // that is appended later. They are written again, into the file. On a full disk that cannot be; the log then stays.
        auto written = db.run("PRAGMA wal_checkpoint(TRUNCATE)");
        if (!written && written.error() != Errc::disk_full) return written;
        log_pages = 0;
    }
    if (state.clean) {
        state.clean = false;
        if (auto ok = begin_statement.run(); !ok) return ok;
        if (auto ok = tables.put(state); !ok) return ok;
        if (auto ok = commit_statement.run(); !ok) return ok;
    }
    content->state = state;
    committed = state;
    return {};
}

Error Database::Impl::fail(Error error) {
    if (broken) return *broken;
    if (in_transaction) (void)db.run("ROLLBACK");
    in_transaction = false;
    if (error == Errc::disk_full) files.drop_ballast();
    broken = error;
    return error;
}

Status Database::Impl::begin() {
    if (in_transaction) return {};
    if (auto ok = begin_statement.run(); !ok) return ok;
    in_transaction = true;
    content.reset();
    return {};
}

Status Database::Impl::flush() {
    for (auto& [key, lane] : out) {
        if (!lane.dirty) continue;
        if (auto ok = tables.put(lane.row); !ok) return ok;
        lane.dirty = false;
    }
    for (auto& [key, lane] : in) {
        if (!lane.dirty) continue;
        if (auto ok = tables.put(lane.row); !ok) return ok;
        lane.dirty = false;
    }
    if (state_dirty) {
        if (auto ok = tables.put(state); !ok) return ok;
        state_dirty = false;
    }
    return {};
}

Status Database::Impl::commit() {
    if (!in_transaction) return {};
    if (auto ok = flush(); !ok) return ok;
    if (auto ok = commit_statement.run(); !ok) return ok;
    in_transaction = false;
    committed = state;
    if (out.size() > lanes_kept) out.clear();
    if (in.size() > lanes_kept) in.clear();
    // The commit stands, whatever becomes of this.
    if (log_pages >= (files.short_of_space() ? short_log_limit : log_limit)) {
        if (auto ok = checkpoint(); !ok) (void)fail(ok.error());
    }
    files.take_ballast();
    return {};
}

Status Database::Impl::checkpoint() {
    const int code = sqlite3_wal_checkpoint_v2(db.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    if (code == SQLITE_OK) return {};
    auto error = sql_error(db.get(), code, "the log into the database");
    if (error != Errc::disk_full) return error;
    // The file cannot grow; the log still can, a little.
    files.drop_ballast();
    return {};
}

void Database::Impl::rollback() {
    if (!in_transaction) return;
    const auto rolled = db.run("ROLLBACK");
    in_transaction = false;
    state = committed;
    state_dirty = false;
    out.clear();
    in.clear();
    out_slots.clear();
    in_slots.clear();
    auto inspected = rolled ? inspect(db, tables, false) : Result<Content>{Error{Errc::internal, "rollback"}};
    if (!inspected) {
        (void)fail(inspected.error());
        return;
    }
    content = std::move(*inspected);
    for (const auto& lane : content->out) out_slots.use(lane.slot);
    for (const auto& lane : content->in) in_slots.use(lane.slot);
}

Database::Database(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Database::Database(Database&& other) noexcept = default;
Database& Database::operator=(Database&& other) noexcept = default;
Database::~Database() = default;

Result<Database> Database::open(const std::filesystem::path& file, const Options& options) {
    auto files = Files::open(file.string(), options.vfs, options.ballast);
    if (!files) return files.error();
    auto impl = std::make_unique<Impl>();
    impl->files = std::move(*files);
    impl->seed = options.seed;
    auto finished = finish_repair(impl->files);
    if (!finished) return finished.error();
    impl->note = *finished;
    auto connected = impl->connect();
    if (!connected && connected.error() == Errc::damaged) {
        auto fresh = std::make_unique<Impl>();
        impl->disconnect(Impl::Log::stays);
        fresh->files = std::move(impl->files);
        auto note = repair(fresh->files, options.seed, connected.error());
        if (!note) {
            if (note.error() == Errc::disk_full) fresh->files.drop_ballast();
            return note.error();
        }
        fresh->note = *note;
        impl = std::move(fresh);
        connected = impl->connect();
    }
    if (!connected) {
        if (connected.error() == Errc::disk_full) impl->files.drop_ballast();
        return connected.error();
    }
    impl->files.take_ballast();
    return Database{std::move(impl)};
}

Status Database::apply(const storage::Request& request) {
    if (impl_->broken) return *impl_->broken;
    if (auto ok = impl_->begin(); !ok) return impl_->fail(ok.error());
    for (const auto& operation : request.operations) {
        auto ok = std::visit([&](const auto& op) { return impl_->run(request, op); }, operation);
        if (!ok) return impl_->fail(std::move(ok).error());
    }
    return {};
}

Status Database::commit() {
    if (impl_->broken) return *impl_->broken;
    if (auto ok = impl_->commit(); !ok) return impl_->fail(ok.error());
    return {};
}

void Database::rollback() {
    if (!impl_->broken) impl_->rollback();
}

bool Database::pending() const noexcept { return impl_->in_transaction; }
bool Database::broken() const noexcept { return impl_->broken.has_value(); }

Status Database::close() {
    if (impl_->broken) return *impl_->broken;
    impl_->rollback();
    if (auto ok = impl_->begin(); !ok) return impl_->fail(ok.error());
    impl_->state.clean = true;
    impl_->state_dirty = true;
    if (auto ok = impl_->commit(); !ok) return impl_->fail(ok.error());
    impl_->disconnect(Impl::Log::into_file);
    impl_->files = {};
    impl_->broken = Error{Errc::stopped, "the database is closed"};
    return {};
}

Result<storage::Loaded> Database::load() {
    if (impl_->broken) return *impl_->broken;
    auto out = impl_->load();
    if (!out) return impl_->fail(out.error());
    return out;
}

Result<std::vector<storage::OutMessage>> Database::fetch(const storage::FetchOut& wanted) {
    if (impl_->broken) return *impl_->broken;
    auto out = impl_->fetch(wanted);
    if (!out) return impl_->fail(out.error());
    return out;
}

Result<std::vector<storage::InMessage>> Database::fetch(const storage::FetchIn& wanted) {
    if (impl_->broken) return *impl_->broken;
    auto out = impl_->fetch(wanted);
    if (!out) return impl_->fail(out.error());
    return out;
}

Result<std::vector<storage::OutcomeRow>> Database::outcomes(std::uint64_t after, std::size_t most) {
    if (impl_->broken) return *impl_->broken;
    auto out = impl_->outcomes(after, most);
    if (!out) return impl_->fail(out.error());
    return out;
}

}  // namespace kith::store
