// SPDX-License-Identifier: Apache-2.0
// A chat room on kith::EventLoop.
//   chat_room PORT    serves until it is interrupted; try several: nc 127.0.0.1 PORT
//   chat_room         10 clients of its own say 5 lines each; checks that everybody heard everything, and ends
#include "chat_room.hpp"

#include <cstdlib>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace {

constexpr std::size_t clients = 10;
constexpr std::size_t lines_each = 5;

struct Client {
    std::unique_ptr<example::LineConnection> connection;
    std::set<std::string> heard;
};

int self_test(kith::EventLoop& loop, std::uint16_t port) {
    std::vector<Client> all(clients);
    std::size_t heard = 0;
    for (std::size_t i = 0; i < clients; ++i) {
        auto& client = all[i];
        client.connection = std::make_unique<example::LineConnection>(loop, example::connect_local(port), example::LineOptions{});
        const bool started = client.connection->start(
            [&](std::string_view line) {
                if (client.heard.emplace(line).second && ++heard == clients * clients * lines_each) loop.stop();
            },
            [&](example::Closed) { loop.stop(); });
        if (!started) return EXIT_FAILURE;
    }
    loop.poll();  // the room takes them in before anybody speaks
    // Interleaved: the first line of each, then the second of each.
    for (std::size_t n = 0; n < lines_each; ++n) {
        for (std::size_t i = 0; i < clients; ++i) {
            all[i].connection->send("client " + std::to_string(i) + " says line " + std::to_string(n) + "\n");
        }
    }
    loop.after(std::chrono::seconds{60}, [&] { loop.stop(); });
    if (!loop.run()) return EXIT_FAILURE;
    std::cout << heard << " of " << clients * clients * lines_each << " lines delivered\n";
    return heard == clients * clients * lines_each ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
    kith::EventLoop loop;
    example::ChatRoom room{loop, {.slow = example::SlowPolicy::drop}};
    const auto port = room.listen(argc > 1 ? static_cast<std::uint16_t>(std::atoi(argv[1])) : std::uint16_t{0});
    if (port == 0) {
        std::cerr << "cannot listen\n";
        return EXIT_FAILURE;
    }
    if (argc <= 1) return self_test(loop, port);
    std::cout << "listening on 127.0.0.1:" << port << std::endl;
    return loop.run() ? EXIT_SUCCESS : EXIT_FAILURE;
}
