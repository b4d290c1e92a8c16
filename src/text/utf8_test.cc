#include "text/utf8.h"

#include <gtest/gtest.h>

namespace ponder {
namespace {

TEST(Utf8, EveryScalarValueGoesThereAndBack) {
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code == 0xD800) code = 0xE000;
    std::string text;
    append_utf8(text, code);
    const Utf8Char c = utf8_at(text, 0);
    ASSERT_TRUE(c.valid) << uint32_t{code};
    ASSERT_EQ(uint32_t{c.code}, uint32_t{code});
    ASSERT_EQ(c.size, text.size());
    // A part of a character is unfinished at the end of a text, the whole is not.
    ASSERT_EQ(utf8_unfinished("x" + text), 0u);
    for (size_t cut = 1; cut < text.size(); ++cut) {
      ASSERT_EQ(utf8_unfinished("x" + text.substr(0, cut)), cut) << uint32_t{code};
    }
  }
}

TEST(Utf8, ErrorsBecomeOneReplacementEach) {
  const std::string r(kReplacement);
  // The examples of Unicode 15, section 3.9, table 3-8 and its neighbours, and more.
  EXPECT_EQ(utf8_lossy("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"),
            r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(utf8_lossy("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"),
            r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(utf8_lossy("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"),
            r + r + r + r + r + "A" + r + r + "B");
  EXPECT_EQ(utf8_lossy("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), r + r + r + r + "A");
  EXPECT_EQ(utf8_lossy("plain and long enough \xE4\xBD\xA0"), "plain and long enough \xE4\xBD\xA0");
  EXPECT_FALSE(is_utf8("long enough for words of eight \xFF"));
  EXPECT_TRUE(is_utf8(std::string_view("\0zero", 5)));
  EXPECT_EQ(utf8_lossy(""), "");
  EXPECT_EQ(utf8_unfinished("\xE0\x80"), 0u);  // overlong: nothing can finish it
  EXPECT_EQ(utf8_unfinished("\x80\x80\x80\x80"), 0u);
}

}  // namespace
}  // namespace ponder
