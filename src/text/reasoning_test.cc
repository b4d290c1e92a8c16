#include "text/reasoning.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "text/symbol_vocab.h"

namespace ponder {
namespace {

// One token per printable ASCII character, space and newline, and some of several characters; no token for a mark.
Tokenizer spelling() {
  std::string vocab;
  int id = 0;
  const auto add = [&](const std::string& token) {
    vocab += (id == 0 ? "" : ",") + ("\"" + token + "\":" + std::to_string(id));
    ++id;
  };
  for (char c = '!'; c <= '~'; ++c)
    add(c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c));
  add("Ġ");
  add("Ċ");
  auto tokenizer = Tokenizer::load_json(
      R"({"model":{"type":"BPE","vocab":{)" + vocab +
      R"(},"merges":[]},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":false},"decoder":{"type":"ByteLevel"},"added_tokens":[]})");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return std::move(tokenizer).value();
}

Tokenizer symbols() {
  return Tokenizer::load_json(symbol_tokenizer_json(SymbolNumbers::kWhole),
                              symbol_tokenizer_config_json())
      .value();
}

ReasoningText split(const Tokenizer& tokenizer, const std::string& text, bool begins_thinking) {
  ReasoningSplitter splitter(tokenizer, begins_thinking);
  ReasoningText all;
  const auto take = [&](const ReasoningText& piece) {
    all.thinking += piece.thinking;
    all.content += piece.content;
  };
  for (const int32_t id : tokenizer.encode(text, {.add_special = false})) take(splitter.push(id));
  take(splitter.finish());
  return all;
}

TEST(Reasoning, MarksThatAreTokens) {
  const ReasoningText out = split(symbols(), "<think>3+4=7;</think><answer>7</answer>", false);
  EXPECT_EQ(out.thinking, "3+4=7;");
  EXPECT_EQ(out.content, "7");
}

TEST(Reasoning, TemplateMayHaveOpenedTheThinking) {
  for (const Tokenizer& tokenizer : {symbols(), spelling()}) {
    const ReasoningText out = split(tokenizer, "\n3+4=7</think>\n\n7", true);
    EXPECT_EQ(out.thinking, "3+4=7");
    EXPECT_EQ(out.content, "7");
  }
}

TEST(Reasoning, AnAnswerWithoutMarksIsContent) {
  EXPECT_EQ(split(spelling(), "a <think> is a tag </think>", false).content,
            "a <think> is a tag </think>");
  EXPECT_EQ(split(spelling(), "", false).content, "");
}

TEST(Reasoning, AnUnfinishedThoughtIsThinking) {
  const ReasoningText out = split(spelling(), "<think>so far</thi", false);
  EXPECT_EQ(out.thinking, "so far</thi");
  EXPECT_EQ(out.content, "");
}

TEST(Reasoning, ThinkingTokensAreCountedWithoutMarks) {
  const Tokenizer tokenizer = symbols();
  ReasoningSplitter splitter(tokenizer, false);
  for (const int32_t id : tokenizer.encode("<think>3+4=7;</think>7", {.add_special = false}))
    splitter.push(id);
  EXPECT_EQ(splitter.thinking_tokens(), 6);
  EXPECT_FALSE(splitter.thinking());
}

// A spelled mark comes a character at a time; nothing of it is ever handed out, whatever surrounds it.
TEST(Reasoning, SpelledMarksAreNeverShown) {
  const Tokenizer tokenizer = spelling();
  std::mt19937 random(7);
  const std::vector<std::string> parts = {"<", "</", "</t", "</think", "a",
                                          " ", "\n", ">",   "think>",  "<think"};
  for (int round = 0; round < 300; ++round) {
    std::string thinking, content;
    for (int i = 0; i < 6; ++i) thinking += parts[random() % parts.size()];
    for (int i = 0; i < 6; ++i) content += parts[random() % parts.size()];
    if ((thinking + "</think>").find("</think>") < thinking.size()) continue;
    const ReasoningText out = split(tokenizer, "<think>" + thinking + "</think>" + content, false);
    const auto trimmed = [](std::string s) {
      const size_t at = s.find_first_not_of(" \n");
      return at == std::string::npos ? std::string() : s.substr(at);
    };
    EXPECT_EQ(out.thinking, trimmed(thinking));
    EXPECT_EQ(out.content, trimmed(content));
  }
}

TEST(Reasoning, PromptThatOpensThinking) {
  EXPECT_EQ(prompt_opens_thinking("x<think>\n"), 8u);
  EXPECT_EQ(prompt_opens_thinking("x<think>"), 7u);
  EXPECT_EQ(prompt_opens_thinking("<think></think>\n\n"), 0u);
  EXPECT_EQ(prompt_opens_thinking(""), 0u);
}

}  // namespace
}  // namespace ponder
