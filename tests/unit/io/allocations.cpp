// SPDX-License-Identifier: Apache-2.0
// Counts allocations per thread, for the tests that promise none.
#include <cstdlib>
#include <new>

#include "unit/io/support.hpp"

namespace {
thread_local std::size_t count = 0;

void* counted(std::size_t size) {
    ++count;
    if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
    throw std::bad_alloc{};
}
}  // namespace

std::size_t kith::io::test::allocations() noexcept { return count; }

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
