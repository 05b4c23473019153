// SPDX-License-Identifier: Apache-2.0
// /ipfs/ping/1.0.0: 32 random bytes that the other side echoes. One stream a peer, kept for the next ping.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <unordered_map>

#include "crypto/drbg.hpp"
#include "protocol/handler.hpp"

namespace kith::protocol {

class Ping final : public Handler {
public:
    static constexpr std::string_view id = "/ipfs/ping/1.0.0";
    static constexpr std::size_t size = 32;
    static constexpr Duration patience = std::chrono::seconds{10};  // for one answer
    static constexpr Duration idle = std::chrono::seconds{10};      // then our stream is closed
    static constexpr std::size_t max_waiting = 1024;                // operations of one peer

    explicit Ping(crypto::Secret32 seed) : random_(std::move(seed)) {}

    // Completes with the round trip as Duration, or an Error (timeout, protocol_error, not_supported, limit_exceeded ...).
    void ping(const PeerId& peer, OpId op, Instant now, Actions& out);

    // Nobody waits for `op` any more: no Complete comes for it. The stream goes too, unless others wait on it.
    void cancel(OpId op, Actions& out);

    void opened(const StreamInfo& stream, Instant now, Actions& out) override;
    void open_failed(const PeerId& peer, std::uint64_t cookie, const Error& error, Instant now, Actions& out) override;
    std::size_t received(StreamRef stream, ByteView bytes, Instant now, Actions& out) override;
    void finished(StreamRef stream, Instant now, Actions& out) override;
    void closed(StreamRef stream, const StreamEnd& end, Instant now, Actions& out) override;
    Pulled pull(StreamRef stream, MutableBytes out, Instant now) override;
    void timer(std::uint64_t key, Instant now, Actions& out) override;

    std::size_t streams() const noexcept { return asking_.size() + answering_.size(); }

private:
    // Our stream to a peer: opening -> (asking <-> idle) -> gone
    struct Asking {
        PeerId peer;
        std::uint64_t key = 0;
        StreamRef stream{};
        std::deque<OpId> waiting;  // the first one is on its way when `sent`
        std::array<std::uint8_t, size> bytes{};
        std::size_t written = 0;
        std::size_t matched = 0;
        bool sent = false;
        bool closing = false;
        Instant since{};
    };
    struct Answering {
        std::array<std::uint8_t, size> bytes{};
        std::size_t held = 0;      // of the ping being read
        std::size_t to_write = 0;  // of `bytes`, when it is complete
        bool fin = false;
    };
    void next(Asking& asking, Instant now, Actions& out);
    void fail(const PeerId& peer, const Error& error, Actions& out);

    crypto::Drbg random_;
    std::unordered_map<PeerId, Asking> asking_;
    std::unordered_map<StreamRef, PeerId> ours_;
    std::unordered_map<std::uint64_t, PeerId> keys_;
    std::unordered_map<StreamRef, Answering> answering_;
    std::uint64_t last_key_ = 0;
};

}  // namespace kith::protocol
