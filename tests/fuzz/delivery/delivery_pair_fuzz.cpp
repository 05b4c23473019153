// SPDX-License-Identifier: Apache-2.0
// An honest sender and an honest receiver under any schedule of sends, cuts, second streams and slow applications: every message
// once, in order, unmarked, without resync or error.
#include <cstdint>
#include <cstdlib>
#include <deque>

#include "delivery/receiver.hpp"
#include "delivery/sender.hpp"

namespace {

using namespace kith;
using namespace kith::delivery;

void require(bool ok) {
    if (!ok) std::abort();
}

class Run {
public:
    explicit Run(ByteView schedule) : in_(schedule) {}

    void run() {
        while (!in_.empty()) step(next());
        // Heal: everything arrives.
        cut();
        for (int i = 0; i < 10'000 && (delivered_ < accepted_ || released() < accepted_); ++i) {
            if (!attached_) attach();
            move(60'000);
            answer(60'000);
            consume();
            now_ = now_ + std::chrono::milliseconds{6};
        }
        for (int i = 0; i < 5; ++i) {
            consume();
            now_ = now_ + std::chrono::milliseconds{6};
            answer(60'000);
        }
        require(delivered_ == accepted_);
        require(released() == accepted_);
        require(receiver_.resyncs() == 0);
    }

private:
    std::uint8_t next() {
        if (in_.empty()) return 0;
        const auto byte = in_[0];
        in_ = in_.subspan(1);
        return byte;
    }
    void step(std::uint8_t command) {
        switch (command % 8) {
            case 0:
            case 1:
                send(next());
                break;
            case 2:
                if (!attached_) attach();
                break;
            case 3:
                move(1U + next() * 37U);
                break;
            case 4:
                answer(1U + next() * 7U);
                break;
            case 5:
                consume();
                break;
            case 6:
                cut();
                break;
            default:
                now_ = now_ + std::chrono::milliseconds{next()};
        }
    }
    void send(std::uint8_t how) {
        if (accepted_ >= 300) return;
        const auto which = how % 3U;
        const char* names[] = {"a", "b", "c"};
        const auto lane = *sender_.lane(names[which], Strength::reliable, static_cast<Priority>(which + 1), which + 5U);
        const std::size_t size = how > 200 ? (how - 200U) * 1000U : how;
        Bytes bytes(size + 2);
        const auto number = next_[which]++;
        bytes[0] = static_cast<std::uint8_t>(number);
        bytes[1] = static_cast<std::uint8_t>(number >> 8);
        sender_.enqueue(lane, {.bytes = bytes}, now_);
        ++accepted_;
    }
    void attach() {
        stream_ = {LinkId{1}, StreamId{++streams_}};
        sender_.attach();
        require(static_cast<bool>(receiver_.opened(stream_, "x")));
        attached_ = true;
    }
    void cut() {
        if (!attached_) return;
        sender_.detach();
        receiver_.closed(stream_);
        attached_ = false;
    }
    void move(std::size_t room) {
        if (!attached_) return;
        Bytes out(std::max<std::size_t>(room, 64));
        const auto filled = sender_.fill(out, now_);
        const auto ok = receiver_.received(stream_, ByteView{out}.first(filled.bytes), now_, packer_, batch_);
        require(static_cast<bool>(ok));
        for (const auto& m : batch_.messages) {
            require(!m.repeat);
            const auto which = static_cast<std::size_t>(detail::origin_channel(*m.origin)[0] - 'a');
            require(m.bytes[0] + m.bytes[1] * 256U == got_[which]++);
            ++delivered_;
            waiting_.push_back({m.row, m.generation, m.seq});
        }
        batch_.clear();
        packer_.end_batch();
    }
    void answer(std::size_t room) {
        if (!attached_) return;
        Bytes out(room);
        const auto filled = receiver_.fill(out, now_);
        require(static_cast<bool>(sender_.received(ByteView{out}.first(filled.bytes), now_)));
    }
    void consume() {
        for (const auto& w : waiting_) receiver_.consumed(w.row, w.generation, w.seq, now_);
        waiting_.clear();
    }
    std::uint64_t released() {
        std::uint64_t sum = 0;
        for (const auto& r : sender_.released()) sum += r.messages;
        return sum;
    }

    struct Waiting {
        std::uint32_t row, generation;
        std::uint64_t seq;
    };
    ByteView in_;
    Journal journal_;
    Sender sender_{SenderConfig{}, journal_};
    Receiver receiver_{ReceiverConfig{.max_message = 100'000, .lane_window = 150'000, .peer_window = 300'000, .instance = 9}, journal_,
                       PeerId{}};
    Packer packer_;
    Batch batch_;
    std::deque<Waiting> waiting_;
    StreamRef stream_{};
    std::uint32_t streams_ = 0;
    bool attached_ = false;
    std::uint64_t accepted_ = 0;
    std::uint64_t delivered_ = 0;
    std::uint32_t next_[3] = {};
    std::uint32_t got_[3] = {};
    Instant now_{std::chrono::seconds{1}, {}};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size > 4096) return 0;
    Run({bytes, size}).run();
    return 0;
}
