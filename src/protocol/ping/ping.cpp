// SPDX-License-Identifier: Apache-2.0
#include "protocol/ping/ping.hpp"

#include <algorithm>
#include <cstring>

namespace kith::protocol {

void Ping::ping(const PeerId& peer, OpId op, Instant now, Actions& out) {
    auto it = asking_.find(peer);
    if (it == asking_.end()) {
        it = asking_.emplace(peer, Asking{}).first;
        it->second.peer = peer;
        it->second.key = ++last_key_;
        keys_[it->second.key] = peer;
        it->second.waiting.push_back(op);
        out.push_back(OpenStream{.peer = peer, .link = {}, .protocol = std::string{id}, .cookie = it->second.key, .lazy = true});
        return;
    }
    auto& asking = it->second;
    if (asking.waiting.size() >= max_waiting) {
        out.push_back(Complete{op, Error{Errc::limit_exceeded, "too many pings wait"}});
        return;
    }
    asking.waiting.push_back(op);
    if (asking.stream && !asking.sent && !asking.closing) next(asking, now, out);
}

void Ping::next(Asking& asking, Instant now, Actions& out) {
    if (asking.waiting.empty()) {
        out.push_back(SetTimer{asking.key, now + idle});
        return;
    }
    random_.fill(asking.bytes);
    asking.written = 0;
    asking.matched = 0;
    asking.sent = true;
    asking.since = now;
    out.push_back(SetTimer{asking.key, now + patience});
    out.push_back(WantWrite{asking.stream});
}

void Ping::fail(const PeerId& peer, const Error& error, Actions& out) {
    const auto it = asking_.find(peer);
    if (it == asking_.end()) return;
    auto asking = std::move(it->second);
    asking_.erase(it);
    keys_.erase(asking.key);
    ours_.erase(asking.stream);
    out.push_back(ClearTimer{asking.key});
    for (const auto op : asking.waiting) {
        if (op) out.push_back(Complete{op, error});
    }
}

void Ping::cancel(OpId op, Actions& out) {
    for (auto& [peer, asking] : asking_) {
        const auto it = std::find(asking.waiting.begin(), asking.waiting.end(), op);
        if (it == asking.waiting.end()) continue;
        // The echo of a ping that is on its way comes all the same: nobody takes its place before.
        if (asking.sent && it == asking.waiting.begin() && asking.waiting.size() > 1) {
            *it = OpId{};
            return;
        }
        asking.waiting.erase(it);
        const bool wanted =
            std::any_of(asking.waiting.begin(), asking.waiting.end(), [](OpId waiting) { return static_cast<bool>(waiting); });
        if (wanted || (!asking.sent && asking.stream)) return;
        const auto stream = asking.stream;
        asking.waiting.clear();
        fail(PeerId{peer}, Errc::cancelled, out);
        if (stream) out.push_back(ResetStream{stream});
        return;
    }
}

void Ping::opened(const StreamInfo& stream, Instant now, Actions& out) {
    if (stream.direction == Direction::inbound) {
        answering_[stream.ref] = {};
        return;
    }
    const auto it = asking_.find(stream.peer);
    if (it == asking_.end() || it->second.key != stream.cookie) {
        out.push_back(ResetStream{stream.ref});
        return;
    }
    it->second.stream = stream.ref;
    ours_[stream.ref] = stream.peer;
    next(it->second, now, out);
}

void Ping::open_failed(const PeerId& peer, std::uint64_t, const Error& error, Instant, Actions& out) { fail(peer, error, out); }

std::size_t Ping::received(StreamRef stream, ByteView bytes, Instant now, Actions& out) {
    if (const auto ours = ours_.find(stream); ours != ours_.end()) {
        auto& asking = asking_[ours->second];
        const auto expected = ByteView{asking.bytes}.subspan(asking.matched);
        if (!asking.sent || bytes.size() > expected.size() || !std::equal(bytes.begin(), bytes.end(), expected.begin())) {
            out.push_back(ResetStream{stream});
            fail(PeerId{ours->second}, {Errc::protocol_error, "the answer to a ping differs from what was sent"}, out);
            return bytes.size();
        }
        asking.matched += bytes.size();
        if (asking.matched == size) {
            if (asking.waiting.front()) out.push_back(Complete{asking.waiting.front(), now - asking.since});
            asking.waiting.pop_front();
            asking.sent = false;
            next(asking, now, out);
        }
        return bytes.size();
    }
    const auto it = answering_.find(stream);
    if (it == answering_.end()) return bytes.size();
    auto& answering = it->second;
    // One ping is held at a time: what comes before its echo is written waits in the window.
    const auto n = std::min(bytes.size(), size - answering.held);
    std::memcpy(answering.bytes.data() + answering.held, bytes.data(), n);
    answering.held += n;
    if (n < bytes.size()) {
        out.push_back(ResetStream{stream});
        answering_.erase(it);
        return bytes.size();
    }
    if (answering.held == size) {
        answering.to_write = size;
        out.push_back(WantWrite{stream});
    }
    return n;
}

void Ping::finished(StreamRef stream, Instant, Actions& out) {
    if (const auto ours = ours_.find(stream); ours != ours_.end()) {
        out.push_back(ResetStream{stream});
        fail(PeerId{ours->second}, {Errc::stream_closed, "the peer closed the ping stream"}, out);
        return;
    }
    if (const auto it = answering_.find(stream); it != answering_.end()) {
        it->second.fin = true;
        out.push_back(WantWrite{stream});
    }
}

void Ping::closed(StreamRef stream, const StreamEnd& end, Instant, Actions& out) {
    answering_.erase(stream);
    if (const auto ours = ours_.find(stream); ours != ours_.end()) {
        fail(PeerId{ours->second}, end.kind == StreamEnd::Kind::finished ? Error{Errc::stream_closed} : end.error, out);
    }
}

Ping::Pulled Ping::pull(StreamRef stream, MutableBytes room, Instant now) {
    if (const auto ours = ours_.find(stream); ours != ours_.end()) {
        auto& asking = asking_[ours->second];
        if (asking.closing) return {0, true, false};
        if (!asking.sent) return {};
        if (asking.written == 0) asking.since = now;
        const auto n = std::min(room.size(), size - asking.written);
        std::memcpy(room.data(), asking.bytes.data() + asking.written, n);
        asking.written += n;
        return {n, false, asking.written < size};
    }
    const auto it = answering_.find(stream);
    if (it == answering_.end()) return {};
    auto& answering = it->second;
    const auto n = std::min(room.size(), answering.to_write);
    std::memcpy(room.data(), answering.bytes.data() + (size - answering.to_write), n);
    if (answering.to_write != 0 && n == answering.to_write) answering.held = 0;
    answering.to_write -= n;
    return {n, answering.fin && answering.to_write == 0, answering.to_write != 0};
}

void Ping::timer(std::uint64_t key, Instant, Actions& out) {
    const auto it = keys_.find(key);
    if (it == keys_.end()) return;
    const auto peer = it->second;
    auto& asking = asking_[peer];
    if (asking.sent) {
        out.push_back(ResetStream{asking.stream});
        fail(peer, {Errc::timeout, "the peer did not answer a ping in time"}, out);
    } else if (asking.waiting.empty()) {
        const auto stream = asking.stream;
        fail(peer, Errc::cancelled, out);  // nobody waits
        out.push_back(ResetStream{stream});
    }
}

}  // namespace kith::protocol
