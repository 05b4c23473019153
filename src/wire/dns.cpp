// SPDX-License-Identifier: Apache-2.0
#include "wire/dns.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "base/reader.hpp"

namespace kith::wire::dns {
namespace {

constexpr std::uint16_t top_bit = 0x8000;  // of the class: cache flush in a record, QU in a question
constexpr std::uint16_t response_flag = 0x8000;
constexpr std::uint16_t authoritative_flag = 0x0400;
constexpr std::uint16_t truncated_flag = 0x0200;
constexpr std::size_t max_pointers = 32;
constexpr std::size_t record_head = 10;  // type, class, ttl, data length
constexpr std::size_t question_head = 4;
constexpr std::size_t message_head = 12;

std::uint8_t lower(char c) { return static_cast<std::uint8_t>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); }

// Reads a name whose first byte is at `at` of `packet`. Advances `at` behind the name's own bytes, not the pointers' targets.
Status read_name(ByteView packet, std::size_t& at, Name& out) {
    std::size_t here = at;
    std::size_t lowest = at;  // every pointer must go below all that was read: a loop would have to go up
    bool jumped = false;
    std::size_t jumps = 0;
    for (;;) {
        if (here >= packet.size()) return Error{Errc::truncated, "a DNS name is cut off"};
        const std::size_t octet = packet[here];
        if ((octet & 0xc0) == 0xc0) {
            if (here + 1 >= packet.size()) return Error{Errc::truncated, "a DNS name pointer is cut off"};
            const std::size_t target = ((octet & 0x3f) << 8) | packet[here + 1];
            if (!jumped) at = here + 2;
            jumped = true;
            // A chain of pointers to pointers ends, but 256 names could walk 4,000 steps each.
            if (++jumps > max_pointers) return Error{Errc::malformed, "a DNS name of too many pointers"};
            if (target >= lowest) return Error{Errc::malformed, "a DNS name pointer does not point backwards"};
            here = lowest = target;
            continue;
        }
        if (octet > max_label) return Error{Errc::malformed, "a DNS label of an unknown kind"};
        if (octet == 0) {
            if (!jumped) at = here + 1;
            return {};
        }
        if (here + 1 + octet > packet.size()) return Error{Errc::truncated, "a DNS label is cut off"};
        if (!out.append_label(as_text(packet.subspan(here + 1, octet))))
            return Error{Errc::malformed, "a DNS name is longer than 255 bytes"};
        here += 1 + octet;
    }
}

// A cursor over the packet that names may point back into.
class Cursor {
public:
    explicit Cursor(ByteView packet) : packet_(packet) {}

    bool u16(std::uint16_t& out) {
        Reader in{packet_.subspan(at_)};
        if (!in.u16(out)) return false;
        at_ += 2;
        return true;
    }
    bool u32(std::uint32_t& out) {
        Reader in{packet_.subspan(at_)};
        if (!in.u32(out)) return false;
        at_ += 4;
        return true;
    }
    Status name(Name& out) { return read_name(packet_, at_, out); }
    bool take(std::size_t n, ByteView& out) {
        if (packet_.size() - at_ < n) return false;
        out = packet_.subspan(at_, n);
        at_ += n;
        return true;
    }
    std::size_t at() const { return at_; }
    std::size_t left() const { return packet_.size() - at_; }
    // The same packet up to `end`, which is not before the cursor.
    Cursor until(std::size_t end) const {
        Cursor out{packet_.first(end)};
        out.at_ = at_;
        return out;
    }

private:
    ByteView packet_;
    std::size_t at_ = 0;
};

Error wrong_data() { return {Errc::malformed, "the data of a DNS record does not fit its type"}; }

Status read_txt(ByteView bytes, Txt& out) {
    while (!bytes.empty()) {
        const std::size_t size = bytes[0];
        if (bytes.size() < 1 + size) return wrong_data();
        // One string may be one byte on the wire: a packet of empty strings would cost 32 times its size.
        if (size > 0) out.strings.emplace_back(as_text(bytes.subspan(1, size)));
        bytes = bytes.subspan(1 + size);
    }
    return {};
}

Status read_data(Cursor in, std::uint16_t type, Data& out) {
    ByteView bytes;
    switch (static_cast<Type>(type)) {
        case Type::ptr: {
            Ptr ptr;
            if (auto status = in.name(ptr.name); !status) return status;
            out = std::move(ptr);
            break;
        }
        case Type::srv: {
            Srv srv;
            if (!in.u16(srv.priority) || !in.u16(srv.weight) || !in.u16(srv.port)) return wrong_data();
            if (auto status = in.name(srv.target); !status) return status;
            out = std::move(srv);
            break;
        }
        case Type::txt: {
            Txt txt;
            (void)in.take(in.left(), bytes);
            if (auto status = read_txt(bytes, txt); !status) return status;
            out = std::move(txt);
            break;
        }
        case Type::a: {
            A a;
            if (!in.take(a.ip.size(), bytes)) return wrong_data();
            std::copy(bytes.begin(), bytes.end(), a.ip.begin());
            out = a;
            break;
        }
        case Type::aaaa: {
            Aaaa aaaa;
            if (!in.take(aaaa.ip.size(), bytes)) return wrong_data();
            std::copy(bytes.begin(), bytes.end(), aaaa.ip.begin());
            out = aaaa;
            break;
        }
        default:
            (void)in.take(in.left(), bytes);
            out = Other{type, Bytes{bytes.begin(), bytes.end()}};
    }
    return in.left() == 0 ? Status{} : wrong_data();
}

Status read_record(Cursor& in, std::vector<Record>& out) {
    Record record;
    if (auto status = in.name(record.name); !status) return status;
    std::uint16_t type = 0;
    std::uint16_t cls = 0;
    std::uint16_t size = 0;
    if (!in.u16(type) || !in.u16(cls) || !in.u32(record.ttl) || !in.u16(size)) return Error{Errc::truncated, "a DNS record is cut off"};
    if (in.left() < size) return Error{Errc::truncated, "the data of a DNS record is cut off"};
    const auto data = in.until(in.at() + size);
    ByteView skipped;
    (void)in.take(size, skipped);
    if ((cls & ~top_bit) != class_in) return {};
    record.cache_flush = (cls & top_bit) != 0;
    if (auto status = read_data(data, type, record.data); !status) return status;
    out.push_back(std::move(record));
    return {};
}

Status read_question(Cursor& in, std::vector<Question>& out) {
    Question question;
    if (auto status = in.name(question.name); !status) return status;
    std::uint16_t type = 0;
    std::uint16_t cls = 0;
    if (!in.u16(type) || !in.u16(cls)) return Error{Errc::truncated, "a DNS question is cut off"};
    const auto plain = static_cast<std::uint16_t>(cls & ~top_bit);
    if (plain != class_in && plain != class_any) return {};
    question.type = static_cast<Type>(type);
    question.unicast = (cls & top_bit) != 0;
    out.push_back(std::move(question));
    return {};
}

void put_name(Writer& out, const Name& name) {
    out.bytes(name.wire());
    out.u8(0);
}

std::size_t name_size(const Name& name) { return name.wire().size() + 1; }

std::size_t data_size(const Data& data) {
    return std::visit(
        [](const auto& d) -> std::size_t {
            using D = std::remove_cvref_t<decltype(d)>;
            if constexpr (std::is_same_v<D, Ptr>) return name_size(d.name);
            if constexpr (std::is_same_v<D, Srv>) return 6 + name_size(d.target);
            if constexpr (std::is_same_v<D, A> || std::is_same_v<D, Aaaa>) return d.ip.size();
            if constexpr (std::is_same_v<D, Other>) return d.data.size();
            if constexpr (std::is_same_v<D, Txt>) {
                std::size_t size = d.strings.empty() ? 1 : 0;
                for (const auto& string : d.strings) size += 1 + std::min(string.size(), max_string);
                return size;
            }
        },
        data);
}

void put_data(Writer& out, const Data& data) {
    std::visit(
        [&out](const auto& d) {
            using D = std::remove_cvref_t<decltype(d)>;
            if constexpr (std::is_same_v<D, Ptr>) put_name(out, d.name);
            if constexpr (std::is_same_v<D, A> || std::is_same_v<D, Aaaa>) out.bytes(d.ip);
            if constexpr (std::is_same_v<D, Other>) out.bytes(d.data);
            if constexpr (std::is_same_v<D, Srv>) {
                out.u16(d.priority);
                out.u16(d.weight);
                out.u16(d.port);
                put_name(out, d.target);
            }
            if constexpr (std::is_same_v<D, Txt>) {
                if (d.strings.empty()) out.u8(0);
                for (const auto& string : d.strings) {
                    const auto bytes = as_bytes(string).first(std::min(string.size(), max_string));
                    out.u8(static_cast<std::uint8_t>(bytes.size()));
                    out.bytes(bytes);
                }
            }
        },
        data);
}

void put_record(Writer& out, const Record& record) {
    put_name(out, record.name);
    out.u16(record.type());
    out.u16(static_cast<std::uint16_t>(class_in | (record.cache_flush ? top_bit : 0)));
    out.u32(record.ttl);
    out.u16(static_cast<std::uint16_t>(data_size(record.data)));
    put_data(out, record.data);
}

void put_question(Writer& out, const Question& question) {
    put_name(out, question.name);
    out.u16(static_cast<std::uint16_t>(question.type));
    out.u16(static_cast<std::uint16_t>(class_in | (question.unicast ? top_bit : 0)));
}

}  // namespace

bool Name::append_label(std::string_view label) {
    // One byte less than max_name: the final 0 is not kept.
    if (label.empty() || label.size() > max_label || wire_.size() + 1 + label.size() > max_name - 1) return false;
    wire_.push_back(static_cast<char>(label.size()));
    wire_ += label;
    return true;
}

std::optional<Name> Name::parse(std::string_view dotted) {
    Name out;
    if (dotted.ends_with('.')) dotted.remove_suffix(1);
    while (!dotted.empty()) {
        const auto dot = std::min(dotted.find('.'), dotted.size());
        if (!out.append_label(dotted.substr(0, dot))) return std::nullopt;
        if (dot + 1 == dotted.size()) return std::nullopt;  // an empty label at the end
        dotted.remove_prefix(std::min(dot + 1, dotted.size()));
    }
    return out;
}

std::optional<Name> Name::join(std::string_view label, const Name& parent) {
    Name out;
    if (!out.append_label(label) || out.wire_.size() + parent.wire_.size() > max_name - 1) return std::nullopt;
    out.wire_ += parent.wire_;
    return out;
}

std::string_view Name::first_label() const noexcept {
    return wire_.empty() ? std::string_view{} : std::string_view{wire_}.substr(1, static_cast<std::uint8_t>(wire_[0]));
}

Name Name::parent() const {
    Name out;
    if (!wire_.empty()) out.wire_ = wire_.substr(1 + first_label().size());
    return out;
}

std::string Name::text() const {
    std::string out;
    for (std::size_t at = 0; at < wire_.size();) {
        const std::size_t size = static_cast<std::uint8_t>(wire_[at]);
        if (at != 0) out.push_back('.');
        for (const char c : std::string_view{wire_}.substr(at + 1, size)) {
            if (c > 0x20 && c < 0x7f && c != '.' && c != '\\') {
                out.push_back(c);
                continue;
            }
            const auto number = std::to_string(static_cast<unsigned>(static_cast<std::uint8_t>(c)));
            out.append("\\").append(3 - number.size(), '0').append(number);
        }
        at += 1 + size;
    }
    return out;
}

// Length octets are at most 63, below 'A': folding case leaves them alone.
bool operator==(const Name& a, const Name& b) noexcept {
    return std::equal(a.wire_.begin(), a.wire_.end(), b.wire_.begin(), b.wire_.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::strong_ordering operator<=>(const Name& a, const Name& b) noexcept {
    return std::lexicographical_compare_three_way(a.wire_.begin(), a.wire_.end(), b.wire_.begin(), b.wire_.end(),
                                                  [](char x, char y) { return lower(x) <=> lower(y); });
}

std::uint16_t Record::type() const noexcept {
    constexpr std::array kinds{Type::ptr, Type::srv, Type::txt, Type::a, Type::aaaa};
    if (const auto* const other = std::get_if<Other>(&data)) return other->type;
    return static_cast<std::uint16_t>(kinds[data.index()]);
}

std::size_t encoded_size(const Record& record) noexcept { return name_size(record.name) + record_head + data_size(record.data); }
std::size_t encoded_size(const Question& question) noexcept { return name_size(question.name) + question_head; }

Result<Bytes> encode(const Message& message) {
    const auto entries = message.questions.size() + message.answers.size() + message.authorities.size() + message.additionals.size();
    if (entries > max_entries) return Error{Errc::limit_exceeded, "more than 256 entries in a DNS packet"};
    std::size_t size = message_head;
    for (const auto& question : message.questions) size += encoded_size(question);
    for (const auto* list : {&message.answers, &message.authorities, &message.additionals}) {
        for (const auto& record : *list) size += encoded_size(record);
    }
    if (size > max_packet) return Error{Errc::limit_exceeded, "a DNS packet longer than 9000 bytes"};
    Bytes bytes(size);
    Writer out{bytes};
    out.u16(message.id);
    out.u16(static_cast<std::uint16_t>((message.response ? response_flag : 0) | (message.authoritative ? authoritative_flag : 0) |
                                       (message.truncated ? truncated_flag : 0)));
    out.u16(static_cast<std::uint16_t>(message.questions.size()));
    out.u16(static_cast<std::uint16_t>(message.answers.size()));
    out.u16(static_cast<std::uint16_t>(message.authorities.size()));
    out.u16(static_cast<std::uint16_t>(message.additionals.size()));
    for (const auto& question : message.questions) put_question(out, question);
    for (const auto* list : {&message.answers, &message.authorities, &message.additionals}) {
        for (const auto& record : *list) put_record(out, record);
    }
    if (!out.ok()) return Error{Errc::internal, "a DNS packet is longer than counted"};
    return bytes;
}

Result<Message> decode(ByteView packet) {
    if (packet.size() > max_packet) return Error{Errc::limit_exceeded, "a DNS packet longer than 9000 bytes"};
    Cursor in{packet};
    Message out;
    std::uint16_t flags = 0;
    std::array<std::uint16_t, 4> counts{};
    if (!in.u16(out.id) || !in.u16(flags)) return Error{Errc::truncated, "a DNS header is cut off"};
    std::size_t entries = 0;
    for (auto& count : counts) {
        if (!in.u16(count)) return Error{Errc::truncated, "a DNS header is cut off"};
        entries += count;
    }
    if (entries > max_entries) return Error{Errc::limit_exceeded, "more than 256 entries in a DNS packet"};
    if ((flags & 0x780f) != 0) return Error{Errc::malformed, "a DNS opcode or response code that multicast DNS does not use"};
    out.response = (flags & response_flag) != 0;
    out.authoritative = (flags & authoritative_flag) != 0;
    out.truncated = (flags & truncated_flag) != 0;
    for (std::size_t i = 0; i < counts[0]; ++i) {
        if (auto status = read_question(in, out.questions); !status) return std::move(status).error();
    }
    const std::array sections{&out.answers, &out.authorities, &out.additionals};
    for (std::size_t section = 0; section < sections.size(); ++section) {
        for (std::size_t i = 0; i < counts[section + 1]; ++i) {
            if (auto status = read_record(in, *sections[section]); !status) return std::move(status).error();
        }
    }
    return out;
}

}  // namespace kith::wire::dns
