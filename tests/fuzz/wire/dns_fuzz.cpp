// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>

#include "wire/dns.hpp"

namespace {

using namespace kith;
using namespace kith::wire::dns;

void check(bool ok) {
    if (!ok) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto message = decode({data, size});
    if (!message) return 0;
    check(size <= max_packet);
    check(message->questions.size() + message->answers.size() + message->authorities.size() + message->additionals.size() <= max_entries);
    for (const auto* list : {&message->answers, &message->authorities, &message->additionals}) {
        for (const auto& record : *list) {
            check(record.name.wire().size() < max_name);
            check(record.name == record.name && Name{record.name}.text() == record.name.text());
        }
    }
    const auto bytes = encode(*message);
    if (!bytes) {
        check(bytes.error().code == Errc::limit_exceeded);  // without compression it may be longer
        return 0;
    }
    const auto again = decode(*bytes);
    check(again.has_value() && *again == *message);
    return 0;
}
