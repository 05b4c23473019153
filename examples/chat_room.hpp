// SPDX-License-Identifier: Apache-2.0
// A room: every line goes to everybody, the sender included, in one order.
#pragma once

#include <string>
#include <string_view>

#include "line_connection.hpp"

namespace example {

class ChatRoom {
public:
    ChatRoom(kith::EventLoop& loop, const LineOptions& options) : loop_(loop), server_(loop, options) {
        server_.on_line = [this](LineServer::Id, std::string_view line) {
            batch_.append(line).push_back('\n');
            ++lines_;
        };
        server_.on_closed = [this](LineServer::Id, Closed why) { ++closed_[static_cast<std::size_t>(why)]; };
        // What all clients said in this turn is given to each client at once: with n clients that is n small copies per turn and
        // not n per line.
        hook_ = loop_.on_turn([this] {
            if (batch_.empty()) return false;
            server_.for_each([this](LineServer::Id, LineConnection& to) { to.send(batch_); });
            if (tap) tap(batch_);
            batch_.clear();
            return false;
        });
    }
    ~ChatRoom() { loop_.remove_hook(hook_); }
    ChatRoom(const ChatRoom&) = delete;
    ChatRoom& operator=(const ChatRoom&) = delete;

    std::uint16_t listen(std::uint16_t port) { return server_.listen(port); }
    std::size_t members() const { return server_.size(); }
    std::size_t lines() const { return lines_; }
    std::size_t closed(Closed why) const { return closed_[static_cast<std::size_t>(why)]; }
    LineServer& server() { return server_; }

    kith::Function<void(std::string_view)> tap;  // hears all that was said, in order

private:
    kith::EventLoop& loop_;
    LineServer server_;
    kith::HookId hook_;
    std::string batch_;
    std::size_t lines_ = 0;
    std::array<std::size_t, 5> closed_{};
};

}  // namespace example
