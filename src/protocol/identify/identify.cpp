// SPDX-License-Identifier: Apache-2.0
#include "protocol/identify/identify.hpp"

#include <algorithm>
#include <cstring>

namespace kith::protocol {
namespace {

constexpr std::string_view protocol_version = "ipfs/0.1.0";  // what every implementation says

}  // namespace

bool Identify::set(std::vector<Multiaddr> addresses, std::vector<std::string> protocols) {
    std::sort(protocols.begin(), protocols.end());
    const bool differs = addresses != addresses_ || protocols != protocols_;
    addresses_ = std::move(addresses);
    protocols_ = std::move(protocols);
    return differs;
}

Bytes Identify::message_for(const Link& link) const {
    wire::Identify info;
    info.public_key = public_key_;
    info.listen_addrs = addresses_;
    info.protocols = protocols_;
    info.observed = link.remote;
    info.protocol_version = protocol_version;
    info.agent_version = agent_;
    return wire::encode_identify(info);
}

void Identify::push(Actions& out) {
    for (const auto& [number, link] : links_) {
        if (link.takes_pushes)
            out.push_back(OpenStream{.peer = link.peer, .link = number, .protocol = std::string{push_id}, .cookie = 2, .lazy = true});
    }
}

void Identify::link_up(const LinkInfo& link, Instant, Actions& out) {
    auto& entry = links_[link.link];
    entry.peer = link.peer;
    entry.remote = link.remote;
    entry.remote_key.assign(link.remote_key.begin(), link.remote_key.end());
    out.push_back(OpenStream{.peer = link.peer, .link = link.link, .protocol = std::string{id}, .cookie = 1, .lazy = true});
}

void Identify::link_down(const LinkInfo& link, Instant, Actions&) { links_.erase(link.link); }

void Identify::opened(const StreamInfo& info, Instant now, Actions& out) {
    const auto link = links_.find(info.ref.link);
    if (link == links_.end()) {
        out.push_back(ResetStream{info.ref});
        return;
    }
    const bool push = info.protocol == push_id;
    const bool inbound = info.direction == Direction::inbound;
    if (push && inbound) {
        auto& entry = link->second;
        const auto passed = std::chrono::duration<double>(now - entry.pushed_at).count();
        entry.pushes = std::max(0.0, entry.pushes - passed * pushes_per_second);
        entry.pushed_at = now;
        if (entry.pushes + 1 > push_burst) {
            out.push_back(ResetStream{info.ref});
            return;
        }
        entry.pushes += 1;
    }
    auto& stream = streams_[info.ref];
    stream.kind = push == inbound ? Kind::asking : Kind::telling;
    stream.key = ++last_key_;
    keys_[stream.key] = info.ref;
    out.push_back(SetTimer{stream.key, now + patience});
    if (stream.kind == Kind::telling) {
        stream.message = message_for(link->second);
        stream.fin = true;
        out.push_back(WantWrite{info.ref});
    }
}

void Identify::open_failed(const PeerId&, std::uint64_t, const Error&, Instant, Actions&) {}

std::size_t Identify::received(StreamRef ref, ByteView bytes, Instant, Actions& out) {
    const auto it = streams_.find(ref);
    if (it == streams_.end() || it->second.kind != Kind::asking) return bytes.size();
    if (!it->second.reader.feed(bytes)) {
        drop(ref, out);
        out.push_back(ResetStream{ref});
    }
    return bytes.size();
}

void Identify::finished(StreamRef ref, Instant, Actions& out) {
    const auto it = streams_.find(ref);
    if (it == streams_.end() || it->second.kind != Kind::asking) return;
    auto& stream = it->second;
    stream.fin = true;
    out.push_back(WantWrite{ref});
    auto info = stream.reader.finish();
    const auto link = links_.find(ref.link);
    if (!info || link == links_.end()) return;
    // A key that is not the one proved on this link belongs to somebody else: believe nothing of it.
    if (!info->public_key.empty() && info->public_key != link->second.remote_key) return;
    if (!info->protocols.empty()) {  // a push may hold only what changed
        link->second.takes_pushes = std::find(info->protocols.begin(), info->protocols.end(), push_id) != info->protocols.end();
    }
    out.push_back(Identified{ref.link, std::move(*info)});
}

void Identify::drop(StreamRef ref, Actions& out) {
    const auto it = streams_.find(ref);
    if (it == streams_.end()) return;
    out.push_back(ClearTimer{it->second.key});
    keys_.erase(it->second.key);
    streams_.erase(it);
}

void Identify::closed(StreamRef ref, const StreamEnd&, Instant, Actions& out) { drop(ref, out); }

Identify::Pulled Identify::pull(StreamRef ref, MutableBytes room, Instant) {
    const auto it = streams_.find(ref);
    if (it == streams_.end()) return {};
    auto& stream = it->second;
    const auto n = std::min(room.size(), stream.message.size() - stream.sent);
    if (n != 0) std::memcpy(room.data(), stream.message.data() + stream.sent, n);
    stream.sent += n;
    const bool more = stream.sent < stream.message.size();
    const bool fin = stream.fin && !more && !stream.fin_sent;
    stream.fin_sent = stream.fin_sent || fin;
    return {n, fin, more};
}

void Identify::timer(std::uint64_t key, Instant, Actions& out) {
    const auto it = keys_.find(key);
    if (it == keys_.end()) return;
    const auto ref = it->second;
    drop(ref, out);
    out.push_back(ResetStream{ref});
}

}  // namespace kith::protocol
