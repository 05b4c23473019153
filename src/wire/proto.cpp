// SPDX-License-Identifier: Apache-2.0
#include "wire/proto.hpp"

#include <protozero/pbf_reader.hpp>

namespace kith::wire {

Status for_each_field(ByteView message, Function<Status(const Field&)> on_field) {
    try {
        protozero::pbf_reader reader{reinterpret_cast<const char*>(message.data()), message.size()};
        while (reader.next()) {
            Field field;
            field.tag = reader.tag();
            switch (reader.wire_type()) {
                case protozero::pbf_wire_type::varint:
                    field.kind = Field::Kind::number;
                    field.number = reader.get_uint64();
                    break;
                case protozero::pbf_wire_type::length_delimited: {
                    const auto view = reader.get_view();
                    field.bytes = as_bytes({view.data(), view.size()});
                    break;
                }
                default:
                    reader.skip();
                    continue;
            }
            if (auto status = on_field(field); !status) return status;
        }
    } catch (const protozero::exception&) {
        return Error{Errc::malformed, "not a protobuf message"};
    }
    return {};
}

}  // namespace kith::wire
