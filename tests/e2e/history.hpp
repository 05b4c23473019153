// SPDX-License-Identifier: Apache-2.0
// The history of one process at the application's boundary, as a file of JSON lines that survives kill -9 of the process: one
// write for each line. Written by delivery_peer, judged by history_check.
//
//   {"t":ns,"k":"start","node":0,"incarnation":N,"strength":"reliable"}
//   {"t":ns,"k":"accept","to":1,"channel":"c","priority":1,"n":7,"size":100,"hash":"..."}     t: before send, which said ok
//   {"t":ns,"k":"deliver","from":0,"channel":"c","priority":1,"n":7,"size":100,"hash":"...","repeat":false}
//   {"t":ns,"k":"receipt","to":1,"channel":"c","priority":1,"n":7,"outcome":"delivered"}
//   {"t":ns,"k":"end"}                                               it was stopped; a process that was killed has none
//
// t is the machine's steady clock, so the histories of one run can be put together in order.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace history {

inline std::int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What names a message.
struct Name {
    std::string channel;
    int priority = 1;
    std::uint64_t number = 0;
};

class Writer {
public:
    explicit Writer(const std::string& path) : fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
        if (fd_ < 0) std::abort();
    }
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;
    ~Writer() { ::close(fd_); }

    void start(std::size_t node, std::int64_t incarnation, std::string_view strength) {
        line(now_ns(), R"("k":"start","node":)" + std::to_string(node) + R"(,"incarnation":)" + std::to_string(incarnation) +
                           R"(,"strength":")" + std::string{strength} + '"');
    }
    void accept(std::int64_t t, std::size_t to, const Name& name, std::size_t size, std::uint64_t hash) {
        line(t, R"("k":"accept","to":)" + std::to_string(to) + text(name) + content(size, hash));
    }
    void deliver(std::int64_t t, std::size_t from, const Name& name, std::size_t size, std::uint64_t hash, bool repeat) {
        line(t, R"("k":"deliver","from":)" + std::to_string(from) + text(name) + content(size, hash) + R"(,"repeat":)" +
                    (repeat ? "true" : "false"));
    }
    void receipt(std::int64_t t, std::size_t to, const Name& name, std::string_view outcome) {
        line(t, R"("k":"receipt","to":)" + std::to_string(to) + text(name) + R"(,"outcome":")" + std::string{outcome} + '"');
    }
    void end() { line(now_ns(), R"("k":"end")"); }

private:
    static std::string text(const Name& name) {
        return R"(,"channel":")" + name.channel + R"(","priority":)" + std::to_string(name.priority) +
               ",\"n\":" + std::to_string(name.number);
    }
    // The hash as text: JSON numbers end at 2^53 in many readers.
    static std::string content(std::size_t size, std::uint64_t hash) {
        return ",\"size\":" + std::to_string(size) + R"(,"hash":")" + std::to_string(hash) + '"';
    }
    void line(std::int64_t t, const std::string& rest) {
        const auto all = "{\"t\":" + std::to_string(t) + ',' + rest + "}\n";
        if (::write(fd_, all.data(), all.size()) != static_cast<ssize_t>(all.size())) std::abort();
    }
    const int fd_;
};

}  // namespace history
