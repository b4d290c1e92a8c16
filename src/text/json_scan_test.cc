#include "text/json_scan.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ponder {
namespace {

TEST(JsonScanner, Strings) {
  for (const char* text : {R"("")", R"("plain")", R"("a\"\\\/\b\f\n\r\t")", R"("\u00e9\u4F60")",
                           R"("\ud83d\ude00")", "\"\xE4\xBD\xA0\""}) {
    JsonScanner scanner(text);
    std::string out;
    EXPECT_TRUE(scanner.string(out)) << text;
    EXPECT_EQ(out, nlohmann::json::parse(text).get<std::string>());
  }
  for (const char* text :
       {"", "x", "\"", "\"a", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", R"("\ud83d")",
        R"("\ud83dx")", R"("\ude00")", R"("\ud83d\u0041")", "\"\n\"", "1"}) {
    JsonScanner scanner(text);
    std::string out;
    EXPECT_FALSE(scanner.string(out)) << text;
    EXPECT_TRUE(scanner.failed());
    EXPECT_FALSE(scanner.take('"'));
  }
}

TEST(JsonScanner, TakesAndNumbers) {
  JsonScanner scanner(" [ -1.5e3 , 7]");
  std::string_view number;
  EXPECT_FALSE(scanner.take('{'));
  EXPECT_TRUE(scanner.take('['));
  EXPECT_TRUE(scanner.number(number));
  EXPECT_EQ(number, "-1.5e3");
  EXPECT_TRUE(scanner.take(','));
  EXPECT_TRUE(scanner.number(number));
  EXPECT_EQ(number, "7");
  EXPECT_TRUE(scanner.take(']'));
  EXPECT_EQ(scanner.peek(), '\0');
  EXPECT_FALSE(scanner.number(number));
  EXPECT_TRUE(scanner.failed());
}

TEST(JsonScanner, Skips) {
  for (const char* value :
       {"1", "null", "\"a]\\\"}\"", "[]", R"({"a": [1, {"b": "]"}], "c": 2})"}) {
    const std::string text = std::string(" ") + value + " , 3";
    JsonScanner scanner(text);
    std::string_view out;
    EXPECT_TRUE(scanner.skip(out));
    EXPECT_EQ(out, value);
    EXPECT_TRUE(scanner.take(','));
  }
  for (const std::string& text : {std::string(""), std::string("["), std::string("]"),
                                  std::string("[\"]"), std::string(100, '[')}) {
    JsonScanner scanner(text);
    std::string_view out;
    EXPECT_FALSE(scanner.skip(out)) << text;
  }
}

}  // namespace
}  // namespace ponder
