// SPDX-License-Identifier: Apache-2.0
#include "kith/error.hpp"

#include <array>
#include <ostream>
#include <system_error>

namespace kith {
inline namespace v0 {
namespace {

struct Row {
    Errc code;
    Cause cause;
    bool retry;
    std::string_view name;
    std::string_view text;
    std::string_view hint;
};

constexpr std::array<Row, static_cast<std::size_t>(Errc::internal)> rows{
    Row{Errc::invalid_argument, Cause::caller, false, "invalid_argument", "an argument is not valid", "correct the argument"},
    Row{Errc::invalid_multiaddr, Cause::caller, false, "invalid_multiaddr", "not a valid multiaddr",
        "write it like /ip4/192.0.2.1/tcp/4001"},
    Row{Errc::invalid_peer_id, Cause::caller, false, "invalid_peer_id", "not a valid peer id",
        "copy the whole id; it begins with 12D3KooW or Qm, or with b as a CID"},
    Row{Errc::invalid_key, Cause::caller, false, "invalid_key", "not a valid key", "give a key of a supported type and size"},
    Row{Errc::unsupported_address, Cause::caller, false, "unsupported_address", "this node cannot use that address",
        "use an /ip4, /ip6 or /dns address with /tcp"},
    Row{Errc::not_started, Cause::caller, false, "not_started", "the node is not started", "call start() first"},
    Row{Errc::already_started, Cause::caller, false, "already_started", "the node is already started",
        "make another Node, or stop this one"},
    Row{Errc::would_deadlock, Cause::caller, false, "would_deadlock", "a blocking call from a thread that must not block",
        "use the asynchronous form inside callbacks"},
    Row{Errc::unknown_peer, Cause::caller, false, "unknown_peer", "no address is known for the peer",
        "connect by multiaddr once, or wait until it is found on the LAN"},
    Row{Errc::not_connected, Cause::caller, true, "not_connected", "the peer is not connected", "connect first"},
    Row{Errc::too_large, Cause::caller, false, "too_large", "larger than the limit", "split it, or raise the limit on both sides"},
    Row{Errc::timeout, Cause::network, true, "timeout", "the deadline passed", "try again, or give it more time"},
    Row{Errc::cancelled, Cause::caller, false, "cancelled", "cancelled", "nothing to do"},
    Row{Errc::stopped, Cause::caller, false, "stopped", "the node is stopped", "make and start a new Node"},
    Row{Errc::queue_full, Cause::local, true, "queue_full", "the queue is full", "wait for room with a deadline, or send less"},
    Row{Errc::would_block_callback, Cause::caller, true, "would_block_callback", "the queue is full, and a callback cannot wait for room",
        "send it from a thread of your own, or when on_pressure tells that there is room"},
    Row{Errc::limit_exceeded, Cause::local, true, "limit_exceeded", "a limit was reached",
        "close what is not needed, or raise the limit in Config"},
    Row{Errc::no_store, Cause::caller, false, "no_store", "this node has no place for durable messages",
        "set Config::home or Config::store, or send with Strength::reliable"},
    Row{Errc::dial_failed, Cause::network, true, "dial_failed", "no address of the peer could be reached",
        "check that the peer runs and that no firewall is between"},
    Row{Errc::connection_refused, Cause::network, true, "connection_refused", "nothing listens at that address",
        "check the port and that the peer runs"},
    Row{Errc::unreachable, Cause::network, true, "unreachable", "there is no route to that address", "check the network"},
    Row{Errc::address_in_use, Cause::local, true, "address_in_use", "another program uses that port", "choose another port, or 0 for any"},
    Row{Errc::address_unavailable, Cause::local, false, "address_unavailable", "this machine does not have that address",
        "listen on 0.0.0.0 or one of this machine's addresses"},
    Row{Errc::name_not_found, Cause::network, true, "name_not_found", "the name could not be resolved", "check the name and the DNS"},
    Row{Errc::link_lost, Cause::network, true, "link_lost", "the connection was lost",
        "connect again; kith does so by itself for peers it was told to keep"},
    Row{Errc::handshake_failed, Cause::peer, true, "handshake_failed", "the secure link could not be set up",
        "check that the other side speaks libp2p with Noise and yamux"},
    Row{Errc::wrong_peer, Cause::peer, false, "wrong_peer", "another peer answered than the one expected",
        "check the peer id in the address; someone else may be using this address"},
    Row{Errc::bad_signature, Cause::peer, false, "bad_signature", "a signature does not verify", "do not trust this peer"},
    Row{Errc::decrypt_failed, Cause::peer, true, "decrypt_failed", "an encrypted record was damaged or forged", "connect again"},
    Row{Errc::protocol_error, Cause::peer, false, "protocol_error", "the peer broke the protocol",
        "report it to the peer's implementer with this text"},
    Row{Errc::not_supported, Cause::peer, false, "not_supported", "the peer does not speak this protocol",
        "update the peer, or use a protocol that it offers"},
    Row{Errc::refused, Cause::peer, true, "refused", "refused", "try again later"},
    Row{Errc::stream_reset, Cause::peer, true, "stream_reset", "the peer reset the stream", "open a new stream"},
    Row{Errc::stream_closed, Cause::caller, false, "stream_closed", "the stream is closed", "open a new stream"},
    Row{Errc::going_away, Cause::peer, true, "going_away", "the peer is closing the connection", "connect again later"},
    Row{Errc::truncated, Cause::peer, false, "truncated", "the data ends too early", "read more, or drop it"},
    Row{Errc::malformed, Cause::peer, false, "malformed", "the data is malformed", "drop it"},
    Row{Errc::file_insecure, Cause::local, false, "file_insecure", "the file could be read or replaced by others",
        "make it a regular file of yours with mode 0600"},
    Row{Errc::wrong_passphrase, Cause::caller, false, "wrong_passphrase", "the passphrase is wrong or the file is damaged",
        "try the passphrase again"},
    Row{Errc::in_use, Cause::local, true, "in_use", "another process uses this database",
        "stop the other process, or give this one a database of its own"},
    Row{Errc::newer_version, Cause::caller, false, "newer_version", "the database was written by a newer version of kith",
        "use that version; nothing was changed"},
    Row{Errc::damaged, Cause::local, true, "damaged", "the database is damaged", "open it again: what is readable will be kept"},
    Row{Errc::disk_full, Cause::local, true, "disk_full", "the disk is full", "free some space; what was stored is kept"},
    Row{Errc::io_error, Cause::local, true, "io_error", "the system refused", "see the system's reason"},
    Row{Errc::internal, Cause::local, false, "internal", "a defect in kith", "please report it with the steps"},
};

constexpr bool rows_in_order() {
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (static_cast<std::size_t>(rows[i].code) != i + 1) return false;
    }
    return rows.back().code == Errc::internal;
}
static_assert(rows_in_order(), "the table is indexed by code");

const Row& row(Errc code) noexcept {
    const auto index = static_cast<std::size_t>(code) - 1;
    return index < rows.size() ? rows[index] : rows.back();
}

}  // namespace

std::string_view name(Errc code) noexcept { return row(code).name; }
std::string_view text(Errc code) noexcept { return row(code).text; }
std::string_view hint(Errc code) noexcept { return row(code).hint; }
Cause cause(Errc code) noexcept { return row(code).cause; }
bool retriable(Errc code) noexcept { return row(code).retry; }

std::string Error::message() const {
    std::string out{kith::text(code)};
    if (!what.empty()) out.append(": ").append(what);
    if (!detail.empty()) out.append(": ").append(detail);
    if (os_error != 0) out.append(" (").append(std::generic_category().message(os_error)).append(")");
    return out;
}

std::ostream& operator<<(std::ostream& out, const Error& error) {
    out << error.message();
    if (const auto next = error.hint(); !next.empty()) out << "; " << next;
    return out;
}

}  // namespace v0
}  // namespace kith
