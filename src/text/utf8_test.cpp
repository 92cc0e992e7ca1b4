// UTF-8: well-formed and ill-formed sequences, and streams cut anywhere.
#include "text/utf8.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace millrace {
namespace {

TEST(Utf8, EveryCodePointSurvivesTheRoundTrip) {
  for (char32_t code_point = 0; code_point <= 0x10FFFF; ++code_point) {
    if (code_point >= 0xD800 && code_point <= 0xDFFF) continue;
    std::string text;
    append_utf8(code_point, text);
    const Utf8Character character = decode_utf8(text);
    ASSERT_TRUE(character.valid);
    ASSERT_EQ(character.code_point, code_point);
    ASSERT_EQ(character.num_bytes, text.size());
    ASSERT_FALSE(find_invalid_utf8(text));
    for (std::size_t n = 1; n < text.size(); ++n) {
      ASSERT_EQ(incomplete_utf8_suffix_bytes(text.substr(0, n)), n);
    }
    ASSERT_EQ(incomplete_utf8_suffix_bytes(text), 0u);
  }
}

// The examples of Unicode 15, tables 3-8 to 3-11: one U+FFFD for each maximal ill-formed part.
TEST(Utf8, IllFormedPartsBecomeOneReplacementEach) {
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(repair_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"),
            bad + bad + bad + bad + bad + bad + bad + bad + "A");
  EXPECT_EQ(repair_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"),
            bad + bad + bad + bad + bad + bad + bad + bad + "A");
  EXPECT_EQ(repair_utf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"),
            bad + bad + bad + bad + bad + "A" + bad + bad + "B");
  EXPECT_EQ(repair_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), bad + bad + bad + bad + "A");
  EXPECT_EQ(find_invalid_utf8("ab\xC3\xA9\xFFz"), std::size_t{4});
}

TEST(Utf8, AssemblerEqualsRepairHoweverTheBytesArrive) {
  Random random(11);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes;
    const std::size_t num_bytes = random.below(12);
    while (bytes.size() < num_bytes) {
      if (random.chance(0.5)) {
        append_utf8(static_cast<char32_t>(random.below(0xD800)), bytes);
      } else {
        bytes.push_back(static_cast<char>(random.between(0x80, 0xFF)));
      }
    }
    Utf8Assembler assembler;
    std::string streamed;
    std::string_view rest = bytes;
    while (!rest.empty()) {
      const std::size_t n = 1 + random.below(rest.size());
      assembler.push(rest.substr(0, n), streamed);
      ASSERT_FALSE(find_invalid_utf8(streamed));
      rest.remove_prefix(n);
    }
    assembler.flush(streamed);
    ASSERT_EQ(streamed, repair_utf8(bytes));
  }
}

}  // namespace
}  // namespace millrace
