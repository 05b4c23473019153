// SPDX-License-Identifier: Apache-2.0
// Start it twice, on one machine or two of a LAN: `minimal ana`, `minimal bo`.
#include <iostream>
#include <kith/kith.hpp>

int main(int argc, char** argv) {
    kith::Node node({.name = argc > 1 ? argv[1] : "ana", .lan = true});  // keys, encryption, reconnect: on by default
    node.on_peer([&](const kith::PeerEvent& e) {
        if (e.state != kith::PeerState::connected) return;
        if (auto ok = node.send(e.peer, "demo", "hello from " + node.name()); !ok) std::cerr << ok.error() << "\n";
    });
    node.on_message("demo", [](const kith::Message& m) {
        std::cout << m.from.short_id() << " [" << m.path << "]: " << m.text() << std::endl;  // as sent: clean it for a terminal
    });
    if (auto ok = node.start(); !ok) {
        std::cerr << ok.error() << "\n";
        return 1;
    }
    node.run();  // until Ctrl-C
}
