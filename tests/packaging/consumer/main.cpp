// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include <kith/error.hpp>
#include <kith/version.hpp>

int main() {
    const kith::Error error{kith::Errc::timeout};
    if (error.message().empty()) return 1;
    std::cout << "kith " << kith::version() << "\n";
}
