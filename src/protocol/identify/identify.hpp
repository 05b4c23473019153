// SPDX-License-Identifier: Apache-2.0
// /ipfs/id/1.0.0 and /ipfs/id/push/1.0.0: who the peer is, what it speaks, where it listens. Both ways right after a link is up.
// Spec: github.com/libp2p/specs, identify/README.md.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "protocol/handler.hpp"
#include "wire/identify.hpp"

namespace kith::protocol {

class Identify final : public Handler {
public:
    static constexpr std::string_view id = "/ipfs/id/1.0.0";
    static constexpr std::string_view push_id = "/ipfs/id/push/1.0.0";
    static constexpr Duration patience = std::chrono::seconds{5};
    static constexpr double pushes_per_second = 1;  // of one link, that are listened to; more are reset
    static constexpr double push_burst = 10;

    Identify(Bytes public_key, std::string agent) : agent_(std::move(agent)), public_key_(std::move(public_key)) {}

    // What we tell. True when it differs from before: then push().
    bool set(std::vector<Multiaddr> addresses, std::vector<std::string> protocols);
    // Tells every link of which it is known that it listens to pushes. The caller spaces the calls (a second or more).
    void push(Actions& out);

    void link_up(const LinkInfo& link, Instant now, Actions& out) override;
    void link_down(const LinkInfo& link, Instant now, Actions& out) override;
    void opened(const StreamInfo& stream, Instant now, Actions& out) override;
    void open_failed(const PeerId& peer, std::uint64_t cookie, const Error& error, Instant now, Actions& out) override;
    std::size_t received(StreamRef stream, ByteView bytes, Instant now, Actions& out) override;
    void finished(StreamRef stream, Instant now, Actions& out) override;
    void closed(StreamRef stream, const StreamEnd& end, Instant now, Actions& out) override;
    Pulled pull(StreamRef stream, MutableBytes out, Instant now) override;
    void timer(std::uint64_t key, Instant now, Actions& out) override;

    std::size_t streams() const noexcept { return streams_.size(); }

private:
    enum class Kind : std::uint8_t { asking, telling };
    struct Stream {
        Kind kind = Kind::asking;
        std::uint64_t key = 0;
        wire::IdentifyReader reader;
        Bytes message;
        std::size_t sent = 0;
        bool fin = false;
        bool fin_sent = false;
    };
    struct Link {
        PeerId peer;
        Multiaddr remote;
        Bytes remote_key;
        bool takes_pushes = false;
        double pushes = 0;  // token bucket
        Instant pushed_at{};
    };
    Bytes message_for(const Link& link) const;
    void drop(StreamRef stream, Actions& out);

    std::string agent_;
    Bytes public_key_;
    std::vector<Multiaddr> addresses_;
    std::vector<std::string> protocols_;
    std::unordered_map<LinkId, Link> links_;
    std::unordered_map<StreamRef, Stream> streams_;
    std::unordered_map<std::uint64_t, StreamRef> keys_;
    std::uint64_t last_key_ = 0;
};

}  // namespace kith::protocol
