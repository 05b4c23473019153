// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "protocol/identify/identify.hpp"
#include "unit/protocol/handlers.hpp"

namespace kith::protocol {
namespace {

// identify/README.md: a push may hold only the fields that changed.
TEST(IdentifyPush, WithoutProtocolsThePeerStillListensToPushes) {
    const Bytes their_key{8, 1, 18, 3, 1, 2, 3};
    Identify identify{Bytes{8, 1, 18, 1, 9}, "kith/test"};
    Actions out;
    identify.link_up({.link = LinkId{1},
                      .peer = peer(1),
                      .direction = Direction::outbound,
                      .caps = {},
                      .remote = *Multiaddr::parse("/ip4/10.0.0.2/tcp/5"),
                      .remote_key = their_key},
                     at(1s), out);
    const auto hear = [&](std::string_view protocol, Direction direction, StreamRef ref, const wire::Identify& told) {
        identify.opened({.ref = ref, .peer = peer(1), .protocol = protocol, .direction = direction, .caps = {}, .cookie = 1}, at(1s), out);
        identify.received(ref, wire::encode_identify(told), at(1s), out);
        out.clear();
        identify.finished(ref, at(1s), out);
        EXPECT_EQ(count<Identified>(out), 1U);
        identify.closed(ref, {}, at(1s), out);
        out.clear();
        identify.push(out);
        return count<OpenStream>(out) == 1;
    };
    wire::Identify all;
    all.protocols = {std::string{Identify::push_id}};
    EXPECT_TRUE(hear(Identify::id, Direction::outbound, stream_a, all));
    wire::Identify part;
    part.agent_version = "another";
    EXPECT_TRUE(hear(Identify::push_id, Direction::inbound, stream_b, part));
    wire::Identify no_more;
    no_more.protocols = {"/x/1"};
    EXPECT_FALSE(hear(Identify::push_id, Direction::inbound, stream_b, no_more));
}

}  // namespace
}  // namespace kith::protocol
