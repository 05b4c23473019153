// SPDX-License-Identifier: Apache-2.0
// What parses prints, and what prints parses to the same bytes; from text and from binary.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "kith/multiaddr.hpp"
#include "wire/address.hpp"

namespace {

using namespace kith;

void check(bool ok) {
    if (!ok) std::abort();
}

void check_address(const Multiaddr& address) {
    check(!address.empty() && address.bytes().size() <= Multiaddr::max_size);
    const auto again = Multiaddr::from_bytes(address.bytes());
    check(again.has_value() && *again == address);
    const auto text = address.text();
    if (text.size() <= 4096) {
        const auto parsed = Multiaddr::parse(text);
        check(parsed.has_value() && *parsed == address);
    }
    std::size_t parts = 0;
    std::string joined;
    for (const auto& part : address.parts()) {
        ++parts;
        joined += part.text();
        check(!part.name().empty());
    }
    check(parts >= 1 && parts <= Multiaddr::max_parts);
    check(joined == text);
    const auto bare = address.without_peer();
    check(bare.bytes().size() <= address.bytes().size());
    if (const auto peer = address.peer()) {
        check(address.with_peer(*peer) == address);
        check(bare.with_peer(*peer) == address || bare.peer().has_value());
    } else {
        check(bare == address);
    }
    if (const auto tcp = wire::tcp_endpoint(address)) check(wire::tcp_endpoint(wire::from_tcp(*tcp)) == tcp);
    if (const auto udp = wire::udp_endpoint(address)) check(wire::udp_endpoint(wire::from_udp(*udp)) == udp);
    (void)wire::dns_tcp(address);
    (void)wire::is_circuit(address);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (const auto binary = Multiaddr::from_bytes({data, size})) check_address(*binary);
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    if (const auto parsed = Multiaddr::parse(text)) check_address(*parsed);
    return 0;
}
