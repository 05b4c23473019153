// SPDX-License-Identifier: Apache-2.0
// The protobuf messages: the first byte picks one. What decodes stays within its limits and survives a round trip.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "wire/identify.hpp"
#include "wire/keys.hpp"
#include "wire/noise_payload.hpp"
#include "wire/record.hpp"

namespace {

using namespace kith;
using namespace kith::wire;

void check(bool ok) {
    if (!ok) std::abort();
}

void keys(ByteView in) {
    if (const auto key = decode_public_key(in)) {
        const auto again = encode_public_key(*key);
        check(std::equal(again.begin(), again.end(), in.begin(), in.end()));  // one key, one form: it is hashed
        check(static_cast<bool>(peer_id_of(in)));
    }
    if (const auto key = decode_private_key(in)) {
        std::array<std::uint8_t, private_key_size> out{};
        encode_private_key(key->seed, key->public_key, out);
        check(decode_private_key(out).has_value());
    }
}

void noise(ByteView in) {
    const auto payload = decode_noise_payload(in);
    if (!payload) return;
    check(payload->muxers.size() <= NoisePayload::max_muxers && payload->certhashes.size() <= NoisePayload::max_certhashes);
    check(decode_noise_payload(encode_noise_payload(*payload)).value() == *payload);
}

void envelope(ByteView in) {
    if (const auto out = decode_envelope(in)) {
        check(decode_envelope(encode_envelope(*out)).value() == *out);
        (void)open_peer_record(in);
    }
    if (const auto record = decode_peer_record(in)) {
        check(record->addresses.size() <= PeerRecord::max_addresses);
        check(decode_peer_record(encode_peer_record(*record)).value() == *record);
    }
}

Result<Identify> read_identify(ByteView in, std::size_t step) {
    IdentifyReader reader;
    while (!in.empty()) {
        const auto n = std::min(step, in.size());
        if (auto status = reader.feed(in.first(n)); !status) return status.error();
        in = in.subspan(n);
    }
    return reader.finish();
}

void identify(ByteView in, std::size_t step) {
    const auto whole = read_identify(in, in.size());
    const auto cut = read_identify(in, step);
    check(whole.has_value() == cut.has_value());
    if (!whole) return;
    check(*whole == *cut);
    check(whole->protocols.size() <= Identify::max_protocols && whole->listen_addrs.size() <= Identify::max_addresses);
    check(whole->agent_version.size() <= Identify::max_version_size && whole->protocol_version.size() <= Identify::max_version_size);
    const auto written = encode_identify(*whole);
    check(written.size() <= 2 * (Identify::max_message_written + 1));
    const auto back = read_identify(written, written.size());
    check(back.has_value());
    check(encode_identify(*back) == written);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const ByteView in{data + 1, size - 1};
    switch (data[0] % 4) {
        case 0:
            keys(in);
            break;
        case 1:
            noise(in);
            break;
        case 2:
            envelope(in);
            break;
        default:
            identify(in, 1u + data[0] / 4u);
    }
    return 0;
}
