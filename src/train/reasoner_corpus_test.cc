// A recipe of the reasoner task, with a vocabulary of its own.
#include <gtest/gtest.h>

#include "train/corpus.h"
#include "train/recipe_check.h"
#include "train/run_models.h"

namespace ponder {
namespace {

constexpr char kText[] = R"(name = "t"
[model]
hidden_size = 64
num_attention_heads = 4
vocab_size = 700
max_position_embeddings = 512
[tokenizer]
kind = "bpe"
vocab_size = 700
train_documents = 400
[task]
name = "reasoner"
families = "arithmetic outside"
[corpus]
drill_phase = 0.25
drills = 0.2
direct = 0.3
earlier = 0.3
[[stage]]
kind = "pretrain"
name = "base"
tokens = 1e5
[[stage]]
kind = "eval"
name = "test"
languages = "zh"
families = "arithmetic"
longer = 1
)";

Recipe recipe_of(std::vector<std::string> overrides = {}) {
  return std::move(parse_recipe(kText, {"r.toml", std::move(overrides), ""})).value();
}

std::string error_of(std::vector<std::string> overrides) {
  return parse_recipe(kText, {"r.toml", std::move(overrides), ""}).status().message();
}

TEST(ReasonerRecipe, VocabularyFollowsFromTheRecipe) {
  const TokenizerFiles files = tokenizer_files(recipe_of()).value();
  EXPECT_EQ(files.tokenizer_json, tokenizer_files(recipe_of()).value().tokenizer_json);
  EXPECT_NE(files.tokenizer_json, tokenizer_files(recipe_of({"seed=2"})).value().tokenizer_json);
  const Tokenizer t =
      Tokenizer::load_json(files.tokenizer_json, files.tokenizer_config_json).value();
  EXPECT_LE(t.vocab_size(), 700);
  EXPECT_GT(t.vocab_size(), 400);
  EXPECT_LE(t.encode("先算 First").size(), 4u);
}

TEST(ReasonerRecipe, DocumentsAreWhatAChatReads) {
  const Recipe recipe = recipe_of();
  const TokenizerFiles files = tokenizer_files(recipe).value();
  const Tokenizer t =
      Tokenizer::load_json(files.tokenizer_json, files.tokenizer_config_json).value();
  const ChatFormat format = make_format(files, t).value();
  const GeneratedCorpus corpus(recipe, recipe.stages[0], format, 5);
  int drills = 0, thinking = 0, direct = 0, earlier = 0;
  for (uint64_t i = 0; i < 400; ++i) {
    const Document d = corpus.document(i, 0.5).value();
    ASSERT_EQ(d.scored.size(), 1u);
    const auto begin = static_cast<size_t>(d.scored[0].begin);
    const std::string prompt = t.decode(std::span(d.ids).first(begin));
    const std::string rest = t.decode(std::span(d.ids).subspan(begin));
    EXPECT_EQ(d.scored[0].end, static_cast<int64_t>(d.ids.size()));
    if (!prompt.starts_with("<|user|>")) {
      EXPECT_TRUE(prompt.ends_with("=") || prompt.ends_with("est: ") || prompt.ends_with("："))
          << prompt;
      ++drills;
      continue;
    }
    EXPECT_TRUE(rest.ends_with("<|end|>")) << rest;
    const bool thinks = prompt.ends_with("<|assistant|><think>\n");
    EXPECT_EQ(thinks, rest.find("</think>\n") != std::string::npos);
    EXPECT_EQ(!thinks, prompt.ends_with("<|assistant|><think>\n\n</think>\n")) << prompt;
    (thinks ? thinking : direct) += 1;
    earlier += prompt.rfind("<|user|>") != 0 ? 1 : 0;
  }
  EXPECT_NEAR(drills, 80, 30);
  EXPECT_NEAR(direct, 96, 40);
  EXPECT_NEAR(earlier, 96, 40);
  EXPECT_GT(thinking, 150);
  for (uint64_t i = 0; i < 50; ++i) {  // the first phase is drills alone
    EXPECT_EQ(corpus.document(i, 0.1).value().ids.front(), t.encode("\n").front());
  }
}

TEST(ReasonerRecipe, AnEvaluationMayAskOtherQuestions) {
  const Recipe recipe = recipe_of();
  const ReasonerParams p = reasoner_params(recipe.task, recipe.stages[1]);
  EXPECT_EQ(p.families, "arithmetic");
  EXPECT_EQ(p.languages, "zh");
  EXPECT_EQ(p.longer, 1);
  EXPECT_EQ(reasoner_params(recipe.task, recipe.stages[0]).families, "arithmetic outside");
  EXPECT_EQ(parse_recipe(recipe_to_toml(recipe)).value(), recipe);
}

TEST(ReasonerRecipe, BadChoicesAreRefusedBeforeTheRun) {
  EXPECT_NE(error_of({"task.families=algebra"}).find("task.families"), std::string::npos);
  EXPECT_NE(error_of({"test.families=countdown"}).find("longer"), std::string::npos);
  EXPECT_NE(error_of({"test.languages=fr"}).find("languages"), std::string::npos);
  EXPECT_NE(error_of({"tokenizer.vocab_size=100"}).find("vocab_size"), std::string::npos);
  EXPECT_NE(error_of({"test.max_tokens=500"}).find("max_tokens"), std::string::npos);
}

}  // namespace
}  // namespace ponder
