// SPDX-License-Identifier: Apache-2.0
// What a connection needs only while something is negotiated. Private to connection.cpp.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include "connection/connection.hpp"

namespace kith::connection {

// Until the link is open: the choice of /noise, Noise, the choice of /yamux/1.0.0.
struct Connection::Setup {
    std::variant<std::monostate, handshake::MssDialer, handshake::MssListener> negotiation;
    std::optional<handshake::NoiseHandshake> noise;
    crypto::Secret32 ephemeral;

    void start_noise(const Config& config) {
        handshake::NoiseConfig noise_config;
        noise_config.role = config.role;
        noise_config.identity = config.identity;
        noise_config.expected = config.expected;
        if (config.early_muxer) noise_config.muxers.emplace_back(yamux_protocol);
        noise.emplace(std::move(noise_config), std::move(ephemeral));
    }

    // Bytes used; only `protocol` is agreed to.
    Result<std::size_t> negotiate(ByteView in, std::string_view protocol) {
        if (auto* dialer = std::get_if<handshake::MssDialer>(&negotiation)) return dialer->received(in);
        auto& listener = std::get<handshake::MssListener>(negotiation);
        std::size_t total = 0;
        for (;;) {
            auto used = listener.received(in.subspan(total));
            if (!used) return used;
            total += *used;
            const auto proposal = listener.proposal();
            if (!proposal) return total;
            if (*proposal != protocol) {
                listener.reject();
                continue;
            }
            listener.accept();
            return total;
        }
    }
    bool agreed() const noexcept {
        if (const auto* dialer = std::get_if<handshake::MssDialer>(&negotiation)) return dialer->done();
        const auto* listener = std::get_if<handshake::MssListener>(&negotiation);
        return listener != nullptr && listener->state() == handshake::MssListener::State::selected;
    }
    bool negotiation_wants_pull() const noexcept {
        if (const auto* dialer = std::get_if<handshake::MssDialer>(&negotiation)) return dialer->wants_pull();
        const auto* listener = std::get_if<handshake::MssListener>(&negotiation);
        return listener != nullptr && listener->wants_pull();
    }
    bool wants_pull() const noexcept { return negotiation_wants_pull() || (noise && noise->wants_pull()); }
    std::size_t pull(MutableBytes out) {
        std::size_t n = 0;
        if (auto* dialer = std::get_if<handshake::MssDialer>(&negotiation)) {
            n += dialer->pull(out);
        } else if (auto* listener = std::get_if<handshake::MssListener>(&negotiation)) {
            n += listener->pull(out);
        }
        if (!negotiation_wants_pull() && noise && noise->wants_pull()) n += noise->pull(out.subspan(n));
        return n;
    }
};

// Until the protocol of a stream is agreed and our part of the negotiation is written.
struct Connection::Negotiation {
    std::variant<std::monostate, handshake::MssDialer, handshake::MssListener> side;
    bool inbound = false;

    Result<std::size_t> received(ByteView in) {
        if (auto* dialer = std::get_if<handshake::MssDialer>(&side)) return dialer->received(in);
        return std::get<handshake::MssListener>(side).received(in);
    }
    // Nothing of the negotiation is to be read any more.
    bool heard() const noexcept {
        if (const auto* dialer = std::get_if<handshake::MssDialer>(&side)) return dialer->done();
        return std::get<handshake::MssListener>(side).state() == handshake::MssListener::State::selected;
    }
    std::optional<std::string_view> proposal() const noexcept {
        const auto* listener = std::get_if<handshake::MssListener>(&side);
        return listener != nullptr ? listener->proposal() : std::nullopt;
    }
    void accept() { std::get<handshake::MssListener>(side).accept(); }
    void reject() { std::get<handshake::MssListener>(side).reject(); }
    bool wants_pull() const noexcept {
        if (const auto* dialer = std::get_if<handshake::MssDialer>(&side)) return dialer->wants_pull();
        return std::get<handshake::MssListener>(side).wants_pull();
    }
    std::size_t pull(MutableBytes out) {
        if (auto* dialer = std::get_if<handshake::MssDialer>(&side)) return dialer->pull(out);
        return std::get<handshake::MssListener>(side).pull(out);
    }
    // Application data may follow what was pulled so far.
    bool may_write() const noexcept {
        if (const auto* dialer = std::get_if<handshake::MssDialer>(&side)) return dialer->may_write();
        return std::get<handshake::MssListener>(side).done();
    }
    // Application data may follow once everything that waits is pulled.
    bool may_write_after() const noexcept {
        if (const auto* dialer = std::get_if<handshake::MssDialer>(&side)) return dialer->done() || dialer->lazy();
        return heard();
    }
};

}  // namespace kith::connection
