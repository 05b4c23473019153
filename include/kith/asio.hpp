// SPDX-License-Identifier: Apache-2.0
// The operations of Node and Stream for any completion token of Boost.Asio: a function, use_future, use_awaitable, deferred.
// Header-only, over the functions with callbacks; the only public header that includes Boost.Asio (1.81 or later).
//
// Every operation completes exactly once with a Result (errors are values, nothing is thrown), on the executor associated
// with the token; without one, where the node's callbacks run. When the node stops first, with `stopped`.
// A connected cancellation slot ends the operation with `cancelled`: use it with co_await (operation || timer). What async_send
// has accepted is not taken back: only the wait for its receipt ends. The node must outlive the call, not the operation.
#pragma once

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "kith/node.hpp"

namespace kith {
inline namespace v0 {
namespace detail {

// Calls an Asio handler once, on its executor, which it keeps busy until then.
template <class T, class Handler>
class AsioCompletion {
    using Executor = boost::asio::associated_executor_t<Handler>;
    using Work = std::decay_t<decltype(boost::asio::prefer(std::declval<Executor>(), boost::asio::execution::outstanding_work.tracked))>;

public:
    explicit AsioCompletion(Handler handler)
        : work_(boost::asio::prefer(boost::asio::get_associated_executor(handler), boost::asio::execution::outstanding_work.tracked)),
          handler_(std::move(handler)) {}
    AsioCompletion(AsioCompletion&& other) noexcept(std::is_nothrow_move_constructible_v<Handler>)
        : work_(other.work_), handler_(std::exchange(other.handler_, std::nullopt)) {}
    AsioCompletion& operator=(AsioCompletion&&) = delete;
    AsioCompletion(const AsioCompletion&) = delete;
    AsioCompletion& operator=(const AsioCompletion&) = delete;

    // A stopped node destroys what it does not call. Not inside this: whoever destroys expects no call.
    ~AsioCompletion() {
        if (handler_) boost::asio::post(work_, call(Error{Errc::stopped}));
    }

    void operator()(Result<T> result) {
        if (handler_) boost::asio::dispatch(work_, call(std::move(result)));
    }

private:
    auto call(Result<T> result) {
        auto handler = std::move(*handler_);
        handler_.reset();
        return [handler = std::move(handler), result = std::move(result)]() mutable { std::move(handler)(std::move(result)); };
    }

    Work work_;
    std::optional<Handler> handler_;
};

// The stop token of an operation: the caller's, or one that his token and the handler's cancellation slot request together.
class AsioStop {
public:
    template <class Handler>
    AsioStop(const Handler& handler, const std::stop_token& given) : token_(given) {
        auto slot = boost::asio::get_associated_cancellation_slot(handler);
        if (!slot.is_connected()) return;
        std::stop_source source;
        token_ = source.get_token();
        if (given.stop_possible()) forward_ = std::make_shared<Forward>(given, Request{source});
        slot.assign([source](boost::asio::cancellation_type type) mutable {
            if (type != boost::asio::cancellation_type::none) source.request_stop();
        });
    }
    const std::stop_token& token() const noexcept { return token_; }
    // Kept until the operation ends.
    std::shared_ptr<void> forward() const noexcept { return forward_; }

private:
    struct Request {
        std::stop_source source;
        void operator()() noexcept { source.request_stop(); }
    };
    using Forward = std::stop_callback<Request>;
    std::stop_token token_;
    std::shared_ptr<Forward> forward_;
};

// `begin(done, stop)` starts an operation that calls `done` with a Result<T>.
template <class T, class Token, class Begin>
auto asio_initiate(Token&& token, const std::stop_token& given, Begin&& begin) {
    return boost::asio::async_initiate<Token, void(Result<T>)>(
        [](auto handler, std::stop_token outer, auto start) {
            const AsioStop stop{handler, outer};
            AsioCompletion<T, decltype(handler)> completion{std::move(handler)};
            start(Function<void(Result<T>)>{[completion = std::move(completion), kept = stop.forward()](Result<T> result) mutable {
                      completion(std::move(result));
                  }},
                  stop.token());
        },
        token, given, std::forward<Begin>(begin));
}

// The first of an answer and a stop request; for operations that take no stop token.
template <class T>
class AsioFirst : public std::enable_shared_from_this<AsioFirst<T>> {
public:
    explicit AsioFirst(Function<void(Result<T>)> done) : done_(std::move(done)) {}
    void watch(const std::stop_token& token) {
        if (!token.stop_possible()) return;
        // The stop callback is destroyed with this: it must not keep it.
        auto stop = std::make_unique<Stop>(token, Request{this->weak_from_this()});
        const std::scoped_lock lock(mutex_);
        stop_ = std::move(stop);
    }
    void finish(Result<T> result) {
        Function<void(Result<T>)> done;
        {
            const std::scoped_lock lock(mutex_);
            done = std::move(done_);
        }
        if (done) done(std::move(result));
    }

private:
    struct Request {
        std::weak_ptr<AsioFirst> first;
        void operator()() noexcept {
            if (const auto self = first.lock()) self->finish(Error{Errc::cancelled});
        }
    };
    using Stop = std::stop_callback<Request>;
    std::mutex mutex_;
    Function<void(Result<T>)> done_;
    std::unique_ptr<Stop> stop_;
};

}  // namespace detail

// ---- Result<PeerId>. `target`: a Multiaddr or a PeerId, as for Node::connect.
template <class Target, class Token>
auto async_connect(Node& node, const Target& target, const Wait& wait, Token&& token) {
    return detail::asio_initiate<PeerId>(std::forward<Token>(token), wait.stop,
                                         [&node, target, timeout = wait.timeout](auto done, const std::stop_token& stop) {
                                             node.async_connect(target, std::move(done), Wait{timeout, stop});
                                         });
}
template <class Target, class Token>
auto async_connect(Node& node, const Target& target, Token&& token) {
    return async_connect(node, target, Wait{}, std::forward<Token>(token));
}

// ---- Result<Receipt>
template <class Token>
auto async_send(Node& node, const PeerId& peer, std::string_view channel, Bytes bytes, const SendOptions& options, Token&& token) {
    return detail::asio_initiate<Receipt>(
        std::forward<Token>(token), std::stop_token{},
        [&node, peer, name = std::string{channel}, bytes = std::move(bytes), options](auto done, const std::stop_token& stop) mutable {
            auto first = std::make_shared<detail::AsioFirst<Receipt>>(std::move(done));
            first->watch(stop);
            node.async_send(peer, name, std::move(bytes), [first](Result<Receipt> result) { first->finish(std::move(result)); }, options);
        });
}
template <class Token>
auto async_send(Node& node, const PeerId& peer, std::string_view channel, std::string_view text, Token&& token) {
    const auto bytes = as_bytes(text);
    return async_send(node, peer, channel, Bytes{bytes.begin(), bytes.end()}, SendOptions{}, std::forward<Token>(token));
}

// ---- Result<Stream>
template <class Token>
auto async_open_stream(Node& node, const PeerId& peer, std::string_view protocol, const Wait& wait, Token&& token) {
    return detail::asio_initiate<Stream>(
        std::forward<Token>(token), wait.stop,
        [&node, peer, id = std::string{protocol}, timeout = wait.timeout](auto done, const std::stop_token& stop) {
            node.async_open_stream(peer, id, std::move(done), Wait{timeout, stop});
        });
}
template <class Token>
auto async_open_stream(Node& node, const PeerId& peer, std::string_view protocol, Token&& token) {
    return async_open_stream(node, peer, protocol, Wait{}, std::forward<Token>(token));
}

// ---- Result<PingResult>
template <class Token>
auto async_ping(Node& node, const PeerId& peer, const Wait& wait, Token&& token) {
    return detail::asio_initiate<PingResult>(std::forward<Token>(token), wait.stop,
                                             [&node, peer, timeout = wait.timeout](auto done, const std::stop_token& stop) {
                                                 node.async_ping(peer, std::move(done), Wait{timeout, stop});
                                             });
}
template <class Token>
auto async_ping(Node& node, const PeerId& peer, Token&& token) {
    return async_ping(node, peer, Wait{}, std::forward<Token>(token));
}

// ---- Result<Bytes>: some bytes, at most `max`; empty at the peer's half-close.
template <class Token>
auto async_read_some(Stream stream, std::size_t max, Token&& token) {
    return detail::asio_initiate<Bytes>(std::forward<Token>(token), std::stop_token{},
                                        [stream = std::move(stream), max](auto done, const std::stop_token& stop) mutable {
                                            stream.async_read(std::move(done), max, stop);
                                        });
}
template <class Token>
auto async_read_some(Stream stream, Token&& token) {
    return async_read_some(std::move(stream), std::size_t{64} * 1024, std::forward<Token>(token));
}

// ---- Status: all of `bytes` is in the send buffer.
template <class Token>
auto async_write(Stream stream, Bytes bytes, Token&& token) {
    return detail::asio_initiate<void>(
        std::forward<Token>(token), std::stop_token{},
        [stream = std::move(stream), bytes = std::move(bytes)](auto done, const std::stop_token& stop) mutable {
            stream.async_write(std::move(bytes), std::move(done), stop);
        });
}

}  // namespace v0
}  // namespace kith
