// SPDX-License-Identifier: Apache-2.0
#include "io/resolver.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>

#include "io/os_error.hpp"
#include "io/sockaddr.hpp"

namespace kith::io {
namespace {

constexpr std::size_t longest_name = 253;  // RFC 1035 2.3.4 as text

Result<Resolver::Addresses> system_lookup(const std::string& name, Family family) {
    addrinfo hints{};
    hints.ai_family = family == Family::v4 ? AF_INET : family == Family::v6 ? AF_INET6 : AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* first = nullptr;
    const int failed = ::getaddrinfo(name.c_str(), nullptr, &hints, &first);
    const int error = errno;
    if (failed == EAI_SYSTEM) return os_error(error, "getaddrinfo", name);
    if (failed != 0) return Error{Errc::name_not_found, {}, name + ": " + ::gai_strerror(failed)};
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner{first, ::freeaddrinfo};
    Resolver::Addresses out;
    for (const addrinfo* entry = first; entry != nullptr; entry = entry->ai_next) {
        if (const auto ip = ip_of(entry->ai_addr)) out.push_back(*ip);
    }
    return out;
}

struct Job {
    std::uint64_t id = 0;
    std::string name;
    Family family = Family::any;
};

// Shared with the threads, which may outlive the resolver by one look-up.
struct Shared {
    std::mutex mutex;
    std::condition_variable work;
    std::deque<Job> queue;
    std::size_t busy = 0;
    std::size_t threads = 0;
    bool closed = false;
    // Called with `mutex` held, so that it cannot run during or after destruction.
    Function<void(std::uint64_t, Result<Resolver::Addresses>)> deliver;
};

void work(const std::shared_ptr<Shared>& shared, Resolver::Lookup lookup) {
    std::unique_lock lock{shared->mutex};
    for (;;) {
        shared->work.wait(lock, [&] { return shared->closed || !shared->queue.empty(); });
        if (shared->closed) return;
        const Job job = std::move(shared->queue.front());
        shared->queue.pop_front();
        ++shared->busy;
        lock.unlock();
        auto answer = lookup(job.name, job.family);
        lock.lock();
        --shared->busy;
        if (!shared->closed) shared->deliver(job.id, std::move(answer));
    }
}

}  // namespace

struct Resolver::Impl {
    struct Pending {
        Function<void(Result<Addresses>)> done;
        TimerId timer;
    };

    EventLoop& loop;
    Options options;
    std::shared_ptr<Shared> shared = std::make_shared<Shared>();
    // Answers that are posted but not yet run find out here that the resolver is gone.
    std::shared_ptr<Impl*> self = std::make_shared<Impl*>(this);
    std::unordered_map<std::uint64_t, Pending> pending;
    std::uint64_t last = 0;

    Impl(EventLoop& l, const Options& o) : loop(l), options(o) {}

    // `done` may destroy the resolver: nothing of it is touched after the call.
    void finish(std::uint64_t id, Result<Addresses> answer) {
        const auto at = pending.find(id);
        if (at == pending.end()) return;
        auto done = std::move(at->second.done);
        loop.cancel(at->second.timer);
        pending.erase(at);
        if (answer && answer->empty()) answer = Error{Errc::name_not_found, "the name has no address"};
        if (answer && answer->size() > options.max_addresses) answer->resize(options.max_addresses);
        done(std::move(answer));
    }

    void forget_queued(std::uint64_t id) noexcept {
        const std::lock_guard lock{shared->mutex};
        std::erase_if(shared->queue, [id](const Job& job) { return job.id == id; });
    }
};

Resolver::Resolver(EventLoop& loop, const Options& options) : impl_(std::make_unique<Impl>(loop, options)) {
    if (impl_->options.lookup == nullptr) impl_->options.lookup = system_lookup;
    impl_->shared->deliver = [&loop, self = impl_->self](std::uint64_t id, Result<Addresses> answer) {
        loop.post([self, id, answer = std::make_unique<Result<Addresses>>(std::move(answer))] {
            if (*self != nullptr) (*self)->finish(id, std::move(*answer));
        });
    };
}

Resolver::~Resolver() {
    *impl_->self = nullptr;
    for (auto& [id, pending] : impl_->pending) impl_->loop.cancel(pending.timer);
    const std::lock_guard lock{impl_->shared->mutex};
    impl_->shared->closed = true;
    impl_->shared->deliver = nullptr;
    impl_->shared->queue.clear();
    impl_->shared->work.notify_all();
}

Result<ResolveId> Resolver::resolve(std::string name, Family family, Duration deadline, Function<void(Result<Addresses>)> done) {
    Impl& impl = *impl_;
    if (name.empty() || name.size() > longest_name || name.find('\0') != std::string::npos) {
        return Error{Errc::invalid_argument, "not a host name"};
    }
    const auto id = ++impl.last;
    {
        Shared& shared = *impl.shared;
        const std::lock_guard lock{shared.mutex};
        if (shared.queue.size() + shared.busy >= impl.options.queue) return Error{Errc::queue_full, "names to resolve"};
        if (shared.busy + shared.queue.size() >= shared.threads && shared.threads < impl.options.threads) {
            try {
                std::thread{work, impl.shared, impl.options.lookup}.detach();
                ++shared.threads;
            } catch (const std::system_error& e) {
                if (shared.threads == 0) return os_error(e.code().value(), "thread for resolving");
            }
        }
        shared.queue.push_back({id, std::move(name), family});
        shared.work.notify_one();
    }
    const auto timer = impl.loop.after(deadline, [this, id] {
        impl_->forget_queued(id);
        impl_->finish(id, Error{Errc::timeout, "resolving the name"});
    });
    impl.pending.emplace(id, Impl::Pending{std::move(done), timer});
    return ResolveId{id};
}

bool Resolver::cancel(ResolveId id) noexcept {
    const auto at = impl_->pending.find(id.value);
    if (at == impl_->pending.end()) return false;
    impl_->loop.cancel(at->second.timer);
    impl_->forget_queued(id.value);
    const auto gone = std::move(at->second.done);
    impl_->pending.erase(at);
    return true;
}

}  // namespace kith::io
