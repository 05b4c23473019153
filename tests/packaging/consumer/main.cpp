// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include <kith/kith.hpp>

int main() {
    kith::Node node({.lan = false, .listen = {"/ip4/127.0.0.1/tcp/0"}});
    if (auto ok = node.start(); !ok) {
        std::cerr << ok.error() << "\n";
        return 1;
    }
    const bool works = !node.addresses().empty() && !node.id().text().empty();
    node.stop();
    if (!works) return 1;
    std::cout << "kith " << kith::version() << "\n";
}
