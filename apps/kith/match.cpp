// SPDX-License-Identifier: Apache-2.0
#include "match.hpp"

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

#include "sanitize.hpp"

namespace kith::app {
namespace {

std::string lower(std::string_view text) {
    std::string out{text};
    std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

// Both sides of "…" in a shortened id.
std::optional<std::pair<std::string_view, std::string_view>> split_short(std::string_view query) {
    for (const std::string_view gap : {"\xE2\x80\xA6", "..."}) {
        if (const auto at = query.find(gap); at != std::string_view::npos) {
            return std::pair{query.substr(0, at), query.substr(at + gap.size())};
        }
    }
    return {};
}

template <class Rule>
std::vector<std::size_t> those(std::span<const Candidate> candidates, const Rule& rule) {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        if (rule(candidates[i])) out.push_back(i);
    }
    return out;
}

}  // namespace

std::vector<std::size_t> match(std::string_view query, std::span<const Candidate> candidates) {
    if (query.empty()) return {};
    if (auto found = those(candidates, [&](const Candidate& c) { return c.id == query; }); !found.empty()) return found;

    // Names are compared as they are shown: what a person can type is what a person saw.
    const std::string name = clean_name(query);
    if (!name.empty()) {
        if (auto found = those(candidates, [&](const Candidate& c) { return clean_name(c.name) == name; }); !found.empty()) return found;
        const auto folded = lower(name);
        if (auto found = those(candidates, [&](const Candidate& c) { return lower(clean_name(c.name)) == folded; }); !found.empty()) {
            return found;
        }
        auto found = those(candidates, [&](const Candidate& c) {
            const auto whole = lower(clean_name(c.name));
            const auto at = whole.find('@');
            return at != std::string::npos && std::string_view{whole}.substr(0, at) == folded;
        });
        if (!found.empty()) return found;
    }

    if (const auto parts = split_short(query)) {
        const auto [front, back] = *parts;
        if (front.size() + back.size() < min_id_part) return {};
        return those(candidates, [&](const Candidate& c) {
            return c.id.size() >= front.size() + back.size() && c.id.starts_with(front) && c.id.ends_with(back);
        });
    }
    if (query.size() < min_id_part) return {};
    return those(candidates, [&](const Candidate& c) { return c.id.starts_with(query) || c.id.ends_with(query); });
}

}  // namespace kith::app
