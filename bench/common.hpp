// SPDX-License-Identifier: Apache-2.0
// What the benchmarks share: processes that talk through pipes, medians, and the line of results that run.py reads.
#pragma once

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <vector>

namespace bench {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

[[noreturn]] inline void fail(const std::string& what) {
    std::fprintf(stderr, "benchmark failed: %s\n", what.c_str());
    std::exit(1);
}

// Of this process so far.
inline double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto s = [](timeval t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
    return s(usage.ru_utime) + s(usage.ru_stime);
}

inline double median(std::vector<double> values) {
    if (values.empty()) fail("nothing was measured");
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

// One direction between two processes. The ends that a process does not use stay open: a process that dies is seen by its
// exit code (reap), not by an end of the pipe.
class Pipe {
public:
    Pipe() {
        if (pipe(ends_) != 0) fail("pipe");
    }
    template <class T>
    void put(const T& value) const {
        static_assert(std::is_trivially_copyable_v<T>);
        if (write(ends_[1], &value, sizeof value) != static_cast<ssize_t>(sizeof value)) fail("write to a pipe");
    }
    template <class T>
    T get() const {
        static_assert(std::is_trivially_copyable_v<T>);
        T value{};
        auto* at = reinterpret_cast<char*>(&value);
        for (std::size_t left = sizeof value; left > 0;) {
            const auto n = read(ends_[0], at, left);
            if (n <= 0) fail("read from a pipe");
            at += n;
            left -= static_cast<std::size_t>(n);
        }
        return value;
    }
    void put_text(std::string text) const {
        text.resize(sizeof(Text));
        Text out{};
        std::copy(text.begin(), text.end(), out.bytes);
        put(out);
    }
    std::string get_text() const { return get<Text>().bytes; }

private:
    struct Text {
        char bytes[256];
    };
    int ends_[2] = {-1, -1};
};

// Runs `body` in a process of its own. To be called before this process has threads.
template <class Body>
pid_t spawn(Body&& body) {
    std::fflush(stdout);
    const auto pid = fork();
    if (pid < 0) fail("fork");
    if (pid == 0) {
        body();
        std::fflush(stdout);
        _exit(0);
    }
    return pid;
}

inline void reap(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    if (status != 0) fail("a process of the benchmark ended badly");
}

// One number of the result: `ours` beside `other`, which is called `beside`.
inline void result(const char* name, const char* unit, double ours, const char* beside, double other) {
    std::printf(R"({"name":"%s","unit":"%s","ours":%.6g,"beside":"%s","other":%.6g})"
                "\n",
                name, unit, ours, beside, other);
    std::fflush(stdout);
}
inline void note(const char* name, const std::string& text) {
    std::printf(R"({"name":"%s","note":"%s"})"
                "\n",
                name, text.c_str());
    std::fflush(stdout);
}

}  // namespace bench
