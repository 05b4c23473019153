// SPDX-License-Identifier: Apache-2.0
// TCP by readiness: every call returns at once; EventLoop tells when to call again. No call allocates, except for errors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/endpoint.hpp"
#include "io/fd.hpp"
#include "kith/bytes.hpp"
#include "kith/error.hpp"

namespace kith::io {

enum class IoState : std::uint8_t {
    ok,           // `n` bytes moved
    would_block,  // wait until it is readable or writable
    eof,          // read: the peer sends no more; writing may go on
    error,        // see error(); close the socket
};

struct IoResult {
    std::size_t n = 0;
    IoState state = IoState::ok;
    int os_error = 0;

    Error error() const;  // link_lost, timeout, unreachable or io_error
};

// Owns a non-blocking stream socket with TCP_NODELAY, a TCP_USER_TIMEOUT of 20 s (unacknowledged data that old ends the
// connection; shorter would kill a peer whose machine only pauses), at most 128 KiB unsent in the kernel
// (TCP_NOTSENT_LOWAT: what waits stays with us, where it can still be overtaken), no keepalive, and closed on exec.
class TcpSocket {
public:
    struct Options {
        std::optional<Endpoint> source;  // local address, port 0 for any; same family as the destination
        bool reuse_port = false;         // share the source port with a listener that allows it (hole punching)
    };

    // Begins to connect. When the socket becomes writable, connect_result() says how it went.
    // Errors: unreachable, address_in_use, address_unavailable, unsupported_address, limit_exceeded (descriptors), io_error.
    static Result<TcpSocket> connect_start(const Endpoint& to, const Options& options);
    static Result<TcpSocket> connect_start(const Endpoint& to) { return connect_start(to, Options{}); }
    Status connect_result() noexcept;  // connection_refused, unreachable, timeout, link_lost, io_error

    // At most one of them per turn and direction is enough: a short count or would_block means "later".
    IoResult read(MutableBytes into) noexcept;
    IoResult write(ByteView from) noexcept;

    void shutdown_write() noexcept;  // the peer reads an end after what was written
    void close() noexcept { fd_.reset(); }
    void close_reset() noexcept;  // drops what is unsent; the peer sees link_lost

    // 0.0.0.0:0 when not connected.
    Endpoint local() const noexcept;
    Endpoint remote() const noexcept;

    int fd() const noexcept { return fd_.get(); }
    explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

private:
    friend class TcpListener;
    explicit TcpSocket(Fd fd) noexcept : fd_(std::move(fd)) {}
    Fd fd_;
};

enum class AcceptState : std::uint8_t {
    accepted,
    would_block,
    dropped,    // descriptors are used up: the connection was taken and closed, so that it does not wake the loop for ever
    exhausted,  // and not even that was possible: stop watching for some 100 ms
    error,
};

class TcpListener {
public:
    struct Options {
        int backlog = 4096;  // the system's net.core.somaxconn bounds it
        bool reuse_port = false;
    };
    struct Accepted {
        AcceptState state = AcceptState::would_block;
        std::optional<TcpSocket> socket;
        Endpoint remote;
        int os_error = 0;
    };

    // An IPv6 listener takes IPv6 only, so that 0.0.0.0 and :: can be listened on side by side. Accepted sockets have the
    // options of TcpSocket. Errors: address_in_use, address_unavailable, unsupported_address, limit_exceeded, io_error
    // (EACCES for ports below 1024).
    static Result<TcpListener> listen(const Endpoint& at, const Options& options);
    static Result<TcpListener> listen(const Endpoint& at) { return listen(at, Options{}); }

    // One connection per call. Connections that died in the queue are passed over.
    Accepted accept() noexcept;

    Endpoint local() const noexcept;
    int fd() const noexcept { return fd_.get(); }

private:
    explicit TcpListener(Fd fd) noexcept;
    Fd fd_;
    Fd spare_;  // given up for a moment to accept and close when descriptors are used up
};

}  // namespace kith::io
