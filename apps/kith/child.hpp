// SPDX-License-Identifier: Apache-2.0
// Another kith process, driven through its standard input and its JSON lines.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "kith/error.hpp"
#include "output.hpp"

namespace kith::app {

class Child {
public:
    // Starts this program again with these arguments.
    static Result<Child> start(const std::vector<std::string>& arguments);

    Child(Child&& other) noexcept;
    Child& operator=(Child&&) = delete;
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child();  // as finish()

    pid_t pid() const noexcept { return pid_; }
    int out_fd() const noexcept { return out_; }
    int err_fd() const noexcept { return err_; }

    // Descriptors are readable: takes what is there. False when the child closed both.
    bool read();
    std::vector<Json> take();                                       // the JSON lines read since
    const std::string& errors() const noexcept { return errors_; }  // what it said on standard error
    bool write_line(std::string_view line);

    // Ends it by the end of its input, then by SIGTERM, then by SIGKILL. Its exit code; 128 + signal if killed.
    int finish();

private:
    Child() = default;

    pid_t pid_ = -1;
    int in_ = -1;
    int out_ = -1;
    int err_ = -1;
    std::string pending_;
    std::string errors_;
    std::vector<Json> lines_;
};

}  // namespace kith::app
