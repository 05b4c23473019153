// SPDX-License-Identifier: Apache-2.0
// kith id: who am I.
#include <fmt/format.h>

#include "home.hpp"
#include "kith/identity.hpp"
#include "options.hpp"
#include "sanitize.hpp"

namespace kith::app {

Exit run_id(const Common& common, Output& out) {
    const auto file = key_file(common.home);
    auto identity = Identity::load_or_create(file);
    if (!identity) return out.fail(identity.error(), fmt::format("could not use the identity in {}", file.string()));
    const auto name = common.name.empty() ? default_name() : common.name;

    auto json = object("id");
    json["peer"] = identity->peer_id().text();
    json["cid"] = identity->peer_id().cid();
    json["name"] = name;
    json["home"] = common.home.string();
    out.emit(json);

    out.line(fmt::format("You are  {}", out.paint(Style::bold, clean_name(name))));
    out.line(fmt::format("Peer id  {}", identity->peer_id().text()));
    out.line(out.paint(Style::dim, fmt::format("The key is in {}; whoever has that file is you.", file.string())));
    return Exit::ok;
}

}  // namespace kith::app
