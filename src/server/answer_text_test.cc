#include "server/answer_text.h"

#include <gtest/gtest.h>

#include "text/symbol_vocab.h"

namespace ponder {
namespace {

Tokenizer symbols() {
  return Tokenizer::load_json(symbol_tokenizer_json(SymbolNumbers::kWhole),
                              symbol_tokenizer_config_json())
      .value();
}

// A token for every byte and nothing else.
Tokenizer bytes() {
  std::string vocab;
  for (int byte = 0; byte < 256; ++byte) {
    char name[16];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    vocab += (byte == 0 ? "\"" : ",\"") + std::string(name) + "\":" + std::to_string(byte);
  }
  return Tokenizer::load_json(
             R"({"model":{"type":"BPE","byte_fallback":true,"vocab":{)" + vocab +
             R"(},"merges":[]},"decoder":{"type":"ByteFallback"},"added_tokens":[]})")
      .value();
}

struct Whole {
  std::string thinking, content, stopped_by;
  Finish finish = Finish::kNone;
  size_t content_tokens = 0, thinking_tokens = 0;
};

void add(Whole& to, const AnswerDelta& delta) {
  to.thinking += delta.thinking;
  to.content += delta.content;
  to.content_tokens += delta.content_tokens.size();
  to.thinking_tokens += delta.thinking_tokens.size();
  if (delta.finish != Finish::kNone) {
    EXPECT_EQ(to.finish, Finish::kNone) << "an answer ends once";
    to.finish = delta.finish;
    to.stopped_by = delta.stopped_by;
  }
}

TEST(AnswerText, SplitsThinkingAndCountsIt) {
  const Tokenizer tokenizer = symbols();
  AnswerText text(
      tokenizer,
      {.split = true, .thinking = false, .stops = {}, .logprobs = true, .tools = false, .id = {}});
  Whole whole;
  for (const int32_t id :
       tokenizer.encode("<think>3+4=7;</think><answer>7</answer>", {.add_special = false})) {
    add(whole, text.push(id, true, {id, std::string(tokenizer.token_bytes(id)), -1, {}}));
  }
  add(whole, text.push(SymbolIds::kEos, false));
  add(whole, text.finish(Finish::kStop));
  EXPECT_EQ(whole.thinking, "3+4=7;");
  EXPECT_EQ(whole.content, "7");
  EXPECT_EQ(whole.finish, Finish::kStop);
  EXPECT_EQ(text.thinking_tokens(), 6);
  EXPECT_EQ(text.tokens(), 6 + 2 + 3 + 1);
  EXPECT_EQ(whole.thinking_tokens + whole.content_tokens, 6u + 2 + 3);
}

TEST(AnswerText, CharactersComeWhole) {
  const Tokenizer tokenizer = bytes();
  AnswerText text(tokenizer, {});
  const std::string wanted = "\xE4\xBD\xA0\xF0\x9F\x98\x80.";
  std::string got;
  for (const char c : wanted) {
    const AnswerDelta delta = text.push(static_cast<unsigned char>(c), true);
    if (!delta.content.empty()) {
      EXPECT_LT(static_cast<unsigned char>(delta.content[0]) & 0xC0, 0x100);
      EXPECT_NE(static_cast<unsigned char>(delta.content[0]) & 0xC0, 0x80)
          << "begins within a character";
    }
    got += delta.content;
  }
  got += text.finish(Finish::kLength).content;
  EXPECT_EQ(got, wanted);
}

TEST(AnswerText, AStopStringMayBeCutAnywhere) {
  const Tokenizer tokenizer = bytes();
  AnswerText text(tokenizer, {.split = false,
                              .thinking = false,
                              .stops = {"END", "x"},
                              .logprobs = true,
                              .tools = false,
                              .id = {}});
  Whole whole;
  int pushed = 0;
  for (const char c : std::string("abENENDcd")) {
    if (text.ended()) break;
    add(whole, text.push(static_cast<unsigned char>(c), true));
    ++pushed;
  }
  EXPECT_EQ(whole.content, "abEN");
  EXPECT_EQ(whole.stopped_by, "END");
  EXPECT_EQ(whole.finish, Finish::kStop);
  EXPECT_EQ(pushed, 7);
  EXPECT_EQ(text.tokens(), 7);
  // Nothing comes after it, not even another end.
  EXPECT_TRUE(text.push('z', true).empty());
  EXPECT_TRUE(text.finish(Finish::kLength).empty());
  EXPECT_EQ(text.why(), Finish::kStop);
}

TEST(AnswerText, WhatCouldHaveBeenAStopStringComesAtTheEnd) {
  const Tokenizer tokenizer = bytes();
  AnswerText text(tokenizer, {.split = false,
                              .thinking = false,
                              .stops = {"END"},
                              .logprobs = false,
                              .tools = false,
                              .id = {}});
  Whole whole;
  for (const char c : std::string("abEN"))
    add(whole, text.push(static_cast<unsigned char>(c), true));
  EXPECT_EQ(whole.content, "ab");
  add(whole, text.finish(Finish::kLength));
  EXPECT_EQ(whole.content, "abEN");
  EXPECT_EQ(whole.finish, Finish::kLength);
}

}  // namespace
}  // namespace ponder
