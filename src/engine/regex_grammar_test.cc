#include "engine/regex_grammar.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/grammar_machine.h"
#include "engine/json_grammar.h"
#include "engine/string_formats.h"

namespace ponder {
namespace {

struct Case {
  const char* pattern;
  std::vector<std::string> in, out;
};

TEST(Regex, AcceptsAndRejects) {
  const Case cases[] = {
      {"abc", {"abc"}, {"", "ab", "abcd", "ABC"}},
      {"", {""}, {"a"}},
      {"a|bc|", {"a", "bc", ""}, {"b", "abc"}},
      {"a*", {"", "a", "aaaa"}, {"b", "ab"}},
      {"a+b?", {"a", "ab", "aab"}, {"", "b", "abb"}},
      {"a{3}", {"aaa"}, {"aa", "aaaa"}},
      {"a{2,}", {"aa", "aaaaaaa"}, {"a"}},
      {"a{1,3}?", {"a", "aaa"}, {"", "aaaa"}},
      {"a{,3}", {"a{,3}"}, {"aa"}},
      {"a{x", {"a{x"}, {"a"}},
      {"(?:ab)+", {"ab", "abab"}, {"", "aba"}},
      {"(a)(?<name>b)(?P<n2>c)", {"abc"}, {"ab"}},
      {"^abc$", {"abc"}, {"xabc", "abcx"}},
      {"^a|b$", {"a", "b"}, {"ab"}},
      {"(^a|^b)c", {"ac", "bc"}, {"c", "abc"}},
      {"[a-c]", {"a", "b", "c"}, {"d", "", "-"}},
      {"[^a-c\\n]", {"d", "\xC3\xA9", "\xF0\x9F\x98\x80"}, {"a", "\n", "\xC3", "dd"}},
      {"[-a]", {"-", "a"}, {"b"}},
      {"[a-]", {"-", "a"}, {"b"}},
      {"[\\w-.]+", {"a-b.c_9"}, {"a b"}},
      {"[\\]\\\\^]", {"]", "\\", "^"}, {"["}},
      {"[\\b]", {"\b"}, {"b"}},
      {"\\d\\D", {"1a", "0\xE4\xBD\xA0"}, {"a1", "11"}},
      {"\\w\\W", {"_-", "a\xC3\xA9"}, {"-_", "aa"}},
      {"\\s\\S", {" a", "\t1", "\xC2\xA0x"}, {"a ", "  "}},
      {".", {"a", " ", "\xE4\xBD\xA0", "\xF0\x9F\x98\x80"}, {"\n", "\r", "", "ab"}},
      {"\\x41\\u00e9\\u{1F600}\\ud83d\\ude00\\x{42}",
       {"A\xC3\xA9\xF0\x9F\x98\x80\xF0\x9F\x98\x80"
        "B"},
       {"A"}},
      {"\\t\\n\\r\\f\\v\\cA\\.\\*\\/\\-\\$", {"\t\n\r\f\v\x01.*/-$"}, {""}},
      {"\xE4\xBD\xA0+", {"\xE4\xBD\xA0\xE4\xBD\xA0"}, {"\xE4\xBD", "\xBD\xA0"}},
      {"(a|b){0,1000}c", {"c", "ababc"}, {"ab"}},
      {"((a{0,100}){0,100}){0,100}b", {"b", std::string(15, 'a') + "b"}, {"a"}},
      {"\\Aab\\z", {"ab"}, {"a"}},
  };
  for (const Case& c : cases) {
    const auto grammar = compile_regex(c.pattern);
    ASSERT_TRUE(grammar.ok()) << c.pattern << ": " << grammar.status().message();
    for (const auto& text : c.in)
      EXPECT_TRUE(grammar_matches(**grammar, text)) << c.pattern << " / " << text;
    for (const auto& text : c.out) {
      EXPECT_FALSE(grammar_matches(**grammar, text)) << c.pattern << " / " << text;
    }
  }
}

TEST(Regex, RefusesByName) {
  const std::pair<const char*, const char*> cases[] = {
      {"(a)\\1", "backreferences"},
      {"(?<n>a)\\k<n>", "backreferences"},
      {"(?=a)", "lookahead"},
      {"(?!a)", "lookahead"},
      {"(?<=a)b", "lookbehind"},
      {"(?<!a)b", "lookbehind"},
      {"(?>a)", "atomic"},
      {"(?i)a", "flags"},
      {"\\bword", "word boundaries"},
      {"\\p{L}", "properties"},
      {"a++", "possessive"},
      {"[[:alpha:]]", "POSIX"},
      {"a^b", "^ and $"},
      {"(a$)b", "^ and $"},
      {"(?:^a)*", "^ and $"},
  };
  for (const auto& [pattern, word] : cases) {
    const auto grammar = compile_regex(pattern);
    ASSERT_FALSE(grammar.ok()) << pattern;
    EXPECT_EQ(grammar.status().code(), Code::kUnsupported) << pattern;
    EXPECT_NE(grammar.status().message().find(word), std::string::npos)
        << pattern << ": " << grammar.status().message();
  }
  for (const char* pattern : {"(", ")", "(a", "a)", "[", "[a", "[]", "*", "a**", "|*", "[b-a]",
                              "a{3,2}", "\\", "\\q", "\\x4", "\\u{110000}", "\xFF", "^*", "(?<n"}) {
    const auto grammar = compile_regex(pattern);
    ASSERT_FALSE(grammar.ok()) << pattern;
    EXPECT_EQ(grammar.status().code(), Code::kInvalid) << pattern;
  }
  EXPECT_EQ(compile_regex("a{99999999}").status().code(), Code::kExhausted);
  EXPECT_EQ(compile_regex(std::string(1000, '(')).status().code(), Code::kExhausted);
  EXPECT_EQ(compile_regex(std::string(100000, 'a')).status().code(), Code::kExhausted);
}

// A pattern as JSON Schema has it, within a JSON string.
std::shared_ptr<const Grammar> in_string(const std::string& pattern, uint32_t min, uint32_t max,
                                         Status* status) {
  const auto compile = [&]() -> Result<std::shared_ptr<const Grammar>> {
    ASSIGN_OR_RETURN(const RegexTree parsed, parse_regex(pattern));
    ASSIGN_OR_RETURN(RegexTree tree, without_anchors(parsed, true));
    ASSIGN_OR_RETURN(tree, with_length(tree, min, max));
    GrammarBuilder b;
    JsonGrammar json(b);
    const auto root = b.add_rule("root");
    b.define(root, regex_expr(b, tree, &json));
    return b.build(root);
  };
  auto grammar = compile();
  *status = grammar.status();
  return grammar.ok() ? *grammar : nullptr;
}

TEST(Regex, SearchesWithinAString) {
  const Case cases[] = {
      {"b", {"b", "abc", "\\\"b"}, {"", "ac", "\"b"}},
      {"^b", {"b", "bc"}, {"ab"}},
      {"b$", {"b", "ab"}, {"bc"}},
      {"^a|b$|c", {"ax", "xb", "xcx"}, {"xa", "bx"}},
      {"^(?:a|b)$", {"a", "b"}, {"xa", "ab"}},
      {"^$", {""}, {"a"}},
      {"", {"", "abc"}, {"\n"}},
      {"^.\"\\\\\\n$", {"x\\\"\\\\\\n"}, {"x\"\\\n"}},
      {"^[\\x00-\\x1f]$", {"\\u0000", "\\n", "\\u001f"}, {"\\u0020", "n"}},
      {"^[^a]$", {"b", "\\\"", "\\t", "\xC3\xA9"}, {"a", "\"", "\\", "\t"}},
  };
  for (const Case& c : cases) {
    Status status;
    const auto grammar = in_string(c.pattern, 0, kUnbounded, &status);
    ASSERT_TRUE(grammar) << c.pattern << ": " << status.message();
    for (const auto& text : c.in)
      EXPECT_TRUE(grammar_matches(*grammar, text)) << c.pattern << " / " << text;
    for (const auto& text : c.out) {
      EXPECT_FALSE(grammar_matches(*grammar, text)) << c.pattern << " / " << text;
    }
  }
}

TEST(Regex, CombinesWithLengths) {
  struct Length {
    const char* pattern;
    uint32_t min, max;
    std::vector<std::string> in, out;
  };
  const Length cases[] = {
      {"^[a-z]+$", 2, 4, {"ab", "abcd"}, {"a", "abcde", "AB"}},
      {"^[a-z]*$", 0, 4, {"", "abcd"}, {"abcde"}},
      {"^#[0-9a-f]+$", 3, 4, {"#ab", "#abc"}, {"#a", "#abcd"}},
      {"^(?:ab)+$", 3, 7, {"abab", "ababab"}, {"ab", "abababab"}},
      {"^foo", 0, 5, {"foo", "fooxx"}, {"fooxxx", "fo"}},
      {"^a+$|^b{2}$", 2, 3, {"aa", "aaa", "bb"}, {"a", "b", "aaaa"}},
      {"^[a-z]{1,3}-[0-9]{2}$", 1, 10, {"a-12"}, {"-12"}},
  };
  for (const Length& c : cases) {
    Status status;
    const auto grammar = in_string(c.pattern, c.min, c.max, &status);
    ASSERT_TRUE(grammar) << c.pattern << ": " << status.message();
    for (const auto& text : c.in)
      EXPECT_TRUE(grammar_matches(*grammar, text)) << c.pattern << " / " << text;
    for (const auto& text : c.out) {
      EXPECT_FALSE(grammar_matches(*grammar, text)) << c.pattern << " / " << text;
    }
  }
  Status status;
  in_string("foo", 0, 10, &status);
  EXPECT_EQ(status.code(), Code::kUnsupported);
  in_string("^a{3}$", 4, 10, &status);
  EXPECT_EQ(status.code(), Code::kInvalid);
}

TEST(StringFormats, AcceptAndReject) {
  const Case cases[] = {
      {"date",
       {"2024-02-29", "2023-12-31", "0001-01-01", "2000-02-29", "1999-04-30"},
       {"2023-02-29", "1900-02-29", "0000-01-01", "2023-13-01", "2023-04-31", "2023-1-01", "x"}},
      {"time",
       {"00:00:00Z", "23:59:59.123+05:30"},
       {"24:00:00Z", "12:60:00Z", "12:00:60Z", "12:00:00", "12:00Z"}},
      {"date-time", {"2024-02-29T12:30:00Z"}, {"2024-02-29 12:30:00Z", "2024-02-29"}},
      {"duration",
       {"P1D", "P3W", "PT5M", "P1Y2M3DT4H5M6S", "P1YT1H", "PT1H2M"},
       {"P", "PT", "P1D2Y", "1D", "P1Y3D", "PT1H3S", "P1W1D"}},
      {"uuid",
       {"123e4567-e89b-12d3-a456-426614174000"},
       {"123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456-42661417400g"}},
      {"email", {"a@b.co", "first.last+x@ex-ample.org"}, {"a", "a@", "@b.co", "a@b", "a..b@c.de"}},
      {"hostname", {"localhost", "a.b.example.com", "x-1.y"}, {"-a", "a-", "a..b", "a_b", ""}},
      {"ipv4", {"0.0.0.0", "255.255.255.255", "1.20.3.4"}, {"256.1.1.1", "01.1.1.1", "1.1.1"}},
      {"ipv6",
       {"::", "::1", "1::", "1:2:3:4:5:6:7:8", "fe80::1:2", "1:2:3:4:5:6::"},
       {":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "1:2:3:4:5:6:7::8"}},
      {"uri",
       {"http://example.com", "https://a.b:80/x/y%20z?q=1&r#f"},
       {"example.com", "http://", "http://a b", "/x"}},
  };
  for (const Case& c : cases) {
    const auto grammar = compile_regex(format_regex(c.pattern));
    ASSERT_TRUE(grammar.ok()) << c.pattern << ": " << grammar.status().message();
    for (const auto& text : c.in)
      EXPECT_TRUE(grammar_matches(**grammar, text)) << c.pattern << " / " << text;
    for (const auto& text : c.out) {
      EXPECT_FALSE(grammar_matches(**grammar, text)) << c.pattern << " / " << text;
    }
  }
  EXPECT_TRUE(format_regex("regex").empty());
}

}  // namespace
}  // namespace ponder
