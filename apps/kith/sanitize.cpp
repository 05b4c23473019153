// SPDX-License-Identifier: Apache-2.0
#include "sanitize.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace kith::app {
namespace {

struct Range {
    char32_t first;
    char32_t last;
};

template <std::size_t N>
constexpr bool within(const std::array<Range, N>& ranges, char32_t c) noexcept {
    return std::any_of(ranges.begin(), ranges.end(), [c](Range r) { return c >= r.first && c <= r.last; });
}

constexpr std::array controls{Range{0x00, 0x1f}, Range{0x7f, 0x9f}};

// ZWNJ and ZWJ (U+200C, U+200D) stay: Persian and composed emoji need them.
constexpr std::array invisible{
    Range{0xad, 0xad},     Range{0x061c, 0x061c}, Range{0x115f, 0x1160},   Range{0x180e, 0x180e},   Range{0x200b, 0x200b},
    Range{0x200e, 0x200f}, Range{0x2028, 0x202e}, Range{0x2060, 0x206f},   Range{0x3164, 0x3164},   Range{0xfeff, 0xfeff},
    Range{0xfff9, 0xfffb}, Range{0xffa0, 0xffa0}, Range{0x1d173, 0x1d17a}, Range{0xe0000, 0xe0fff},
};

constexpr std::array combining{
    Range{0x0300, 0x036f}, Range{0x0483, 0x0489}, Range{0x0591, 0x05bd}, Range{0x0610, 0x061a},
    Range{0x064b, 0x065f}, Range{0x06d6, 0x06dc}, Range{0x0e31, 0x0e31}, Range{0x0e34, 0x0e3a},
    Range{0x0e47, 0x0e4e}, Range{0x1ab0, 0x1aff}, Range{0x1dc0, 0x1dff}, Range{0x200c, 0x200d},
    Range{0x20d0, 0x20ff}, Range{0xfe00, 0xfe0f}, Range{0xfe20, 0xfe2f}, Range{0x1f3fb, 0x1f3ff},
};

constexpr std::array wide{
    Range{0x1100, 0x115f}, Range{0x2e80, 0x303e},   Range{0x3041, 0x33ff},   Range{0x3400, 0x4dbf},   Range{0x4e00, 0x9fff},
    Range{0xa000, 0xa4cf}, Range{0xac00, 0xd7a3},   Range{0xf900, 0xfaff},   Range{0xfe30, 0xfe6f},   Range{0xff00, 0xff60},
    Range{0xffe0, 0xffe6}, Range{0x1f300, 0x1f64f}, Range{0x1f680, 0x1f6ff}, Range{0x1f900, 0x1faff}, Range{0x20000, 0x3fffd},
};

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::string_view ellipsis = "\xE2\x80\xA6";     // U+2026

// A run of marks on one letter can cover the lines above and below it.
constexpr std::size_t max_marks = 4;

void append_escape(std::string& out, std::uint32_t unit) {
    constexpr std::string_view digits = "0123456789abcdef";
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) out += digits[(unit >> shift) & 0xfU];
}

}  // namespace

std::optional<char32_t> next_code_point(std::string_view& text) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(0);
    std::size_t length = 1;
    char32_t value = lead;
    char32_t least = 0;
    if (lead >= 0x80) {
        if (lead >= 0xc2 && lead <= 0xdf) {
            length = 2;
            value = lead & 0x1fU;
            least = 0x80;
        } else if (lead >= 0xe0 && lead <= 0xef) {
            length = 3;
            value = lead & 0x0fU;
            least = 0x800;
        } else if (lead >= 0xf0 && lead <= 0xf4) {
            length = 4;
            value = lead & 0x07U;
            least = 0x10000;
        } else {
            text.remove_prefix(1);
            return {};
        }
    }
    if (length > text.size()) {
        text.remove_prefix(1);
        return {};
    }
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0U) != 0x80U) {
            text.remove_prefix(1);
            return {};
        }
        value = (value << 6U) | (byte(i) & 0x3fU);
    }
    if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        text.remove_prefix(1);
        return {};
    }
    text.remove_prefix(length);
    return value;
}

bool valid_utf8(std::string_view text) noexcept {
    while (!text.empty()) {
        if (!next_code_point(text)) return false;
    }
    return true;
}

std::string clean(std::string_view text, const Clean& how) {
    std::string out;
    out.reserve(text.size());
    std::size_t points = 0;
    std::size_t marks = 0;
    while (!text.empty()) {
        const auto before = text;
        const auto c = next_code_point(text);
        if (c && within(invisible, *c)) continue;
        if (c && within(combining, *c)) {
            if (++marks > max_marks) continue;
        } else {
            marks = 0;
        }
        if (c == U'\r' && text.starts_with('\n')) continue;
        if (how.limit != 0 && points >= how.limit) {
            out += ellipsis;
            break;
        }
        ++points;
        if (!c) {
            out += replacement;
        } else if (*c == U'\n') {
            if (how.lines) {
                out += '\n';
                out += how.indent;
            } else {
                out += ' ';
            }
        } else if (*c == U'\t') {
            out += ' ';
        } else if (within(controls, *c)) {
            out += replacement;
        } else {
            out += before.substr(0, before.size() - text.size());
        }
    }
    return out;
}

std::string clean_name(std::string_view name) {
    auto out = clean(name, {.lines = false, .indent = {}, .limit = 48});
    const auto first = out.find_first_not_of(' ');
    if (first == std::string::npos) return {};
    return out.substr(first, out.find_last_not_of(' ') - first + 1);
}

std::string escape_json(std::string_view json) {
    std::string out;
    out.reserve(json.size());
    while (!json.empty()) {
        const auto before = json;
        const auto c = next_code_point(json);
        if (!c) {
            out += replacement;
        } else if (*c >= 0x7f && (within(controls, *c) || within(invisible, *c))) {
            if (*c >= 0x10000) {
                append_escape(out, 0xd800U + ((*c - 0x10000U) >> 10U));
                append_escape(out, 0xdc00U + ((*c - 0x10000U) & 0x3ffU));
            } else {
                append_escape(out, *c);
            }
        } else {
            out += before.substr(0, before.size() - json.size());
        }
    }
    return out;
}

std::size_t columns(std::string_view text) noexcept {
    std::size_t total = 0;
    while (!text.empty()) {
        const auto c = next_code_point(text);
        if (!c) {
            ++total;
        } else if (within(wide, *c)) {
            total += 2;
        } else if (!within(combining, *c) && !within(invisible, *c) && !within(controls, *c)) {
            ++total;
        }
    }
    return total;
}

}  // namespace kith::app
