// SPDX-License-Identifier: Apache-2.0
// Test vectors and bytes in the tests of crypto.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/hex.hpp"
#include "crypto/secret.hpp"
#include "kith/bytes.hpp"

namespace kith::crypto::test {

inline Bytes hex(std::string_view digits) {
    auto bytes = from_hex(digits);
    EXPECT_TRUE(bytes.has_value()) << digits;
    return bytes.value_or(Bytes{});
}

template <std::size_t N>
std::array<std::uint8_t, N> array(ByteView bytes) {
    EXPECT_EQ(bytes.size(), N);
    std::array<std::uint8_t, N> out{};
    std::copy_n(bytes.begin(), std::min(N, bytes.size()), out.begin());
    return out;
}

inline Secret32 secret(std::string_view digits) { return Secret32(array<32>(hex(digits))); }

// The same bytes in every run.
inline Bytes pattern(std::size_t size, std::uint32_t seed = 1) {
    Bytes out(size);
    std::uint32_t state = seed * 2654435761U + 1;
    for (auto& byte : out) {
        state = state * 1664525U + 1013904223U;
        byte = static_cast<std::uint8_t>(state >> 24U);
    }
    return out;
}

inline nlohmann::json load(const std::string& name) {
    std::ifstream in(std::string(KITH_TEST_DATA) + "/" + name);
    EXPECT_TRUE(in.good()) << name;
    return nlohmann::json::parse(in);
}

inline Bytes field(const nlohmann::json& test, const char* name) { return hex(test.at(name).get<std::string>()); }

}  // namespace kith::crypto::test
