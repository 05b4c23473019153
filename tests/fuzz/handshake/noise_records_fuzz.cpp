// SPDX-License-Identifier: Apache-2.0
// A stream of records, cut anywhere and perhaps damaged: every text before the damage comes out right and in order, nothing after it.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/reader.hpp"
#include "noise_peers.hpp"

namespace {

using namespace kith;
using namespace kith::handshake;
using kith::handshake::testing::secret;

void require(bool condition) {
    if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Reader input{{data, size}};
    std::uint8_t count = 0;
    std::uint32_t damage_at = 0;
    std::uint8_t damage = 0;
    if (!input.u8(count) || !input.u32(damage_at) || !input.u8(damage)) return 0;

    NoiseSession sender{CipherState{secret(1)}, CipherState{secret(2)}};
    NoiseSession receiver{CipherState{secret(2)}, CipherState{secret(1)}};
    std::vector<std::size_t> ends;
    std::vector<std::size_t> sizes;
    Bytes stream;
    for (int i = 0; i < count % 8; ++i) {
        std::uint16_t n = 0;
        if (!input.u16(n)) break;
        const std::size_t start = stream.size();
        stream.resize(start + n + NoiseSession::overhead, static_cast<std::uint8_t>(i));
        const auto sealed = sender.seal(MutableBytes{stream}.subspan(start), n);
        if (n > NoiseSession::max_plain) {
            require(!sealed);
            stream.resize(start);
            continue;
        }
        require(sealed.value_or(0U) == stream.size() - start);
        ends.push_back(stream.size());
        sizes.push_back(n);
    }
    std::size_t good = ends.size();  // how many records come through
    if (damage != 0 && !stream.empty()) {
        const std::size_t at = damage_at % stream.size();
        stream[at] ^= damage;
        good = static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), at) - ends.begin());
    }

    std::size_t begin = 0;
    std::size_t end = 0;
    std::size_t opened = 0;
    while (true) {
        MutableBytes in = MutableBytes{stream}.subspan(begin, end - begin);
        const std::size_t missing = NoiseSession::missing(in);
        const auto text = receiver.open(in);
        if (!text) {
            require(missing == 0 && opened == good && good < ends.size());
            Bytes more(40);
            MutableBytes again = more;
            require(!receiver.open(again));
            return 0;
        }
        require(text->has_value() == (missing == 0));
        begin = end - in.size();
        if (*text) {
            require(opened < good && begin == ends[opened] && (*text)->size() == sizes[opened]);
            require(std::all_of((*text)->begin(), (*text)->end(), [](std::uint8_t b) { return b < 8; }));
            ++opened;
            continue;
        }
        if (end == stream.size()) break;
        std::uint16_t step = 0;
        if (!input.u16(step)) step = 0xFFFF;
        end = std::min(stream.size(), end + 1 + step);
    }
    // A damaged length may leave the receiver waiting, never with more.
    require(opened == good);
    require(good == ends.size() || damage != 0);
    return 0;
}
