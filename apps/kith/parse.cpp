// SPDX-License-Identifier: Apache-2.0
#include "parse.hpp"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

namespace kith::app {

std::optional<std::uint64_t> parse_size(std::string_view text) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc{} || number < 0 || !std::isfinite(number)) return {};
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.starts_with(' ')) text.remove_prefix(1);

    std::string unit;
    for (const char c : text) unit += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    double factor = 1;
    if (!unit.empty() && unit != "b") {
        constexpr std::string_view letters = "kmgt";
        const auto power = letters.find(unit[0]);
        if (power == std::string_view::npos) return {};
        const auto rest = unit.substr(1);
        double base = 0;
        if (rest.empty() || rest == "ib" || rest == "i") base = 1024;
        if (rest == "b") base = 1000;
        if (base == 0) return {};
        factor = std::pow(base, static_cast<double>(power + 1));
    }
    const double bytes = number * factor;
    if (bytes >= 9.0e18) return {};
    return static_cast<std::uint64_t>(std::llround(bytes));
}

std::string size_text(std::uint64_t bytes) {
    constexpr std::array<std::string_view, 5> units{"B", "KiB", "MiB", "GiB", "TiB"};
    auto number = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (number >= 1024 && unit + 1 < units.size()) {
        number /= 1024;
        ++unit;
    }
    if (unit == 0) return fmt::format("{} B", bytes);
    return fmt::format("{:.1f} {}", number, units[unit]);
}

double milliseconds(Duration d) noexcept { return static_cast<double>(d.count()) / 1e6; }

std::string duration_text(Duration d) {
    const double ms = milliseconds(d);
    if (ms < 10) return fmt::format("{:.2f} ms", ms);
    if (ms < 1000) return fmt::format("{:.0f} ms", ms);
    if (ms < 100'000) return fmt::format("{:.1f} s", ms / 1000);
    return fmt::format("{:.0f} min", ms / 60'000);
}

Duration from_seconds(double seconds) noexcept {
    if (!(seconds > 0)) return {};
    return saturate(std::chrono::duration<double>{seconds});
}

std::string base64(ByteView bytes) {
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t group = 0;
        for (std::size_t j = 0; j < 3; ++j) group = (group << 8U) | (j < have ? bytes[i + j] : 0U);
        for (std::size_t j = 0; j < 4; ++j) out += j <= have ? alphabet[(group >> (18U - 6U * j)) & 0x3fU] : '=';
    }
    return out;
}

}  // namespace kith::app
