// SPDX-License-Identifier: Apache-2.0
#include "crypto/init.hpp"

#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "crypto/aead.hpp"
#include "crypto/ed25519.hpp"
#include "crypto/hash.hpp"
#include "crypto/keyfile.hpp"
#include "crypto/x25519.hpp"
#include "vectors.hpp"

namespace kith::crypto::test {
namespace {

// Everything once, as one text. The signing key comes last: its LockedSecret calls init().
std::string results() {
    const Secret32 secret{array<32>(pattern(32, 2))};
    std::string out = to_hex(x25519_public(secret));
    const auto shared = x25519(secret, x25519_public(Secret32(array<32>(pattern(32, 3)))));
    if (shared) out += to_hex(shared->view());
    Aead aead(secret);
    for (const std::size_t size : {10U, 100U, 1000U}) {
        Bytes text = pattern(size);
        std::array<std::uint8_t, 16> tag{};
        aead.seal(size, {}, text, tag);
        out += to_hex(text) + to_hex(tag);
    }
    const auto file = encode_key_file(pattern(32), "p", pattern(key_file_random), {1, 8});
    if (file) out += to_hex(*file);
    const SigningKey key(array<32>(pattern(32, 1)));
    return out + to_hex(key.sign(as_bytes("m")));
}

// A program of its own that never calls init(): nothing aborts and the results are the same.
TEST(Init, IsOptional) {
    // In this style the child is the whole program started again for this test alone, down to the statement.
    testing::GTEST_FLAG(death_test_style) = "threadsafe";
    std::string expected;
    if (!testing::internal::InDeathTestChild()) {
        ASSERT_TRUE(init().has_value());
        expected = to_hex(sha256(as_bytes(results())));
    }
    EXPECT_EXIT(
        {
            std::fputs(to_hex(sha256(as_bytes(results()))).c_str(), stderr);
            std::_Exit(0);
        },
        testing::ExitedWithCode(0), expected);
}

TEST(Init, ThreadsMayCallItAtOnce) {
    std::vector<std::thread> threads;
    std::vector<int> good(8);
    for (auto& result : good) threads.emplace_back([&result] { result = init() ? 1 : 0; });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(good, std::vector<int>(8, 1));
}

}  // namespace
}  // namespace kith::crypto::test
