// SPDX-License-Identifier: Apache-2.0
#include "engine/raw_streams.hpp"

#include <algorithm>
#include <cstring>

namespace kith::engine {

void RawStreams::open(const PeerId& peer, std::string_view protocol, OpId op, protocol::Actions& out) {
    opening_.insert(op.value);
    // Not lazy: the caller learns whether the peer speaks the protocol before it writes.
    out.push_back(protocol::OpenStream{.peer = peer, .link = {}, .protocol = std::string{protocol}, .cookie = op.value, .lazy = false});
}

void RawStreams::cancel(OpId op) { opening_.erase(op.value); }

void RawStreams::opened(const protocol::StreamInfo& stream, Instant, protocol::Actions& out) {
    if (stream.direction == Direction::outbound && opening_.erase(stream.cookie) == 0) {
        out.push_back(protocol::ResetStream{stream.ref});
        return;
    }
    streams_[stream.ref] = {};
    out_.emplace_back(StreamOpened{OpId{stream.cookie}, stream.ref, stream.peer, std::string{stream.protocol}});
}

void RawStreams::open_failed(const PeerId&, std::uint64_t cookie, const Error& error, Instant, protocol::Actions& out) {
    if (opening_.erase(cookie) != 0) out.push_back(protocol::Complete{OpId{cookie}, error});
}

void RawStreams::write(StreamRef ref, ByteView bytes, protocol::Actions& out) {
    const auto it = streams_.find(ref);
    if (it == streams_.end() || it->second.fin) return;
    auto& stream = it->second;
    if (stream.sent == stream.buffer.size()) {
        stream.buffer.clear();
        stream.sent = 0;
    } else if (stream.sent > 256 * 1024) {
        stream.buffer.erase(stream.buffer.begin(), stream.buffer.begin() + static_cast<std::ptrdiff_t>(stream.sent));
        stream.sent = 0;
    }
    stream.buffer.insert(stream.buffer.end(), bytes.begin(), bytes.end());
    out.push_back(protocol::WantWrite{ref});
}

void RawStreams::close_write(StreamRef ref, protocol::Actions& out) {
    const auto it = streams_.find(ref);
    if (it == streams_.end() || it->second.fin) return;
    it->second.fin = true;
    out.push_back(protocol::WantWrite{ref});
}

void RawStreams::reset(StreamRef ref, protocol::Actions& out) {
    if (streams_.erase(ref) != 0) out.push_back(protocol::ResetStream{ref});
}

void RawStreams::consumed(StreamRef ref, std::size_t bytes, protocol::Actions& out) {
    if (streams_.contains(ref)) out.push_back(protocol::Consumed{ref, bytes});
}

// Nothing is consumed here: the window comes back when the user has read, which bounds what waits for him.
std::size_t RawStreams::received(StreamRef ref, ByteView bytes, Instant, protocol::Actions&) {
    out_.emplace_back(StreamData{ref, Bytes(bytes.begin(), bytes.end())});
    return 0;
}

void RawStreams::finished(StreamRef ref, Instant, protocol::Actions&) { out_.emplace_back(StreamFinished{ref}); }

void RawStreams::closed(StreamRef ref, const protocol::StreamEnd& end, Instant, protocol::Actions&) {
    if (streams_.erase(ref) == 0) return;
    out_.emplace_back(StreamClosed{ref, end.kind == protocol::StreamEnd::Kind::finished ? Error{Errc::stream_closed} : end.error});
}

RawStreams::Pulled RawStreams::pull(StreamRef ref, MutableBytes room, Instant) {
    const auto it = streams_.find(ref);
    if (it == streams_.end()) return {};
    auto& stream = it->second;
    const auto n = std::min(room.size(), stream.buffer.size() - stream.sent);
    if (n != 0) std::memcpy(room.data(), stream.buffer.data() + stream.sent, n);
    stream.sent += n;
    const auto left = stream.buffer.size() - stream.sent;
    const bool fin = stream.fin && left == 0 && !stream.fin_sent;
    if (fin) stream.fin_sent = true;
    if (n != 0) out_.emplace_back(StreamDrained{ref, n});
    return {n, fin, left != 0};
}

}  // namespace kith::engine
