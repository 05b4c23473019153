// SPDX-License-Identifier: Apache-2.0
// Where results and notes go: results to standard output, one JSON object or one line for people each, flushed at once;
// notes for people to standard error.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "exit_code.hpp"
#include "kith/error.hpp"

namespace kith::app {

using Json = nlohmann::ordered_json;

// {"v":1,"type":type}, to be filled.
Json object(std::string_view type);

enum class Style : std::uint8_t { plain, dim, bold, good, bad, accent };

class Output {
public:
    explicit Output(bool json);

    bool json() const noexcept { return json_; }
    // Nobody reads standard output any more, or a signal came while its reader was slow: end.
    bool broken() const noexcept { return broken_; }

    void emit(const Json& value);      // one line of JSON; nothing unless json()
    void line(std::string_view text);  // one line for people; nothing if json()
    void note(std::string_view text);  // to standard error, for people in both modes
    void raw(std::string_view bytes);  // terminal control, as it is

    // Colour when standard output is a terminal and NO_COLOR is not set.
    std::string paint(Style style, std::string_view text) const;

    // Says in the mode's form what failed: `doing` ("could not reach bo"), why, and one thing to try. A `hint` of the
    // caller's replaces the general one of the error. Returns the exit code.
    Exit fail(const Error& error, std::string_view doing, std::string_view hint = {});

private:
    bool json_;
    bool color_;
    bool broken_ = false;
};

Json to_json(const Error& error, std::string_view hint = {});

}  // namespace kith::app
