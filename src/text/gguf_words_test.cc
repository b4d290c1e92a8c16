#include "text/gguf_words.h"

#include <gtest/gtest.h>

#include "text/pre_tokenizer.h"

namespace ponder {
namespace {

using List = std::vector<std::string>;

List cut(std::string_view name, std::string_view text) {
  const auto words = find_gguf_words(name);
  EXPECT_TRUE(words.ok()) << words.status().message();
  std::vector<PreTokenizerStep> steps;
  for (const std::string_view pattern : (*words)->cuts) {
    auto regex = Regex::compile(pattern);
    EXPECT_TRUE(regex.ok()) << name << ": " << regex.status().message();
    steps.emplace_back().regex = *regex;
  }
  Pieces pieces;
  PreTokenizer(std::move(steps)).cut(text, true, pieces);
  return List(pieces.list.begin(), pieces.list.end());
}

TEST(GgufWords, EveryNameCutsWithoutLoss) {
  const std::string text =
      "I'm HelloWorld  12345 3.14\n\n caf\xC3\xA9 \xE4\xBD\xA0\xE5\xA5\xBD\xE3\x80\x82\t"
      "\xD0\x9F\xD1\x80 \xF0\x9F\x98\x80!? <sentinel:7> ";
  // The message that lists the names is where this test has them from.
  std::string names = find_gguf_words("?").status().message();
  names = names.substr(names.find("known are ") + 10) + ", ";
  int count = 0;
  for (size_t end = 0; (end = names.find(", ")) != std::string::npos; names.erase(0, end + 2)) {
    std::string joined;
    for (const std::string& piece : cut(names.substr(0, end), text)) joined += piece;
    EXPECT_EQ(joined, text) << names.substr(0, end);
    ++count;
  }
  EXPECT_GT(count, 60);
}

TEST(GgufWords, WhereTheyDiffer) {
  EXPECT_EQ(cut("gpt-2", "x1234 don't\n\nA"), (List{"x", "1234", " don", "'t", "\n", "\n", "A"}));
  EXPECT_EQ(cut("smollm", "x1234"), (List{"x", "1", "2", "3", "4"}));
  EXPECT_EQ(cut("llama-bpe", "x1234 DON'T\n\nA"),
            (List{"x", "123", "4", " DON", "'T", "\n\n", "A"}));
  EXPECT_EQ(cut("qwen2", "x12\n a"), (List{"x", "1", "2", "\n", " a"}));
  EXPECT_EQ(cut("qwen35", "e\xCC\x81z"), (List{"e\xCC\x81z"}));
  EXPECT_EQ(cut("qwen2", "e\xCC\x81z"), (List{"e", "\xCC\x81z"}));
  EXPECT_EQ(cut("gpt-4o", "fooBarBAZ's"), (List{"foo", "Bar", "BAZ's"}));
  EXPECT_EQ(cut("tekken", "BarBAZ12"), (List{"Bar", "BAZ", "1", "2"}));
  EXPECT_EQ(cut("deepseek-v3", "a.bc 1234\xE4\xBD\xA0"),
            (List{"a", ".bc", " ", "123", "4", "\xE4\xBD\xA0"}));
  EXPECT_EQ(cut("default", "a$b 1234"), (List{"a", "$", "b", " ", "123", "4"}));
  EXPECT_EQ(cut("falcon", "a`b 1234"), (List{"a", "`", "b", " ", "123", "4"}));
  EXPECT_EQ(cut("bloom", "ab cd.ef"), (List{"ab", " cd", ".", "ef"}));
  EXPECT_EQ(cut("viking", "ab12"), (List{"ab", "1", "2"}));
  EXPECT_EQ(cut("superbpe", "1234567"), (List{"1", "234", "567"}));
  EXPECT_EQ(cut("afmoe", "1234567"), (List{"1", "234", "567"}));
  EXPECT_EQ(cut("gemma4", "a b\n\nc"), (List{"a b", "\n\n", "c"}));
  // A mathematical letter is no cased letter of DeepSeek-LLM's list.
  EXPECT_EQ(cut("deepseek-llm", "a\xF0\x9D\x90\x80"), (List{"a", "\xF0\x9D\x90\x80"}));
}

TEST(GgufWords, UnknownNames) {
  const Status status = find_gguf_words("unheard-of").status();
  EXPECT_EQ(status.code(), Code::kUnsupported);
  EXPECT_NE(status.message().find("\"unheard-of\""), std::string::npos);
  EXPECT_NE(status.message().find("deepseek-v3"), std::string::npos);
}

}  // namespace
}  // namespace ponder
