// SPDX-License-Identifier: Apache-2.0
// kith with C++20 coroutines on Boost.Asio: connect, send and wait for the receipt, ask over a raw stream, and give up in time.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <iostream>
#include <kith/asio.hpp>
#include <kith/kith.hpp>
#include <memory>
#include <string>
#include <utility>
#include <variant>

namespace {

namespace asio = boost::asio;
using asio::use_awaitable;

constexpr std::string_view protocol = "/example/greet/1.0.0";

kith::Config on_loopback() {
    kith::Config config;
    config.lan = false;
    config.listen = {"/ip4/127.0.0.1/tcp/0"};
    return config;
}

// The server's half: reads a name to its end, answers, ends. A coroutine for each stream.
asio::awaitable<void> greet(kith::Stream stream) {
    std::string name;
    for (;;) {
        auto some = co_await kith::async_read_some(stream, use_awaitable);
        if (!some || name.size() > 1'000) co_return stream.reset();
        if (some->empty()) break;
        name += kith::as_text(*some);
    }
    const auto answer = kith::as_bytes(name);
    kith::Bytes out{answer.begin(), answer.end()};
    out.insert(out.begin(), {'h', 'e', 'l', 'l', 'o', ' '});
    if (co_await kith::async_write(stream, std::move(out), use_awaitable)) stream.close_write();
}

asio::awaitable<bool> talk(kith::Node& node, kith::Multiaddr address) {
    const auto peer = co_await kith::async_connect(node, address, use_awaitable);
    if (!peer) {
        std::cerr << peer.error() << "\n";
        co_return false;
    }
    const auto receipt = co_await kith::async_send(node, *peer, "notes", "a note", use_awaitable);
    if (!receipt) co_return false;
    std::cout << "delivered\n";

    auto stream = co_await kith::async_open_stream(node, *peer, protocol, use_awaitable);
    if (!stream) co_return false;
    if (!co_await kith::async_write(*stream, kith::Bytes(3, 'x'), use_awaitable)) co_return false;
    stream->close_write();
    const auto answer = co_await kith::async_read_some(*stream, use_awaitable);
    if (!answer) co_return false;
    std::cout << kith::as_text(*answer) << "\n";

    // Nobody answers on this channel: whichever is first ends the other.
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer timer{co_await asio::this_coro::executor, std::chrono::milliseconds{50}};
    const auto first = co_await (kith::async_send(node, *peer, "nobody", "x", use_awaitable) || timer.async_wait(use_awaitable));
    std::cout << (first.index() == 1 ? "gave up in time\n" : "an answer from nobody?\n");
    co_return first.index() == 1;
}

}  // namespace

int main() {
    asio::io_context context;
    kith::Node server{on_loopback()};
    kith::Node client{on_loopback()};
    server.on_message("notes", [](const kith::Message&) {});
    server.handle_protocol(protocol, [&](kith::Stream stream) { asio::co_spawn(context, greet(std::move(stream)), asio::detached); });
    if (!server.start() || !client.start()) return 1;
    bool ok = false;
    asio::co_spawn(context, talk(client, server.addresses().front()), [&](const std::exception_ptr& failed, bool result) {
        ok = !failed && result;
        context.stop();
    });
    context.run();
    return ok ? 0 : 1;
}
