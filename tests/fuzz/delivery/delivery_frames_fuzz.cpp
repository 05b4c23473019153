// SPDX-License-Identifier: Apache-2.0
// A sender and a receiver, each against a peer that says anything.
#include <cstdint>
#include <cstdlib>

#include "delivery/receiver.hpp"
#include "delivery/sender.hpp"

namespace {

using namespace kith;
using namespace kith::delivery;

void require(bool ok) {
    if (!ok) std::abort();
}

constexpr std::size_t lane_window = 64 * 1024;
constexpr std::size_t message_limit = 16 * 1024;

// Memory stays within what was granted, whatever comes.
void receiver(ByteView in) {
    Journal journal;
    Receiver target({.max_message = message_limit, .lane_window = lane_window, .peer_window = 2 * lane_window, .max_rows = 4}, journal,
                    PeerId{});
    Packer packer;
    Batch batch;
    std::uint32_t number = 0;
    StreamRef stream{LinkId{1}, StreamId{++number}};
    require(static_cast<bool>(target.opened(stream, "x")));
    Instant now{std::chrono::seconds{1}, {}};
    Bytes out(4096);
    while (in.size() > 1) {
        const auto command = in[0];
        auto piece = in.subspan(1, std::min<std::size_t>(in.size() - 1, 1U + command % 128U));
        in = in.subspan(1 + piece.size());
        const auto ok = target.received(stream, piece, now, packer, batch);
        for (const auto& m : batch.messages) {
            require(m.bytes.size() <= message_limit || m.seq == 0);
            if ((command & 0x80) != 0 && m.seq != 0) target.consumed(m.row, m.generation, m.seq, now);
        }
        batch.clear();
        packer.end_batch();
        while (target.wants_fill(now) && target.fill(out, now).bytes != 0) {
        }
        now = now + std::chrono::milliseconds{3};
        (void)target.take_fenced();
        if (!ok) {
            target.closed(stream);
            stream = {LinkId{1}, StreamId{++number}};
            if (!target.opened(stream, "y")) return;
        }
        require(target.rows() <= 4);
        require(target.memory() <= 4 * (lane_window + early_bytes + 2 * message_limit) + 64 * 1024);
    }
}

void sender(ByteView in) {
    Journal journal;
    Sender target({}, journal);
    Instant now{std::chrono::seconds{1}, {}};
    const auto a = *target.lane("a", Strength::reliable, Priority::normal, 1);
    const auto b = *target.lane("b", Strength::reliable, Priority::high, 2);
    target.attach();
    Bytes out(20'000);
    std::uint64_t accepted = 0;
    std::uint64_t released = 0;
    while (in.size() > 1) {
        const auto command = in[0];
        auto piece = in.subspan(1, std::min<std::size_t>(in.size() - 1, 1U + command % 32U));
        in = in.subspan(1 + piece.size());
        if ((command & 0x40) != 0) {
            const Bytes message(command * 20U, command);
            target.enqueue((command & 1) != 0 ? a : b, {.bytes = message, .token = accepted + 1}, now);
            ++accepted;
        }
        if ((command & 0x80) != 0) (void)target.fill(MutableBytes{out}.first(200U + command * 10U), now);
        if (!target.received(piece, now)) {
            target.detach();
            target.attach();
        }
        for (const auto& r : target.released()) released += r.messages;
        require(target.outcomes().size() <= accepted);
        target.released().clear();
        require(released <= accepted && released <= target.sent() + accepted);
        require(target.queued() == accepted - released);
        now = now + std::chrono::milliseconds{1};
    }
    target.detach();
    target.abandon(now);
    require(target.queued() == 0 && !target.has_work());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size < 2) return 0;
    if (bytes[0] % 2 == 0) {
        receiver({bytes + 1, size - 1});
    } else {
        sender({bytes + 1, size - 1});
    }
    return 0;
}
