// SPDX-License-Identifier: Apache-2.0
// The disk of one simulated machine as an SQLite VFS, in memory: it knows what was synced and what only the system's cache
// holds, fails where it is told to, and loses power. The same seed and the same calls give the same bytes.
//
// Not modelled: shared memory (databases use exclusive locking), locks between connections, folders (names are flat).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kith/bytes.hpp"

namespace kith::testing {

class FaultyVfs {
public:
    enum class Call : std::uint8_t { open, read, write, truncate, sync, remove, any };
    enum class Fault : std::uint8_t { io_error, full };

    explicit FaultyVfs(std::uint64_t seed);  // registers itself with SQLite under name()
    FaultyVfs(const FaultyVfs&) = delete;
    FaultyVfs& operator=(const FaultyVfs&) = delete;
    ~FaultyVfs();  // no database may be open on it

    const std::string& name() const noexcept;

    std::uint64_t calls(Call call = Call::any) const noexcept;  // so far

    // Faults. `nth` counts calls of that kind from now, from 1. A failed sync loses what it should have written: later syncs
    // do not write it again (as Linux does), though reads still see it.
    void fail(Call call, std::uint64_t nth, Fault fault);
    void halt(std::uint64_t nth);  // at this call the process dies: it and all later ones do nothing and fail
    bool halted() const noexcept;
    void fill(bool full) noexcept;  // files cannot grow while it is full
    void heal() noexcept;           // forgets all of the above

    // To be called when every database is closed; both heal.
    void crash();       // the process died: the system writes everything that it was given
    void power_loss();  // each 512 bytes of each write since the last sync are there, not there, or torn

    // The whole disk, unsynced writes included.
    struct Image;
    std::shared_ptr<const Image> snapshot() const;
    void restore(const std::shared_ptr<const Image>& image);

    std::vector<std::string> files() const;
    bool exists(const std::string& file) const;
    Bytes read(const std::string& file) const;
    void write(const std::string& file, ByteView content);  // whole, and synced
    void remove(const std::string& file);

    struct Disk;  // of the source file

private:
    std::unique_ptr<Disk> disk_;
};

}  // namespace kith::testing
