// SPDX-License-Identifier: Apache-2.0
#define BOOST_ASIO_NO_DEPRECATED 1
#define BOOST_ASIO_DISABLE_BOOST_REGEX 1
#include "io/reactor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "io/clock.hpp"
#include "io/fd.hpp"
#include "io/os_error.hpp"

namespace kith::io {
namespace {

namespace asio = boost::asio;
using Descriptor = asio::posix::basic_stream_descriptor<asio::io_context::executor_type>;

struct BootClock {
    using duration = Duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<BootClock>;
    [[maybe_unused]] static constexpr bool is_steady = true;
    static time_point now() noexcept { return time_point{steady_now()}; }
};
using Timer = asio::basic_waitable_timer<BootClock, asio::wait_traits<BootClock>, asio::io_context::executor_type>;

// The system timer stops while the machine sleeps and BootClock does not: looking again each minute bounds the difference.
constexpr Duration longest_sleep = std::chrono::seconds{60};

// Memory of one outstanding Asio operation, so that waiting allocates nothing.
struct Room {
    static constexpr std::size_t size = 120;
    alignas(std::max_align_t) std::array<std::byte, size> bytes;
    bool used = false;
};

template <class T>
struct RoomAllocator {
    using value_type = T;
    Room* room;

    explicit RoomAllocator(Room& r) noexcept : room(&r) {}
    template <class U>
    explicit RoomAllocator(const RoomAllocator<U>& other) noexcept : room(other.room) {}

    T* allocate(std::size_t n) {
        if (!room->used && n * sizeof(T) <= Room::size) {
            room->used = true;
            return reinterpret_cast<T*>(room->bytes.data());
        }
        return static_cast<T*>(::operator new(n * sizeof(T)));
    }
    void deallocate(T* p, std::size_t) noexcept {
        if (reinterpret_cast<std::byte*>(p) == room->bytes.data()) {
            room->used = false;
        } else {
            ::operator delete(p);
        }
    }
    template <class U>
    bool operator==(const RoomAllocator<U>& other) const noexcept {
        return room == other.room;
    }
};

enum Kind : std::uint8_t { readable = 0, writable = 1, failed = 2 };
constexpr std::uint8_t bit(Kind kind) noexcept { return static_cast<std::uint8_t>(1U << kind); }

// A slot. Free: !alive and nothing below refers to it. It goes back to the free list only when no operation is outstanding
// in its rooms, it is not in the list of ready watches and its callback has returned.
struct Watch {
    Watch(asio::io_context& context, std::uint32_t slot) : descriptor(std::in_place, context), index(slot) {}

    std::optional<Descriptor> descriptor;
    Function<void(Ready)> callback;
    std::uint32_t index;
    std::uint32_t generation = 0;
    Interest interest{};
    bool alive = false;
    bool queued = false;   // in the ready list
    bool calling = false;  // inside its callback
    bool told = false;     // error or hang-up was reported
    bool broken = false;   // waiting failed
    std::uint8_t armed = 0;
    std::uint8_t ready = 0;
    std::array<Room, 3> rooms;
};

}  // namespace

struct Reactor::State {
    // Before the context: its destruction frees outstanding operations, which live in the rooms of these.
    std::vector<std::unique_ptr<Watch>> watches;
    std::array<Room, 3> timer_rooms;
    Room wake_room;

    std::vector<Watch*> ready;
    std::vector<Watch*> batch;
    std::vector<Watch*> unused;
    std::size_t alive = 0;
    bool woken = false;
    Duration armed_until = Duration::max();
    std::atomic<bool> wake_pending{false};
    Counters counters;

    // Only the loop's thread touches descriptors and the timer, so Asio need not lock them; post() stays thread-safe.
    asio::io_context context{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};
    asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
    Timer timer{context};

    ~State() {
        for (auto& watch : watches) {
            if (watch->alive) (void)watch->descriptor->release();
            watch->descriptor.reset();  // needs the context, and the context the rooms
        }
    }

    Watch* find(WatchId id) noexcept {
        const auto low = static_cast<std::uint32_t>(id.value);
        if (low == 0 || low > watches.size()) return nullptr;
        Watch* watch = watches[low - 1].get();
        return watch->alive && watch->generation == static_cast<std::uint32_t>(id.value >> 32) ? watch : nullptr;
    }

    void recycle(Watch& watch) {
        if (watch.armed == 0 && !watch.queued && !watch.calling) unused.push_back(&watch);
    }

    template <Kind kind>
    struct OnReady {
        using allocator_type = RoomAllocator<std::byte>;
        State* state;
        Watch* watch;

        allocator_type get_allocator() const noexcept { return allocator_type{watch->rooms[kind]}; }
        void operator()(const boost::system::error_code& error) { state->completed(*watch, kind, error); }
    };

    void arm(Watch& watch);
    template <Kind kind>
    void arm_one(Watch& watch, asio::posix::descriptor_base::wait_type type);
    void completed(Watch& watch, Kind kind, const boost::system::error_code& error);
    void arm_timer(Duration until);
    Ready take(Watch& watch) noexcept;
};

template <Kind kind>
void Reactor::State::arm_one(Watch& watch, asio::posix::descriptor_base::wait_type type) {
    if ((watch.armed & bit(kind)) != 0) return;
    watch.armed = static_cast<std::uint8_t>(watch.armed | bit(kind));
    ++counters.arms;
    watch.descriptor->async_wait(type, OnReady<kind>{this, &watch});
}

void Reactor::State::arm(Watch& watch) {
    if (watch.interest.readable) arm_one<readable>(watch, asio::posix::descriptor_base::wait_read);
    if (watch.interest.writable) arm_one<writable>(watch, asio::posix::descriptor_base::wait_write);
    if (!watch.told) arm_one<failed>(watch, asio::posix::descriptor_base::wait_error);
}

void Reactor::State::completed(Watch& watch, Kind kind, const boost::system::error_code& error) {
    watch.armed = static_cast<std::uint8_t>(watch.armed & ~bit(kind));
    if (!watch.alive) {
        recycle(watch);
        return;
    }
    if (error) {
        // The system cannot wait for it (any more); asking again would give the same answer at once, for ever.
        watch.broken = true;
        watch.interest = {};
    }
    watch.ready = static_cast<std::uint8_t>(watch.ready | (error ? bit(failed) : bit(kind)));
    if (!watch.queued) {
        watch.queued = true;
        ready.push_back(&watch);
    }
}

// Asio says only that one of error, hang-up and urgent data happened; poll() tells them apart.
Ready Reactor::State::take(Watch& watch) noexcept {
    Ready out;
    const auto bits = std::exchange(watch.ready, std::uint8_t{0});
    out.readable = (bits & bit(readable)) != 0 && watch.interest.readable;
    out.writable = (bits & bit(writable)) != 0 && watch.interest.writable;
    if ((bits & bit(failed)) != 0) {
        // A peer that sends urgent data must not keep the loop awake: no second look before modify().
        watch.told = true;
        pollfd p{watch.descriptor->native_handle(), 0, 0};
        (void)::poll(&p, 1, 0);
        out.error = watch.broken || (p.revents & (POLLERR | POLLNVAL)) != 0;
        out.hangup = (p.revents & POLLHUP) != 0;
    }
    return out;
}

void Reactor::State::arm_timer(Duration until) {
    if (until >= armed_until) return;
    struct OnTimer {
        using allocator_type = RoomAllocator<std::byte>;
        State* state;
        Room* room;
        allocator_type get_allocator() const noexcept { return allocator_type{*room}; }
        void operator()(const boost::system::error_code& error) {
            if (!error) state->armed_until = Duration::max();
        }
    };
    // An earlier wait that expires_at() cancels keeps its room until its handler has run.
    Room* room = &timer_rooms.back();
    for (auto& candidate : timer_rooms) {
        if (!candidate.used) room = &candidate;
    }
    armed_until = until;
    timer.expires_at(BootClock::time_point{until});
    timer.async_wait(OnTimer{this, room});
}

Reactor::Reactor(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}

Reactor::~Reactor() {
    // A callback's destructor may call remove(): the state must be whole while they go.
    std::vector<Function<void(Ready)>> gone;
    for (auto& watch : state_->watches) {
        if (watch->alive) gone.push_back(std::move(watch->callback));
    }
}

Result<std::unique_ptr<Reactor>> Reactor::create() {
    // What Asio is going to open: asking first leaves its exception, thrown with no descriptor left at all, to races.
    {
        std::array<Fd, 3> needed;
        for (auto& fd : needed) {
            fd.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
            if (!fd) return os_error(errno, "event loop");
        }
    }
    try {
        return std::unique_ptr<Reactor>(new Reactor(std::make_unique<State>()));
    } catch (const boost::system::system_error& e) {
        return os_error(e.code().value(), "event loop");
    }
}

Result<WatchId> Reactor::add(NativeSocket socket, Interest interest, Function<void(Ready)> callback) {
    // Asio takes a file and then cannot wait for it.
    struct stat info{};
    if (::fstat(socket, &info) == 0 && (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode))) {
        return Error{Errc::invalid_argument, "watch: not a socket, pipe or device"};
    }
    State& s = *state_;
    if (s.unused.empty()) {
        s.watches.push_back(std::make_unique<Watch>(s.context, static_cast<std::uint32_t>(s.watches.size())));
        s.unused.push_back(s.watches.back().get());
    }
    Watch& watch = *s.unused.back();
    boost::system::error_code error;
    watch.descriptor->assign(socket, error);
    if (error) {
        Error out = os_error(error.value(), "watch");
        if (error.value() == EBADF || error.value() == EEXIST || error.value() == EPERM || error.value() == EINVAL) {
            out.code = Errc::invalid_argument;
        }
        return out;
    }
    s.unused.pop_back();
    ++s.alive;
    watch.alive = true;
    watch.told = false;
    watch.broken = false;
    watch.ready = 0;
    watch.interest = interest;
    watch.callback = std::move(callback);
    s.arm(watch);
    return WatchId{(static_cast<std::uint64_t>(watch.generation) << 32) | (watch.index + 1U)};
}

Status Reactor::modify(WatchId id, Interest interest) {
    Watch* watch = state_->find(id);
    if (watch == nullptr) return Error{Errc::invalid_argument, "no such watch"};
    watch->interest = interest;
    watch->told = false;
    if (!watch->queued && !watch->calling) state_->arm(*watch);
    return {};
}

bool Reactor::remove(WatchId id) noexcept {
    Watch* watch = state_->find(id);
    if (watch == nullptr) return false;
    watch->alive = false;
    ++watch->generation;
    --state_->alive;
    (void)watch->descriptor->release();
    if (watch->calling) return true;
    const auto gone = std::move(watch->callback);
    state_->recycle(*watch);
    return true;
}

std::size_t Reactor::size() const noexcept { return state_->alive; }
const Reactor::Counters& Reactor::counters() const noexcept { return state_->counters; }

void Reactor::wait(Duration deadline) noexcept {
    State& s = *state_;
    s.woken = false;
    while (s.ready.empty() && !s.woken) {
        if (deadline != Duration::max()) {
            const auto now = steady_now();
            if (now >= deadline) break;
            s.arm_timer(std::min(deadline, now + longest_sleep));
        }
        ++s.counters.waits;
        s.context.run_one();
    }
    s.context.poll();
}

std::size_t Reactor::dispatch() noexcept {
    State& s = *state_;
    s.batch.swap(s.ready);
    std::size_t called = 0;
    for (Watch* watch : s.batch) {
        watch->queued = false;
        if (watch->alive) {
            const Ready what = s.take(*watch);
            if (what.readable || what.writable || what.error || what.hangup) {
                ++called;
                watch->calling = true;
                watch->callback(what);
                watch->calling = false;
            }
        }
        if (watch->alive) {
            s.arm(*watch);
        } else {
            const auto gone = std::move(watch->callback);
            s.recycle(*watch);
        }
    }
    s.batch.clear();
    s.counters.callbacks += called;
    return called;
}

void Reactor::wake() noexcept {
    // At most one is under way, so its memory is one room; the handler runs on the loop's thread.
    if (state_->wake_pending.exchange(true)) return;
    struct OnWake {
        using allocator_type = RoomAllocator<std::byte>;
        State* state;
        allocator_type get_allocator() const noexcept { return allocator_type{state->wake_room}; }
        void operator()() {
            state->woken = true;
            state->wake_pending.store(false);
        }
    };
    asio::post(state_->context, OnWake{state_.get()});
}

}  // namespace kith::io
