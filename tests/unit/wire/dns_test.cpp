// SPDX-License-Identifier: Apache-2.0
#include "wire/dns.hpp"

#include <gtest/gtest.h>

#include "base/hex.hpp"

namespace kith::wire::dns {
namespace {

Bytes hex(std::string_view digits) { return from_hex(digits).value(); }
Name name(std::string_view text) { return Name::parse(text).value(); }

Message full() {
    Message out;
    out.id = 0x1234;
    out.response = true;
    out.authoritative = true;
    out.questions = {{name("_p2p._udp.local"), Type::ptr, true}, {name("a.local"), Type::any, false}};
    out.answers = {{name("_p2p._udp.local"), false, 120, Ptr{name("x._p2p._udp.local")}}};
    out.authorities = {{name("x._p2p._udp.local"), true, 120, Srv{1, 2, 4001, name("x.local")}}};
    out.additionals = {{name("x._p2p._udp.local"), true, 120, Txt{{"dnsaddr=/ip4/1.2.3.4", "b"}}},
                       {name("x.local"), true, 120, A{{192, 0, 2, 1}}},
                       {name("x.local"), true, 0, Aaaa{{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}},
                       {name("x.local"), false, 1, Other{47, hex("c00c000140")}}};
    return out;
}

TEST(DnsName, TextAndLabels) {
    const auto n = name("Abc._p2p._udp.local");
    EXPECT_EQ(n.text(), "Abc._p2p._udp.local");
    EXPECT_EQ(n, name("aBC._P2P._udp.LOCAL.")) << "case does not matter, nor the final dot";
    EXPECT_EQ(n <=> name("abc._p2p._udp.local"), std::strong_ordering::equal);
    EXPECT_EQ(n.first_label(), "Abc");
    EXPECT_EQ(n.parent(), name("_p2p._udp.local"));
    EXPECT_EQ(Name::join("abc", name("_p2p._udp.local")), n);
    EXPECT_NE(n, name("abd._p2p._udp.local"));
    EXPECT_TRUE(Name{}.empty());
    EXPECT_EQ(Name{}.parent(), Name{});
    Name odd;
    ASSERT_TRUE(odd.append_label(std::string_view{"a.b\\\x01\xff", 6}));
    EXPECT_EQ(odd.text(), "a\\046b\\092\\001\\255");
    EXPECT_NE(odd, name("a.b"));
}

TEST(DnsName, Limits) {
    for (const auto* text : {"a..b", ".a", "a..", "."}) {
        if (std::string_view{text} == ".") {
            EXPECT_EQ(Name::parse(text), Name{}) << "the root";
        } else {
            EXPECT_FALSE(Name::parse(text)) << text;
        }
    }
    EXPECT_TRUE(Name::parse(std::string(63, 'a')));
    EXPECT_FALSE(Name::parse(std::string(64, 'a')));
    const auto l = std::string(63, 'a');
    const auto longest = l + "." + l + "." + l + "." + std::string(61, 'b');  // 4 + 250 bytes and the final 0
    ASSERT_TRUE(Name::parse(longest));
    EXPECT_EQ(Name::parse(longest)->wire().size(), max_name - 1);
    EXPECT_FALSE(Name::parse(longest + "b"));
    EXPECT_FALSE(Name::join("a", name(longest)));
}

TEST(Dns, RoundTrip) {
    const auto bytes = encode(full()).value();
    const auto back = decode(bytes);
    ASSERT_TRUE(back) << back.error();
    EXPECT_EQ(*back, full());
    std::size_t size = 12;
    const auto message = full();
    for (const auto& q : message.questions) size += encoded_size(q);
    for (const auto* list : {&message.answers, &message.authorities, &message.additionals}) {
        for (const auto& r : *list) size += encoded_size(r);
    }
    EXPECT_EQ(bytes.size(), size);
}

TEST(Dns, EveryCutIsRefused) {
    const auto bytes = encode(full()).value();
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) EXPECT_FALSE(decode(ByteView{bytes}.first(cut))) << cut;
}

TEST(Dns, ReadsCompressedNames) {
    // The question a.local; then an answer whose owner points to it and whose data is b + a pointer to "local".
    const auto bytes =
        hex("000084000001000100000000"
            "0161056c6f63616c00000c0001"
            "c00c000c0001000000780004"
            "0162c00e");
    const auto message = decode(bytes);
    ASSERT_TRUE(message) << message.error();
    EXPECT_EQ(message->answers.at(0).name, name("a.local"));
    EXPECT_EQ(std::get<Ptr>(message->answers.at(0).data).name, name("b.local"));
}

TEST(Dns, PointersCannotLoop) {
    const std::string head = "000000000001000000000000";
    const std::pair<std::string, std::string_view> bad[]{
        {"c00c00010001", "a DNS name pointer does not point backwards"},      // to itself
        {"c00e00010001", "a DNS name pointer does not point backwards"},      // forwards
        {"0161c00c00010001", "a DNS name pointer does not point backwards"},  // to its own beginning
        {"c0ff00010001", "a DNS name pointer does not point backwards"},      // behind the end
        {"c0", "a DNS name pointer is cut off"},
        {"4161", "a DNS label of an unknown kind"},
        {"8161", "a DNS label of an unknown kind"},
        {"0561", "a DNS label is cut off"},
        {"0161", "a DNS name is cut off"},
    };
    for (const auto& [digits, what] : bad) {
        const auto message = decode(hex(head + digits));
        ASSERT_FALSE(message) << digits;
        EXPECT_EQ(message.error().what, what) << digits;
    }
}

TEST(Dns, TwoPointersInACircle) {
    // Names at 12 and 18; the second points to the first, whose pointer goes up to the second.
    EXPECT_FALSE(decode(hex("0000000000020000000000000161c0120001000100000000")));
}

TEST(Dns, AChainOfPointersHasALimit) {
    // Each question's name is a pointer to the one before it; the first is a real name.
    const auto chain = [](unsigned links) {
        Bytes out = hex("00000000000000000000000001610000010001");
        out[5] = static_cast<std::uint8_t>(links + 1);
        std::size_t at = 12;
        for (unsigned i = 0; i < links; ++i) {
            const auto here = out.size();
            out.insert(out.end(), {static_cast<std::uint8_t>(0xc0 | (at >> 8)), static_cast<std::uint8_t>(at), 0, 1, 0, 1});
            at = here;
        }
        return decode(out);
    };
    ASSERT_TRUE(chain(32)) << chain(32).error();
    EXPECT_EQ(chain(32)->questions.back().name, name("a"));
    EXPECT_EQ(chain(33).error().what, "a DNS name of too many pointers");
}

TEST(Dns, NameLimitCountsWhatPointersAdd) {
    Bytes bytes = hex("000000000002000000000000");
    for (int i = 0; i < 3; ++i) {
        bytes.push_back(63);
        bytes.insert(bytes.end(), 63, 'a');
    }
    bytes.insert(bytes.end(), {0, 0, 1, 0, 1});
    bytes.push_back(63);
    bytes.insert(bytes.end(), 63, 'b');
    bytes.insert(bytes.end(), {0xc0, 12, 0, 1, 0, 1});
    EXPECT_EQ(decode(bytes).error().what, "a DNS name is longer than 255 bytes");
}

TEST(Dns, Limits) {
    EXPECT_EQ(decode(Bytes(9001, 0)).error().code, Errc::limit_exceeded);
    EXPECT_EQ(decode(hex("00000000ffffffffffffffff")).error().code, Errc::limit_exceeded) << "counts are checked before reading";
    EXPECT_EQ(decode(hex("000000000101000000000000")).error().code, Errc::limit_exceeded) << "257 questions";
    Message many;
    many.questions.assign(257, {name("a"), Type::any, false});
    EXPECT_EQ(encode(many).error().code, Errc::limit_exceeded);
    Message big;
    big.answers.assign(40, {name("a"), false, 1, Txt{{std::string(255, 'x')}}});
    EXPECT_EQ(encode(big).error().code, Errc::limit_exceeded);
}

TEST(Dns, DataMustFitItsType) {
    const std::string head = "000084000000000100000000";
    const auto record = [&](std::string_view type, std::string_view data) {
        std::string size = to_hex(Bytes{0, static_cast<std::uint8_t>(data.size() / 2)});
        return decode(hex(head + "0161000" + std::string{type} + "000100000078" + size + std::string{data}));
    };
    EXPECT_TRUE(record("001", "c0000201"));
    for (const auto& [type, data] : {std::pair{"001", "c00002"},
                                     {"001", "c000020100"},
                                     {"01c", "c0000201"},
                                     {"010", "0361"},
                                     {"010", "026162ff"},
                                     {"021", "00000000"},
                                     {"00c", "016100ff"},
                                     {"021", "0000000000010161000f"}}) {
        EXPECT_EQ(record(type, data).error().code, Errc::malformed) << type << ' ' << data;
    }
    EXPECT_FALSE(record("00c", "0561")) << "the label goes on behind the data";
}

TEST(Dns, DropsOtherClassesAndEmptyStrings) {
    // Class CH, then a TXT of five empty strings.
    const auto message = decode(hex("00008400000000020000000001610000010003000000780004c0000201016100001000010000007800050000000000"));
    ASSERT_TRUE(message) << message.error();
    ASSERT_EQ(message->answers.size(), 1u);
    EXPECT_TRUE(std::get<Txt>(message->answers[0].data).strings.empty()) << "empty strings would cost memory for nothing";
    Message empty;
    empty.answers = {{name("a"), false, 1, Txt{}}};
    EXPECT_EQ(to_hex(encode(empty).value()), "0000000000000001000000000161000010000100000001000100");
}

TEST(Dns, RefusesOpcodesAndErrorCodes) {
    EXPECT_FALSE(decode(hex("000008000000000000000000")));
    EXPECT_FALSE(decode(hex("000080030000000000000000")));
    EXPECT_TRUE(decode(hex("000082000000000000000000"))->truncated);
}

}  // namespace
}  // namespace kith::wire::dns
