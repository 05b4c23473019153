// SPDX-License-Identifier: Apache-2.0
// Servers on the public loop, as in the examples: many clients, slow clients, silent clients.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "examples/chat_room.hpp"
#include "unit/io/support.hpp"

namespace {

using namespace std::chrono_literals;
using namespace kith::io::test;
using example::ChatRoom;
using example::Closed;
using example::connect_local;
using example::LineConnection;
using example::LineOptions;
using example::LineServer;
using example::SlowPolicy;
using kith::EventLoop;
using kith::Ready;

TEST(ChatRoom, TenClientsFiveMessagesInterleaved) {
    EventLoop loop;
    ChatRoom room{loop, {}};
    const auto port = room.listen(0);
    ASSERT_NE(port, 0);
    struct Client {
        std::unique_ptr<LineConnection> connection;
        std::vector<std::string> heard;
    };
    std::vector<Client> clients(10);
    for (auto& client : clients) {
        client.connection = std::make_unique<LineConnection>(loop, connect_local(port), LineOptions{});
        ASSERT_TRUE(client.connection->start([&](std::string_view line) { client.heard.emplace_back(line); }, [](Closed) { FAIL(); }));
    }
    ASSERT_TRUE(run_until(loop, [&] { return room.members() == 10; }));
    for (int n = 0; n < 5; ++n) {
        for (std::size_t i = 0; i < clients.size(); ++i) {
            clients[i].connection->send(std::to_string(i) + " " + std::to_string(n) + "\n");
            if (i % 4 == 3) loop.poll();
        }
    }
    ASSERT_TRUE(run_until(loop, [&] { return std::all_of(clients.begin(), clients.end(), [](auto& c) { return c.heard.size() >= 50; }); }));
    for (const auto& client : clients) {
        EXPECT_EQ(client.heard, clients[0].heard) << "one order for everybody";
        std::map<char, char> next;
        for (const auto& line : client.heard) {
            EXPECT_EQ(line[2], next.try_emplace(line[0], '0').first->second++) << "the order of each sender";
        }
        EXPECT_EQ(next.size(), 10U);
    }
}

// 5,000 clients and 5,000 server sockets on one loop; each client says 5 lines and everybody hears all 25,000. A client is
// raw here, because 125 million lines are compared as bytes with what the room said.
TEST(ChatRoom, FiveThousandClientsFiveMessages) {
    constexpr std::size_t clients = 5000;
    constexpr std::size_t each = 5;
    constexpr std::size_t speaking = 1000;  // lines under way at a time: what bounds the memory of the sockets
    rlimit descriptors{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &descriptors), 0);
    descriptors.rlim_cur = descriptors.rlim_max;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &descriptors), 0);
    ASSERT_GE(descriptors.rlim_cur, 2 * clients + 100) << "raise the descriptor limit (ulimit -n)";

    EventLoop loop;
    ChatRoom room{loop, {}};
    const auto port = room.listen(0);
    ASSERT_NE(port, 0);
    std::string said;
    room.tap = [&](std::string_view batch) { said.append(batch); };
    struct Client {
        kith::io::Fd fd;
        std::size_t heard = 0;
    };
    std::vector<Client> all(clients);
    std::vector<char> room_for(256 * 1024);
    std::size_t bytes_heard = 0;
    bool wrong = false;
    for (std::size_t i = 0; i < clients; ++i) {
        Client& client = all[i];
        client.fd.reset(connect_local(port));
        ASSERT_TRUE(client.fd) << i;
        ASSERT_TRUE(loop.watch(client.fd.get(), {.readable = true}, [&](Ready) {
            const auto n = ::recv(client.fd.get(), room_for.data(), room_for.size(), 0);
            if (n <= 0 || client.heard + static_cast<std::size_t>(n) > said.size() ||
                std::memcmp(said.data() + client.heard, room_for.data(), static_cast<std::size_t>(n)) != 0) {
                wrong = true;
                return loop.stop();
            }
            client.heard += static_cast<std::size_t>(n);
            bytes_heard += static_cast<std::size_t>(n);
        }));
        if (i % 256 == 255) loop.poll();
    }
    ASSERT_TRUE(run_until(loop, [&] { return room.members() == clients; }));
    ASSERT_EQ(loop.count(), 2 * clients + 1);

    std::size_t spoken = 0;
    const auto speak = [&] {
        for (; spoken < clients * each && spoken < room.lines() + speaking; ++spoken) {
            put(all[spoken % clients].fd, std::to_string(spoken % clients) + " " + std::to_string(spoken / clients) + "\n");
        }
    };
    speak();
    ASSERT_TRUE(run_until(loop, [&] {
        // The next ones speak when everybody has heard what was said.
        if (bytes_heard == said.size() * clients && room.lines() == spoken) speak();
        return wrong || (room.lines() == clients * each && bytes_heard == said.size() * clients);
    }));
    EXPECT_FALSE(wrong);
    std::size_t complete = 0;
    for (const auto& client : all) complete += client.heard == said.size() ? 1 : 0;
    EXPECT_EQ(complete, clients);
    std::set<std::string_view> lines;
    for (std::size_t at = 0; at < said.size();) {
        const auto end = said.find('\n', at);
        lines.insert(std::string_view{said}.substr(at, end - at));
        at = end + 1;
    }
    EXPECT_EQ(lines.size(), clients * each) << "every line once";
    for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(room.closed(static_cast<Closed>(i)), 0U);
    for (auto& client : all) client.fd.reset();
}

// A client that never reads. The others hear everything; the room's memory for the slow one stays bounded.
class SlowClient : public testing::TestWithParam<SlowPolicy> {};

TEST_P(SlowClient, DoesNotHurtTheOthers) {
    EventLoop loop;
    constexpr std::size_t bound = 64 * 1024;
    ChatRoom room{loop, {.max_buffered = bound, .slow = GetParam()}};
    const auto port = room.listen(0);
    const kith::io::Fd slow{connect_local(port)};
    const int small = 4096;
    ASSERT_EQ(::setsockopt(slow.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    std::size_t heard = 0;
    std::size_t said = 0;
    const std::string line = std::string(1000, 'x') + "\n";
    std::vector<std::unique_ptr<LineConnection>> fast;
    for (int i = 0; i < 3; ++i) {
        fast.push_back(std::make_unique<LineConnection>(loop, connect_local(port), LineOptions{}));
        ASSERT_TRUE(
            fast.back()->start([&](std::string_view text) { heard += text.size() + 1 == line.size() ? 1 : 0; }, [](Closed) { FAIL(); }));
    }
    ASSERT_TRUE(run_until(loop, [&] { return room.members() == 4; }));
    std::size_t most = 0;
    std::size_t dropped = 0;
    const auto done = [&] {
        most = dropped = 0;
        room.server().for_each([&](LineServer::Id, LineConnection& c) {
            most = std::max(most, c.buffered());
            dropped += c.dropped();
        });
        return GetParam() == SlowPolicy::disconnect ? room.members() == 3 : dropped >= 10;
    };
    while (!done()) {
        ASSERT_LT(said, 100'000U) << "100 MB and nobody was called slow";
        ASSERT_TRUE(fast[said++ % 3]->send(line));
        ASSERT_TRUE(run_until(loop, [&] { return heard == 3 * said; })) << "the others are not held up";
        ASSERT_LE(most, bound);
    }
    EXPECT_EQ(room.members(), GetParam() == SlowPolicy::disconnect ? 3U : 4U);
    EXPECT_EQ(room.closed(Closed::too_slow), GetParam() == SlowPolicy::disconnect ? 1U : 0U);
    ASSERT_TRUE(fast[0]->send(line));
    ++said;
    ASSERT_TRUE(run_until(loop, [&] { return heard == 3 * said; }));
}

INSTANTIATE_TEST_SUITE_P(Policies, SlowClient, testing::Values(SlowPolicy::drop, SlowPolicy::disconnect),
                         [](const auto& p) { return p.param == SlowPolicy::drop ? "drop" : "disconnect"; });

TEST(LineServer, SilentClientsAreClosedAndBusyOnesStay) {
    EventLoop loop;
    LineServer server{loop, {.idle = 60ms}};
    std::size_t idle = 0;
    std::size_t other = 0;
    bool busy_closed = false;
    LineServer::Id busy_id = 0;
    server.on_line = [&](LineServer::Id id, std::string_view) { busy_id = id; };
    server.on_closed = [&](LineServer::Id id, Closed why) {
        ++(why == Closed::idle ? idle : other);
        busy_closed = busy_closed || id == busy_id;
    };
    const auto port = server.listen(0);
    const kith::io::Fd silent_one{connect_local(port)};
    const kith::io::Fd silent_two{connect_local(port)};
    const kith::io::Fd busy{connect_local(port)};
    // Its bytes are there before each turn, and a turn reads before it looks at timers: it is never silent, however slow we are.
    const auto end = loop.now() + patience;
    while (idle < 2) {
        ASSERT_LT(loop.now(), end);
        put(busy, "still here\n");
        loop.poll(5ms);
    }
    EXPECT_EQ(server.size(), 1U);
    EXPECT_FALSE(busy_closed);
    EXPECT_EQ(other, 0U);
    ASSERT_TRUE(run_until(loop, [&] { return server.size() == 0; })) << "silent from now on";
    EXPECT_TRUE(busy_closed);
}

TEST(LineServer, LinesThatAreTooLongEndTheConnection) {
    EventLoop loop;
    LineServer server{loop, {.max_line = 100}};
    Closed why{};
    std::size_t closed = 0;
    std::vector<std::string> lines;
    server.on_line = [&](LineServer::Id, std::string_view line) { lines.emplace_back(line); };
    server.on_closed = [&](LineServer::Id, Closed reason) {
        why = reason;
        ++closed;
    };
    const auto port = server.listen(0);
    const kith::io::Fd client{connect_local(port)};
    put(client, "a\nb");
    ASSERT_TRUE(run_until(loop, [&] { return lines.size() == 1; }));
    put(client, "c\n" + std::string(100, 'y') + "\n" + std::string(101, 'z'));
    ASSERT_TRUE(run_until(loop, [&] { return closed == 1; }));
    EXPECT_EQ(why, Closed::line_too_long);
    EXPECT_EQ(lines, (std::vector<std::string>{"a", "bc", std::string(100, 'y')}));
    EXPECT_EQ(server.size(), 0U);
}

TEST(LineServer, MayCloseAnyConnectionFromACallback) {
    EventLoop loop;
    LineServer server{loop, {}};
    std::size_t lines = 0;
    server.on_line = [&](LineServer::Id, std::string_view) {
        ++lines;
        for (LineServer::Id id = 1; id <= 20; ++id) server.close(id);
    };
    server.on_closed = [](LineServer::Id, Closed) { FAIL() << "nobody is told of his own close"; };
    const auto port = server.listen(0);
    std::vector<kith::io::Fd> clients;
    for (int i = 0; i < 20; ++i) clients.emplace_back(connect_local(port));
    ASSERT_TRUE(run_until(loop, [&] { return server.size() == 20; }));
    for (const auto& client : clients) put(client, "bye\nbye\n");
    ASSERT_TRUE(run_until(loop, [&] { return server.size() == 0; }));
    loop.poll();
    EXPECT_EQ(lines, 1U);
    EXPECT_EQ(loop.count(), 1U) << "the listener";
}

}  // namespace
