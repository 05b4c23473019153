// SPDX-License-Identifier: Apache-2.0
// The messages of /ipfs/id/1.0.0 and /ipfs/id/push/1.0.0 (github.com/libp2p/specs identify).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "kith/bytes.hpp"
#include "kith/error.hpp"
#include "kith/multiaddr.hpp"
#include "wire/lp.hpp"

namespace kith::wire {

struct Identify {
    static constexpr std::size_t max_protocols = 256;
    static constexpr std::size_t max_protocol_size = 256;
    static constexpr std::size_t max_addresses = 64;
    static constexpr std::size_t max_version_size = 256;
    static constexpr std::size_t max_messages = 10;           // of one answer, to read
    static constexpr std::size_t max_message_read = 8192;     // what go and js accept
    static constexpr std::size_t max_message_written = 4095;  // rust accepts 4096 with the prefix

    Bytes public_key;  // serialized PublicKey; believe only the key that the handshake proved
    std::vector<Multiaddr> listen_addrs;
    std::vector<std::string> protocols;
    std::optional<Multiaddr> observed;  // our address as the peer sees it
    std::string protocol_version;
    std::string agent_version;
    Bytes signed_record;  // an Envelope, see record.hpp

    friend bool operator==(const Identify&, const Identify&) = default;
};

// The bytes to write on the stream before closing it: one length-prefixed message, or two when there is a signed record
// and all of it is above 2 KiB (the second holds only the record). Each message is under 4 KiB with its prefix: addresses,
// then protocols, that do not fit are left out from the end; a record that is too long is left out.
Bytes encode_identify(const Identify& info);

// Reads an answer piece by piece and merges its messages: lists are joined, single values replaced by the later one.
// What is above a limit of Identify is left out, as is an address that is not valid: neither is an error. Broken protobuf,
// a message above max_message_read and an eleventh message are; drop the stream then.
class IdentifyReader {
public:
    IdentifyReader();

    Status feed(ByteView bytes);
    // At the end of the stream. `truncated` inside a message or before the first. The reader is spent.
    Result<Identify> finish();

private:
    Status merge(ByteView message);

    LpReader reader_;
    Identify info_;
    std::size_t messages_ = 0;
    std::optional<Error> failed_;
};

}  // namespace kith::wire
