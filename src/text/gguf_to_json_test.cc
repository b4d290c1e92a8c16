#include "text/gguf_to_json.h"

#include <gtest/gtest.h>

#include "text/tokenizer.h"

namespace ponder {
namespace {

void expect_same(const GgufMetadata& metadata, const std::vector<std::string>& texts) {
  const auto want = Tokenizer::load_gguf(metadata);
  ASSERT_TRUE(want.ok()) << want.status().message();
  const auto files = tokenizer_files_from_gguf(metadata);
  ASSERT_TRUE(files.ok()) << files.status().message();
  const auto got = Tokenizer::load_json(files->tokenizer_json, files->tokenizer_config_json);
  ASSERT_TRUE(got.ok()) << got.status().message();
  EXPECT_EQ(got->vocab_size(), want->vocab_size());
  EXPECT_EQ(got->bos_id(), want->bos_id());
  EXPECT_EQ(got->eos_id(), want->eos_id());
  EXPECT_EQ(got->chat_template(), want->chat_template());
  for (const std::string& text : texts) {
    const std::vector<int32_t> ids = want->encode(text);
    EXPECT_EQ(got->encode(text), ids) << text;
    EXPECT_EQ(got->decode(ids, true), want->decode(ids, true)) << text;
  }
}

TEST(GgufToJson, ByteLevelMerges) {
  GgufMetadata metadata;
  metadata.set("tokenizer.ggml.model", GgufValue::string("gpt2"));
  metadata.set("tokenizer.ggml.pre", GgufValue::string("llama-bpe"));
  metadata.set("tokenizer.ggml.tokens", GgufValue::strings({"a", "b", "c", "\xC4\xA0", "ab",
                                                            "\xC4\xA0"
                                                            "a",
                                                            "abc", "<s>", "</s>"}));
  metadata.set("tokenizer.ggml.token_type", GgufValue::i32s({1, 1, 1, 1, 1, 1, 1, 3, 3}));
  metadata.set("tokenizer.ggml.merges", GgufValue::strings({"a b", "\xC4\xA0 a", "ab c"}));
  metadata.set("tokenizer.ggml.bos_token_id", GgufValue::u32(7));
  metadata.set("tokenizer.ggml.eos_token_id", GgufValue::u32(8));
  metadata.set("tokenizer.ggml.add_bos_token", GgufValue::boolean(true));
  metadata.set("tokenizer.chat_template", GgufValue::string("{{ bos_token }}"));
  expect_same(metadata, {"", "abc ab a", "cab</s>abc", " a  b"});
}

TEST(GgufToJson, SentencePieceWithScores) {
  GgufMetadata metadata;
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<double> scores = {0, 0, 0};
  std::vector<int64_t> types = {2, 3, 3};
  const auto add = [&](const std::string& token, double score, int64_t type) {
    tokens.push_back(token);
    scores.push_back(score);
    types.push_back(type);
  };
  constexpr char kHex[] = "0123456789ABCDEF";
  for (size_t i = 0; i < 256; ++i) {
    add(std::string("<0x") + kHex[i / 16] + kHex[i % 16] + ">", 0, 6);
  }
  for (const char* token : {"\u2581a", "ab", "\u2581ab", "ba"}) {
    add(token, -static_cast<double>(tokens.size() - 259), 1);
  }
  for (const char* token : {"\u2581", "a", "b", "c"}) add(token, -1000.0, 1);
  metadata.set("tokenizer.ggml.model", GgufValue::string("llama"));
  metadata.set("tokenizer.ggml.tokens", GgufValue::strings(tokens));
  metadata.set("tokenizer.ggml.scores", GgufValue::f32s(scores));
  metadata.set("tokenizer.ggml.token_type", GgufValue::i32s(types));
  metadata.set("tokenizer.ggml.bos_token_id", GgufValue::u32(1));
  metadata.set("tokenizer.ggml.eos_token_id", GgufValue::u32(2));
  metadata.set("tokenizer.ggml.unknown_token_id", GgufValue::u32(0));
  expect_same(metadata, {"", "ab", "ab ab abab", "ba\u00e9 c", "aab b"});
}

TEST(GgufToJson, TheFilesThemselvesComeFirst) {
  GgufMetadata metadata;
  metadata.set("ponder.tokenizer_json", GgufValue::string("{}"));
  EXPECT_EQ(tokenizer_files_from_gguf(metadata)->tokenizer_json, "{}");
  EXPECT_EQ(tokenizer_files_from_gguf(GgufMetadata()).status().code(), Code::kNotFound);
  GgufMetadata other;
  other.set("tokenizer.ggml.model", GgufValue::string("bert"));
  other.set("tokenizer.ggml.tokens", GgufValue::strings({"a"}));
  EXPECT_FALSE(tokenizer_files_from_gguf(other).ok());
}

}  // namespace
}  // namespace ponder
