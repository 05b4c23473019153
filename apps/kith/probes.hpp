// SPDX-License-Identifier: Apache-2.0
// What this machine offers: interfaces, multicast, the clock.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kith/error.hpp"
#include "kith/time.hpp"

namespace kith::app {

struct Interface {
    std::string name;
    unsigned index = 0;
    bool up = false;
    bool loopback = false;
    bool multicast = false;
    bool has_ip4 = false;
    bool has_ip6 = false;
    std::vector<std::string> addresses;
};

Result<std::vector<Interface>> interfaces();

// True for one that other machines may be behind, and through which they can be found.
bool usable_on_lan(const Interface& i) noexcept;

enum class Family : std::uint8_t { ip4, ip6 };

// Sends an mDNS query for a name nobody has to the group on that interface and waits for its own copy: shows that the
// port can be shared, the group joined, and that no filter of this machine is between. Errors: io_error, timeout.
Status probe_multicast(const Interface& on, Family family, Duration patience);

// Whether the system says that something (NTP, PTP) keeps its clock. Nothing: it does not say.
std::optional<bool> clock_synchronized();

}  // namespace kith::app
