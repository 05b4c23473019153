// SPDX-License-Identifier: Apache-2.0
#include "wire/identify.hpp"

#include <algorithm>
#include <utility>

#include "wire/keys.hpp"
#include "wire/proto.hpp"

namespace kith::wire {
namespace {

constexpr std::uint32_t key_tag = 1;
constexpr std::uint32_t address_tag = 2;
constexpr std::uint32_t protocol_tag = 3;
constexpr std::uint32_t observed_tag = 4;
constexpr std::uint32_t protocol_version_tag = 5;
constexpr std::uint32_t agent_version_tag = 6;
constexpr std::uint32_t record_tag = 8;

constexpr std::size_t split_above = 2048;                            // where go-libp2p starts to write two messages
constexpr std::size_t max_body = Identify::max_message_written - 2;  // behind a prefix of two bytes

// Cut at a limit of bytes, not inside a UTF-8 character.
std::string_view cut(std::string_view text, std::size_t limit) {
    if (text.size() <= limit) return text;
    while (limit > 0 && (static_cast<std::uint8_t>(text[limit]) & 0xc0) == 0x80) --limit;
    return text.substr(0, limit);
}

Bytes encode_body(const Identify& info) {
    Bytes out;
    if (!info.public_key.empty() && info.public_key.size() <= max_public_key_size) put_bytes_field(out, key_tag, info.public_key);
    if (info.observed) put_bytes_field(out, observed_tag, info.observed->bytes());
    if (!info.protocol_version.empty()) {
        put_bytes_field(out, protocol_version_tag, as_bytes(cut(info.protocol_version, Identify::max_version_size)));
    }
    if (!info.agent_version.empty()) {
        put_bytes_field(out, agent_version_tag, as_bytes(cut(info.agent_version, Identify::max_version_size)));
    }
    // Which protocols we speak decides what a peer will ask for, and one address will do to reach us: when room is short,
    // the first address and the protocols go first.
    std::size_t addresses = 0;
    const auto put = [&out](std::uint32_t tag, ByteView value) {
        if (out.size() + bytes_field_size(tag, value.size()) > max_body) return false;
        put_bytes_field(out, tag, value);
        return true;
    };
    const auto put_address = [&] {
        const bool fits = addresses < Identify::max_addresses && addresses < info.listen_addrs.size() &&
                          put(address_tag, info.listen_addrs[addresses].bytes());
        if (fits) ++addresses;
        return fits;
    };
    put_address();
    std::size_t protocols = 0;
    for (const auto& protocol : info.protocols) {
        if (protocol.size() > Identify::max_protocol_size) continue;
        if (protocols++ == Identify::max_protocols || !put(protocol_tag, as_bytes(protocol))) break;
    }
    while (put_address()) {
    }
    return out;
}

}  // namespace

Bytes encode_identify(const Identify& info) {
    auto body = encode_body(info);
    Bytes record;
    if (!info.signed_record.empty()) put_bytes_field(record, record_tag, info.signed_record);
    if (record.size() > max_body) record.clear();
    Bytes out;
    if (!record.empty() && body.size() + record.size() <= split_above) {
        body.insert(body.end(), record.begin(), record.end());
        record.clear();
    }
    append_lp(out, body);
    if (!record.empty()) append_lp(out, record);
    return out;
}

IdentifyReader::IdentifyReader() : reader_(Identify::max_message_read) {}

Status IdentifyReader::feed(ByteView bytes) {
    if (failed_) return *failed_;
    const auto fail = [this](Error error) { return *(failed_ = std::move(error)); };
    while (!bytes.empty()) {
        switch (reader_.feed(bytes)) {
            case LpReader::State::need_more:
                return {};
            case LpReader::State::too_large:
                return fail({Errc::protocol_error, "an identify message is longer than 8 KiB"});
            case LpReader::State::bad_length:
                return fail({Errc::protocol_error, "the length of an identify message is no minimal varint"});
            case LpReader::State::message:
                if (messages_++ == Identify::max_messages) return fail({Errc::protocol_error, "more than 10 identify messages"});
                if (auto status = merge(reader_.message()); !status) return fail(std::move(status).error());
        }
    }
    return {};
}

Status IdentifyReader::merge(ByteView message) {
    auto& info = info_;
    return for_each_field(message, [&info](const Field& field) -> Status {
        if (field.kind != Field::Kind::bytes) return {};
        const auto text = as_text(field.bytes);
        switch (field.tag) {
            case key_tag:
                if (field.bytes.size() <= max_public_key_size) info.public_key.assign(field.bytes.begin(), field.bytes.end());
                break;
            case address_tag:
                if (info.listen_addrs.size() < Identify::max_addresses) {
                    if (auto address = Multiaddr::from_bytes(field.bytes)) info.listen_addrs.push_back(std::move(*address));
                }
                break;
            case protocol_tag:
                if (info.protocols.size() < Identify::max_protocols && text.size() <= Identify::max_protocol_size) {
                    info.protocols.emplace_back(text);
                }
                break;
            case observed_tag:
                if (auto address = Multiaddr::from_bytes(field.bytes)) info.observed = std::move(*address);
                break;
            case protocol_version_tag:
                info.protocol_version = cut(text, Identify::max_version_size);
                break;
            case agent_version_tag:
                info.agent_version = cut(text, Identify::max_version_size);
                break;
            case record_tag:
                info.signed_record.assign(field.bytes.begin(), field.bytes.end());
                break;
            default:
                break;
        }
        return {};
    });
}

Result<Identify> IdentifyReader::finish() {
    if (failed_) return *failed_;
    if (reader_.midway()) return Error{Errc::truncated, "the stream ended inside an identify message"};
    if (messages_ == 0) return Error{Errc::truncated, "the stream ended before an identify message"};
    return std::exchange(info_, {});
}

}  // namespace kith::wire
