// SPDX-License-Identifier: Apache-2.0
#include "exit_code.hpp"

#include <array>

namespace kith::app {

// No default: a new Errc must be given its place here (the compiler warns).
Exit exit_code(Errc code) noexcept {
    switch (code) {
        case Errc::invalid_argument:
        case Errc::invalid_multiaddr:
        case Errc::invalid_peer_id:
        case Errc::invalid_key:
        case Errc::unsupported_address:
        case Errc::too_large:
            return Exit::usage;

        case Errc::unknown_peer:
        case Errc::not_connected:
        case Errc::dial_failed:
        case Errc::connection_refused:
            return Exit::offline;

        case Errc::wrong_peer:
        case Errc::bad_signature:
            return Exit::not_verified;

        case Errc::timeout:
        case Errc::unreachable:
        case Errc::address_in_use:
        case Errc::address_unavailable:
        case Errc::name_not_found:
        case Errc::link_lost:
        case Errc::handshake_failed:
        case Errc::stream_reset:
        case Errc::stream_closed:
        case Errc::going_away:
            return Exit::network;

        case Errc::refused:
        case Errc::not_supported:
        case Errc::limit_exceeded:
        case Errc::no_store:
        case Errc::queue_full:
        case Errc::would_block_callback:
            return Exit::refused;

        case Errc::decrypt_failed:
        case Errc::protocol_error:
        case Errc::truncated:
        case Errc::malformed:
        case Errc::file_insecure:
        case Errc::wrong_passphrase:
        case Errc::damaged:
            return Exit::integrity;

        case Errc::cancelled:
            return Exit::interrupted;

        case Errc::not_started:
        case Errc::already_started:
        case Errc::would_deadlock:
        case Errc::stopped:
        case Errc::in_use:
        case Errc::newer_version:
        case Errc::disk_full:
        case Errc::io_error:
        case Errc::internal:
            return Exit::local;
    }
    return Exit::local;
}

std::span<const ExitMeaning> exit_meanings() noexcept {
    static constexpr std::array meanings{
        ExitMeaning{Exit::ok, "done"},
        ExitMeaning{Exit::local, "this machine refused (files, memory), or a defect of kith"},
        ExitMeaning{Exit::usage, "the command line is wrong"},
        ExitMeaning{Exit::offline, "the peer is offline: not found, or nothing answers at its addresses"},
        ExitMeaning{Exit::not_verified, "not verified: another peer answered than the one named"},
        ExitMeaning{Exit::network, "network: no route, time is up, link lost, port taken, not a libp2p peer"},
        ExitMeaning{Exit::refused, "refused: by the peer, by a limit, or a protocol the peer does not speak"},
        ExitMeaning{Exit::integrity, "integrity: damaged or forged data, or an unsafe key file"},
        ExitMeaning{Exit::interrupted, "interrupted by Ctrl-C or a signal before it was done"},
    };
    return meanings;
}

}  // namespace kith::app
