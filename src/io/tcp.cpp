// SPDX-License-Identifier: Apache-2.0
#include "io/tcp.hpp"

#include <fcntl.h>
#include <netinet/tcp.h>

#include <cerrno>

#include "io/os_error.hpp"
#include "io/sockaddr.hpp"

namespace kith::io {
namespace {

constexpr int user_timeout_ms = 20'000;
constexpr int unsent_limit = 128 * 1024;

bool set(int fd, int level, int option, int value) noexcept { return ::setsockopt(fd, level, option, &value, sizeof value) == 0; }

Fd open_stream(bool v6) noexcept { return Fd{::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)}; }

// Refusals are not errors: a system without one of these works, less well.
void set_options(int fd) noexcept {
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, user_timeout_ms);
    set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, unsent_limit);
}

bool again(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

Fd open_spare() noexcept { return Fd{::open("/dev/null", O_RDONLY | O_CLOEXEC)}; }

template <class Call>
Endpoint endpoint_of(Call call, int fd) noexcept {
    SocketAddress address;
    return call(fd, address.data(), &address.size) == 0 ? address.endpoint() : Endpoint{};
}

}  // namespace

Error IoResult::error() const { return io::os_error(os_error, "socket"); }

Result<TcpSocket> TcpSocket::connect_start(const Endpoint& to, const Options& options) {
    Fd fd = open_stream(to.ip.v6);
    if (!fd) return os_error(errno, "socket", to.text());
    set_options(fd.get());
    if (options.source) {
        if (options.source->ip.v6 != to.ip.v6) {
            return Error{Errc::invalid_argument, "source and destination are of different families", to.text()};
        }
        if (options.reuse_port) {
            set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
            set(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
        }
        const SocketAddress source{*options.source};
        if (::bind(fd.get(), source.data(), source.size) != 0) return os_error(errno, "bind", options.source->text());
    }
    const SocketAddress target{to};
    // An interrupted non-blocking connect goes on in the background like EINPROGRESS.
    if (::connect(fd.get(), target.data(), target.size) != 0 && errno != EINPROGRESS && errno != EINTR) {
        return os_error(errno, "connect", to.text());
    }
    return TcpSocket{std::move(fd)};
}

Status TcpSocket::connect_result() noexcept {
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error != 0) return os_error(error, "connect");
    return {};
}

IoResult TcpSocket::read(MutableBytes into) noexcept {
    if (into.empty()) return {};
    for (;;) {
        const auto n = ::recv(fd_.get(), into.data(), into.size(), 0);
        if (n > 0) return {static_cast<std::size_t>(n), IoState::ok, 0};
        if (n == 0) return {0, IoState::eof, 0};
        if (errno == EINTR) continue;
        if (again(errno)) return {0, IoState::would_block, 0};
        return {0, IoState::error, errno};
    }
}

IoResult TcpSocket::write(ByteView from) noexcept {
    for (;;) {
        const auto n = ::send(fd_.get(), from.data(), from.size(), MSG_NOSIGNAL);
        if (n >= 0) return {static_cast<std::size_t>(n), IoState::ok, 0};
        if (errno == EINTR) continue;
        if (again(errno)) return {0, IoState::would_block, 0};
        return {0, IoState::error, errno};
    }
}

void TcpSocket::shutdown_write() noexcept { (void)::shutdown(fd_.get(), SHUT_WR); }

void TcpSocket::close_reset() noexcept {
    const linger now{1, 0};
    (void)::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    fd_.reset();
}

Endpoint TcpSocket::local() const noexcept { return endpoint_of(::getsockname, fd_.get()); }
Endpoint TcpSocket::remote() const noexcept { return endpoint_of(::getpeername, fd_.get()); }

TcpListener::TcpListener(Fd fd) noexcept : fd_(std::move(fd)), spare_(open_spare()) {}

Result<TcpListener> TcpListener::listen(const Endpoint& at, const Options& options) {
    Fd fd = open_stream(at.ip.v6);
    if (!fd) return os_error(errno, "socket", at.text());
    // Inherited by the accepted sockets, which saves three calls for each.
    set_options(fd.get());
    set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (options.reuse_port) set(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
    if (at.ip.v6) set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
    const SocketAddress address{at};
    if (::bind(fd.get(), address.data(), address.size) != 0) return os_error(errno, "bind", at.text());
    if (::listen(fd.get(), options.backlog) != 0) return os_error(errno, "listen", at.text());
    return TcpListener{std::move(fd)};
}

TcpListener::Accepted TcpListener::accept() noexcept {
    for (;;) {
        SocketAddress from;
        Fd fd{::accept4(fd_.get(), from.data(), &from.size, SOCK_NONBLOCK | SOCK_CLOEXEC)};
        if (fd) return {AcceptState::accepted, TcpSocket{std::move(fd)}, from.endpoint(), 0};
        switch (const int error = errno) {
            // accept(2): errors of the new connection are to be treated like EAGAIN, by trying again.
            case EINTR:
            case ECONNABORTED:
            case EPROTO:
            case ENETDOWN:
            case EHOSTDOWN:
            case EHOSTUNREACH:
            case ENETUNREACH:
                continue;
            case EAGAIN:
                return {AcceptState::would_block, std::nullopt, {}, 0};
            case EMFILE:
            case ENFILE: {
                if (!spare_) spare_ = open_spare();
                if (!spare_) return {AcceptState::exhausted, std::nullopt, {}, error};
                spare_.reset();
                fd.reset(::accept4(fd_.get(), from.data(), &from.size, SOCK_CLOEXEC));
                const bool taken = static_cast<bool>(fd);
                fd.reset();
                // Another thread may have been faster with the freed descriptor; then both are missing until some is closed.
                spare_ = open_spare();
                return {taken ? AcceptState::dropped : AcceptState::exhausted, std::nullopt, from.endpoint(), error};
            }
            case ENOBUFS:
            case ENOMEM:
                return {AcceptState::exhausted, std::nullopt, {}, error};
            default:
                return {AcceptState::error, std::nullopt, {}, error};
        }
    }
}

Endpoint TcpListener::local() const noexcept { return endpoint_of(::getsockname, fd_.get()); }

}  // namespace kith::io
