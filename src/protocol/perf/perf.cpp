// SPDX-License-Identifier: Apache-2.0
#include "protocol/perf/perf.hpp"

#include <algorithm>
#include <cstring>

namespace kith::protocol {
namespace {

std::array<std::uint8_t, 8> big_endian(std::uint64_t value) {
    std::array<std::uint8_t, 8> out{};
    for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<std::uint8_t>(value >> (56 - 8 * i));
    return out;
}

}  // namespace

void Perf::run(const PeerId& peer, std::uint64_t upload, std::uint64_t download, OpId op, Instant now, Actions& out) {
    const auto cookie = ++last_cookie_;
    Client client;
    client.op = op;
    client.upload = upload;
    client.download = download;
    client.start = now;
    opening_[cookie] = client;
    out.push_back(OpenStream{.peer = peer, .link = {}, .protocol = std::string{id}, .cookie = cookie, .lazy = false});
}

void Perf::cancel(OpId op, Actions& out) {
    // A stream that is still being opened is reset by opened().
    std::erase_if(opening_, [op](const auto& item) { return item.second.op == op; });
    const auto it = std::find_if(clients_.begin(), clients_.end(), [op](const auto& item) { return item.second.op == op; });
    if (it == clients_.end()) return;
    out.push_back(ResetStream{it->first});
    clients_.erase(it);
}

void Perf::opened(const StreamInfo& stream, Instant now, Actions& out) {
    if (stream.direction == Direction::inbound) {
        servers_[stream.ref] = {};
        return;
    }
    const auto it = opening_.find(stream.cookie);
    if (it == opening_.end()) {
        out.push_back(ResetStream{stream.ref});
        return;
    }
    it->second.start = now;
    clients_[stream.ref] = it->second;
    opening_.erase(it);
    out.push_back(WantWrite{stream.ref});
}

void Perf::open_failed(const PeerId&, std::uint64_t cookie, const Error& error, Instant, Actions& out) {
    const auto it = opening_.find(cookie);
    if (it == opening_.end()) return;
    out.push_back(Complete{it->second.op, error});
    opening_.erase(it);
}

std::size_t Perf::received(StreamRef stream, ByteView bytes, Instant now, Actions& out) {
    if (const auto it = clients_.find(stream); it != clients_.end()) {
        auto& client = it->second;
        if (!client.answering) {
            client.answering = true;
            client.answered = now;
        }
        client.got += bytes.size();
        if (client.got > client.download) {
            out.push_back(ResetStream{stream});
            out.push_back(Complete{client.op, Error{Errc::protocol_error, "the peer sent more than was asked for"}});
            clients_.erase(it);
        }
        return bytes.size();
    }
    if (const auto it = servers_.find(stream); it != servers_.end() && it->second.head_size < 8) {
        auto& server = it->second;
        const auto n = std::min(bytes.size(), 8 - server.head_size);
        std::memcpy(server.head.data() + server.head_size, bytes.data(), n);
        server.head_size += n;
    }
    return bytes.size();
}

void Perf::finished(StreamRef stream, Instant now, Actions& out) {
    if (clients_.contains(stream)) {
        complete(stream, now, out);
        return;
    }
    const auto it = servers_.find(stream);
    if (it == servers_.end()) return;
    auto& server = it->second;
    if (server.head_size < 8) {
        out.push_back(ResetStream{stream});
        servers_.erase(it);
        return;
    }
    for (const auto b : server.head) server.left = (server.left << 8) | b;
    server.sending = true;
    out.push_back(WantWrite{stream});
}

void Perf::complete(StreamRef stream, Instant now, Actions& out) {
    const auto it = clients_.find(stream);
    if (it == clients_.end()) return;
    auto& client = it->second;
    if (!client.answering) client.answered = now;
    const auto ns = [](Duration d) { return static_cast<std::uint64_t>(std::max<std::int64_t>(0, d.count())); };
    if (client.got != client.download || client.sent != 8 + client.upload) {
        out.push_back(Complete{client.op, Error{Errc::protocol_error, "the peer ended the run too early"}});
    } else {
        out.push_back(Complete{client.op, std::vector<std::uint64_t>{client.upload, client.got, ns(client.answered - client.start),
                                                                     ns(now - client.answered)}});
    }
    const bool open = !client.fin_sent;
    clients_.erase(it);
    if (open) out.push_back(ResetStream{stream});
}

void Perf::closed(StreamRef stream, const StreamEnd& end, Instant now, Actions& out) {
    servers_.erase(stream);
    const auto it = clients_.find(stream);
    if (it == clients_.end()) return;
    if (end.kind == StreamEnd::Kind::finished) {
        complete(stream, now, out);
        return;
    }
    out.push_back(Complete{it->second.op, end.error});
    clients_.erase(it);
}

Perf::Pulled Perf::pull(StreamRef stream, MutableBytes room, Instant) {
    if (const auto it = clients_.find(stream); it != clients_.end()) {
        auto& client = it->second;
        std::size_t n = 0;
        if (client.sent < 8) {  // js reads the number from the first chunk: all of it goes into one frame
            if (room.size() < 8) return {0, false, true};
            const auto head = big_endian(client.download);
            std::memcpy(room.data(), head.data(), 8);
            n = 8;
        }
        const auto data = static_cast<std::size_t>(std::min<std::uint64_t>(room.size() - n, 8 + client.upload - client.sent - n));
        std::memset(room.data() + n, 0, data);
        n += data;
        client.sent += n;
        const bool done = client.sent == 8 + client.upload;
        client.fin_sent = client.fin_sent || done;
        return {n, done, !done};
    }
    const auto it = servers_.find(stream);
    if (it == servers_.end() || !it->second.sending || it->second.fin_sent) return {};
    auto& server = it->second;
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(room.size(), server.left));
    std::memset(room.data(), 0, n);
    server.left -= n;
    server.fin_sent = server.left == 0;
    return {n, server.fin_sent, !server.fin_sent};
}

}  // namespace kith::protocol
