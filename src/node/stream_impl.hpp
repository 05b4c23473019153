// SPDX-License-Identifier: Apache-2.0
// The user's end of a raw stream: buffers between the engine's thread and whoever reads and writes.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "base/strong_id.hpp"
#include "kith/node.hpp"
#include "kith/stream.hpp"

namespace kith {
inline namespace v0 {

// open --peer's end--> read_ended;  open --close_write--> write_ended;  any --reset, link lost, both ended--> closed
class Stream::Impl : public std::enable_shared_from_this<Stream::Impl> {
public:
    static constexpr std::size_t send_limit = 1u << 20;

    Impl(std::weak_ptr<Node::Impl> node, StreamRef ref, PeerId peer, std::string protocol, Direction direction)
        : node_(std::move(node)), ref_(ref), peer_(peer), protocol_(std::move(protocol)), direction_(direction) {}
    ~Impl();

    // ---- [any thread]
    // They return the ticket that end() takes; `direct` completions run on the thread that causes them.
    std::uint64_t read(Function<void(Result<Bytes>)> done, std::size_t max, bool direct);
    std::uint64_t write(Bytes data, Function<void(Status)> done, bool direct);
    // Ends one waiting read or write; nothing when it is over.
    void end(std::uint64_t ticket, Errc why);
    // The same when `stop` is requested.
    void end_at(std::uint64_t ticket, const std::stop_token& stop);
    void close_write();
    void reset(const Error& why);
    void cancel();

    // ---- [loop]
    void on_data(Bytes&& data);
    void on_finished();
    void on_closed(const Error& error);
    void on_drained(std::size_t bytes);

    const PeerId& peer() const noexcept { return peer_; }
    const std::string& protocol() const noexcept { return protocol_; }
    Direction direction() const noexcept { return direction_; }
    std::shared_ptr<Node::Impl> node() const { return node_.lock(); }

private:
    // Destroyed outside mutex_ only: that waits for the callback, which takes the mutex.
    using OnStop = std::unique_ptr<std::stop_callback<Function<void()>>>;
    struct Reader {
        std::uint64_t ticket = 0;
        Function<void(Result<Bytes>)> done;
        std::size_t max = 0;
        bool direct = false;
        OnStop stop{};
    };
    struct Writer {
        std::uint64_t ticket = 0;
        Bytes data;
        std::size_t given = 0;  // to the engine
        Function<void(Status)> done;
        bool direct = false;
        OnStop stop{};
    };
    using Calls = std::vector<std::pair<Function<void()>, bool>>;
    void serve_reader(Calls& calls);               // mutex_ held
    void serve_writers(Calls& calls);              // mutex_ held
    void end_all(const Error& why, Calls& calls);  // mutex_ held
    void run(Calls& calls);

    const std::weak_ptr<Node::Impl> node_;
    const StreamRef ref_;
    const PeerId peer_;
    const std::string protocol_;
    const Direction direction_;

    std::mutex mutex_;
    std::uint64_t last_ticket_ = 0;
    std::deque<Bytes> received_;
    std::size_t front_used_ = 0;
    std::optional<Reader> reader_;
    std::deque<Writer> writers_;
    std::size_t buffered_ = 0;  // given to the engine, not on the wire
    bool read_ended_ = false;
    bool write_ended_ = false;
    std::optional<Error> closed_;
};

}  // namespace v0
}  // namespace kith
