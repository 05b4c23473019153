// SPDX-License-Identifier: Apache-2.0
#include "node/storage.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "io/clock.hpp"

namespace kith::node {
namespace {

constexpr Duration age_every = std::chrono::minutes{1};
constexpr Duration reopen_first = std::chrono::milliseconds{100};
constexpr Duration reopen_most = std::chrono::seconds{5};
constexpr std::size_t outcomes_at_once = 256;

// What can add an outcome.
bool ends_messages(const storage::Operation& operation) {
    return std::holds_alternative<storage::Settle>(operation) || std::holds_alternative<storage::Bury>(operation) ||
           std::holds_alternative<storage::Replace>(operation) || std::holds_alternative<storage::DropOut>(operation);
}

bool has_ttl(const storage::Operation& operation) {
    if (const auto* append = std::get_if<storage::Append>(&operation)) return append->ttl != Duration{};
    if (const auto* replace = std::get_if<storage::Replace>(&operation)) return replace->ttl != Duration{};
    return false;
}

}  // namespace

Result<std::unique_ptr<Storage>> Storage::open(std::filesystem::path file, std::uint64_t seed) {
    auto database = store::Database::open(file, {.seed = seed});
    if (!database) return database.error();
    auto loaded = database->load();
    if (!loaded) return loaded.error();
    std::unique_ptr<Storage> out{new Storage(std::move(file), seed, std::move(*database))};  // the constructor is private
    out->loaded_ = std::move(*loaded);
    return out;
}

Storage::Storage(std::filesystem::path file, std::uint64_t seed, store::Database database)
    : file_(std::move(file)), seed_(seed), database_(std::move(database)), aged_at_(io::steady_now()) {}

Storage::~Storage() { finish(false); }

bool Storage::may_be_clean() const noexcept {
    return loaded_.clean || std::all_of(loaded_.in.begin(), loaded_.in.end(), [](const auto& row) { return row.messages == 0; });
}

void Storage::start(Function<void()> wake) {
    wake_loop_ = std::move(wake);
    thread_ = std::thread([this] { run(); });
}

// ---- in and out

void Storage::put(storage::Request&& request, std::vector<engine::Fetch>& fetches) {
    {
        const std::scoped_lock lock(mutex_);
        if (!failed_ && !ending_ && seen_ == generation_) {
            if (request.ticket != 0) queue_.emplace_back(std::move(request));
            for (auto& fetch : fetches) queue_.emplace_back(fetch);
        }
        wake_.notify_one();
    }
    fetches.clear();
}

std::vector<Storage::Answer> Storage::take() {
    std::vector<Answer> out;
    const std::scoped_lock lock(mutex_);
    out.swap(answers_);
    for (const auto& answer : out) {
        if (const auto* reopened = std::get_if<Reopened>(&answer)) seen_ = reopened->generation;
    }
    return out;
}

void Storage::answer(Answer answer) {
    bool first = false;
    {
        const std::scoped_lock lock(mutex_);
        first = answers_.empty();
        answers_.push_back(std::move(answer));
    }
    if (first) wake_loop_();
}

void Storage::want_outcomes() {
    const std::scoped_lock lock(mutex_);
    wants_outcomes_ = true;
    wake_.notify_one();
}

void Storage::forget_outcomes(const std::vector<storage::OutcomeRow>& rows) {
    const std::scoped_lock lock(mutex_);
    for (const auto& row : rows) forgotten_.push_back(row.id);
    wake_.notify_one();
}

bool Storage::flush(Duration limit) {
    std::unique_lock lock(mutex_);
    const auto idle = [&] { return failed_ || ending_ || (queue_.empty() && forgotten_.empty() && !working_); };
    return idle_.wait_for(lock, limit, idle) && !failed_;
}

void Storage::finish(bool clean) {
    {
        const std::scoped_lock lock(mutex_);
        if (!ending_) clean_ = clean;
        ending_ = true;
        wake_.notify_one();
    }
    if (thread_.joinable()) {
        thread_.join();
    } else if (database_ && clean) {  // never started
        if (auto ok = database_->close(); ok) database_.reset();
    }
}

// ---- the thread

void Storage::run() {
    std::vector<Work> work;
    for (;;) {
        bool ending = false;
        {
            std::unique_lock lock(mutex_);
            working_ = false;
            idle_.notify_all();
            const auto ready = [&] { return ending_ || !queue_.empty() || !forgotten_.empty() || (wants_outcomes_ && look_for_outcomes_); };
            wake_.wait_for(lock, std::max(Duration{}, aged_at_ + age_every - io::steady_now()), ready);
            work.swap(queue_);
            working_ = true;
            ending = ending_;
        }
        if (auto ok = carry_out(work); !ok) {
            {
                const std::scoped_lock lock(mutex_);
                failed_ = true;
                idle_.notify_all();
            }
            answer(Failed{ok.error()});
            if (!reopen()) return;
        }
        work.clear();
        if (ending) return close();
    }
}

Status Storage::carry_out(std::vector<Work>& work) {
    auto& database = *database_;
    if (database.broken()) return database.commit();
    storage::Ticket last = 0;
    bool ttl = io::steady_now() - aged_at_ >= age_every;
    for (const auto& item : work) {
        const auto* request = std::get_if<storage::Request>(&item);
        if (request == nullptr) continue;
        last = request->ticket;
        ttl = ttl || std::any_of(request->operations.begin(), request->operations.end(), has_ttl);
        look_for_outcomes_ = look_for_outcomes_ || std::any_of(request->operations.begin(), request->operations.end(), ends_messages);
    }
    if (ttl) {  // what comes now has not aged
        if (auto ok = age(); !ok) return ok;
    }
    for (const auto& item : work) {
        const auto* request = std::get_if<storage::Request>(&item);
        if (request == nullptr) continue;
        if (auto ok = database.apply(*request); !ok) return ok;
    }
    std::vector<std::uint64_t> forgotten;
    {
        const std::scoped_lock lock(mutex_);
        forgotten = forgotten_;
    }
    storage::Request read;
    for (const auto id : forgotten) read.operations.emplace_back(storage::ReadOutcome{id});
    if (!forgotten.empty()) {
        if (auto ok = database.apply(read); !ok) return ok;
    }
    if (database.pending()) {
        if (auto ok = database.commit(); !ok) return ok;
    }
    if (!forgotten.empty()) {
        const std::scoped_lock lock(mutex_);
        forgotten_.erase(forgotten_.begin(), forgotten_.begin() + static_cast<std::ptrdiff_t>(forgotten.size()));
    }
    if (last != 0) answer(Done{last});
    if (database.broken()) return database.commit();  // the commit stands, the object does not

    for (const auto& item : work) {
        const auto* fetch = std::get_if<engine::Fetch>(&item);
        if (fetch == nullptr) continue;
        if (const auto* out = std::get_if<storage::FetchOut>(fetch)) {
            auto messages = database.fetch(*out);
            if (!messages) return messages.error();
            answer(FetchedOut{out->lane, std::move(*messages)});
        } else if (const auto* in = std::get_if<storage::FetchIn>(fetch)) {
            auto messages = database.fetch(*in);
            if (!messages) return messages.error();
            answer(FetchedIn{in->lane, std::move(*messages)});
        }
    }
    return tell_outcomes();
}

Status Storage::age() {
    const auto now = io::steady_now();
    storage::Request request;
    request.operations.emplace_back(storage::Age{now - aged_at_});
    if (auto ok = database_->apply(request); !ok) return ok;
    aged_at_ = now;
    return {};
}

Status Storage::tell_outcomes() {
    {
        const std::scoped_lock lock(mutex_);
        if (!wants_outcomes_ || !look_for_outcomes_) return {};
    }
    auto rows = database_->outcomes(last_outcome_, outcomes_at_once);
    if (!rows) return rows.error();
    look_for_outcomes_ = rows->size() == outcomes_at_once;
    if (rows->empty()) return {};
    last_outcome_ = rows->back().id;
    {
        const std::scoped_lock lock(mutex_);
        wants_outcomes_ = false;
    }
    answer(Outcomes{std::move(*rows)});
    return {};
}

bool Storage::reopen() {
    for (auto wait = reopen_first;; wait = std::min(reopen_most, wait * 2)) {
        database_.reset();
        {
            std::unique_lock lock(mutex_);
            if (wake_.wait_for(lock, wait, [&] { return ending_; })) return false;
        }
        auto opened = open_again();
        if (!opened) continue;
        database_ = std::move(*opened);
        auto loaded = database_->load();
        if (!loaded) continue;
        look_for_outcomes_ = true;
        std::uint64_t generation = 0;
        {
            const std::scoped_lock lock(mutex_);
            queue_.clear();
            failed_ = false;
            generation = ++generation_;
        }
        answer(Reopened{std::move(*loaded), generation});
        return true;
    }
}

Result<store::Database> Storage::open_again() const { return store::Database::open(file_, {.seed = seed_ + generation_ + 1}); }

void Storage::close() {
    bool clean = false;
    {
        const std::scoped_lock lock(mutex_);
        clean = clean_;
    }
    auto ok = age();
    if (ok) ok = database_->commit();
    if (ok && clean) ok = database_->close();
    database_.reset();  // without close() the next start checks everything
}

}  // namespace kith::node
