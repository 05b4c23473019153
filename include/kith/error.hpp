// SPDX-License-Identifier: Apache-2.0
// Errors as values. An Error says what happened, who caused it, whether to try again, and what to do next.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace kith {
inline namespace v0 {

enum class Errc : std::uint8_t {
    // The caller's call
    invalid_argument = 1,  // fix the argument that `detail` names
    invalid_multiaddr,     // not a multiaddr, or one with a bad value
    invalid_peer_id,       // not a base58 or CIDv1 peer id
    invalid_key,           // key bytes of the wrong form
    unsupported_address,   // a well-formed multiaddr that this node cannot dial or listen on
    not_started,           // call start() first
    already_started,       // start() was called before
    would_deadlock,        // a blocking call on the thread that would have to complete it
    unknown_peer,          // no address is known for this peer
    not_connected,         // connected peers only
    too_large,             // above the message or buffer limit
    // Waiting and stopping
    timeout,               // the deadline passed
    cancelled,             // the caller's stop token, or the object's end
    stopped,               // the node is stopped
    queue_full,            // wait for room (a deadline on the call), or send less
    would_block_callback,  // no room, and the engine's or callback thread cannot wait for it: send from another thread, or later
    limit_exceeded,        // a configured limit
    no_store,              // durable messages need Config::home or Config::store
    // The network
    dial_failed,  // no address answered; `detail` lists them
    connection_refused,
    unreachable,
    address_in_use,
    address_unavailable,
    name_not_found,
    link_lost,  // the connection ended
    // The other side
    handshake_failed,  // negotiation of the link failed
    wrong_peer,        // the key proved is not the key expected
    bad_signature,
    decrypt_failed,  // a record was changed on the way, or the keys differ
    protocol_error,  // the peer broke a protocol; `detail` says which rule
    not_supported,   // the peer does not speak the protocol
    refused,         // the peer or our own gate said no
    stream_reset,
    stream_closed,
    going_away,  // the peer closes the link
    // Data
    truncated,  // ended in the middle of a value
    malformed,  // bytes that are not of the format
    // This machine
    file_insecure,  // a key file that others may read or replace
    wrong_passphrase,
    in_use,         // another process has this database open
    newer_version,  // the database belongs to a later kith; nothing was changed
    damaged,        // the database does not hold what was written to it
    disk_full,
    io_error,  // see os_error
    internal,  // a defect of kith: please report
};

// Who caused it: decides whom a log blames and whether blocking the peer makes sense.
enum class Cause : std::uint8_t { caller, local, network, peer };

std::string_view name(Errc code) noexcept;  // "queue_full"
std::string_view text(Errc code) noexcept;  // "the queue is full"
std::string_view hint(Errc code) noexcept;  // "wait for room with a deadline, or send less"
Cause cause(Errc code) noexcept;
bool retriable(Errc code) noexcept;

// Value. `what` points to static text (never freed, may be empty); `detail` holds the variable part and stays empty,
// hence without allocation, on every refusal of the hot path.
struct Error {
    Errc code = Errc::internal;
    std::string_view what{};
    std::string detail{};
    int os_error = 0;

    Error() = default;
    // NOLINTNEXTLINE(google-explicit-constructor): `return Errc::timeout;` is the idiom
    Error(Errc c) : code(c) {}
    Error(Errc c, std::string_view static_text) : code(c), what(static_text) {}
    Error(Errc c, std::string_view static_text, std::string variable) : code(c), what(static_text), detail(std::move(variable)) {}

    Cause cause() const noexcept { return kith::cause(code); }
    bool retriable() const noexcept { return kith::retriable(code); }
    std::string_view hint() const noexcept { return kith::hint(code); }
    std::string message() const;  // one sentence: text, what, detail, os error

    friend bool operator==(const Error& a, Errc b) noexcept { return a.code == b; }
};

std::ostream& operator<<(std::ostream& out, const Error& error);

// std::expected's member names, so that Result can become an alias of it in C++23.
template <class T>
class [[nodiscard]] Result {
public:
    using value_type = T;
    using error_type = Error;

    // NOLINTBEGIN(google-explicit-constructor): a value or an error is a result
    template <class U = T>
        requires(std::is_convertible_v<U &&, T> && !std::is_same_v<std::remove_cvref_t<U>, Result> &&
                 !std::is_same_v<std::remove_cvref_t<U>, Error> && !std::is_same_v<std::remove_cvref_t<U>, Errc>)
    Result(U&& value) : state_(std::in_place_index<0>, std::forward<U>(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
    Result(Errc code) : state_(std::in_place_index<1>, code) {}
    // NOLINTEND(google-explicit-constructor)

    bool has_value() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    T& value() & { return *std::get_if<0>(&state_); }
    const T& value() const& { return *std::get_if<0>(&state_); }
    T&& value() && { return std::move(*std::get_if<0>(&state_)); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return std::get_if<0>(&state_); }
    const T* operator->() const { return std::get_if<0>(&state_); }

    Error& error() & { return *std::get_if<1>(&state_); }
    const Error& error() const& { return *std::get_if<1>(&state_); }
    Error&& error() && { return std::move(*std::get_if<1>(&state_)); }

    template <class U>
    T value_or(U&& other) const& {
        return has_value() ? value() : static_cast<T>(std::forward<U>(other));
    }
    template <class U>
    T value_or(U&& other) && {
        return has_value() ? std::move(*this).value() : static_cast<T>(std::forward<U>(other));
    }

private:
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
public:
    using value_type = void;
    using error_type = Error;

    Result() = default;
    // NOLINTBEGIN(google-explicit-constructor)
    Result(Error error) : error_(std::move(error)) {}
    Result(Errc code) : error_(std::in_place, code) {}
    // NOLINTEND(google-explicit-constructor)

    bool has_value() const noexcept { return !error_.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }
    void value() const noexcept {}
    Error& error() & { return *error_; }
    const Error& error() const& { return *error_; }
    Error&& error() && { return std::move(*error_); }

private:
    std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace v0
}  // namespace kith
