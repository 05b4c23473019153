// SPDX-License-Identifier: Apache-2.0
// /perf/1.0.0: the client names how many bytes it wants back, uploads, half-closes; the server then sends that many.
// Spec: github.com/libp2p/specs, perf/perf.md.
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>

#include "protocol/handler.hpp"

namespace kith::protocol {

class Perf final : public Handler {
public:
    static constexpr std::string_view id = "/perf/1.0.0";

    // Completes with {uploaded, downloaded, upload ns, download ns}. The upload ends when the peer answers (its first byte, or
    // its end); one run per peer at a time makes sense, more are allowed.
    void run(const PeerId& peer, std::uint64_t upload, std::uint64_t download, OpId op, Instant now, Actions& out);

    // Nobody waits for `op` any more: its stream is reset and no Complete comes.
    void cancel(OpId op, Actions& out);

    void opened(const StreamInfo& stream, Instant now, Actions& out) override;
    void open_failed(const PeerId& peer, std::uint64_t cookie, const Error& error, Instant now, Actions& out) override;
    std::size_t received(StreamRef stream, ByteView bytes, Instant now, Actions& out) override;
    void finished(StreamRef stream, Instant now, Actions& out) override;
    void closed(StreamRef stream, const StreamEnd& end, Instant now, Actions& out) override;
    Pulled pull(StreamRef stream, MutableBytes out, Instant now) override;

    std::size_t streams() const noexcept { return clients_.size() + servers_.size(); }

private:
    struct Client {
        OpId op;
        std::uint64_t upload = 0;
        std::uint64_t download = 0;
        std::uint64_t sent = 0;  // of 8 + upload
        std::uint64_t got = 0;
        Instant start{};
        Instant answered{};
        bool answering = false;
        bool fin_sent = false;
    };
    struct Server {
        std::array<std::uint8_t, 8> head{};
        std::size_t head_size = 0;
        std::uint64_t left = 0;
        bool sending = false;
        bool fin_sent = false;
    };
    void complete(StreamRef stream, Instant now, Actions& out);

    std::unordered_map<std::uint64_t, Client> opening_;  // by cookie
    std::unordered_map<StreamRef, Client> clients_;
    std::unordered_map<StreamRef, Server> servers_;
    std::uint64_t last_cookie_ = 0;
};

}  // namespace kith::protocol
