// SPDX-License-Identifier: Apache-2.0
// Counts the allocations of the whole process: the promise of the hot path is about all of them.
#include <atomic>
#include <cstdlib>
#include <new>

#include "unit/node/support.hpp"

namespace {
std::atomic<std::uint64_t> count{0};
}  // namespace

std::uint64_t kith::node::test::allocations() noexcept { return count.load(std::memory_order_relaxed); }

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KITH_TEST_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KITH_TEST_SANITIZED 1
#endif

#ifdef KITH_TEST_SANITIZED
// The sanitizers have their own operator new, and call this.
extern "C" void __sanitizer_malloc_hook(const volatile void*, std::size_t);
extern "C" void __sanitizer_malloc_hook(const volatile void*, std::size_t) { count.fetch_add(1, std::memory_order_relaxed); }
#else
namespace {
void* counted(std::size_t size) {
    count.fetch_add(1, std::memory_order_relaxed);
    if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
    throw std::bad_alloc{};
}
}  // namespace

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
#endif
