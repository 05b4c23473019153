// SPDX-License-Identifier: Apache-2.0
// Protocol id -> handler, with the limits that hold before a handler hears of a stream.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/links.hpp"
#include "protocol/handler.hpp"

namespace kith::engine {

struct ProtocolLimits {
    std::size_t inbound_per_peer = 64;
    bool advertised = true;  // named in identify
};

class Registry {
public:
    // The handler serves every id that it is registered for. Returns its tag.
    connection::Tag add(std::shared_ptr<protocol::Handler> handler) {
        handlers_.push_back(std::move(handler));
        return first_handler + handlers_.size() - 1;
    }
    void serve(std::string_view id, connection::Tag tag, ProtocolLimits limits) { ids_[std::string{id}] = {tag, limits}; }

    struct Entry {
        connection::Tag tag = 0;
        ProtocolLimits limits;
    };
    const Entry* find(std::string_view id) const {
        const auto it = ids_.find(std::string{id});
        return it == ids_.end() ? nullptr : &it->second;
    }
    protocol::Handler* handler(connection::Tag tag) noexcept {
        return tag >= first_handler && tag - first_handler < handlers_.size() ? handlers_[tag - first_handler].get() : nullptr;
    }
    std::vector<std::string> advertised() const {
        std::vector<std::string> out;
        for (const auto& [id, entry] : ids_) {
            if (entry.limits.advertised) out.push_back(id);
        }
        return out;
    }
    const std::vector<std::shared_ptr<protocol::Handler>>& handlers() const noexcept { return handlers_; }

private:
    std::vector<std::shared_ptr<protocol::Handler>> handlers_;
    std::unordered_map<std::string, Entry> ids_;
};

}  // namespace kith::engine
