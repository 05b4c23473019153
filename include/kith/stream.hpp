// SPDX-License-Identifier: Apache-2.0
// A raw libp2p stream, for any libp2p protocol.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>

#include "kith/bytes.hpp"
#include "kith/error.hpp"
#include "kith/event.hpp"
#include "kith/function.hpp"
#include "kith/peer_id.hpp"
#include "kith/time.hpp"

namespace kith {
inline namespace v0 {

// How long a blocking call may wait: `Wait{5s}`, with or without a stop token.
struct Wait {
    Duration timeout = std::chrono::seconds{10};
    std::stop_token stop{};
};

// A handle; copies name the same stream. When the last handle is dropped, an open stream is reset; one whose end was read and
// that got close_write() still sends what its buffer holds.
// Thread-safe. Blocking calls return would_deadlock on the engine's or callback thread. Completions run where callbacks run.
class Stream {
public:
    Stream() = default;

    explicit operator bool() const noexcept { return static_cast<bool>(impl_); }
    const PeerId& peer() const noexcept;
    const std::string& protocol() const noexcept;
    Direction direction() const noexcept;

    // Some bytes as soon as there are any (at most `max`), an empty result at the peer's half-close. One read at a time.
    // Errors: stream_reset, link_lost, cancelled, timeout. `stop` ends this read alone.
    void async_read(Function<void(Result<Bytes>)> done, std::size_t max = 64 * 1024, const std::stop_token& stop = {});
    Result<Bytes> read(const Wait& wait = {}, std::size_t max = 64 * 1024);

    // Completes when all bytes are in the send buffer (1 MiB), so a slow peer slows the writer. Writes keep their order.
    // Errors: stream_reset, stream_closed (after close_write), link_lost; cancelled, timeout: a part may have been sent.
    void async_write(Bytes data, Function<void(Status)> done, const std::stop_token& stop = {});
    Status write(ByteView data, const Wait& wait = {});

    void close_write();  // half-close: the peer reads the end after the last byte; reading goes on
    void reset();        // both directions at once; unsent data is dropped
    void cancel();       // ends waiting reads and writes with `cancelled`; the stream stays

    class Impl;
    explicit Stream(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace v0
}  // namespace kith
