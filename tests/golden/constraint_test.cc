// Constrained output on real vocabularies: masks against each token's own bytes, and answers that a
// JSON parser reads.
#include "engine/constraint.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/rng.h"
#include "engine/json_grammar.h"
#include "engine/json_schema.h"
#include "engine/regex_grammar.h"
#include "text/tokenizer.h"

namespace ponder {
namespace {

const std::string kFolder = PONDER_SOURCE_DIR "/../shared/data/tokenizers/";

std::string unzipped(const std::string& path) {
  FILE* pipe = popen(("gzip -dc '" + path + "'").c_str(), "r");
  std::string out;
  char buffer[1 << 16];
  for (size_t n = 0; pipe != nullptr && (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
    out.append(buffer, n);
  }
  if (pipe != nullptr) pclose(pipe);
  return out;
}

class ConstraintVocabulary : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string path = kFolder + GetParam() + "/tokenizer.json.gz";
    if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
    auto tokenizer = Tokenizer::load_json(unzipped(path));
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    tokenizer_.emplace(*std::move(tokenizer));
    trie_ = std::make_shared<const TokenTrie>(*tokenizer_);
  }

  std::shared_ptr<TokenMasks> masks(Result<std::shared_ptr<const Grammar>> grammar) {
    EXPECT_TRUE(grammar.ok()) << grammar.status().message();
    return std::make_shared<TokenMasks>(*grammar, trie_);
  }

  static bool bit(const std::vector<uint64_t>& bits, int32_t id) {
    return (bits[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0;
  }

  static int32_t pick(const std::vector<uint64_t>& bits, Rng& rng) {
    std::vector<int32_t> allowed;
    for (size_t word = 0; word < bits.size(); ++word) {
      for (uint64_t left = bits[word]; left != 0; left &= left - 1) {
        allowed.push_back(static_cast<int32_t>(word) * 64 + std::countr_zero(left));
      }
    }
    return allowed[rng.below(static_cast<uint32_t>(allowed.size()))];
  }

  std::optional<Tokenizer> tokenizer_;
  std::shared_ptr<const TokenTrie> trie_;
};

TEST_P(ConstraintVocabulary, SpecialTokensNeverCome) {
  const auto all = masks(compile_regex("(?:.|[\\n\\r\\u2028\\u2029])*"));
  Constraint constraint(all, {});
  std::vector<uint64_t> bits(trie_->mask_words());
  ASSERT_TRUE(constraint.mask(bits).ok());
  for (int32_t id = 0; id < tokenizer_->vocab_size(); ++id) {
    if (tokenizer_->is_special(id) || tokenizer_->is_control(id) ||
        tokenizer_->token_bytes(id).empty()) {
      EXPECT_FALSE(bit(bits, id)) << tokenizer_->token_text(id);
    } else {
      // Everything else begins some text, or is the rest of a character.
      EXPECT_EQ(bit(bits, id), constraint.allows(id)) << tokenizer_->token_text(id);
    }
  }
}

TEST_P(ConstraintVocabulary, MasksEqualBruteForce) {
  const Result<std::shared_ptr<const Grammar>> grammars[] = {
      json_grammar(),
      compile_json_schema(
          R"({"type":"object","properties":{"name":{"type":"string","maxLength":40},"n":{"type":"number","minimum":0},
"d":{"type":"string","format":"date"}},"required":["name","n"],"additionalProperties":{"type":"string"}})"),
      compile_regex("(?:[A-Z][a-z]*\\s){2,60}\xE7\x9A\x84.{0,30}"),
  };
  Rng rng(9, hash64("brute force"), 0);
  std::vector<uint64_t> bits(trie_->mask_words());
  for (const auto& grammar : grammars) {
    const auto shared = masks(grammar);
    Constraint constraint(shared, {});
    for (int step = 0; step < 12 && !constraint.must_end(); ++step) {
      ASSERT_TRUE(constraint.mask(bits).ok());
      for (int32_t id = 0; id < tokenizer_->vocab_size(); ++id) {
        ASSERT_EQ(bit(bits, id), constraint.allows(id)) << tokenizer_->token_text(id);
      }
      ASSERT_TRUE(constraint.accept(pick(bits, rng)).ok());
    }
  }
}

TEST_P(ConstraintVocabulary, TokenizedJsonIsAccepted) {
  const auto shared = masks(json_grammar());
  const char* texts[] = {
      R"({"a": 1, "b": [true, false, null, -1.5e10], "c": {"d": "e\n\"f\""}})",
      "{\n  \"name\": \"Zo\xC3\xAB\",\n  \"tags\": [\n    \"\xE6\x95\xB0\xE5\xAD\xA6\",\n    "
      "\"\xF0\x9F\x98\x80\"\n  ]\n}",
      R"({"x":{"y":{"z":[[],[[]],{}]}},"empty":""})",
  };
  std::vector<uint64_t> bits(trie_->mask_words());
  for (const char* text : texts) {
    Constraint constraint(shared, {});
    for (const int32_t token :
         tokenizer_->encode(text, {.add_special = false, .parse_special = false})) {
      ASSERT_TRUE(constraint.mask(bits).ok());
      ASSERT_TRUE(bit(bits, token)) << tokenizer_->token_text(token) << " in " << text;
      ASSERT_TRUE(constraint.accept(token).ok());
    }
    EXPECT_TRUE(constraint.must_end()) << text;
  }
}

TEST_P(ConstraintVocabulary, RandomAnswersAreJson) {
  const int32_t end = trie_->vocab_size();  // past the vocabulary, as an output head's rows can be
  const auto shared = masks(compile_json_schema(
      R"({"type":"object","properties":{"kind":{"enum":["cat","dog"]},"name":{"type":"string","maxLength":30},
"scores":{"type":"array","items":{"type":"number"},"maxItems":4}},"required":["kind","name","scores"]})"));
  Rng rng(1, hash64("answers"), 0);
  std::vector<uint64_t> bits(trie_->mask_words() + 1);
  for (int answer = 0; answer < 30; ++answer) {
    Constraint constraint(shared, {end});
    std::vector<int32_t> tokens;
    while (!constraint.ended()) {
      ASSERT_LT(tokens.size(), 1000u);
      ASSERT_TRUE(constraint.mask(bits).ok());
      const int32_t token = pick(bits, rng);
      ASSERT_TRUE(constraint.accept(token).ok());
      if (token != end) tokens.push_back(token);
    }
    const auto value = nlohmann::json::parse(tokenizer_->decode(tokens), nullptr, false);
    ASSERT_TRUE(value.is_object()) << tokenizer_->decode(tokens);
    EXPECT_TRUE(value.at("kind") == "cat" || value.at("kind") == "dog");
    EXPECT_LE(value.at("scores").size(), 4u);
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, ConstraintVocabulary,
                         testing::Values("deepseek_v3", "qwen2_5", "llama3_1"));

}  // namespace
}  // namespace ponder
