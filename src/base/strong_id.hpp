// SPDX-License-Identifier: Apache-2.0
// Integers that cannot be mixed up. 0 means "none" for every id of kith.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace kith {

template <class Tag, class Rep = std::uint64_t>
struct StrongId {
    Rep value = 0;

    constexpr explicit operator bool() const noexcept { return value != 0; }
    friend constexpr auto operator<=>(StrongId, StrongId) noexcept = default;
};

using LinkId = StrongId<struct LinkTag>;                     // one link in one engine; never reused
using StreamId = StrongId<struct StreamTag, std::uint32_t>;  // one yamux stream of one link
using OpId = StrongId<struct OpTag>;                         // one operation that a caller waits for

// A stream, anywhere in one engine.
struct StreamRef {
    LinkId link;
    StreamId stream;

    constexpr explicit operator bool() const noexcept { return static_cast<bool>(stream); }
    friend constexpr auto operator<=>(StreamRef, StreamRef) noexcept = default;
};

}  // namespace kith

template <class Tag, class Rep>
struct std::hash<kith::StrongId<Tag, Rep>> {
    std::size_t operator()(kith::StrongId<Tag, Rep> id) const noexcept { return std::hash<Rep>{}(id.value); }
};

template <>
struct std::hash<kith::StreamRef> {
    std::size_t operator()(kith::StreamRef ref) const noexcept {
        return std::hash<std::uint64_t>{}(ref.link.value * 0x9E3779B97F4A7C15ULL ^ ref.stream.value);
    }
};
