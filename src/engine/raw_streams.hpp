// SPDX-License-Identifier: Apache-2.0
// Streams of the user's own protocols: an adapter from the handler contract to buffers and outputs.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/types.hpp"
#include "protocol/handler.hpp"

namespace kith::engine {

class RawStreams final : public protocol::Handler {
public:
    explicit RawStreams(std::vector<StreamOutput>& out) : out_(out) {}

    // ---- the user's side
    void open(const PeerId& peer, std::string_view protocol, OpId op, protocol::Actions& out);
    // Nobody waits for the stream that `op` opens any more.
    void cancel(OpId op);
    // Appends to the send buffer; StreamDrained tells when it gets shorter. The caller bounds what it gives.
    void write(StreamRef stream, ByteView bytes, protocol::Actions& out);
    void close_write(StreamRef stream, protocol::Actions& out);
    void reset(StreamRef stream, protocol::Actions& out);
    void consumed(StreamRef stream, std::size_t bytes, protocol::Actions& out);

    // ---- the engine's side
    void opened(const protocol::StreamInfo& stream, Instant now, protocol::Actions& out) override;
    void open_failed(const PeerId& peer, std::uint64_t cookie, const Error& error, Instant now, protocol::Actions& out) override;
    std::size_t received(StreamRef stream, ByteView bytes, Instant now, protocol::Actions& out) override;
    void finished(StreamRef stream, Instant now, protocol::Actions& out) override;
    void closed(StreamRef stream, const protocol::StreamEnd& end, Instant now, protocol::Actions& out) override;
    Pulled pull(StreamRef stream, MutableBytes out, Instant now) override;

    std::size_t size() const noexcept { return streams_.size(); }

private:
    struct Stream {
        Bytes buffer;
        std::size_t sent = 0;
        bool fin = false;
        bool fin_sent = false;
    };
    std::vector<StreamOutput>& out_;  // the engine's outputs
    std::unordered_map<StreamRef, Stream> streams_;
    std::unordered_set<std::uint64_t> opening_;  // operations that wait for the peer's answer
};

}  // namespace kith::engine
