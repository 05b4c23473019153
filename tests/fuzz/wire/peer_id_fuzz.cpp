// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "kith/peer_id.hpp"
#include "wire/base58.hpp"
#include "wire/keys.hpp"

namespace {

using namespace kith;

void check(bool ok) {
    if (!ok) std::abort();
}

void check_id(const PeerId& id) {
    check(id.kind() == PeerId::Kind::key);
    check(id.multihash().size() >= 3 && id.multihash().size() <= PeerId::max_size);
    for (const auto& text : {id.text(), id.cid()}) {
        const auto again = PeerId::parse(text);
        check(again.has_value() && *again == id);
    }
    check(std::hash<PeerId>{}(id) == std::hash<PeerId>{}(PeerId::from_multihash(id.multihash()).value()));
    if (const auto key = wire::inlined_key(id)) check(wire::peer_id_of(wire::encode_public_key(*key)) == id);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView in{data, size};
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    if (const auto id = PeerId::parse(text)) check_id(*id);
    if (const auto id = PeerId::from_multihash(in)) check_id(*id);
    if (size <= 150) {
        check(wire::from_base58(wire::to_base58(in)) == Bytes(in.begin(), in.end()));
        check(wire::from_base32(wire::to_base32(in)) == Bytes(in.begin(), in.end()));
        check(wire::from_base64url(wire::to_base64url(in)) == Bytes(in.begin(), in.end()));
    }
    if (const auto bytes = wire::from_base58(text)) check(wire::to_base58(*bytes) == text);
    (void)wire::from_multibase(text);
    return 0;
}
