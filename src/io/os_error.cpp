// SPDX-License-Identifier: Apache-2.0
#include "io/os_error.hpp"

#include <cerrno>
#include <utility>

namespace kith::io {

Errc errc_of(int os_error) noexcept {
    switch (os_error) {
        case ECONNREFUSED:
            return Errc::connection_refused;
        case ENETUNREACH:
        case EHOSTUNREACH:
        case ENETDOWN:
        case EHOSTDOWN:
            return Errc::unreachable;
        case ETIMEDOUT:
            return Errc::timeout;
        case EADDRINUSE:
            return Errc::address_in_use;
        case EADDRNOTAVAIL:
            return Errc::address_unavailable;
        case EAFNOSUPPORT:
            return Errc::unsupported_address;
        case ECONNRESET:
        case ECONNABORTED:
        case ENOTCONN:
        case EPIPE:
            return Errc::link_lost;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            return Errc::limit_exceeded;
        case EMSGSIZE:
            return Errc::too_large;
        default:
            return Errc::io_error;
    }
}

Error os_error(int os_error, std::string_view what, std::string detail) {
    Error error{errc_of(os_error), what, std::move(detail)};
    error.os_error = os_error;
    return error;
}

}  // namespace kith::io
