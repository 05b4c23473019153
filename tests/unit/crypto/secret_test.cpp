// SPDX-License-Identifier: Apache-2.0
#include "crypto/secret.hpp"

#include <cstdlib>
#include <new>
#include <optional>
#include <type_traits>

#include "crypto/aead.hpp"
#include "crypto/ed25519.hpp"
#include "vectors.hpp"

namespace {

// The block whose bytes are looked at when it is given back.
struct Watch {
    const void* block = nullptr;
    std::size_t size = 0;
    bool freed = false;
    bool wiped = false;
};
Watch watch;

void note_free(const void* block) noexcept {
    if (block == nullptr || block != watch.block) return;
    watch.freed = true;
    watch.wiped = true;
    const auto* bytes = static_cast<const volatile std::uint8_t*>(block);
    for (std::size_t i = 0; i < watch.size; ++i) watch.wiped = watch.wiped && bytes[i] == 0;
    watch.block = nullptr;
}

}  // namespace

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KITH_TEST_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KITH_TEST_SANITIZED 1
#endif

#ifdef KITH_TEST_SANITIZED
// The sanitizers have their own operator delete, and call this before the block is theirs again.
extern "C" void __sanitizer_free_hook(const volatile void*);
extern "C" void __sanitizer_free_hook(const volatile void* block) { note_free(const_cast<const void*>(block)); }
#else
void* operator new[](std::size_t size) {
    if (void* block = std::malloc(size == 0 ? 1 : size)) return block;
    throw std::bad_alloc();
}
void operator delete[](void* block) noexcept {
    note_free(block);
    std::free(block);
}
void operator delete[](void* block, std::size_t) noexcept {
    note_free(block);
    std::free(block);
}
#endif

namespace kith::crypto::test {
namespace {

static_assert(!std::is_copy_constructible_v<Secret32> && !std::is_copy_assignable_v<Secret32>);
static_assert(!std::is_copy_constructible_v<SecretBytes> && !std::is_copy_constructible_v<LockedSecret>);
static_assert(!std::is_copy_constructible_v<SigningKey> && std::is_nothrow_move_constructible_v<SigningKey>);
static_assert(!std::is_copy_constructible_v<Aead> && std::is_nothrow_move_constructible_v<Aead>);
static_assert(std::is_nothrow_move_constructible_v<Secret32> && sizeof(Secret32) == 32);

bool all(ByteView bytes, std::uint8_t value) {
    return std::all_of(bytes.begin(), bytes.end(), [value](auto b) { return b == value; });
}

// What is in the memory, whatever the compiler believes about the life of the object there.
Bytes memory_of(const void* at, std::size_t size) {
    const auto* bytes = static_cast<const volatile std::uint8_t*>(at);
    Bytes out(size);
    for (std::size_t i = 0; i < size; ++i) out[i] = bytes[i];
    return out;
}

TEST(Secret, WipeAndEqual) {
    Bytes a = pattern(40);
    Bytes b = a;
    EXPECT_TRUE(equal(a, b));
    for (auto& byte : b) {
        byte ^= 0x80;
        EXPECT_FALSE(equal(a, b));
        byte ^= 0x80;
    }
    EXPECT_FALSE(equal(a, ByteView(b).first(39)));
    EXPECT_TRUE(equal({}, {}));
    wipe(a);
    EXPECT_TRUE(all(a, 0));
    wipe({});
}

TEST(Secret, IsZeroAtFirst) { EXPECT_TRUE(all(Secret32{}.view(), 0)); }

TEST(Secret, DestructorWipes) {
    alignas(Secret32) std::byte room[sizeof(Secret32)];
    auto* object = ::new (static_cast<void*>(room)) Secret32(array<32>(pattern(32)));
    ASSERT_EQ(memory_of(room, 32), pattern(32));
    object->~Secret();
    EXPECT_TRUE(all(memory_of(room, 32), 0));
}

TEST(Secret, MoveWipesTheSource) {
    Secret32 first{array<32>(pattern(32))};
    Secret32 second = std::move(first);
    EXPECT_TRUE(equal(second.view(), pattern(32)));
    EXPECT_TRUE(all(memory_of(&first, 32), 0));
    Secret32 third;
    third = std::move(second);
    EXPECT_TRUE(equal(third.view(), pattern(32)));
    EXPECT_TRUE(all(memory_of(&second, 32), 0));
    Secret32& same = third;
    third = std::move(same);
    EXPECT_TRUE(equal(third.view(), pattern(32)));
}

TEST(Secret, CloneIsIndependent) {
    Secret32 first{array<32>(pattern(32))};
    const Secret32 second = first.clone();
    first.clear();
    EXPECT_TRUE(all(first.view(), 0));
    EXPECT_TRUE(equal(second.view(), pattern(32)));
}

TEST(Secret, AeadWipesItsKey) {
    alignas(Aead) std::byte room[sizeof(Aead)];
    auto* object = ::new (static_cast<void*>(room)) Aead(Secret32(array<32>(pattern(32))));
    Bytes text(2000);
    std::array<std::uint8_t, 16> tag{};
    object->seal(0, {}, text, tag);
    ASSERT_EQ(memory_of(room, 32), pattern(32));
    object->~Aead();
    EXPECT_TRUE(all(memory_of(room, 32), 0));
}

TEST(SecretBytes, IsWipedBeforeTheHeapHasItBack) {
    const auto freed_wiped = [](auto&& end) {
        std::optional<SecretBytes> secret(std::in_place, ByteView(pattern(100)));
        watch = {secret->view().data(), 100, false, false};
        end(secret);
        return watch.freed && watch.wiped;
    };
    EXPECT_TRUE(freed_wiped([](auto& s) { s.reset(); }));
    EXPECT_TRUE(freed_wiped([](auto& s) { s->clear(); }));
    EXPECT_TRUE(freed_wiped([](auto& s) { *s = SecretBytes(10); }));
    EXPECT_FALSE(freed_wiped([](auto& s) { s->bytes(); }));  // the watch itself: nothing was freed
}

TEST(SecretBytes, MovesAndClones) {
    SecretBytes first{ByteView(pattern(50))};
    SecretBytes copy = first.clone();
    SecretBytes second = std::move(first);
    EXPECT_TRUE(first.empty());
    EXPECT_TRUE(equal(second.view(), pattern(50)));
    second.bytes()[0] ^= 1;
    EXPECT_TRUE(equal(copy.view(), pattern(50)));
    copy = std::move(second);
    EXPECT_FALSE(equal(copy.view(), pattern(50)));
    EXPECT_EQ(copy.size(), 50U);
    EXPECT_TRUE(second.empty());
    EXPECT_TRUE(SecretBytes{}.empty());
    EXPECT_TRUE(all(SecretBytes(9).view(), 0));
}

TEST(LockedSecret, HoldsMovesClones) {
    EXPECT_TRUE(LockedSecret{}.view().empty());
    EXPECT_TRUE(all(LockedSecret(33).view(), 0));
    LockedSecret first{ByteView(pattern(64))};
    EXPECT_TRUE(first.guarded());
    LockedSecret copy = first.clone();
    LockedSecret second = std::move(first);
    EXPECT_EQ(first.size(), 0U);
    EXPECT_TRUE(equal(second.view(), pattern(64)));
    second.bytes()[63] ^= 1;
    EXPECT_TRUE(equal(copy.view(), pattern(64)));
    copy = std::move(second);
    EXPECT_FALSE(equal(copy.view(), pattern(64)));
    copy.clear();
    EXPECT_EQ(copy.size(), 0U);
    copy.clear();
}

}  // namespace
}  // namespace kith::crypto::test
