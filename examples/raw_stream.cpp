// SPDX-License-Identifier: Apache-2.0
// A libp2p protocol of one's own on raw streams: the peer sends a text, ends its side, and gets it back in upper case.
// Any libp2p implementation can be the other side.
#include <cctype>
#include <iostream>
#include <kith/kith.hpp>
#include <memory>
#include <string>
#include <utility>

namespace {

constexpr std::string_view protocol = "/example/upper/1.0.0";
constexpr std::size_t max_text = 1U << 20U;  // what a stranger may make us keep

kith::Config on_loopback() {
    kith::Config config;
    config.lan = false;
    config.listen = {"/ip4/127.0.0.1/tcp/0"};
    return config;
}

// Handlers run on the node's callback thread and must not block there: read step by step. The object lives as long as a
// read or write is under way, because the callbacks hold it.
class Upper : public std::enable_shared_from_this<Upper> {
public:
    explicit Upper(kith::Stream stream) : stream_(std::move(stream)) {}

    void read() {
        stream_.async_read([self = shared_from_this()](kith::Result<kith::Bytes> got) {
            if (!got) return;  // reset, or the link is gone: nobody to answer
            if (got->empty()) return self->answer();
            self->text_.insert(self->text_.end(), got->begin(), got->end());
            if (self->text_.size() > max_text) return self->stream_.reset();
            self->read();
        });
    }

private:
    void answer() {
        for (auto& byte : text_) byte = static_cast<std::uint8_t>(std::toupper(byte));
        stream_.async_write(std::move(text_), [self = shared_from_this()](const kith::Status& ok) {
            if (ok) self->stream_.close_write();
        });
    }

    kith::Stream stream_;
    kith::Bytes text_;
};

int failed(const kith::Error& error) {
    std::cerr << error << "\n";
    return 1;
}

}  // namespace

int main() {
    kith::Node server{on_loopback()};
    server.handle_protocol(protocol, [](kith::Stream stream) { std::make_shared<Upper>(std::move(stream))->read(); });
    kith::Node client{on_loopback()};
    if (auto ok = server.start(); !ok) return failed(ok.error());
    if (auto ok = client.start(); !ok) return failed(ok.error());
    const auto peer = client.connect(server.addresses().front());
    if (!peer) return failed(peer.error());

    auto stream = client.open_stream(*peer, protocol);
    if (!stream) return failed(stream.error());
    if (auto ok = stream->write(kith::as_bytes("streams go both ways")); !ok) return failed(ok.error());
    stream->close_write();
    std::string answer;
    while (true) {
        auto some = stream->read();
        if (!some) return failed(some.error());
        if (some->empty()) break;
        answer += kith::as_text(*some);
    }
    std::cout << answer << "\n";
    return answer == "STREAMS GO BOTH WAYS" ? 0 : 1;
}
