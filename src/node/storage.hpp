// SPDX-License-Identifier: Apache-2.0
// The thread that owns the database of a node. What the engine wants kept or read goes in under one short lock, answers come out
// the same way, so that the engine never waits for a disk.
//
//   open --an error--> failed --it opens again--> open;   any --finish()--> ended
//
// Everything that waits is committed together, without waiting for more: a slow disk makes larger commits.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <variant>
#include <vector>

#include "base/storage.hpp"
#include "engine/types.hpp"
#include "kith/function.hpp"
#include "store/database.hpp"

namespace kith::node {

class Storage {
public:
    // Answers, in the order of what they answer.
    struct Done {
        storage::Ticket up_to = 0;
    };
    struct Failed {  // this ticket and all that were given until Reopened was taken
        Error why;
    };
    struct Reopened {
        storage::Loaded loaded;
        std::uint64_t generation = 0;
    };
    struct FetchedOut {
        storage::LaneKey lane = 0;
        std::vector<storage::OutMessage> messages;
    };
    struct FetchedIn {
        storage::LaneKey lane = 0;
        std::vector<storage::InMessage> messages;
    };
    struct Outcomes {  // never empty, not told before
        std::vector<storage::OutcomeRow> rows;
    };
    using Answer = std::variant<Done, Failed, Reopened, FetchedOut, FetchedIn, Outcomes>;

    // Opens the database, blocking; its errors. `seed`: random.
    static Result<std::unique_ptr<Storage>> open(std::filesystem::path file, std::uint64_t seed);
    ~Storage();  // finish(false)
    Storage(const Storage&) = delete;
    Storage& operator=(const Storage&) = delete;

    // What the file held. Before start().
    const storage::Loaded& loaded() const noexcept { return loaded_; }
    // False: messages wait that an earlier process may have handed over before it died. Who forgets that would give them out again
    // without a mark.
    bool may_be_clean() const noexcept;
    // `wake`: called on the storage thread when answers wait and none waited before.
    void start(Function<void()> wake);

    // ---- the engine's thread
    // The request of a turn (or one with ticket 0: none), then its fetches. Dropped while the store is failed.
    void put(storage::Request&& request, std::vector<engine::Fetch>& fetches);
    std::vector<Answer> take();

    // ---- any thread
    // The outcomes that were not told yet, as soon as there are some; one answer per call.
    void want_outcomes();
    // The application has seen these.
    void forget_outcomes(const std::vector<storage::OutcomeRow>& rows);
    // Until all that was given is answered. False: the store is failed, or it took longer.
    bool flush(Duration limit);
    // Commits what waits and ends the thread. `clean`: nothing that the application got is unknown here, so the next start need
    // not mark anything. Idempotent.
    void finish(bool clean);

private:
    using Work = std::variant<storage::Request, engine::Fetch>;

    Storage(std::filesystem::path file, std::uint64_t seed, store::Database database);
    void run();
    Status carry_out(std::vector<Work>& work);
    Status age();
    Status tell_outcomes();
    bool reopen();  // false: the end came first
    void answer(Answer answer);
    void close();
    Result<store::Database> open_again() const;

    const std::filesystem::path file_;
    const std::uint64_t seed_;
    storage::Loaded loaded_;
    Function<void()> wake_loop_;
    std::thread thread_;

    std::mutex mutex_;  // guards up to clean_
    std::condition_variable wake_;
    std::condition_variable idle_;
    std::vector<Work> queue_;
    std::vector<Answer> answers_;
    std::vector<std::uint64_t> forgotten_;  // outcomes
    std::uint64_t generation_ = 0;          // of the database, counts reopenings
    std::uint64_t seen_ = 0;                // the one that the engine knows
    bool wants_outcomes_ = false;
    bool failed_ = false;
    bool working_ = false;
    bool ending_ = false;
    bool clean_ = false;

    // The storage thread's.
    std::optional<store::Database> database_;
    Duration aged_at_{};
    std::uint64_t last_outcome_ = 0;  // told
    bool look_for_outcomes_ = true;   // there may be new ones
};

}  // namespace kith::node
