// SPDX-License-Identifier: Apache-2.0
#include "kith/multiaddr.hpp"

#include <algorithm>
#include <ostream>

#include "wire/multiaddr_value.hpp"
#include "wire/varint.hpp"

namespace kith {
inline namespace v0 {
namespace {

constexpr std::size_t max_text = 4096;  // a value of 1,024 bytes, percent-encoded, fits
constexpr std::size_t max_detail = 64;

Error bad(std::string_view what, std::string_view text) { return {Errc::invalid_multiaddr, what, std::string{text.substr(0, max_detail)}}; }

struct Cut {
    const wire::Protocol* protocol = nullptr;
    ByteView value;
    std::string_view wrong;
    std::uint64_t code = 0;
};

// Takes the component at the front of `in`.
Cut cut(ByteView& in) noexcept {
    Cut out;
    const auto code = wire::get_varint(in);
    if (!code) return {nullptr, {}, "a protocol code is cut off or no minimal varint", 0};
    in = in.subspan(code.size);
    out.code = code.value;
    if (code.value <= 0xffffffff) out.protocol = wire::find_protocol(static_cast<std::uint32_t>(code.value));
    if (out.protocol == nullptr) {
        out.wrong = "no such protocol";
        return out;
    }
    std::uint64_t size = out.protocol->size;
    if (size == wire::variable_size) {
        const auto length = wire::get_varint(in);
        if (!length) {
            out.wrong = "a length is cut off or no minimal varint";
            return out;
        }
        in = in.subspan(length.size);
        size = length.value;
    }
    if (size > in.size()) {
        out.wrong = "a value is cut off";
        return out;
    }
    out.value = in.first(static_cast<std::size_t>(size));
    in = in.subspan(static_cast<std::size_t>(size));
    return out;
}

void append_part(Bytes& out, const wire::Protocol& protocol, ByteView value) {
    wire::append_varint(out, protocol.code);
    if (protocol.size == wire::variable_size) wire::append_varint(out, value.size());
    out.insert(out.end(), value.begin(), value.end());
}

// The text up to the next slash, which is taken too.
std::string_view take_segment(std::string_view& text) {
    const auto slash = std::min(text.find('/'), text.size());
    const auto out = text.substr(0, slash);
    text.remove_prefix(std::min(slash + 1, text.size()));
    return out;
}

bool starts_with_encoded_slash(std::string_view text) { return text.starts_with("%2F") || text.starts_with("%2f"); }

}  // namespace

std::string_view Multiaddr::Part::name() const noexcept {
    const auto* const protocol = wire::find_protocol(code);
    return protocol == nullptr ? std::string_view{} : protocol->name;
}

std::string Multiaddr::Part::text() const {
    const auto* const protocol = wire::find_protocol(code);
    if (protocol == nullptr) return {};
    std::string out = "/";
    out += protocol->name;
    if (protocol->size != 0) out.append("/").append(wire::value_text(*protocol, value));
    return out;
}

void Multiaddr::Iterator::read() noexcept {
    at_end_ = next_.empty();
    if (at_end_) return;
    const auto part = cut(next_);  // cannot fail: a Multiaddr holds checked bytes
    part_ = {static_cast<std::uint32_t>(part.code), part.value};
}

Result<Multiaddr> Multiaddr::parse(std::string_view text) {
    if (text.empty() || text == "/") return bad("an address has at least one component", text);
    if (text.size() > max_text) return bad("too long", text);
    if (text[0] != '/') return bad("an address starts with a slash", text);
    auto rest = text.substr(1);
    Bytes out;
    Bytes value;
    for (std::size_t parts = 0; !rest.empty(); ++parts) {
        if (parts == max_parts) return bad("more than 32 components", text);
        const auto name = take_segment(rest);
        const auto* const protocol = wire::find_protocol(name);
        if (protocol == nullptr) return bad("no such protocol", name);
        value.clear();
        std::string_view wrong;
        if (protocol->size == 0) {
            wrong = {};
        } else if (protocol->kind == wire::ValueKind::path && !rest.empty() && !starts_with_encoded_slash(rest)) {
            // go-multiaddr's form: all that follows is the path, as it stands. js percent-encodes the path's slashes.
            value.push_back('/');
            value.insert(value.end(), rest.begin(), rest.end());
            rest = {};
        } else {
            wrong = wire::parse_value(*protocol, take_segment(rest), value);
        }
        if (!wrong.empty()) return bad(wrong, text);
        append_part(out, *protocol, value);
        if (out.size() > max_size) return bad("longer than 1024 bytes", text);
    }
    return Multiaddr{std::move(out)};
}

Result<Multiaddr> Multiaddr::from_bytes(ByteView bytes) {
    if (bytes.empty()) return Error{Errc::invalid_multiaddr, "an address has at least one component"};
    if (bytes.size() > max_size) return Error{Errc::invalid_multiaddr, "longer than 1024 bytes"};
    auto rest = bytes;
    for (std::size_t parts = 0; !rest.empty(); ++parts) {
        if (parts == max_parts) return Error{Errc::invalid_multiaddr, "more than 32 components"};
        const auto part = cut(rest);
        if (!part.wrong.empty()) {
            if (part.protocol != nullptr) return bad(part.wrong, part.protocol->name);
            return bad(part.wrong, part.code == 0 ? std::string{} : std::to_string(part.code));
        }
        if (const auto wrong = wire::check_value(*part.protocol, part.value); !wrong.empty()) return bad(wrong, part.protocol->name);
    }
    return Multiaddr{Bytes{bytes.begin(), bytes.end()}};
}

std::string Multiaddr::text() const {
    std::string out;
    for (const auto& part : parts()) out += part.text();
    return out;
}

std::optional<PeerId> Multiaddr::peer() const {
    Part last;
    for (const auto& part : parts()) last = part;
    if (last.code != p2p) return std::nullopt;
    auto id = PeerId::from_multihash(last.value);
    return id ? std::optional{*id} : std::nullopt;
}

Multiaddr Multiaddr::without_peer() const {
    std::size_t keep = 0;
    std::size_t all = 0;
    Part last;
    const auto list = parts();
    for (auto it = list.begin(); it != list.end(); ++it) {
        keep = all;
        all = bytes_.size() - it.rest().size();
        last = *it;
    }
    if (last.code != p2p) return *this;
    return Multiaddr{Bytes{bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(keep)}};
}

Multiaddr Multiaddr::with_peer(const PeerId& id) const {
    if (id.kind() != PeerId::Kind::key) return *this;
    auto out = without_peer();
    append_part(out.bytes_, *wire::find_protocol(p2p), id.multihash());
    const auto list = out.parts();
    const auto count = static_cast<std::size_t>(std::distance(list.begin(), list.end()));
    return out.bytes_.size() > max_size || count > max_parts ? *this : out;
}

std::ostream& operator<<(std::ostream& out, const Multiaddr& address) { return out << address.text(); }

}  // namespace v0
}  // namespace kith
