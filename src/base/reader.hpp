// SPDX-License-Identifier: Apache-2.0
// Cursors over borrowed bytes. Every read is bounds-checked; a failed read leaves the cursor where it was and says
// false, so a decoder checks once per field and never computes with lengths it has not got.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kith/bytes.hpp"

namespace kith {

class Reader {
public:
    explicit Reader(ByteView bytes) noexcept : rest_(bytes) {}

    std::size_t left() const noexcept { return rest_.size(); }
    bool empty() const noexcept { return rest_.empty(); }
    ByteView rest() const noexcept { return rest_; }

    bool take(std::size_t n, ByteView& out) noexcept {
        if (rest_.size() < n) return false;
        out = rest_.first(n);
        rest_ = rest_.subspan(n);
        return true;
    }
    bool skip(std::size_t n) noexcept {
        ByteView ignored;
        return take(n, ignored);
    }
    bool u8(std::uint8_t& out) noexcept { return big_endian(out); }
    bool u16(std::uint16_t& out) noexcept { return big_endian(out); }
    bool u32(std::uint32_t& out) noexcept { return big_endian(out); }
    bool u64(std::uint64_t& out) noexcept { return big_endian(out); }

private:
    template <class T>
    bool big_endian(T& out) noexcept {
        if (rest_.size() < sizeof(T)) return false;
        T value = 0;
        for (std::size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>((static_cast<std::uint64_t>(value) << 8) | rest_[i]);
        out = value;
        rest_ = rest_.subspan(sizeof(T));
        return true;
    }

    ByteView rest_;
};

// Writes into borrowed room; `ok()` turns false for good when something did not fit, and nothing is written after that.
class Writer {
public:
    explicit Writer(MutableBytes room) noexcept : room_(room) {}

    bool ok() const noexcept { return ok_; }
    std::size_t size() const noexcept { return used_; }
    std::size_t left() const noexcept { return room_.size() - used_; }
    MutableBytes rest() noexcept { return room_.subspan(used_); }
    ByteView written() const noexcept { return room_.first(used_); }

    void bytes(ByteView data) noexcept {
        if (!claim(data.size())) return;
        if (!data.empty()) std::memcpy(room_.data() + used_ - data.size(), data.data(), data.size());
    }
    void advance(std::size_t n) noexcept { claim(n); }
    void u8(std::uint8_t v) noexcept { big_endian(v); }
    void u16(std::uint16_t v) noexcept { big_endian(v); }
    void u32(std::uint32_t v) noexcept { big_endian(v); }
    void u64(std::uint64_t v) noexcept { big_endian(v); }

private:
    bool claim(std::size_t n) noexcept {
        if (!ok_ || left() < n) {
            ok_ = false;
            return false;
        }
        used_ += n;
        return true;
    }
    template <class T>
    void big_endian(T value) noexcept {
        if (!claim(sizeof(T))) return;
        for (std::size_t i = 0; i < sizeof(T); ++i) {
            room_[used_ - 1 - i] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> (8 * i));
        }
    }

    MutableBytes room_;
    std::size_t used_ = 0;
    bool ok_ = true;
};

}  // namespace kith
