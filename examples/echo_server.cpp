// SPDX-License-Identifier: Apache-2.0
// An echo server on kith::EventLoop.
//   echo_server PORT    serves until it is interrupted; try: nc 127.0.0.1 PORT
//   echo_server         serves one client of its own, checks the answers and ends
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "line_connection.hpp"

namespace {

constexpr int rounds = 100;

int self_test(kith::EventLoop& loop, std::uint16_t port) {
    int answered = 0;
    example::LineConnection client{loop, example::connect_local(port), {}};
    const auto say = [&] { client.send("round " + std::to_string(answered) + "\n"); };
    const bool started = client.start(
        [&](std::string_view line) {
            if (line != "round " + std::to_string(answered)) return loop.stop();
            if (++answered == rounds) return loop.stop();
            say();
        },
        [&](example::Closed) { loop.stop(); });
    if (!started) return EXIT_FAILURE;
    say();
    loop.after(std::chrono::seconds{60}, [&] { loop.stop(); });
    if (!loop.run()) return EXIT_FAILURE;
    std::cout << answered << " of " << rounds << " lines came back\n";
    return answered == rounds ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
    kith::EventLoop loop;
    example::LineServer server{loop, {.idle = std::chrono::minutes{10}}};
    server.on_line = [&](example::LineServer::Id id, std::string_view line) {
        if (auto* connection = server.find(id)) connection->send(std::string{line} + "\n");
    };
    const auto port = server.listen(argc > 1 ? static_cast<std::uint16_t>(std::atoi(argv[1])) : std::uint16_t{0});
    if (port == 0) {
        std::cerr << "cannot listen\n";
        return EXIT_FAILURE;
    }
    if (argc <= 1) return self_test(loop, port);
    std::cout << "listening on 127.0.0.1:" << port << std::endl;
    return loop.run() ? EXIT_SUCCESS : EXIT_FAILURE;
}
