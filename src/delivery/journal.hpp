// SPDX-License-Identifier: Apache-2.0
// Gathers what durable lanes want kept into one request per turn. Owned by the composer; senders and receivers add, the composer
// takes. Nothing here writes: the driver has the request committed and answers with its ticket.
#pragma once

#include <algorithm>
#include <utility>

#include "base/storage.hpp"

namespace kith::delivery {

class Journal {
public:
    // The request of this turn, with its ticket.
    storage::Request& open() {
        if (request_.ticket == 0) request_.ticket = ++last_ticket_;
        return request_;
    }
    storage::Ticket add(storage::Operation operation) {
        open().operations.push_back(operation);
        return request_.ticket;
    }
    bool empty() const noexcept { return request_.ticket == 0; }
    storage::Request take() { return std::exchange(request_, {}); }
    storage::Ticket last_ticket() const noexcept { return last_ticket_; }

    storage::LaneKey next_out() noexcept { return ++last_out_; }
    storage::LaneKey next_in() noexcept { return ++last_in_; }
    std::uint64_t next_inbox() noexcept { return ++last_inbox_; }
    std::uint64_t last_inbox() const noexcept { return last_inbox_; }
    void start_from(storage::LaneKey out, storage::LaneKey in, std::uint64_t inbox) noexcept {
        last_out_ = std::max(last_out_, out);
        last_in_ = std::max(last_in_, in);
        last_inbox_ = std::max(last_inbox_, inbox);
    }

private:
    storage::Request request_;
    storage::Ticket last_ticket_ = 0;
    storage::LaneKey last_out_ = 0;
    storage::LaneKey last_in_ = 0;
    std::uint64_t last_inbox_ = 0;
};

}  // namespace kith::delivery
