// SPDX-License-Identifier: Apache-2.0
// Counters of a node since start(). Cheap: plain numbers kept by the engine's thread, copied on request.
#pragma once

#include <cstdint>

namespace kith {
inline namespace v0 {

struct Stats {
    // Messages
    std::uint64_t messages_sent = 0;       // first bytes given to a link; repeats after a cut count again
    std::uint64_t messages_delivered = 0;  // acknowledged by the receiver
    std::uint64_t messages_received = 0;   // handed to the callback queue
    std::uint64_t messages_refused = 0;    // queue_full, too_large and the like
    std::uint64_t resyncs = 0;             // must stay 0 between honest peers
    std::uint64_t message_errors = 0;      // message streams that a peer broke; must stay 0 between honest peers
    std::uint64_t storage_failures = 0;    // commits that the disk refused
    // The data path
    std::uint64_t records_sent = 0;
    std::uint64_t records_received = 0;
    std::uint64_t bytes_sent = 0;  // on the wire, with all overhead
    std::uint64_t bytes_received = 0;
    std::uint64_t send_calls = 0;
    std::uint64_t receive_calls = 0;
    std::uint64_t turns = 0;
    std::uint64_t engine_wakeups = 0;    // system calls made to wake the engine's thread
    std::uint64_t callback_wakeups = 0;  // system calls made to wake the callback thread
    // Links
    std::uint64_t links_opened = 0;   // authenticated
    std::uint64_t links_failed = 0;   // ended before that
    std::uint64_t links_refused = 0;  // by a limit, before any cryptography
    std::uint64_t links_now = 0;
    std::uint64_t dials_deferred = 0;  // waited for an outgoing slot, or for their turn among many dials
    std::uint64_t slots_given_up = 0;  // links that ended because others waited for their slot (Config::max_outbound)
    std::uint64_t hellos_refused = 0;  // more than 10 a second of one peer
    std::uint64_t streams_now = 0;
    std::uint64_t streams_refused = 0;
    std::uint64_t decrypt_failures = 0;
    std::uint64_t events_dropped = 0;
};

}  // namespace v0
}  // namespace kith
