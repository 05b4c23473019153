// SPDX-License-Identifier: Apache-2.0
// Lines over TCP on a kith::EventLoop, for the examples: a buffered connection, a listener, and a table that owns connections.
// POSIX sockets, IPv4 loopback.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kith/event_loop.hpp"

namespace example {

// What happens to a peer that does not read as fast as we write.
enum class SlowPolicy : std::uint8_t { drop, disconnect };

struct LineOptions {
    std::size_t max_line = 64 * 1024;       // a longer one ends the connection
    std::size_t max_buffered = 256 * 1024;  // bytes that wait for the peer
    SlowPolicy slow = SlowPolicy::disconnect;
    kith::Duration idle{};  // without a byte from the peer for so long ends the connection; 0: never
};

enum class Closed : std::uint8_t { by_peer, too_slow, idle, line_too_long, error };

// Owns one connected socket. `on_line` may stop() the connection, `on_closed` may destroy it.
class LineConnection {
public:
    LineConnection(kith::EventLoop& loop, int fd, const LineOptions& options) : loop_(loop), options_(options), fd_(fd) {}
    LineConnection(const LineConnection&) = delete;
    LineConnection& operator=(const LineConnection&) = delete;
    ~LineConnection() { stop(); }

    bool start(kith::Function<void(std::string_view)> on_line, kith::Function<void(Closed)> on_closed) {
        on_line_ = std::move(on_line);
        on_closed_ = std::move(on_closed);
        auto watch = loop_.watch(fd_, {.readable = true}, [this](kith::Ready ready) { handle(ready); });
        if (!watch) return false;
        watch_ = *watch;
        last_heard_ = loop_.now();
        if (options_.idle > kith::Duration::zero()) arm_idle(options_.idle);
        return true;
    }

    // Text that ends with a newline. False: dropped, because too much waits already (and counted).
    bool send(std::string_view text) {
        if (fd_ < 0) return false;
        if (out_.size() - sent_ + text.size() > options_.max_buffered) {
            ++dropped_;
            // Not from here: the caller may be walking through its connections.
            if (options_.slow == SlowPolicy::disconnect) close_later(Closed::too_slow);
            return false;
        }
        const bool idle = out_.empty();
        out_.append(text);
        // One call to the system per turn, however many lines there are.
        if (idle) (void)loop_.modify(watch_, {.readable = true, .writable = true});
        return true;
    }

    // Closes the socket and tells nobody.
    void stop() {
        if (fd_ < 0) return;
        loop_.unwatch(watch_);
        loop_.cancel(timer_);
        ::close(std::exchange(fd_, -1));
    }

    std::size_t buffered() const { return out_.size() - sent_; }
    std::size_t dropped() const { return dropped_; }
    int fd() const { return fd_; }

private:
    void handle(kith::Ready ready) {
        if (ready.writable && !flush()) return;
        if (ready.readable || ready.error || ready.hangup) read();
    }

    void read() {
        static thread_local std::array<char, 64 * 1024> room;
        const auto n = ::recv(fd_, room.data(), room.size(), 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n <= 0) return close(n == 0 ? Closed::by_peer : Closed::error);
        last_heard_ = loop_.now();
        std::string_view text{room.data(), static_cast<std::size_t>(n)};
        while (!text.empty()) {
            const auto end = text.find('\n');
            const auto part = text.substr(0, end);
            if (in_.size() + part.size() > options_.max_line) return close(Closed::line_too_long);
            if (end == std::string_view::npos) {
                in_.append(part);
                return;
            }
            if (in_.empty()) {
                on_line_(part);
            } else {
                in_.append(part);
                const auto line = std::exchange(in_, {});
                on_line_(line);
            }
            if (fd_ < 0) return;
            text.remove_prefix(end + 1);
        }
    }

    bool flush() {
        while (sent_ < out_.size()) {
            const auto n = ::send(fd_, out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0 && errno == EAGAIN) break;
            if (n < 0) return close(Closed::error), false;
            sent_ += static_cast<std::size_t>(n);
        }
        if (sent_ == out_.size()) {
            out_.clear();
            sent_ = 0;
            (void)loop_.modify(watch_, {.readable = true});
        } else if (sent_ > options_.max_buffered / 2) {
            out_.erase(0, sent_);
            sent_ = 0;
        }
        return true;
    }

    // Not one timer per byte: when it fires, it looks when the last one came.
    void arm_idle(kith::Duration delay) {
        timer_ = loop_.after(delay, [this] {
            const auto left = last_heard_ + options_.idle - loop_.now();
            if (left <= kith::Duration::zero()) return close(Closed::idle);
            arm_idle(left);
        });
    }

    void close_later(Closed why) {
        (void)loop_.modify(watch_, {});
        loop_.cancel(timer_);
        timer_ = loop_.after({}, [this, why] { close(why); });
    }

    void close(Closed why) {
        stop();
        auto tell = std::move(on_closed_);
        if (tell) tell(why);
    }

    kith::EventLoop& loop_;
    const LineOptions options_;
    int fd_;
    kith::WatchId watch_;
    kith::TimerId timer_;
    kith::Instant last_heard_;
    std::string in_;
    std::string out_;
    std::size_t sent_ = 0;
    std::size_t dropped_ = 0;
    kith::Function<void(std::string_view)> on_line_;
    kith::Function<void(Closed)> on_closed_;
};

// A socket connected to 127.0.0.1:port, or -1. The kernel answers for a listener in this process too.
inline int connect_local(std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) return fd;
    if (fd >= 0) ::close(fd);
    return -1;
}

// Accepts on 127.0.0.1 and owns the connections. Lines and ends are told with the connection's number.
class LineServer {
public:
    using Id = std::uint64_t;

    LineServer(kith::EventLoop& loop, const LineOptions& options) : loop_(loop), options_(options) {}
    LineServer(const LineServer&) = delete;
    LineServer& operator=(const LineServer&) = delete;
    ~LineServer() {
        loop_.unwatch(watch_);
        if (fd_ >= 0) ::close(fd_);
    }

    kith::Function<void(Id, std::string_view)> on_line;
    kith::Function<void(Id, Closed)> on_closed;

    // Port 0 takes any; the answer is the port, or 0 when it failed.
    std::uint16_t listen(std::uint16_t port) {
        fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_port = htons(port);
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof at;
        const int on = 1;
        (void)::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (::bind(fd_, reinterpret_cast<const sockaddr*>(&at), size) != 0 || ::listen(fd_, 4096) != 0) return 0;
        if (::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size) != 0) return 0;
        auto watch = loop_.watch(fd_, {.readable = true}, [this](kith::Ready) { accept(); });
        if (!watch) return 0;
        watch_ = *watch;
        return ntohs(at.sin_port);
    }

    LineConnection* find(Id id) {
        const auto at = connections_.find(id);
        return at == connections_.end() ? nullptr : at->second.get();
    }
    // Also from on_line of the same connection, which therefore lives until the next turn.
    void close(Id id) {
        const auto at = connections_.find(id);
        if (at == connections_.end()) return;
        at->second->stop();
        loop_.post([gone = std::move(at->second)] {});
        connections_.erase(at);
    }
    std::size_t size() const { return connections_.size(); }

    template <class F>
    void for_each(F&& call) {
        for (auto& [id, connection] : connections_) call(id, *connection);
    }

private:
    void accept() {
        for (int i = 0; i < 64; ++i) {  // the others want their turn too
            const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) return;
            const int on = 1;
            (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            const Id id = ++last_;
            auto& connection = *(connections_[id] = std::make_unique<LineConnection>(loop_, fd, options_));
            const bool started = connection.start(
                [this, id](std::string_view line) {
                    if (on_line) on_line(id, line);
                },
                [this, id](Closed why) {
                    if (on_closed) on_closed(id, why);
                    connections_.erase(id);
                });
            if (!started) connections_.erase(id);
        }
    }

    kith::EventLoop& loop_;
    const LineOptions options_;
    int fd_ = -1;
    kith::WatchId watch_;
    Id last_ = 0;
    std::unordered_map<Id, std::unique_ptr<LineConnection>> connections_;
};

}  // namespace example
