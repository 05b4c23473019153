// SPDX-License-Identifier: Apache-2.0
// Varints, and the same stream cut into messages whole and in pieces of the size that the first byte says.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "wire/lp.hpp"
#include "wire/varint.hpp"

namespace {

using namespace kith;
using State = wire::LpReader::State;

void check(bool ok) {
    if (!ok) std::abort();
}

constexpr std::size_t max_message = 300;

std::vector<Bytes> read(ByteView stream, std::size_t step, State& last) {
    wire::LpReader reader{max_message};
    std::vector<Bytes> out;
    last = State::need_more;
    while (!stream.empty()) {
        auto piece = stream.first(std::min(step, stream.size()));
        stream = stream.subspan(piece.size());
        while (!piece.empty()) {
            const auto before = piece.size();
            last = reader.feed(piece);
            check(reader.buffered() <= max_message);
            if (last == State::message) {
                check(reader.message().size() <= max_message);
                check(piece.size() < before);
                out.emplace_back(reader.message().begin(), reader.message().end());
            } else if (last == State::need_more) {
                check(piece.empty());
            } else {
                return out;
            }
        }
    }
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView in{data, size};
    const auto value = wire::get_varint(in);
    if (value) {
        check(value.size >= 1 && value.size <= wire::max_varint_size && value.size <= size);
        check(value.value <= wire::max_varint);
        Bytes back;
        wire::append_varint(back, value.value);
        check(std::equal(back.begin(), back.end(), in.begin(), in.begin() + value.size));
    }
    if (size == 0) return 0;
    State whole{};
    State cut{};
    const auto a = read(in.subspan(1), size, whole);
    const auto b = read(in.subspan(1), 1u + data[0] % 16u, cut);
    check(a == b && whole == cut);
    return 0;
}
