// SPDX-License-Identifier: Apache-2.0
// DNS messages (RFC 1035) as far as multicast DNS (RFC 6762) needs them. Pure encode and decode.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kith/bytes.hpp"
#include "kith/error.hpp"

namespace kith::wire::dns {

inline constexpr std::size_t max_packet = 9000;  // RFC 6762 section 17
inline constexpr std::size_t max_entries = 256;  // questions and records of one packet
inline constexpr std::size_t max_name = 255;     // bytes with the length octets and the final 0
inline constexpr std::size_t max_label = 63;
inline constexpr std::size_t max_string = 255;  // of a TXT record

enum class Type : std::uint16_t { a = 1, ptr = 12, txt = 16, aaaa = 28, srv = 33, nsec = 47, any = 255 };
inline constexpr std::uint16_t class_in = 1;
inline constexpr std::uint16_t class_any = 255;

// A name without compression, kept as labels with their length octets and without the final 0. Comparison ignores ASCII
// case. Labels may hold any byte.
class Name {
public:
    Name() = default;  // the root
    // Labels between dots. nullopt for an empty or too long label or name.
    static std::optional<Name> parse(std::string_view dotted);
    // This label in front of `parent`; nullopt when the result is too long.
    static std::optional<Name> join(std::string_view label, const Name& parent);

    std::string text() const;  // dotted; bytes that are not printable ASCII, dots and backslashes as \DDD
    bool empty() const noexcept { return wire_.empty(); }
    std::string_view first_label() const noexcept;
    Name parent() const;  // without the first label
    ByteView wire() const noexcept { return as_bytes(wire_); }
    bool append_label(std::string_view label);  // false when too long

    friend bool operator==(const Name& a, const Name& b) noexcept;
    friend std::strong_ordering operator<=>(const Name& a, const Name& b) noexcept;

private:
    std::string wire_;
};

struct Question {
    Name name;
    Type type = Type::any;
    bool unicast = false;  // the QU bit: a unicast answer is welcome

    friend bool operator==(const Question&, const Question&) = default;
};

struct Ptr {
    Name name;
    friend bool operator==(const Ptr&, const Ptr&) = default;
};
struct Srv {
    std::uint16_t priority = 0;
    std::uint16_t weight = 0;
    std::uint16_t port = 0;
    Name target;
    friend bool operator==(const Srv&, const Srv&) = default;
};
struct Txt {
    std::vector<std::string> strings;
    friend bool operator==(const Txt&, const Txt&) = default;
};
struct A {
    std::array<std::uint8_t, 4> ip{};
    friend bool operator==(const A&, const A&) = default;
};
struct Aaaa {
    std::array<std::uint8_t, 16> ip{};
    friend bool operator==(const Aaaa&, const Aaaa&) = default;
};
struct Other {  // a record of another type, kept as bytes; its names, if any, may be compressed
    std::uint16_t type = 0;
    Bytes data;
    friend bool operator==(const Other&, const Other&) = default;
};
using Data = std::variant<Ptr, Srv, Txt, A, Aaaa, Other>;

struct Record {
    Name name;
    bool cache_flush = false;  // the only records of this name and type: forget older ones
    std::uint32_t ttl = 0;     // seconds; 0 is a goodbye
    Data data;

    std::uint16_t type() const noexcept;
    friend bool operator==(const Record&, const Record&) = default;
};

struct Message {
    std::uint16_t id = 0;
    bool response = false;
    bool authoritative = false;
    bool truncated = false;  // more known answers follow in another packet
    std::vector<Question> questions;
    std::vector<Record> answers;
    std::vector<Record> authorities;
    std::vector<Record> additionals;

    friend bool operator==(const Message&, const Message&) = default;
};

// Names are written without compression. A TXT without a string is written with one empty string (RFC 6763 section 6.1).
// limit_exceeded above max_packet or max_entries.
Result<Bytes> encode(const Message& message);

// Records and questions of another class than IN (or ANY in a question) are dropped. A compression pointer must point
// strictly backwards, so loops cannot be. Fails with truncated, malformed or limit_exceeded; nothing of the packet is used then.
Result<Message> decode(ByteView packet);

std::size_t encoded_size(const Record& record) noexcept;
std::size_t encoded_size(const Question& question) noexcept;

}  // namespace kith::wire::dns
