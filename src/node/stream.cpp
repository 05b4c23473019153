// SPDX-License-Identifier: Apache-2.0
#include "kith/stream.hpp"

#include <algorithm>
#include <future>
#include <utility>

#include "node/impl.hpp"
#include "node/stream_impl.hpp"

namespace kith {
inline namespace v0 {

Stream::Impl::~Impl() {
    Calls calls;
    const bool linger = write_ended_ && writers_.empty();
    if (!closed_) {
        closed_ = Errc::cancelled;
        end_all(*closed_, calls);
        if (auto node = node_.lock()) node->forget_stream(ref_, linger);
    }
    run(calls);
}

// Completions run outside the lock: on the callback thread, or at once for blocking calls.
void Stream::Impl::run(Calls& calls) {
    const auto node = node_.lock();
    for (auto& [call, direct] : calls) {
        if (direct) {
            call();
        } else if (node) {
            node->answer(std::move(call));
        }
    }
}

void Stream::Impl::serve_reader(Calls& calls) {
    if (!reader_) return;
    Result<Bytes> result = Bytes{};
    if (!received_.empty()) {
        auto& front = received_.front();
        const auto n = std::min(reader_->max, front.size() - front_used_);
        const bool whole = front_used_ == 0 && n == front.size();
        const bool last = front_used_ + n == front.size();
        if (whole) {
            result = std::move(front);
        } else {
            const auto from = front.begin() + static_cast<std::ptrdiff_t>(front_used_);
            result = Bytes(from, from + static_cast<std::ptrdiff_t>(n));
        }
        front_used_ += n;
        if (last) {
            received_.pop_front();
            front_used_ = 0;
        }
        if (const auto node = node_.lock(); node && n != 0) {
            node->post([ref = ref_, n](engine::Engine& engine, Instant now) { engine.consumed_raw(ref, n, now); });
        }
    } else if (read_ended_) {
        // an empty result is the end
    } else if (closed_) {
        result = *closed_;
    } else {
        return;
    }
    auto reader = std::move(*reader_);
    reader_.reset();
    calls.emplace_back(
        [done = std::move(reader.done), result = std::move(result), stop = std::move(reader.stop)]() mutable { done(std::move(result)); },
        reader.direct);
}

std::uint64_t Stream::Impl::read(Function<void(Result<Bytes>)> done, std::size_t max, bool direct) {
    Calls calls;
    std::uint64_t ticket = 0;
    {
        const std::scoped_lock lock(mutex_);
        if (reader_) {
            calls.emplace_back([done = std::move(done)]() mutable { done(Error{Errc::invalid_argument, "a read is waiting already"}); },
                               direct);
        } else {
            ticket = ++last_ticket_;
            reader_ = Reader{ticket, std::move(done), std::max<std::size_t>(1, max), direct};
            serve_reader(calls);
        }
    }
    run(calls);
    return ticket;
}

// Gives the engine what fits into the send buffer.
void Stream::Impl::serve_writers(Calls& calls) {
    const auto node = node_.lock();
    if (!node) return;
    while (!writers_.empty()) {
        auto& writer = writers_.front();
        const auto room = send_limit - std::min(send_limit, buffered_);
        const auto n = std::min(writer.data.size() - writer.given, room);
        if (n == 0 && writer.given < writer.data.size()) break;
        Bytes piece;
        if (n == writer.data.size()) {
            piece = std::move(writer.data);
            writer.data.clear();
        } else {
            const auto from = writer.data.begin() + static_cast<std::ptrdiff_t>(writer.given);
            piece.assign(from, from + static_cast<std::ptrdiff_t>(n));
            writer.given += n;
        }
        buffered_ += n;
        if (n != 0)
            node->post([ref = ref_, data = std::move(piece)](engine::Engine& engine, Instant now) { engine.write_raw(ref, data, now); });
        if (writer.given < writer.data.size()) break;
        calls.emplace_back([done = std::move(writer.done), stop = std::move(writer.stop)]() mutable { done(Status{}); }, writer.direct);
        writers_.pop_front();
    }
    if (writers_.empty() && write_ended_ && !closed_) {
        node->post([ref = ref_](engine::Engine& engine, Instant now) { engine.close_raw(ref, now); });
    }
}

std::uint64_t Stream::Impl::write(Bytes data, Function<void(Status)> done, bool direct) {
    Calls calls;
    std::uint64_t ticket = 0;
    {
        const std::scoped_lock lock(mutex_);
        if (closed_ || write_ended_) {
            calls.emplace_back(
                [done = std::move(done), why = closed_.value_or(Error{Errc::stream_closed})]() mutable { done(std::move(why)); }, direct);
        } else {
            ticket = ++last_ticket_;
            writers_.push_back({ticket, std::move(data), 0, std::move(done), direct});
            if (writers_.size() == 1) serve_writers(calls);
        }
    }
    run(calls);
    return ticket;
}

void Stream::Impl::end(std::uint64_t ticket, Errc why) {
    Calls calls;
    {
        const std::scoped_lock lock(mutex_);
        if (reader_ && reader_->ticket == ticket) {
            calls.emplace_back([done = std::move(reader_->done), why, stop = std::move(reader_->stop)]() mutable { done(Error{why}); },
                               reader_->direct);
            reader_.reset();
        }
        const auto it = std::find_if(writers_.begin(), writers_.end(), [&](const auto& w) { return w.ticket == ticket; });
        if (it != writers_.end()) {
            calls.emplace_back([done = std::move(it->done), why, stop = std::move(it->stop)]() mutable { done(Error{why}); }, it->direct);
            writers_.erase(it);
            serve_writers(calls);
        }
    }
    run(calls);
}

void Stream::Impl::end_at(std::uint64_t ticket, const std::stop_token& stop) {
    if (ticket == 0 || !stop.stop_possible()) return;
    Function<void()> on_stop = [weak = weak_from_this(), ticket] {
        if (const auto self = weak.lock()) self->end(ticket, Errc::cancelled);
    };
    auto callback = std::make_unique<std::stop_callback<Function<void()>>>(stop, std::move(on_stop));  // at once, if requested
    const std::scoped_lock lock(mutex_);
    if (reader_ && reader_->ticket == ticket) reader_->stop = std::move(callback);
    const auto it = std::find_if(writers_.begin(), writers_.end(), [&](const auto& w) { return w.ticket == ticket; });
    if (it != writers_.end()) it->stop = std::move(callback);
}

void Stream::Impl::close_write() {
    Calls calls;
    {
        const std::scoped_lock lock(mutex_);
        if (std::exchange(write_ended_, true) || closed_) return;
        serve_writers(calls);
    }
    run(calls);
}

void Stream::Impl::end_all(const Error& why, Calls& calls) {
    for (auto& writer : writers_) {
        calls.emplace_back([done = std::move(writer.done), why, stop = std::move(writer.stop)]() mutable { done(why); }, writer.direct);
    }
    writers_.clear();
    serve_reader(calls);
}

void Stream::Impl::reset(const Error& why) {
    Calls calls;
    {
        const std::scoped_lock lock(mutex_);
        if (closed_) return;
        closed_ = why;
        received_.clear();
        end_all(why, calls);
        if (const auto node = node_.lock()) node->forget_stream(ref_, false);
    }
    run(calls);
}

void Stream::Impl::cancel() {
    Calls calls;
    {
        const std::scoped_lock lock(mutex_);
        const Error why{Errc::cancelled};
        if (reader_) {
            calls.emplace_back([done = std::move(reader_->done), why, stop = std::move(reader_->stop)]() mutable { done(why); },
                               reader_->direct);
            reader_.reset();
        }
        for (auto& writer : writers_) {
            calls.emplace_back([done = std::move(writer.done), why, stop = std::move(writer.stop)]() mutable { done(why); }, writer.direct);
        }
        writers_.clear();
    }
    run(calls);
}

void Stream::Impl::on_data(Bytes&& data) {
    Calls calls;
    {
        const std::scoped_lock lock(mutex_);
        if (closed_) return;
        received_.push_back(std::move(data));
        serve_reader(calls);
    }
    run(calls);
}

void Stream::Impl::on_finished() {
    Calls calls;
    {
        const std::scoped_lock lock(mutex_);
        read_ended_ = true;
        serve_reader(calls);
    }
    run(calls);
}

void Stream::Impl::on_closed(const Error& error) {
    Calls calls;
    {
        const std::scoped_lock lock(mutex_);
        if (closed_) return;
        closed_ = error;
        end_all(error, calls);
    }
    run(calls);
}

void Stream::Impl::on_drained(std::size_t bytes) {
    Calls calls;
    {
        const std::scoped_lock lock(mutex_);
        buffered_ -= std::min(buffered_, bytes);
        if (!writers_.empty()) serve_writers(calls);
    }
    run(calls);
}

const PeerId& Stream::peer() const noexcept {
    static const PeerId none;
    return impl_ ? impl_->peer() : none;
}
const std::string& Stream::protocol() const noexcept {
    static const std::string none;
    return impl_ ? impl_->protocol() : none;
}
Direction Stream::direction() const noexcept { return impl_ ? impl_->direction() : Direction::outbound; }

void Stream::async_read(Function<void(Result<Bytes>)> done, std::size_t max, const std::stop_token& stop) {
    if (!impl_) return;
    const auto impl = impl_;
    impl->end_at(impl->read(std::move(done), max, false), stop);
}
void Stream::async_write(Bytes data, Function<void(Status)> done, const std::stop_token& stop) {
    if (!impl_) return;
    const auto impl = impl_;
    impl->end_at(impl->write(std::move(data), std::move(done), false), stop);
}
void Stream::close_write() {
    if (impl_) impl_->close_write();
}
void Stream::reset() {
    if (impl_) impl_->reset(Errc::cancelled);
}
void Stream::cancel() {
    if (impl_) impl_->cancel();
}

namespace {

// Waits for one completion; at the end of the time or on a stop request ends it, and takes what that gives.
template <class T, class Begin>
T wait(const std::shared_ptr<Stream::Impl>& impl, const Wait& limits, Begin&& begin) {
    if (!impl) return T{Error{Errc::stream_closed}};
    const auto node = impl->node();
    if (!node) return T{Error{Errc::stopped}};
    if (!node->may_block()) return T{Error{Errc::would_deadlock}};
    auto promise = std::make_shared<std::promise<T>>();
    auto future = promise->get_future();
    const auto ticket = begin([promise](T result) { promise->set_value(std::move(result)); });
    const std::stop_callback on_stop(limits.stop, [&] { impl->end(ticket, Errc::cancelled); });
    const auto ready = [&](Duration d) { return future.wait_for(d) == std::future_status::ready; };
    if (!node->await(ready, limits.timeout)) impl->end(ticket, Errc::timeout);
    return future.get();
}

}  // namespace

Result<Bytes> Stream::read(const Wait& limits, std::size_t max) {
    return wait<Result<Bytes>>(impl_, limits, [&](auto done) { return impl_->read(std::move(done), max, true); });
}
Status Stream::write(ByteView data, const Wait& limits) {
    return wait<Status>(impl_, limits, [&](auto done) { return impl_->write(Bytes(data.begin(), data.end()), std::move(done), true); });
}

}  // namespace v0
}  // namespace kith
