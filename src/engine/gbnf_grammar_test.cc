#include "engine/gbnf_grammar.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/grammar_machine.h"

namespace ponder {
namespace {

struct Case {
  const char* grammar;
  std::vector<std::string> in, out;
};

TEST(Gbnf, AcceptsAndRejects) {
  const Case cases[] = {
      {"root ::= \"yes\" | \"no\"", {"yes", "no"}, {"", "yesno"}},
      {"# a comment\nroot ::= greeting \" \" name # another\n\ngreeting ::= \"hi\" |\n  \"hello\"\n"
       "name ::= [A-Z] [a-z]*\n",
       {"hi Bob", "hello X"},
       {"hi bob", "hey Bob"}},
      {"root ::= (\"a\" |\n \"b\"\n)+ \"c\"?", {"a", "bab", "abc"}, {"", "c", "abcc"}},
      {"root ::= \"a\"{3} [0-9]{2,} .{1,2}", {"aaa12x", "aaa123xy"}, {"aaa1x", "aa12x"}},
      {"root ::= [^\\n\"\\\\]{0,3} \"\\\"\\\\\\n\\t\\x41\\u00e9\\U0001F600\"",
       {"\"\\\n\tA\xC3\xA9\xF0\x9F\x98\x80", "abc\"\\\n\tA\xC3\xA9\xF0\x9F\x98\x80"},
       {"abcd\"\\\n\tA\xC3\xA9\xF0\x9F\x98\x80"}},
      {"root ::= [a\\-z\\]\\[] [-x] [x-]", {"a--", "-x-", "]xx", "[xx"}, {"b--", "aa-"}},
      {"root ::= expr\nexpr ::= term ([-+*/] term)*\nterm ::= [0-9]+ | \"(\" expr \")\"",
       {"1", "1+2*(3-4)", "((((5))))"},
       {"", "1+", "(1", "1)"}},
      {"root ::= item-1*\nitem-1 ::= \"x\" | item_2\nitem_2 ::= \"yy\"", {"", "xyyx"}, {"y"}},
      {"root ::=\n  \"a\"\n", {"a"}, {""}},
      {"root ::= \"\" | \"a\"", {"", "a"}, {"b"}},
      {"root ::= (\"a\"?)*  \"b\"{0,0}", {"", "aaa"}, {"b"}},
      {"root ::= \"a\"{,2}", {"", "aa"}, {"aaa"}},
      {"root ::= [\xE4\xB8\x80-\xE9\xBF\xBF]+", {"\xE4\xBD\xA0\xE5\xA5\xBD"}, {"a", "\xE4\xBD"}},
      {"root ::= \"a\" root | \"b\"\r\n", {"b", "aaab"}, {"a"}},
  };
  for (const Case& c : cases) {
    const auto grammar = compile_gbnf(c.grammar);
    ASSERT_TRUE(grammar.ok()) << c.grammar << ": " << grammar.status().message();
    for (const auto& text : c.in)
      EXPECT_TRUE(grammar_matches(**grammar, text)) << c.grammar << " / " << text;
    for (const auto& text : c.out) {
      EXPECT_FALSE(grammar_matches(**grammar, text)) << c.grammar << " / " << text;
    }
  }
}

TEST(Gbnf, SaysWhatIsWrongAndWhere) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "\"root\""},
      {"rot ::= \"a\"", "\"root\""},
      {"root ::= missing", "\"missing\" is not defined"},
      {"root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: rule \"root\" is defined twice"},
      {"root = \"a\"", "line 1, column 6: expected \"::=\""},
      {"root ::= \"a", "line 1, column 12: the line ends too early"},
      {"root ::= [a", "line 1, column 12: the line ends too early"},
      {"root ::= (\"a\"", "expected \")\""},
      {"root ::= \"a\" )", "line 1, column 14"},
      {"root ::= \"a\"{3,2}", "the wrong way round"},
      {"root ::= \"a\"{}", "expected a number"},
      {"root ::= [b-a]", "the wrong way round"},
      {"root ::= \"\\q\"", "unknown escape"},
      {"root ::= \"\\xZZ\"", "hex digits"},
      {"root ::= \"\\ud800\"", "not a character"},
      {"root ::= <think>", "tokens written <...>"},
      {"root ::= root \"a\" | \"b\"", "left recursion"},
      {"root ::= a \"x\"\na ::= b?\nb ::= a \"y\"", "left recursion"},
      {"root ::= \"a\" root", "no text"},
      {"root ::= []", "no text"},
      {"\xFF", "UTF-8"},
      {"root ::= \"a\"{999999999}", "at most"},
  };
  for (const auto& [text, words] : cases) {
    const auto grammar = compile_gbnf(text);
    ASSERT_FALSE(grammar.ok()) << text;
    EXPECT_NE(grammar.status().message().find(words), std::string::npos)
        << text << ": " << grammar.status().message();
    EXPECT_EQ(grammar.status().message().find('\n'), std::string::npos);
  }
  EXPECT_EQ(compile_gbnf("root ::= " + std::string(1000, '(')).status().code(), Code::kExhausted);
}

}  // namespace
}  // namespace ponder
