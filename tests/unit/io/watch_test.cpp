// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "kith/event_loop.hpp"
#include "unit/io/support.hpp"

namespace {

using namespace kith::io::test;
using kith::Errc;
using kith::EventLoop;
using kith::Ready;
using kith::WatchId;

TEST(Watch, IsCalledAgainAsLongAsTheConditionHolds) {
    EventLoop loop;
    Pair pair;
    put(pair.a, "abc");
    std::string read;
    ASSERT_TRUE(loop.watch(pair.b.get(), {.readable = true}, [&](Ready ready) {
        EXPECT_TRUE(ready.readable);
        EXPECT_FALSE(ready.writable);
        read += take(pair.b, 1);
    }));
    EXPECT_EQ(loop.count(), 1U);
    ASSERT_TRUE(run_until(loop, [&] { return read == "abc"; }));
    EXPECT_EQ(loop.poll(), 0U) << "nothing is left to read";
    put(pair.a, "d");
    EXPECT_EQ(loop.poll(patience), 1U);
    EXPECT_EQ(read, "abcd");
}

TEST(Watch, ReadableAndWritableAreOneCall) {
    EventLoop loop;
    Pair pair;
    put(pair.a, "x");
    int calls = 0;
    ASSERT_TRUE(loop.watch(pair.b.get(), {.readable = true, .writable = true}, [&](Ready ready) {
        ++calls;
        EXPECT_TRUE(ready.readable && ready.writable);
    }));
    EXPECT_EQ(loop.poll(), 1U);
    EXPECT_EQ(calls, 1);
}

TEST(Watch, TellsWhatIsOfInterestOnly) {
    EventLoop loop;
    Pair pair;
    int calls = 0;
    const auto id = loop.watch(pair.b.get(), {.writable = true}, [&](Ready ready) {
        EXPECT_TRUE(ready.writable);
        ++calls;
    });
    ASSERT_TRUE(id);
    EXPECT_EQ(loop.poll(), 1U);
    ASSERT_TRUE(loop.modify(*id, {}));
    put(pair.a, "x");
    EXPECT_EQ(loop.poll(), 0U);
    EXPECT_EQ(loop.poll(), 0U);
    ASSERT_TRUE(loop.modify(*id, {.writable = true}));
    EXPECT_EQ(loop.poll(), 1U);
    EXPECT_EQ(calls, 2);
}

TEST(Watch, InterestMayChangeInsideTheCallback) {
    EventLoop loop;
    Pair pair;
    WatchId id;
    int reads = 0;
    int writes = 0;
    id = *loop.watch(pair.b.get(), {.writable = true}, [&](Ready ready) {
        if (ready.writable) {
            ++writes;
            EXPECT_TRUE(loop.modify(id, {.readable = true}));
        }
        if (ready.readable) {
            ++reads;
            take(pair.b);
            EXPECT_TRUE(loop.modify(id, {.writable = true}));
        }
    });
    for (int i = 1; i <= 50; ++i) {
        EXPECT_EQ(loop.poll(patience), 1U);
        EXPECT_EQ(writes, i);
        EXPECT_EQ(loop.poll(), 0U);
        put(pair.a, "x");
        EXPECT_EQ(loop.poll(patience), 1U);
        EXPECT_EQ(reads, i);
    }
}

TEST(Watch, RefusesWhatCannotBeWatched) {
    EventLoop loop;
    Pair pair;
    EXPECT_EQ(loop.watch(-1, {.readable = true}, [](Ready) {}).error(), Errc::invalid_argument);
    const kith::io::Fd closed_number{::dup(pair.a.get())};
    const int number = closed_number.get();
    const_cast<kith::io::Fd&>(closed_number).reset();
    EXPECT_EQ(loop.watch(number, {.readable = true}, [](Ready) {}).error(), Errc::invalid_argument);
    ASSERT_TRUE(loop.watch(pair.a.get(), {.readable = true}, [](Ready) {}));
    EXPECT_EQ(loop.watch(pair.a.get(), {.readable = true}, [](Ready) {}).error(), Errc::invalid_argument) << "twice";
    EXPECT_EQ(loop.modify(WatchId{}, {}).error(), Errc::invalid_argument);
    EXPECT_FALSE(loop.unwatch(WatchId{12345}));
    EXPECT_EQ(loop.count(), 1U);
}

TEST(Watch, ARegularFileIsRefused) {
    EventLoop loop;
    const Folder folder;
    const kith::io::Fd file{::open((folder / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    ASSERT_TRUE(file);
    EXPECT_EQ(loop.watch(file.get(), {.readable = true}, [](Ready) {}).error(), Errc::invalid_argument);
}

TEST(Watch, HangUpIsToldWithoutInterestAndOnce) {
    EventLoop loop;
    Pair pair;
    int calls = 0;
    const auto id = loop.watch(pair.b.get(), {}, [&](Ready ready) {
        EXPECT_TRUE(ready.hangup);
        EXPECT_FALSE(ready.readable);
        ++calls;
    });
    ASSERT_TRUE(id);
    EXPECT_EQ(loop.poll(), 0U);
    pair.a.reset();
    EXPECT_EQ(loop.poll(patience), 1U);
    EXPECT_EQ(loop.poll(), 0U) << "a loop that nobody listens to must sleep";
    ASSERT_TRUE(loop.modify(*id, {}));
    EXPECT_EQ(loop.poll(patience), 1U) << "after modify() it is told again";
    EXPECT_EQ(calls, 2);
}

TEST(Watch, AnErrorIsTold) {
    EventLoop loop;
    // A connect to a closed port of this machine fails at once, and a watch tells it as an error.
    kith::io::Fd listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_storage address{};
    address.ss_family = AF_INET;
    socklen_t size = 16;
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    const kith::io::Fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    ASSERT_NE(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    Ready seen;
    ASSERT_TRUE(loop.watch(socket.get(), {.writable = true}, [&](Ready ready) { seen = ready; }));
    ASSERT_TRUE(run_until(loop, [&] { return seen.error; }));
    EXPECT_TRUE(seen.writable);
}

TEST(Watch, UrgentDataDoesNotKeepTheLoopAwake) {
    EventLoop loop;
    kith::io::Fd listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_storage address{};
    address.ss_family = AF_INET;
    socklen_t size = 16;
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    ASSERT_EQ(::listen(listener.get(), 1), 0);
    ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    const kith::io::Fd peer{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    ASSERT_EQ(::connect(peer.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    const kith::io::Fd ours{::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    std::string read;
    ASSERT_TRUE(loop.watch(ours.get(), {.readable = true}, [&](Ready) { read += take(ours); }));
    ASSERT_EQ(::send(peer.get(), "!", 1, MSG_OOB), 1);
    put(peer, "a");
    ASSERT_TRUE(run_until(loop, [&] { return read == "a"; }));
    for (int i = 0; i < 3; ++i) loop.poll();
    const auto before = loop.stats();
    EXPECT_EQ(loop.poll(std::chrono::milliseconds{30}), 0U);
    EXPECT_LT(loop.stats().waits - before.waits, 10U);
    put(peer, "b");
    ASSERT_TRUE(run_until(loop, [&] { return read == "ab"; }));
}

TEST(Watch, UnwatchInsideTheOwnCallback) {
    EventLoop loop;
    Pair pair;
    put(pair.a, "x");
    WatchId id;
    auto owned = std::make_shared<int>(0);
    const std::weak_ptr<int> alive = owned;
    id = *loop.watch(pair.b.get(), {.readable = true}, [&loop, &id, owned = std::move(owned)](Ready) {
        EXPECT_TRUE(loop.unwatch(id));
        EXPECT_FALSE(loop.unwatch(id));
        ++*owned;  // the callback lives until it returns
    });
    EXPECT_EQ(loop.poll(), 1U);
    EXPECT_TRUE(alive.expired());
    EXPECT_EQ(loop.poll(), 0U);
    EXPECT_EQ(loop.count(), 0U);
}

TEST(Watch, ARemovedWatchIsNotCalledInTheSameTurn) {
    EventLoop loop;
    constexpr std::size_t n = 64;
    std::vector<Pair> pairs(n);
    std::vector<WatchId> ids(n);
    std::size_t calls = 0;
    for (std::size_t i = 0; i < n; ++i) {
        put(pairs[i].a, "x");
        ids[i] = *loop.watch(pairs[i].b.get(), {.readable = true}, [&](Ready) {
            ++calls;
            for (auto& id : ids) loop.unwatch(id);  // everybody, the caller included
        });
    }
    EXPECT_EQ(loop.poll(), 1U);
    EXPECT_EQ(loop.poll(), 0U);
    EXPECT_EQ(calls, 1U);
    EXPECT_EQ(loop.count(), 0U);
    // The slots are used again and the old ids stay dead.
    int fresh = 0;
    for (auto& pair : pairs) ASSERT_TRUE(loop.watch(pair.b.get(), {.readable = true}, [&](Ready) { ++fresh; }));
    for (const auto id : ids) EXPECT_FALSE(loop.unwatch(id));
    ASSERT_TRUE(run_until(loop, [&] { return fresh == n; }));
}

TEST(Watch, EveryOtherOneRemovedWhileIteratingKeepsTheRest) {
    EventLoop loop;
    constexpr std::size_t n = 100;
    std::vector<Pair> pairs(n);
    std::vector<WatchId> ids(n);
    std::vector<int> calls(n);
    for (std::size_t i = 0; i < n; ++i) {
        put(pairs[i].a, "x");
        ids[i] = *loop.watch(pairs[i].b.get(), {.readable = true}, [&, i](Ready) {
            ++calls[i];
            loop.unwatch(ids[i ^ 1U]);
        });
    }
    EXPECT_EQ(loop.poll(), n / 2);
    for (std::size_t i = 0; i < n; i += 2) EXPECT_EQ(calls[i] + calls[i + 1], 1);
    EXPECT_EQ(loop.count(), n / 2);
}

TEST(Watch, TheSameSocketMayBeWatchedAnewInsideTheCallback) {
    EventLoop loop;
    Pair pair;
    put(pair.a, "x");
    WatchId id;
    int first = 0;
    int second = 0;
    id = *loop.watch(pair.b.get(), {.readable = true}, [&](Ready) {
        ++first;
        loop.unwatch(id);
        const auto again = loop.watch(pair.b.get(), {.readable = true}, [&](Ready) {
            ++second;
            take(pair.b);
        });
        ASSERT_TRUE(again);
        EXPECT_NE(*again, id);
    });
    ASSERT_TRUE(run_until(loop, [&] { return second == 1; }));
    EXPECT_EQ(first, 1);
    EXPECT_EQ(loop.count(), 1U);
}

TEST(Watch, ClosedAndReusedNumbersDoNotMixUp) {
    EventLoop loop;
    for (int i = 0; i < 200; ++i) {
        Pair pair;
        int calls = 0;
        const auto id = loop.watch(pair.b.get(), {.readable = true}, [&](Ready) { ++calls; });
        ASSERT_TRUE(id);
        if (i % 3 != 0) put(pair.a, "x");
        EXPECT_EQ(loop.poll(), i % 3 != 0 ? 1U : 0U) << i;
        EXPECT_TRUE(loop.unwatch(*id));
    }
}

TEST(Watch, AWakeUpAllocatesNothing) {
    EventLoop loop;
    Pair pair;
    int pongs = 0;
    ASSERT_TRUE(loop.watch(pair.a.get(), {.readable = true}, [&](Ready) {
        std::array<char, 8> room{};
        const auto n = ::recv(pair.a.get(), room.data(), room.size(), 0);
        pongs += n > 0 ? 1 : 0;
        (void)::send(pair.a.get(), "p", 1, 0);
    }));
    ASSERT_TRUE(loop.watch(pair.b.get(), {.readable = true, .writable = false}, [&](Ready) {
        std::array<char, 8> room{};
        (void)::recv(pair.b.get(), room.data(), room.size(), 0);
        (void)::send(pair.b.get(), "p", 1, 0);
    }));
    put(pair.b, "p");
    while (pongs < 10) loop.poll(patience);
    const auto before = allocations();
    while (pongs < 1000) loop.poll(patience);
    EXPECT_EQ(allocations() - before, 0U);
}

}  // namespace
