// SPDX-License-Identifier: Apache-2.0
// Makes text that came from a peer safe for a terminal. Pure: no input or output.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace kith::app {

struct Clean {
    // Keep line ends, each followed by `indent`, so that a peer cannot start a line that looks like one of ours.
    // Without it, a line end becomes one space.
    bool lines = false;
    std::string_view indent = "    ";
    // Longest result in code points; what is cut off is replaced by one "…". 0: no limit.
    std::size_t limit = 0;
};

// The text with everything removed that could move the cursor, change the terminal or reorder what is shown: invalid UTF-8
// and control characters (C0, DEL, C1, so every escape sequence loses its introducer) become U+FFFD; bidirectional controls,
// invisible separators, tags and the byte order mark vanish; tabs become a space. Everything a peer sent goes through here once, where it
// is printed.
std::string clean(std::string_view text, const Clean& how = {});

// A name of a peer: one line, at most 48 code points, no blanks at the ends.
std::string clean_name(std::string_view name);

bool valid_utf8(std::string_view text) noexcept;

// JSON text in which the same dangerous code points stand as \uXXXX escapes: equal for a parser, harmless on a terminal.
// Expects the output of a JSON serializer (control characters below 0x20 are escaped already).
std::string escape_json(std::string_view json);

// The next code point of `text`, which is shortened by it; nothing when the bytes are not UTF-8 (one byte is taken then).
// `text` must not be empty.
std::optional<char32_t> next_code_point(std::string_view& text) noexcept;

// Terminal columns: 0 for combining marks, 2 for wide characters. An approximation that needs no locale.
std::size_t columns(std::string_view text) noexcept;

}  // namespace kith::app
