// SPDX-License-Identifier: Apache-2.0
// Both sides of multistream-select against any bytes: the same result however the bytes are cut, nothing consumed behind the
// decision, and a selection only for the bytes that really say so.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "handshake/multistream.hpp"

namespace {

using namespace kith;
using namespace kith::handshake;

void require(bool condition) {
    if (!condition) std::abort();
}

std::string message(std::string_view text) {
    std::string out;
    mss::append_message(out, text);
    return out;
}

struct Run {
    std::string sent;
    std::string selected;
    std::size_t consumed = 0;
    bool failed = false;

    friend bool operator==(const Run&, const Run&) = default;
};

template <class Side>
void pull(Side& side, Run& run, std::size_t room) {
    std::uint8_t buffer[64];
    while (side.wants_pull()) {
        const std::size_t n = side.pull(MutableBytes{buffer}.first(room));
        require(n > 0 && n <= room);
        run.sent.append(as_text(ByteView{buffer}.first(n)));
    }
}

Run listen(ByteView in, std::size_t step) {
    Run run;
    MssListener listener;
    std::size_t proposals = 0;
    while (!run.failed && !listener.done()) {
        pull(listener, run, std::clamp<std::size_t>(step, 1, 64));
        const ByteView piece = in.subspan(run.consumed, std::min(step, in.size() - run.consumed));
        const auto n = listener.received(piece);
        if (!n) {
            run.failed = true;
            break;
        }
        require(*n <= piece.size());
        run.consumed += *n;
        if (const auto proposal = listener.proposal()) {
            require(++proposals <= mss::default_max_proposals && mss::is_proposable(*proposal));
            proposal->ends_with('1') ? listener.accept() : listener.reject();
            pull(listener, run, 64);
        } else if (piece.empty()) {
            break;
        }
    }
    if (listener.state() == MssListener::State::selected) {
        run.selected = listener.selected();
        const std::string_view used = as_text(in.first(run.consumed));
        require(used.starts_with(message(mss::header)) && used.ends_with(message(run.selected)));
        require(run.sent.ends_with(message(run.selected)));
        require(listener.received(in).value_or(1U) == 0);
    }
    require(run.sent.size() <= 20 + 10 * 4 + mss::max_message + 2);
    if (run.failed) run.sent.clear();  // how much went out before the error depends on the cuts
    if (run.failed) run.consumed = 0;
    return run;
}

Run dial(ByteView in, std::size_t step, bool lazy) {
    Run run;
    MssDialer dialer{"/a/1", lazy};
    pull(dialer, run, std::clamp<std::size_t>(step, 1, 64));
    require(run.sent == message(mss::header) + message("/a/1") && dialer.may_write() == lazy);
    while (!dialer.done()) {
        const ByteView piece = in.subspan(run.consumed, std::min(step, in.size() - run.consumed));
        const auto n = dialer.received(piece);
        run.failed = !n;
        if (run.failed || piece.empty()) break;
        require(*n <= piece.size());
        run.consumed += *n;
    }
    require(!dialer.wants_pull());
    require(dialer.done() == as_text(in).starts_with(message(mss::header) + message("/a/1")));
    if (run.failed) run.consumed = 0;
    return run;
}

// Three proposals: the state follows the answers, and every proposal goes out once.
void dial_list(ByteView in, std::size_t step) {
    const std::string_view proposals[] = {"/x", "/y", "/a/1"};
    Run run;
    MssDialer dialer{proposals, false};
    while (!dialer.done()) {
        pull(dialer, run, 64);
        const ByteView piece = in.subspan(run.consumed, std::min(step, in.size() - run.consumed));
        const auto n = dialer.received(piece);
        if (!n || piece.empty()) break;
        run.consumed += *n;
    }
    require((message(mss::header) + message("/x") + message("/y") + message("/a/1")).starts_with(run.sent));
    if (dialer.done())
        require(run.sent.ends_with(message(dialer.selected())) && as_text(in.first(run.consumed)).ends_with(message(dialer.selected())));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::size_t step = 1 + data[0] % 40;
    const ByteView in = ByteView{data, size}.subspan(1);
    const Run whole = listen(in, size);
    require(listen(in, step) == whole && listen(in, 1) == whole);
    for (const bool lazy : {false, true}) {
        const Run dialled = dial(in, size, lazy);
        require(dial(in, step, lazy) == dialled && dial(in, 1, lazy) == dialled);
    }
    dial_list(in, step);
    dial_list(in, size);
    return 0;
}
