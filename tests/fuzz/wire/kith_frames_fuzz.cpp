// SPDX-License-Identifier: Apache-2.0
// Frames of /kith/msg: the same bytes give the same frames however they are cut, and what a decoder takes it writes back.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "wire/kith_frames.hpp"

namespace {

using namespace kith;
using namespace kith::wire;

void require(bool ok) {
    if (!ok) std::abort();
}

struct Seen {
    std::uint8_t type;
    std::uint32_t lane;
    Bytes body;
    bool operator==(const Seen&) const = default;
};

std::vector<Seen> read(ByteView bytes, std::size_t piece, bool& bad) {
    FrameReader reader;
    std::vector<Seen> out;
    while (!bytes.empty()) {
        auto in = bytes.first(std::min(piece, bytes.size()));
        bytes = bytes.subspan(in.size());
        for (;;) {
            Frame frame;
            const auto state = reader.next(in, frame);
            if (state == FrameReader::State::need_more) break;
            if (state == FrameReader::State::bad) {
                bad = true;
                return out;
            }
            require(frame.body.size() <= max_frame_body && frame.lane <= max_lane && frame.type < 32);
            out.push_back({frame.type, frame.lane, Bytes(frame.body.begin(), frame.body.end())});
        }
    }
    return out;
}

void decode(const Seen& frame) {
    if (const auto hello = decode_hello(frame.body)) {
        require(hello->lanes.size() <= max_lanes_in_hello);
        Bytes again;
        append_hello(again, *hello);
        bool bad = false;
        const auto back = read(again, again.size(), bad);
        require(!bad && back.size() == 1 && back[0].body == frame.body);
    }
    if (const auto lane = decode_add(frame.lane, frame.body)) require(lane->first >= 1 && lane->settled < lane->first);
    if (const auto resume = decode_resume(frame.body)) {
        Bytes again;
        append_resume(again, *resume);
        bool bad = false;
        const auto back = read(again, again.size(), bad);
        require(!bad && back.size() == 1 && back[0].body == frame.body);
    }
    if (const auto data = decode_data(frame.body)) {
        require(data->seq != 0 && data->offset <= data->total && data->bytes.size() <= data->total - data->offset);
    }
    (void)decode_two(frame.body);
    (void)decode_one(frame.body);
    (void)decode_close(frame.body);
    if (const auto datagram = decode_datagram(frame.body))
        require(!datagram->channel.empty() && datagram->channel.size() <= max_channel_name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size < 1) return 0;
    const ByteView input{bytes + 1, size - 1};
    bool whole_bad = false;
    bool cut_bad = false;
    const auto whole = read(input, input.size() + 1, whole_bad);
    const auto cut = read(input, 1U + bytes[0] % 64U, cut_bad);
    require(whole == cut && whole_bad == cut_bad);
    for (const auto& frame : whole) decode(frame);
    return 0;
}
