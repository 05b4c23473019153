// SPDX-License-Identifier: Apache-2.0
// An honest sender and an honest receiver under any schedule of sends, cuts, lost bytes, second streams, slow applications, and all
// that may end a message otherwise: cancelling, times to live, newer ones with the same key, giving up. Every message once, in
// order, unmarked, without resync or error; and what was told to have ended otherwise is never handed over.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <optional>
#include <vector>

#include "delivery/receiver.hpp"
#include "delivery/sender.hpp"

namespace {

using namespace kith;
using namespace kith::delivery;
using namespace std::chrono_literals;
using Ended = Receipt::Outcome;

void require(bool ok) {
    if (!ok) std::abort();
}

class Run {
public:
    explicit Run(ByteView schedule) : in_(schedule) {}

    void run() {
        while (!in_.empty()) {
            step(next());
            note();
        }
        // Heal: everything arrives.
        cut();
        for (int i = 0; i < 10'000 && sender_.queued() != 0; ++i) {
            if (!attached_) attach();
            turn();
        }
        for (int i = 0; i < 5; ++i) turn();
        require(sender_.queued() == 0 && released_ == messages_.size());
        require(receiver_.resyncs() == 0);
        for (const auto& m : messages_) {
            const bool otherwise = m.ended && *m.ended != Ended::delivered;
            require(m.delivered ? !certain(m) : otherwise || m.given_up);
        }
    }

private:
    struct Message {
        std::size_t lane = 0;
        std::uint32_t place = 0;  // in the lane: of a newer one that of the older
        bool waits = false;       // for its outcome
        bool given_up = false;
        bool delivered = false;
        std::optional<Ended> ended;
    };
    struct Waiting {
        std::uint32_t row, generation;
        std::uint64_t seq;
    };

    // It ended in a way that promises that nobody got it.
    static bool certain(const Message& m) {
        return m.ended &&
               (*m.ended == Ended::expired || *m.ended == Ended::cancelled || *m.ended == Ended::replaced || *m.ended == Ended::failed);
    }
    std::uint8_t next() {
        if (in_.empty()) return 0;
        const auto byte = in_[0];
        in_ = in_.subspan(1);
        return byte;
    }
    void step(std::uint8_t command) {
        switch (command % 16) {
            case 0:
                send(next(), 0);
                break;
            case 1: {  // many, so that what ends of them lies together
                const auto how = next();
                for (unsigned count = how >> 2U; count != 0; --count, note()) send(how & 3U, 4);
                break;
            }
            case 2: {
                const auto how = next();
                send(how, next());
                break;
            }
            case 3:
                if (!attached_) attach();
                break;
            case 4:
                move(1U + next() * 37U);
                break;
            case 5:
                answer(1U + next() * 7U);
                break;
            case 6:
                consume(1U + next());
                break;
            case 7:
                cut();
                break;
            case 8:
                now_ = now_ + std::chrono::milliseconds{next()};
                break;
            case 9:
                now_ = now_ + 20ms * next();
                tick();
                break;
            case 10:
                cancel(next(), 1);
                break;
            case 11:  // messages are on the wire and lost
                if (attached_) (void)fill(1U + next() * 37U);
                cut();
                break;
            case 12:  // answers are
                if (attached_) (void)receiver_.fill(buffer(1U + next() * 7U), now_);
                cut();
                break;
            case 13:  // another stream before the end of the first is known
                if (attached_) attach();
                break;
            case 14:
                if (const auto what = next(); what % 8 == 0) {
                    give_up();
                } else {
                    cancel(what, 80);
                }
                break;
            default:
                if (!attached_) receiver_.drop_partials();
                tick();
        }
    }
    void turn() {
        move(60'000);
        answer(60'000);
        consume(messages_.size());
        tick();
        now_ = now_ + 6ms;
        note();
    }
    void send(std::uint8_t how, std::uint8_t options) {
        if (messages_.size() >= 250) return;
        constexpr const char* names[] = {"a", "b", "c", "a"};  // the last: another priority of the first
        constexpr Priority priorities[] = {Priority::normal, Priority::high, Priority::low, Priority::high};
        const auto which = how % 4U;
        const auto lane = *sender_.lane(names[which], Strength::reliable, priorities[which], which + 5U);
        Bytes bytes((how > 200 ? (how - 200U) * 1000U : how) + 1U);
        bytes[0] = static_cast<std::uint8_t>(messages_.size());
        Outgoing out{.bytes = bytes, .owned = bytes.size() >= owned_from ? &bytes : nullptr};
        auto& message = messages_.emplace_back();
        message.lane = lane;
        if (options != 0) {
            message.waits = true;
            out.token = messages_.size();
            out.key = options % 4U;
            out.ttl = (options & 0x10) != 0 ? 30ms * (options >> 5) : 0ms;
        }
        sender_.enqueue(lane, out, now_);
        const auto& outcomes = sender_.outcomes();
        const auto replaced = std::find_if(outcomes.begin(), outcomes.end(), [](const auto& o) { return o.outcome == Ended::replaced; });
        if (replaced != outcomes.end()) {
            const auto& former = messages_[replaced->token - 1];
            message.lane = former.lane;
            message.place = former.place;
        } else {
            message.place = next_[lane]++;
        }
    }
    void cancel(std::size_t first, std::size_t count) {
        for (auto i = first; i < std::min(first + count, messages_.size()); ++i) sender_.cancel(i + 1, now_);
    }
    // The outcomes and what was given back since the last step.
    void note() {
        for (const auto& o : sender_.outcomes()) {
            require(o.token >= 1 && o.token <= messages_.size());
            auto& message = messages_[o.token - 1];
            require(message.waits && !message.ended);
            message.ended = o.outcome;
            require(o.outcome == Ended::delivered ? message.delivered : !certain(message) || !message.delivered);
        }
        sender_.outcomes().clear();
        for (const auto& r : sender_.released()) released_ += r.messages;
        sender_.released().clear();
        require(sender_.queued() == messages_.size() - released_);
    }
    void attach() {
        if (attached_ && receiver_.current() != stream_) receiver_.closed(stream_);
        stream_ = {LinkId{1}, StreamId{++streams_}};
        sender_.attach();
        require(static_cast<bool>(receiver_.opened(stream_, "x")));
        attached_ = true;
    }
    void cut() {
        if (!attached_) return;
        sender_.detach();
        receiver_.closed(stream_);
        if (const auto former = receiver_.current()) receiver_.closed(former);
        attached_ = false;
    }
    void give_up() {
        cut();
        sender_.abandon(now_);
        note();
        for (auto& m : messages_) m.given_up = m.given_up || (!m.waits && !m.delivered);
    }
    void tick() {
        if (!sender_.tick(now_)) cut();
    }
    MutableBytes buffer(std::size_t room) {
        out_.resize(std::max<std::size_t>(room, 64));
        return out_;
    }
    ByteView fill(std::size_t room) {
        const auto out = buffer(room);
        return out.first(sender_.fill(out, now_).bytes);
    }
    void move(std::size_t room) {
        if (!attached_) return;
        const auto ok = receiver_.received(stream_, fill(room), now_, packer_, batch_);
        require(static_cast<bool>(ok));
        (void)receiver_.take_fenced();
        for (const auto& m : batch_.messages) {
            require(!m.repeat && m.bytes[0] < messages_.size());
            auto& message = messages_[m.bytes[0]];
            require(!message.delivered && !message.ended && !message.given_up);
            message.delivered = true;
            require(message.place >= got_[message.lane]);
            got_[message.lane] = message.place + 1;
            waiting_.push_back({m.row, m.generation, m.seq});
        }
        batch_.clear();
        packer_.end_batch();
    }
    void answer(std::size_t room) {
        if (!attached_) return;
        const auto out = buffer(room);
        const auto filled = receiver_.fill(out, now_);
        if (receiver_.current() != stream_) return;  // on the former stream: nobody reads it
        require(static_cast<bool>(sender_.received(out.first(filled.bytes), now_)));
    }
    void consume(std::size_t most) {
        for (; most != 0 && !waiting_.empty(); --most, waiting_.pop_front()) {
            receiver_.consumed(waiting_.front().row, waiting_.front().generation, waiting_.front().seq, now_);
        }
    }

    ByteView in_;
    Bytes out_;
    Journal journal_;
    Sender sender_{SenderConfig{.ask_after = 1s, .ask_when_empty = 100ms, .unknown_after = 2s}, journal_};
    Receiver receiver_{ReceiverConfig{.max_message = 100'000,
                                      .lane_window = 150'000,
                                      .peer_window = 300'000,
                                      .hellos_per_second = 1e9,
                                      .hello_burst = 1e9,
                                      .instance = 9},
                       journal_, PeerId{}};
    Packer packer_;
    Batch batch_;
    std::deque<Waiting> waiting_;
    StreamRef stream_{};
    std::uint32_t streams_ = 0;
    bool attached_ = false;
    std::vector<Message> messages_;
    std::uint64_t released_ = 0;
    std::uint32_t next_[4] = {};
    std::uint32_t got_[4] = {};
    Instant now_{1s, {}};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size > 4096) return 0;
    Run({bytes, size}).run();
    return 0;
}
