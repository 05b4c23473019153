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
    if (closed_ || !ref_) return;
    if (auto node = node_.lock()) {
        node->post([ref = ref_](engine::Engine& engine, Instant now) { engine.reset_raw(ref, now); });
    }
}

// Completions run outside the lock: on the callback thread, or at once for blocking calls.
void Stream::Impl::run(Calls& calls) {
    const auto node = node_.lock();
    for (auto& [call, direct] : calls) {
        if (direct || !node) {
            call();
        } else {
            node->callback(std::move(call));
        }
    }
}

void Stream::Impl::serve_reader(Calls& calls) {
    if (!reader_) return;
    Result<Bytes> result = Bytes{};
    if (!received_.empty()) {
        auto& front = received_.front();
        const auto n = std::min(reader_->max, front.size() - front_used_);
        if (front_used_ == 0 && n == front.size()) {
            result = std::move(front);
        } else {
            result = Bytes(front.begin() + static_cast<std::ptrdiff_t>(front_used_), front.begin() + static_cast<std::ptrdiff_t>(front_used_ + n));
        }
        front_used_ += n;
        if (front_used_ >= n && (front.empty() || front_used_ == front.size())) {
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
    calls.emplace_back([done = std::move(reader.done), result = std::move(result)]() mutable { done(std::move(result)); }, reader.direct);
}

void Stream::Impl::read(Function<void(Result<Bytes>)> done, std::size_t max, bool direct) {
    Calls calls;
    {
        const std::scoped_lock lock(mutex_);
        if (reader_) {
            calls.emplace_back([done = std::move(done)]() mutable { done(Error{Errc::invalid_argument, "a read is waiting already"}); }, direct);
        } else {
            reader_ = Reader{std::move(done), std::max<std::size_t>(1, max), direct};
            serve_reader(calls);
        }
    }
    run(calls);
}

void Stream::Impl::serve_writers(Calls& calls) {
    const auto node = node_.lock();
    while (!writers_.empty() && node && (buffered_ == 0 || buffered_ + writers_.front().data.size() <= send_limit)) {
        auto writer = std::move(writers_.front());
        writers_.pop_front();
        buffered_ += writer.data.size();
        node->post([ref = ref_, data = std::move(writer.data)](engine::Engine& engine, Instant now) { engine.write_raw(ref, data, now); });
        calls.emplace_back([done = std::move(writer.done)]() mutable { done(Status{}); }, writer.direct);
    }
    if (writers_.empty() && write_ended_ && node && !closed_) {
        node->post([ref = ref_](engine::Engine& engine, Instant now) { engine.close_raw(ref, now); });
    }
}

void Stream::Impl::write(Bytes data, Function<void(Status)> done, bool direct) {
    Calls calls;
    {
        const std::scoped_lock lock(mutex_);
        if (closed_ || write_ended_) {
            calls.emplace_back([done = std::move(done), why = closed_.value_or(Error{Errc::stream_closed})]() mutable { done(std::move(why)); }, direct);
        } else {
            writers_.push_back({std::move(data), std::move(done), direct});
            serve_writers(calls);
        }
    }
    run(calls);
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
        calls.emplace_back([done = std::move(writer.done), why]() mutable { done(why); }, writer.direct);
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
        if (const auto node = node_.lock()) {
            node->post([ref = ref_](engine::Engine& engine, Instant now) { engine.reset_raw(ref, now); });
        }
    }
    run(calls);
}

void Stream::Impl::cancel() {
    Calls calls;
    {
        const std::scoped_lock lock(mutex_);
        const Error why{Errc::cancelled};
        if (reader_) {
            calls.emplace_back([done = std::move(reader_->done), why]() mutable { done(why); }, reader_->direct);
            reader_.reset();
        }
        for (auto& writer : writers_) {
            calls.emplace_back([done = std::move(writer.done), why]() mutable { done(why); }, writer.direct);
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

void Stream::async_read(Function<void(Result<Bytes>)> done, std::size_t max) {
    if (!impl_) return done(Error{Errc::stream_closed});
    impl_->read(std::move(done), max, false);
}
void Stream::async_write(Bytes data, Function<void(Status)> done) {
    if (!impl_) return done(Error{Errc::stream_closed});
    impl_->write(std::move(data), std::move(done), false);
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

// Waits for one completion; on a time-out or stop request cancels and takes what the cancellation gives.
template <class T, class Begin>
T wait(const std::shared_ptr<Stream::Impl>& impl, const Wait& limits, Begin&& begin) {
    if (!impl) return T{Error{Errc::stream_closed}};
    const auto node = impl->node();
    if (!node) return T{Error{Errc::stopped}};
    if (!node->may_block()) return T{Error{Errc::would_deadlock}};
    auto promise = std::make_shared<std::promise<T>>();
    auto future = promise->get_future();
    begin([promise](T result) { promise->set_value(std::move(result)); });
    const std::stop_callback on_stop(limits.stop, [&impl] { impl->cancel(); });
    const auto most = std::chrono::hours{24 * 365};
    if (future.wait_for(std::min<Duration>(limits.timeout, most)) == std::future_status::ready) return future.get();
    impl->cancel();
    auto result = future.get();
    if (!result && result.error().code == Errc::cancelled) return T{Error{Errc::timeout}};
    return result;
}

}  // namespace

Result<Bytes> Stream::read(const Wait& limits, std::size_t max) {
    return wait<Result<Bytes>>(impl_, limits, [&](auto done) { impl_->read(std::move(done), max, true); });
}
Status Stream::write(ByteView data, const Wait& limits) {
    return wait<Status>(impl_, limits, [&](auto done) { impl_->write(Bytes(data.begin(), data.end()), std::move(done), true); });
}

}  // namespace v0
}  // namespace kith
