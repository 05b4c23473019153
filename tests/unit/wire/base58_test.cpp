// SPDX-License-Identifier: Apache-2.0
#include "wire/base58.hpp"

#include <gtest/gtest.h>

#include "base/hex.hpp"

namespace kith::wire {
namespace {

Bytes hex(std::string_view digits) { return from_hex(digits).value(); }
std::string hex(const std::optional<Bytes>& bytes) { return bytes ? to_hex(*bytes) : "(refused)"; }

// draft-msporny-base58 and bitcoin's base58_encode_decode.json.
TEST(Base58, KnownPairs) {
    const std::pair<const char*, const char*> pairs[]{
        {"", ""},
        {"61", "2g"},
        {"626262", "a3gV"},
        {"636363", "aPEr"},
        {"73696d706c792061206c6f6e6720737472696e67", "2cFupjhnEsSn59qHXstmK2ffpLv2"},
        {"00eb15231dfceb60925886b67d065299925915aeb172c06647", "1NS17iag9jJgTHD1VXjvLCEnZuQ3rJDE9L"},
        {"516b6fcd0f", "ABnLTmg"},
        {"bf4f89001e670274dd", "3SEo3LWLoPntC"},
        {"572e4794", "3EFU7m"},
        {"ecac89cad93923c02321", "EJDM8drfXA6uyA"},
        {"10c8511e", "Rt5zm"},
        {"00000000000000000000", "1111111111"},
        {"48656c6c6f20576f726c6421", "2NEpo7TZRRrLZSi2U"},
        {"0000287fb4cd", "11233QC4"},
    };
    for (const auto& [digits, text] : pairs) {
        EXPECT_EQ(to_base58(hex(digits)), text);
        EXPECT_EQ(hex(from_base58(text)), digits);
    }
}

TEST(Base58, RefusesWhatIsNotOfTheAlphabet) {
    for (const auto* text : {"0", "O", "I", "l", "2g ", " 2g", "2g=", "2\xc3\xa9"}) EXPECT_FALSE(from_base58(text)) << text;
    EXPECT_FALSE(from_base58(std::string_view{"2\0g", 3}));
}

TEST(Base58, RefusesLongTextsBeforeTheSquareOfWork) {
    EXPECT_TRUE(from_base58(std::string(max_big_base_text, '2')));
    EXPECT_FALSE(from_base58(std::string(max_big_base_text + 1, '2')));
    EXPECT_FALSE(from_base36(std::string(max_big_base_text + 1, '2')));
}

// RFC 4648 section 10, lower case and without padding.
TEST(Base32, KnownPairs) {
    const std::pair<const char*, const char*> pairs[]{
        {"", ""}, {"f", "my"}, {"fo", "mzxq"}, {"foo", "mzxw6"}, {"foob", "mzxw6yq"}, {"fooba", "mzxw6ytb"}, {"foobar", "mzxw6ytboi"}};
    for (const auto& [plain, text] : pairs) {
        EXPECT_EQ(to_base32(as_bytes(plain)), text);
        EXPECT_EQ(hex(from_base32(text)), to_hex(as_bytes(plain)));
    }
    EXPECT_EQ(hex(from_base32("MZXW6")), to_hex(as_bytes("foo")));
}

TEST(Base32, HasOneTextPerValue) {
    EXPECT_FALSE(from_base32("mz")) << "pad bits that are not zero";
    EXPECT_FALSE(from_base32("m")) << "a digit that ends no byte";
    EXPECT_FALSE(from_base32("mzxw6===")) << "padding";
    EXPECT_FALSE(from_base32("mzxw1"));
}

TEST(Base64, KnownPairs) {
    const std::pair<const char*, const char*> pairs[]{{"", ""}, {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
    for (const auto& [plain, text] : pairs) {
        EXPECT_EQ(to_base64url(as_bytes(plain)), text);
        EXPECT_EQ(hex(from_base64url(text)), to_hex(as_bytes(plain)));
        EXPECT_EQ(hex(from_base64(text)), to_hex(as_bytes(plain)));
    }
    EXPECT_EQ(to_base64url(hex("fbff")), "-_8");
    EXPECT_EQ(hex(from_base64("+/8")), "fbff");
    EXPECT_FALSE(from_base64("-_8"));
    EXPECT_FALSE(from_base64url("+/8"));
    EXPECT_FALSE(from_base64url("Zh")) << "pad bits";
    EXPECT_FALSE(from_base64url("Z"));
}

TEST(Multibase, ReadsEveryBaseByItsFirstCharacter) {
    for (const auto* text : {"f796573", "F796573", "bpfsxg", "BPFSXG", "k4qir7", "K4QIR7", "zhmzS", "meWVz", "ueWVz"}) {
        EXPECT_EQ(hex(from_multibase(text)), "796573") << text;
    }
    // multibase's own vectors: "yes mani !"
    EXPECT_EQ(hex(from_multibase("k2lcpzo5yikidynfl")), "796573206d616e692021");
    EXPECT_EQ(hex(from_multibase("K2LCPZO5YIKIDYNFL")), "796573206d616e692021");
    EXPECT_EQ(hex(from_multibase("z7paNL19xttacUY")), "796573206d616e692021");
    EXPECT_EQ(hex(from_multibase("k02lcpzo5yikidynfl")), "00796573206d616e692021") << "a leading zero byte";
}

TEST(Multibase, RefusesOtherBases) {
    for (const auto* text : {"", "9796573", "hxf1zgedpcfzg1ebb", "v7paNL", "f7", "fxx", "x"}) EXPECT_FALSE(from_multibase(text)) << text;
}

}  // namespace
}  // namespace kith::wire
