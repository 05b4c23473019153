// SPDX-License-Identifier: Apache-2.0
#include "handshake/multistream.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace kith::handshake {
namespace {

using DialerState = MssDialer::State;
using ListenerState = MssListener::State;

std::string message(std::string_view text) {
    std::string out;
    mss::append_message(out, text);
    return out;
}

const std::string header = message(mss::header);
const std::string na = message("na");

template <class Side>
std::string pull_all(Side& side, std::size_t room = 4096) {
    std::string out;
    std::vector<std::uint8_t> buffer(room);
    while (side.wants_pull()) {
        const std::size_t n = side.pull(buffer);
        EXPECT_GT(n, 0U);
        if (n == 0) break;
        out.append(as_text(ByteView{buffer}.first(n)));
    }
    return out;
}

// Feeds until nothing more is taken, answering proposals; returns what was left, or the error.
Result<std::size_t> feed(MssListener& listener, std::string_view in, const std::set<std::string, std::less<>>& known) {
    std::size_t used = 0;
    while (true) {
        const auto n = listener.received(as_bytes(in.substr(used)));
        if (!n) return n;
        used += *n;
        const auto proposal = listener.proposal();
        if (!proposal) return used;
        known.contains(*proposal) ? listener.accept() : listener.reject();
    }
}

TEST(Multistream, WireForm) {
    EXPECT_EQ(header, "\x13/multistream/1.0.0\n");
    EXPECT_EQ(na, "\x03na\n");
    const std::string long_name(200, 'x');
    EXPECT_EQ(message(long_name), "\xC9\x01" + long_name + "\n");  // 201 = 0x49 | 0x80, 1
}

TEST(Multistream, WhatMayBeProposed) {
    EXPECT_TRUE(mss::is_proposable("/noise"));
    EXPECT_TRUE(mss::is_proposable(std::string(1023, 'x')));
    for (const std::string& bad : {std::string{}, std::string(1024, 'x'), std::string{"a\nb"}, std::string{"na"}, std::string{"ls"},
                                   std::string{"/multistream/1.0.0"}}) {
        EXPECT_FALSE(mss::is_proposable(bad)) << bad;
        MssDialer dialer{bad};
        EXPECT_EQ(dialer.state(), DialerState::failed);
        EXPECT_FALSE(dialer.wants_pull());
        const auto n = dialer.received(as_bytes(header));
        ASSERT_FALSE(n);
        EXPECT_EQ(n.error(), Errc::invalid_argument);
    }
    MssDialer none{std::span<const std::string_view>{}, false};
    EXPECT_EQ(none.state(), DialerState::failed);
}

TEST(Multistream, AgreesOnTheFirstCommonProtocol) {
    const std::vector<std::string_view> proposals{"/a/1", "/b/1", "/c/1"};
    MssDialer dialer{proposals, false};
    MssListener listener;
    EXPECT_EQ(pull_all(listener), header);
    ASSERT_TRUE(dialer.received(as_bytes(header)));
    EXPECT_EQ(dialer.selected(), "/a/1");
    for (const auto* name : {"/a/1", "/b/1"}) {
        std::string sent = pull_all(dialer);
        EXPECT_TRUE(sent.ends_with(message(name)));
        ASSERT_EQ(feed(listener, sent, {"/b/1", "/c/1"}).value_or(0U), sent.size());
        const std::string answer = pull_all(listener);
        ASSERT_EQ(dialer.received(as_bytes(answer)).value_or(0U), answer.size());
    }
    EXPECT_EQ(dialer.state(), DialerState::selected);
    EXPECT_EQ(dialer.selected(), "/b/1");
    EXPECT_TRUE(dialer.may_write());
    EXPECT_EQ(listener.state(), ListenerState::selected);
    EXPECT_EQ(listener.selected(), "/b/1");
    EXPECT_TRUE(listener.done());
    // What comes next belongs to the protocol.
    EXPECT_EQ(dialer.received(as_bytes("data")).value_or(99U), 0U);
    EXPECT_EQ(listener.received(as_bytes("data")).value_or(99U), 0U);
}

TEST(Multistream, AllRefusedIsNotSupported) {
    const std::vector<std::string_view> proposals{"/a/1", "/b/1"};
    MssDialer dialer{proposals, true};
    EXPECT_FALSE(dialer.lazy()) << "two proposals are never lazy";
    EXPECT_EQ(pull_all(dialer), header + message("/a/1"));
    EXPECT_FALSE(dialer.may_write());
    ASSERT_TRUE(dialer.received(as_bytes(header + na)));
    EXPECT_EQ(pull_all(dialer), message("/b/1"));
    const auto n = dialer.received(as_bytes(na));
    ASSERT_FALSE(n);
    EXPECT_EQ(n.error(), Errc::not_supported);
    EXPECT_EQ(n.error().detail, "/a/1 /b/1");
    EXPECT_EQ(dialer.state(), DialerState::failed);
    EXPECT_FALSE(dialer.received(as_bytes(na)));
}

// Every place where the bytes of either side may be cut, and every room for pulling.
TEST(Multistream, EverySplitOfBothDirections) {
    const std::string to_listener = header + message("/a/1") + message("/b/1") + "rest";
    const std::string to_dialer = header + na + message("/b/1") + "rest";
    for (std::size_t cut = 0; cut <= to_listener.size(); ++cut) {
        MssListener listener;
        const auto first = feed(listener, std::string_view{to_listener}.substr(0, cut), {"/b/1"});
        ASSERT_TRUE(first) << cut;
        const auto second = feed(listener, std::string_view{to_listener}.substr(*first), {"/b/1"});
        ASSERT_TRUE(second) << cut;
        EXPECT_EQ(*first + *second, to_listener.size() - 4) << cut;
        EXPECT_EQ(listener.selected(), "/b/1");
        EXPECT_EQ(pull_all(listener, 1 + cut % 7), header + na + message("/b/1"));
    }
    for (std::size_t cut = 0; cut <= to_dialer.size(); ++cut) {
        const std::vector<std::string_view> proposals{"/a/1", "/b/1"};
        MssDialer dialer{proposals, false};
        std::string sent = pull_all(dialer, 1 + cut % 7);
        // The second proposal can only be answered once it was sent, so that the bytes behind the first "na" come later.
        const std::size_t answer = header.size() + na.size();
        std::size_t used = 0;
        for (const std::size_t end : {std::min(cut, answer), answer, std::max(cut, answer), to_dialer.size()}) {
            const auto n = dialer.received(as_bytes(std::string_view{to_dialer}.substr(used, end - used)));
            ASSERT_TRUE(n) << cut;
            used += *n;
            sent += pull_all(dialer, 1 + cut % 7);
        }
        EXPECT_EQ(used, to_dialer.size() - 4) << cut;
        EXPECT_EQ(dialer.selected(), "/b/1");
        EXPECT_EQ(sent, header + message("/a/1") + message("/b/1"));
    }
}

TEST(Multistream, OneByteAtATime) {
    MssListener listener;
    const std::string in = header + message("/a/1");
    for (const char c : in) {
        ASSERT_FALSE(listener.proposal());
        ASSERT_EQ(listener.received(as_bytes({&c, 1})).value_or(0U), 1U);
    }
    EXPECT_EQ(listener.proposal(), "/a/1");
}

TEST(MultistreamListener, WaitsForTheAnswer) {
    MssListener listener;
    const std::string in = header + message("/a/1") + message("/b/1");
    const std::size_t first = header.size() + message("/a/1").size();
    EXPECT_EQ(listener.received(as_bytes(in)).value_or(0U), first);
    EXPECT_EQ(listener.state(), ListenerState::waiting);
    EXPECT_EQ(listener.received(as_bytes(std::string_view{in}.substr(first))).value_or(99U), 0U) << "until it is answered";
    listener.reject();
    EXPECT_FALSE(listener.proposal());
    listener.accept();  // nothing waits: no effect
    EXPECT_EQ(listener.state(), ListenerState::negotiating);
    EXPECT_TRUE(listener.received(as_bytes(std::string_view{in}.substr(first))));
    EXPECT_EQ(listener.proposal(), "/b/1");
    listener.accept();
    EXPECT_FALSE(listener.done()) << "the echo is not pulled yet";
    EXPECT_EQ(pull_all(listener), header + na + message("/b/1"));
    EXPECT_TRUE(listener.done());
}

TEST(MultistreamListener, ListAndSimultaneousConnectAreRefused) {
    MssListener listener;
    ASSERT_TRUE(
        listener.received(as_bytes(header + message("ls") + message("/libp2p/simultaneous-connect") + message("na") + message("/a/1"))));
    EXPECT_EQ(listener.proposal(), "/a/1");
    EXPECT_EQ(pull_all(listener), header + na + na + na);
}

TEST(MultistreamListener, BrokenRules) {
    const std::string long_length{"\x81\x08"};  // 1025
    const struct {
        const char* why;
        std::string in;
    } cases[] = {
        {"no header", message("/a/1")},
        {"another version", message("/multistream/2.0.0")},
        {"header twice", header + header},
        {"empty", header + std::string(1, '\0')},
        {"not minimal", header + "\x85" + std::string(1, '\0') + "/a/1\n"},
        {"1025 bytes", header + long_length},
        {"length of three bytes", header + "\xFF\xFF\x01"},
        {"length of ten bytes", header + std::string(9, '\xFF') + "\x01"},
        {"no newline", header + "\x05/a/1x"},
        {"newline inside", header + "\x05/\n/1\n"},
    };
    for (const auto& c : cases) {
        MssListener listener;
        const auto n = listener.received(as_bytes(c.in));
        ASSERT_FALSE(n) << c.why;
        EXPECT_EQ(n.error(), Errc::protocol_error) << c.why;
        EXPECT_EQ(listener.state(), ListenerState::failed);
        EXPECT_FALSE(listener.wants_pull()) << "nothing is sent after a broken rule";
        EXPECT_FALSE(listener.received(as_bytes("x"))) << "final";
    }
}

TEST(MultistreamListener, EmptyProposalIsRefusedPolitely) {
    MssListener listener;
    ASSERT_TRUE(listener.received(as_bytes(header + "\x01\n")));
    EXPECT_FALSE(listener.proposal());
    EXPECT_EQ(pull_all(listener), header + na);
}

TEST(MultistreamListener, LongestMessage) {
    const std::string name(mss::max_message - 1, 'x');
    MssListener listener;
    ASSERT_TRUE(listener.received(as_bytes(header + message(name))));
    EXPECT_EQ(listener.proposal(), name);
    listener.accept();
    EXPECT_EQ(pull_all(listener, 100), header + message(name));
}

TEST(MultistreamListener, TooManyProposals) {
    for (const char* text : {"/no", "ls"}) {
        MssListener listener{10};
        std::string in = header;
        for (int i = 0; i < 10'000; ++i) in += message(text);
        std::size_t answered = 0;
        Result<std::size_t> n{std::size_t{0}};
        for (std::size_t used = 0; used < in.size(); used += *n) {
            n = listener.received(as_bytes(std::string_view{in}.substr(used)));
            if (!n) break;
            answered += listener.proposal() ? 1U : 0U;
            listener.reject();
        }
        ASSERT_FALSE(n);
        EXPECT_EQ(n.error(), Errc::protocol_error);
        EXPECT_LE(answered, 10U);
        EXPECT_EQ(listener.state(), ListenerState::failed);
    }
    // The tenth is still served.
    MssListener listener{10};
    std::string in = header;
    for (int i = 0; i < 9; ++i) in += message("/no");
    ASSERT_TRUE(feed(listener, in + message("/a/1"), {"/a/1"}));
    EXPECT_EQ(listener.selected(), "/a/1");
    // Whatever is refused, what waits to be pulled stays small.
    EXPECT_EQ(pull_all(listener).size(), header.size() + 9 * na.size() + message("/a/1").size());
}

TEST(MultistreamDialer, BrokenRules) {
    const struct {
        const char* why;
        std::string in;
    } cases[] = {
        {"no header", na},
        {"header twice", header + header},
        {"another protocol", header + message("/b/1")},
        {"same length, other name", header + message("/a/2")},
        {"longer than any answer", header + message("/a/1/this-is-longer-than-needed")},
        {"empty", header + std::string(1, '\0')},
        {"not minimal", header + "\x83" + std::string(1, '\0')},
        {"no newline", header + "\x03nax"},
        {"length of three bytes", header + "\xFF\xFF\x01"},
    };
    for (const auto& c : cases) {
        MssDialer dialer{"/a/1"};
        pull_all(dialer);
        const auto n = dialer.received(as_bytes(c.in));
        ASSERT_FALSE(n) << c.why;
        EXPECT_EQ(n.error(), Errc::protocol_error) << c.why;
        EXPECT_EQ(dialer.state(), DialerState::failed);
    }
}

TEST(MultistreamDialer, AnswerBeforeTheProposal) {
    MssDialer dialer{"/a/1"};
    ASSERT_TRUE(dialer.received(as_bytes(header)));  // the peer's header need not wait for ours
    std::uint8_t some[25];
    dialer.pull(some);
    ASSERT_TRUE(dialer.wants_pull());
    const auto n = dialer.received(as_bytes(message("/a/1")));
    ASSERT_FALSE(n);
    EXPECT_EQ(n.error(), Errc::protocol_error);
}

TEST(MultistreamLazy, DataBehindTheProposalAndTheEcho) {
    MssDialer dialer{"/echo/1", true};
    EXPECT_TRUE(dialer.lazy());
    EXPECT_FALSE(dialer.may_write()) << "not before header and proposal";
    const std::string sent = pull_all(dialer) + "request";
    EXPECT_TRUE(dialer.may_write()) << "without any answer";
    MssListener listener;
    const auto n = feed(listener, sent, {"/echo/1"});
    ASSERT_TRUE(n);
    EXPECT_EQ(sent.substr(*n), "request");
    const std::string back = pull_all(listener) + "response";
    const auto m = dialer.received(as_bytes(back));
    ASSERT_TRUE(m);
    EXPECT_EQ(back.substr(*m), "response");
    EXPECT_TRUE(dialer.done());
}

TEST(MultistreamLazy, RefusalAfterDataIsFinal) {
    MssDialer dialer{"/echo/1", true};
    pull_all(dialer);
    ASSERT_TRUE(dialer.may_write());
    const auto n = dialer.received(as_bytes(header + na));
    ASSERT_FALSE(n);
    EXPECT_EQ(n.error(), Errc::not_supported);
    EXPECT_FALSE(dialer.may_write());
    EXPECT_FALSE(dialer.wants_pull()) << "no second proposal behind application data";
}

// The listener refuses; the application data behind the proposal is then read as multistream and ends the negotiation.
TEST(MultistreamLazy, DataIsNeverTakenForAProposalThatIsKnown) {
    MssListener listener;
    const auto n = feed(listener, header + message("/unknown") + "GET / HTTP/1.1\r\n\r\n" + std::string(100, 'x'), {"/echo/1"});
    ASSERT_FALSE(n);
    EXPECT_EQ(n.error(), Errc::protocol_error);
}

TEST(Multistream, ObjectsAreSmall) {
    EXPECT_LE(sizeof(MssDialer), 160U);
    EXPECT_LE(sizeof(MssListener), 128U);
}

}  // namespace
}  // namespace kith::handshake
