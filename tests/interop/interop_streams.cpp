// SPDX-License-Identifier: Apache-2.0
#include "interop_streams.hpp"

#include <algorithm>
#include <cctype>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace kith::interop {
namespace {

constexpr std::size_t chunk = 64 * 1024;
constexpr std::size_t max_text = 1U << 20U;

// The objects below live as long as a read or a write is under way: its completion holds them.

// Reads only after the last write was taken: what waits in here is one piece.
class EchoServer : public std::enable_shared_from_this<EchoServer> {
public:
    explicit EchoServer(Stream stream) : stream_(std::move(stream)) {}

    void read() {
        stream_.async_read(
            [self = shared_from_this()](Result<Bytes> got) {
                if (!got) return;  // reset or lost: nobody to answer
                if (got->empty()) return self->stream_.close_write();
                self->stream_.async_write(std::move(*got), [self](const Status& ok) {
                    if (ok) self->read();
                });
            },
            chunk);
    }

private:
    Stream stream_;
};

class UpperServer : public std::enable_shared_from_this<UpperServer> {
public:
    explicit UpperServer(Stream stream) : stream_(std::move(stream)) {}

    void read() {
        stream_.async_read([self = shared_from_this()](Result<Bytes> got) {
            if (!got) return;
            if (got->empty()) return self->answer();
            self->text_.insert(self->text_.end(), got->begin(), got->end());
            if (self->text_.size() > max_text) return self->stream_.reset();
            self->read();
        });
    }

private:
    void answer() {
        for (auto& byte : text_) byte = static_cast<std::uint8_t>(std::toupper(byte));
        stream_.async_write(std::move(text_), [self = shared_from_this()](const Status& ok) {
            if (ok) self->stream_.close_write();
        });
    }

    Stream stream_;
    Bytes text_;
};

// Counts what ended; the first error is the result of all.
class Outcome {
public:
    explicit Outcome(std::uint64_t left) : left_(left) {}

    void done(const Status& status) {
        const std::scoped_lock lock(mutex_);
        if (!status && status_) status_ = status;
        --left_;
        wake_.notify_all();
    }

    Status wait(Duration timeout) {
        std::unique_lock lock(mutex_);
        if (!wake_.wait_for(lock, timeout, [this] { return left_ == 0 || !status_; })) {
            return Error{Errc::timeout, "streams still open", std::to_string(left_)};
        }
        return status_;
    }

private:
    std::mutex mutex_;
    std::condition_variable wake_;
    std::uint64_t left_;
    Status status_;
};

std::uint8_t pattern(std::uint64_t at, std::uint64_t seed) { return static_cast<std::uint8_t>(at * 31 + (at >> 8U) * 7 + seed); }

class EchoClient : public std::enable_shared_from_this<EchoClient> {
public:
    EchoClient(Stream stream, std::uint64_t bytes, std::uint64_t seed, std::shared_ptr<Outcome> outcome)
        : stream_(std::move(stream)), bytes_(bytes), seed_(seed), outcome_(std::move(outcome)) {}

    void start() {
        write();
        read();
    }

private:
    void write() {
        if (sent_ == bytes_) return stream_.close_write();
        Bytes piece(std::min<std::uint64_t>(chunk, bytes_ - sent_));
        for (auto& byte : piece) byte = pattern(sent_++, seed_);
        stream_.async_write(std::move(piece), [self = shared_from_this()](const Status& ok) {
            if (!ok) return self->finish(ok);
            self->write();
        });
    }

    void read() {
        stream_.async_read([self = shared_from_this()](Result<Bytes> got) {
            if (!got) return self->finish(got.error());
            if (got->empty())
                return self->finish(self->received_ == self->bytes_ ? Status{} : self->wrong("bytes came back, then the end"));
            for (const auto byte : *got) {
                if (self->received_ == self->bytes_ || byte != pattern(self->received_, self->seed_)) {
                    return self->finish(self->wrong("the echo differs at this byte"));
                }
                ++self->received_;
            }
            self->read();
        });
    }

    Status wrong(std::string_view what) const {
        return Error{Errc::protocol_error, what,
                     std::to_string(received_) + " of " + std::to_string(bytes_) + ", stream " + std::to_string(seed_)};
    }

    void finish(const Status& status) {
        if (!std::exchange(finished_, true)) outcome_->done(status);
    }

    Stream stream_;
    const std::uint64_t bytes_;
    const std::uint64_t seed_;
    std::uint64_t sent_ = 0;
    std::uint64_t received_ = 0;
    bool finished_ = false;
    std::shared_ptr<Outcome> outcome_;
};

}  // namespace

void serve_streams(Node& node) {
    node.handle_protocol(echo_protocol, [](Stream stream) { std::make_shared<EchoServer>(std::move(stream))->read(); });
    node.handle_protocol(upper_protocol, [](Stream stream) { std::make_shared<UpperServer>(std::move(stream))->read(); });
}

Status echo(Node& node, const PeerId& peer, std::uint64_t bytes, std::uint64_t streams, const Wait& wait) {
    const auto outcome = std::make_shared<Outcome>(streams);
    for (std::uint64_t seed = 0; seed < streams; ++seed) {
        node.async_open_stream(
            peer, echo_protocol,
            [outcome, bytes, seed](Result<Stream> stream) {
                if (!stream) return outcome->done(stream.error());
                std::make_shared<EchoClient>(std::move(*stream), bytes, seed, outcome)->start();
            },
            wait);
    }
    return outcome->wait(wait.timeout);
}

Status half_close(Node& node, const PeerId& peer, const Wait& wait) {
    auto stream = node.open_stream(peer, upper_protocol, wait);
    if (!stream) return stream.error();
    if (auto ok = stream->write(as_bytes("half-closed streams still answer"), wait); !ok) return ok;
    stream->close_write();
    std::string answer;
    while (true) {
        const auto some = stream->read(wait);
        if (!some) return some.error();
        if (some->empty()) break;
        answer += as_text(*some);
    }
    if (answer != "HALF-CLOSED STREAMS STILL ANSWER") return Error{Errc::protocol_error, "unexpected answer after half-close", answer};
    return {};
}

}  // namespace kith::interop
