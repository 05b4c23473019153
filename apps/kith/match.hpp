// SPDX-License-Identifier: Apache-2.0
// Which of the known peers a person means. Pure.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kith::app {

struct Candidate {
    std::string id;    // the whole peer id
    std::string name;  // as the peer says; names prove nothing, ids do
};

constexpr std::size_t min_id_part = 4;

// Indices of the candidates that `query` names, by the first of these rules that fits any: the whole id; the name; the name
// with another case; the part of a name before '@'; the beginning or the end of the id, of at least 4 characters, or both
// with "…" or "..." between. More than one index: ambiguous.
std::vector<std::size_t> match(std::string_view query, std::span<const Candidate> candidates);

}  // namespace kith::app
