// SPDX-License-Identifier: Apache-2.0
// Names to addresses without blocking the loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/endpoint.hpp"
#include "base/strong_id.hpp"
#include "kith/error.hpp"
#include "kith/event_loop.hpp"

namespace kith::io {

enum class Family : std::uint8_t { any, v4, v6 };  // /dns, /dns4, /dns6

using ResolveId = StrongId<struct ResolveTag>;

// Owner: the caller, on the loop's thread; the loop outlives it. The system's look-up blocks and cannot be interrupted, so it
// runs on threads of its own; destruction, cancel() and the deadline do not wait for it, they drop its answer.
class Resolver {
public:
    using Addresses = std::vector<IpAddress>;
    using Lookup = Result<Addresses> (*)(const std::string& name, Family family);

    struct Options {
        std::size_t threads = 2;         // made when first needed
        std::size_t queue = 64;          // names that wait for a thread or are being looked up
        std::size_t max_addresses = 32;  // more in an answer are dropped
        Lookup lookup = nullptr;         // instead of the system's; called on a thread of the resolver
    };

    Resolver(EventLoop& loop, const Options& options);
    explicit Resolver(EventLoop& loop) : Resolver(loop, Options{}) {}
    ~Resolver();
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;

    // `done` is called once on the loop's thread, never inside this call: with at least one address, or name_not_found,
    // timeout (of `deadline`, from now), io_error. Not after cancel() or destruction. Refused: queue_full;
    // invalid_argument (an empty name, one longer than 253 characters or with a NUL).
    Result<ResolveId> resolve(std::string name, Family family, Duration deadline, Function<void(Result<Addresses>)> done);
    bool cancel(ResolveId id) noexcept;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kith::io
