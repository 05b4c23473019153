// SPDX-License-Identifier: Apache-2.0
// Calls of a handler as the engine makes them, and a look at what it asked for.
#pragma once

#include <gtest/gtest.h>

#include "protocol/handler.hpp"

namespace kith::protocol {

using namespace std::chrono_literals;

inline Instant at(Duration d) { return {d, d}; }
inline PeerId peer(std::uint8_t n) {
    std::array<std::uint8_t, PeerId::classic_size> bytes{};
    bytes[0] = n;
    return PeerId::classic(bytes);
}
inline constexpr StreamRef stream_a{LinkId{1}, StreamId{1}};
inline constexpr StreamRef stream_b{LinkId{1}, StreamId{2}};

template <class T>
const T* last(const Actions& actions) {
    for (auto it = actions.rbegin(); it != actions.rend(); ++it) {
        if (const auto* found = std::get_if<T>(&*it)) return found;
    }
    return nullptr;
}
template <class T>
std::size_t count(const Actions& actions) {
    std::size_t n = 0;
    for (const auto& action : actions) n += std::holds_alternative<T>(action) ? 1 : 0;
    return n;
}
inline Errc error_of(const Complete& done) {
    const auto* error = std::get_if<Error>(&done.result);
    return error == nullptr ? Errc{} : error->code;
}
// Everything that the stream has to say now.
inline Bytes pull_all(Handler& handler, StreamRef stream, Instant now, bool* fin = nullptr, std::size_t room = 1000) {
    Bytes out;
    for (int i = 0; i < 100'000; ++i) {
        Bytes piece(room);
        const auto pulled = handler.pull(stream, piece, now);
        out.insert(out.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(pulled.bytes));
        if (pulled.fin && fin != nullptr) *fin = true;
        if (!pulled.more || pulled.fin) break;
    }
    return out;
}

}  // namespace kith::protocol
