// SPDX-License-Identifier: Apache-2.0
// One stream's state and the table of all streams of a session. Values in slots: a stream costs about 80 bytes, a look-up
// one multiplication and usually one probe, and nothing is allocated per frame.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/strong_id.hpp"
#include "mux/window.hpp"

namespace kith::mux {

// ours:   held --the peer spoke--> syn_due --first frame written--> awaiting_ack --any frame back--> done
// theirs: ack_due --first frame written--> done
enum class Opening : std::uint8_t { held, syn_due, awaiting_ack, ack_due, done };

// open --FIN written--> local_finished --FIN read--> (removed)
// open --FIN read--> remote_finished --FIN written--> (removed);  RST either way: (removed)
enum class Closing : std::uint8_t { open, local_finished, remote_finished };

// idle --want_write--> ready <--window update, or no longer held-- blocked;  ready --commit--> idle, ready or blocked
enum class Turn : std::uint8_t { idle, ready, blocked };

inline constexpr std::uint32_t no_slot = 0xFFFFFFFF;

// A place in one doubly linked list of slots.
struct Links {
    std::uint32_t previous = no_slot;
    std::uint32_t next = no_slot;
};

struct Stream {
    StreamId id;
    std::uint32_t send_window = 0;
    ReceiveWindow receive;
    Links turn_links;          // in its level's rotation while turn == ready
    Links due_links;           // in the session's list of owed control frames while `due`
    std::int32_t deficit = 0;  // bytes of its turn still unused (negative: overdrawn), surplus round robin
    Opening opening = Opening::done;
    Closing closing = Closing::open;
    Turn turn = Turn::idle;
    std::uint8_t level = 0;
    bool fin_only = false;    // what wants to be written is a FIN without data: needs no window
    bool due = false;         // in the list of owed control frames
    bool window_due = false;  // the owed frame must carry a window delta
};

// Owner of all streams of a session. References are valid until the next insert or erase; slot numbers as long as the
// stream lives. The peer chooses half of the ids and can make them collide: then a look-up costs at most as many probes as there
// are streams, which the stream limits bound.
class StreamTable {
public:
    std::size_t size() const noexcept { return used_; }
    std::size_t memory() const noexcept { return slots_.capacity() * sizeof(Stream) + index_.capacity() * sizeof(Entry); }

    Stream* find(StreamId id) noexcept {
        const std::uint32_t slot = slot_of(id);
        return slot == no_slot ? nullptr : &slots_[slot];
    }
    const Stream* find(StreamId id) const noexcept {
        const std::uint32_t slot = slot_of(id);
        return slot == no_slot ? nullptr : &slots_[slot];
    }
    Stream& at(std::uint32_t slot) noexcept { return slots_[slot]; }
    const Stream& at(std::uint32_t slot) const noexcept { return slots_[slot]; }
    std::uint32_t slot(const Stream& stream) const noexcept { return static_cast<std::uint32_t>(&stream - slots_.data()); }

    // `id` is not 0 and not in the table.
    Stream& insert(StreamId id);
    void erase(StreamId id);

private:
    struct Entry {
        std::uint32_t id = 0;  // 0: free
        std::uint32_t slot = no_slot;
    };

    std::size_t home(std::uint32_t id) const noexcept { return (id * 0x9E3779B1U) >> shift_; }
    std::uint32_t slot_of(StreamId id) const noexcept {
        if (index_.empty()) return no_slot;
        for (std::size_t i = home(id.value);; i = (i + 1) & (index_.size() - 1)) {
            if (index_[i].id == id.value) return index_[i].slot;
            if (index_[i].id == 0) return no_slot;
        }
    }
    void place(Entry entry) noexcept;
    void grow_index();

    std::vector<Stream> slots_;
    std::vector<Entry> index_;  // open addressing, at most half full
    std::uint32_t free_ = no_slot;
    std::uint32_t shift_ = 32;
    std::size_t used_ = 0;
};

// A FIFO of streams threaded through their own Links.
template <Links Stream::* Member>
class SlotList {
public:
    bool empty() const noexcept { return head_ == no_slot; }
    std::uint32_t front() const noexcept { return head_; }

    void push_back(StreamTable& table, std::uint32_t slot) noexcept {
        Links& links = table.at(slot).*Member;
        links = {tail_, no_slot};
        if (tail_ == no_slot) {
            head_ = slot;
        } else {
            (table.at(tail_).*Member).next = slot;
        }
        tail_ = slot;
    }
    void remove(StreamTable& table, std::uint32_t slot) noexcept {
        const Links links = table.at(slot).*Member;
        (links.previous == no_slot ? head_ : (table.at(links.previous).*Member).next) = links.next;
        (links.next == no_slot ? tail_ : (table.at(links.next).*Member).previous) = links.previous;
        table.at(slot).*Member = {};
    }

private:
    std::uint32_t head_ = no_slot;
    std::uint32_t tail_ = no_slot;
};

}  // namespace kith::mux
