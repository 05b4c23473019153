// SPDX-License-Identifier: Apache-2.0
// A move-only std::function (std::move_only_function is C++23). Callables up to 48 bytes are kept inside.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace kith {
inline namespace v0 {

template <class Signature>
class Function;

template <class R, class... Args>
class Function<R(Args...)> {
    static constexpr std::size_t inline_size = 48;

public:
    Function() noexcept = default;
    // NOLINTNEXTLINE(google-explicit-constructor): nullptr is an empty function
    Function(std::nullptr_t) noexcept {}

    template <class F>
        requires(!std::is_same_v<std::remove_cvref_t<F>, Function> && std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
    // NOLINTNEXTLINE(google-explicit-constructor): a lambda is a function
    Function(F&& callable) {
        using D = std::decay_t<F>;
        if constexpr (fits<D>) {
            ::new (static_cast<void*>(storage_)) D(std::forward<F>(callable));
        } else {
            ::new (static_cast<void*>(storage_)) D*(new D(std::forward<F>(callable)));
        }
        table_ = &table_of<D>;
    }

    Function(Function&& other) noexcept { take(other); }
    Function& operator=(Function&& other) noexcept {
        if (this != &other) {
            clear();
            take(other);
        }
        return *this;
    }
    Function(const Function&) = delete;
    Function& operator=(const Function&) = delete;
    ~Function() { clear(); }

    explicit operator bool() const noexcept { return table_ != nullptr; }

    // Calling an empty Function is undefined, as for std::move_only_function.
    R operator()(Args... args) { return table_->call(storage_, std::forward<Args>(args)...); }

private:
    struct Table {
        R (*call)(void*, Args&&...);
        void (*move)(void* from, void* to) noexcept;
        void (*destroy)(void*) noexcept;
    };

    template <class D>
    static constexpr bool fits =
        sizeof(D) <= inline_size && alignof(D) <= alignof(std::max_align_t) && std::is_nothrow_move_constructible_v<D>;

    template <class D>
    static D& object(void* storage) noexcept {
        if constexpr (fits<D>) {
            return *std::launder(reinterpret_cast<D*>(storage));
        } else {
            return **std::launder(reinterpret_cast<D**>(storage));
        }
    }

    template <class D>
    static constexpr Table table_of{[](void* s, Args&&... args) -> R {
                                        if constexpr (std::is_void_v<R>) {
                                            object<D>(s)(std::forward<Args>(args)...);
                                        } else {
                                            return object<D>(s)(std::forward<Args>(args)...);
                                        }
                                    },
                                    [](void* from, void* to) noexcept {
                                        if constexpr (fits<D>) {
                                            D& d = object<D>(from);
                                            ::new (to) D(std::move(d));
                                            d.~D();  // NOLINT(bugprone-use-after-move): a moved-from object still has to be destroyed
                                        } else {
                                            ::new (to) D*(&object<D>(from));
                                        }
                                    },
                                    [](void* s) noexcept {
                                        if constexpr (fits<D>) {
                                            object<D>(s).~D();
                                        } else {
                                            delete &object<D>(s);
                                        }
                                    }};

    void take(Function& other) noexcept {
        if (other.table_ == nullptr) return;
        other.table_->move(other.storage_, storage_);
        table_ = std::exchange(other.table_, nullptr);
    }
    void clear() noexcept {
        if (table_ != nullptr) std::exchange(table_, nullptr)->destroy(storage_);
    }

    alignas(std::max_align_t) std::byte storage_[inline_size];
    const Table* table_ = nullptr;
};

}  // namespace v0
}  // namespace kith
