// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/database.hpp"
#include "store/files.hpp"
#include "store/rows.hpp"
#include "store/schema.hpp"
#include "store/sql.hpp"

namespace kith::store {

// Which slots the lanes of one direction have. A slot is taken again when its lane is gone, and its messages with it.
class Slots {
public:
    void clear() noexcept;
    void use(std::uint32_t slot);
    void free(std::uint32_t slot) noexcept;
    Result<std::uint32_t> take();  // limit_exceeded: a million lanes exist

private:
    std::vector<bool> used_;
    std::size_t from_ = 1;  // none below is free
};

// A lane's row while transactions use it: read once, written at the commit.
template <class Row>
struct Touched {
    Row row;
    bool dirty = false;
};

struct Database::Impl {
    Files files;
    std::uint64_t seed = 0;

    Connection db;
    Tables tables;
    Statement begin_statement;
    Statement commit_statement;

    State state;      // as the open transaction has it
    State committed;  // as the disk has it
    Slots out_slots;
    Slots in_slots;
    std::unordered_map<storage::LaneKey, Touched<OutLaneRow>> out;
    std::unordered_map<storage::LaneKey, Touched<InLaneRow>> in;
    std::optional<Content> content;  // of a database that nobody changed since it was inspected

    std::optional<Error> broken;
    std::string note;
    int log_pages = 0;
    bool was_clean = true;
    bool in_transaction = false;
    bool state_dirty = false;

    ~Impl();

    // database.cpp
    Status connect();  // opens and checks `files.path()`
    enum class Log : std::uint8_t { stays, into_file };
    void disconnect(Log log) noexcept;
    Error fail(Error error);
    Status begin();
    Status flush();
    Status commit();
    Status checkpoint();
    void rollback();

    // apply.cpp: outgoing
    Result<Touched<OutLaneRow>*> out_lane(storage::LaneKey key);
    Status end(const OutLaneRow& lane, const OutMessageRow& message, storage::Ended ended);
    Status end_range(const OutLaneRow& lane, std::uint64_t from, std::uint64_t to, storage::Ended ended);
    Status take_range(const OutLaneRow& lane, std::uint64_t from, std::uint64_t to);
    Status cut_run(const OutLaneRow& lane, std::uint64_t upto);
    Status run(const storage::Request& request, const storage::OpenOut& op);
    Status run(const storage::Request& request, const storage::Append& op);
    Status run(const storage::Request& request, const storage::Replace& op);
    Status run(const storage::Request& request, const storage::Bury& op);
    Status run(const storage::Request& request, const storage::Settle& op);
    Status run(const storage::Request& request, const storage::SetOut& op);
    Status run(const storage::Request& request, const storage::DropOut& op);
    Status run(const storage::Request& request, const storage::Age& op);
    Status run(const storage::Request& request, const storage::ReadOutcome& op);

    // apply_in.cpp: incoming
    Result<Touched<InLaneRow>*> in_lane(storage::LaneKey key);
    Status run(const storage::Request& request, const storage::BeginIn& op);
    Status run(const storage::Request& request, const storage::Advance& op);
    Status run(const storage::Request& request, const storage::Put& op);
    Status run(const storage::Request& request, const storage::Processed& op);
    Status run(const storage::Request& request, const storage::DropIn& op);

    // read.cpp
    Result<storage::Loaded> load();
    Result<std::vector<storage::OutMessage>> fetch(const storage::FetchOut& wanted);
    Result<std::vector<storage::InMessage>> fetch(const storage::FetchIn& wanted);
    Result<std::vector<storage::OutcomeRow>> outcomes(std::uint64_t after, std::size_t most);
};

// An operation that does not fit: a defect of the caller, never of the disk.
Error misfit(std::string_view what);

}  // namespace kith::store
