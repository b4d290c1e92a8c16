#include "train/corpus.h"

#include <gtest/gtest.h>

#include "text/symbol_vocab.h"

namespace ponder {
namespace {

Tokenizer symbols() {
  return std::move(Tokenizer::load_json(symbol_tokenizer_json(SymbolNumbers::kWhole),
                                        symbol_tokenizer_config_json()))
      .value();
}

ChatFormat format_of(const Tokenizer& tokenizer) {
  return {tokenizer, std::move(ChatTemplate::from_config(symbol_tokenizer_config_json())).value()};
}

Recipe recipe_of(const std::string& task) {
  return std::move(parse_recipe("name = \"t\"\n[task]\nname = \"" + task +
                                "\"\n[corpus]\ndrill_phase = 0.25\n"
                                "[[stage]]\nkind = \"pretrain\"\nname = \"base\"\n"))
      .value();
}

std::string text_of(const Tokenizer& t, const Document& d) { return t.decode(d.ids); }

TEST(GeneratedCorpus, IsAPureFunctionOfItsArguments) {
  const Tokenizer tokenizer = symbols();
  const ChatFormat format = format_of(tokenizer);
  for (const char* task : {"chain", "countdown"}) {
    const Recipe recipe = recipe_of(task);
    const GeneratedCorpus a(recipe, recipe.stages[0], format, 5),
        b(recipe, recipe.stages[0], format, 5), other(recipe, recipe.stages[0], format, 6);
    int different = 0;
    for (uint64_t i = 40; i-- > 0;) {
      const Document d = std::move(a.document(i, 0.5)).value();
      EXPECT_EQ(d.ids, b.document(i, 0.5)->ids);
      EXPECT_EQ(d.scored, b.document(i, 0.5)->scored);
      different += d.ids != other.document(i, 0.5)->ids ? 1 : 0;
    }
    EXPECT_GT(different, 30) << task;
  }
}

TEST(GeneratedCorpus, DrillsComeFirstAndAloneThenTheMixture) {
  const Tokenizer tokenizer = symbols();
  const ChatFormat format = format_of(tokenizer);
  const Recipe recipe = recipe_of("chain");
  const GeneratedCorpus corpus(recipe, recipe.stages[0], format, 5);
  const auto drills = [&](double progress) {
    int count = 0;
    for (uint64_t i = 0; i < 400; ++i) {
      const std::string text = text_of(tokenizer, *corpus.document(i, progress));
      count += text.find("<user>") == std::string::npos ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(drills(0), 400);
  EXPECT_EQ(drills(0.2499), 400);
  EXPECT_NEAR(drills(0.25), 60, 30);  // 0.15 of them
  EXPECT_NEAR(drills(1), 60, 30);
}

TEST(GeneratedCorpus, TheLossIsOnAnswersAlone) {
  const Tokenizer tokenizer = symbols();
  const ChatFormat format = format_of(tokenizer);
  Recipe recipe = recipe_of("chain");
  const GeneratedCorpus masked(recipe, recipe.stages[0], format, 5);
  recipe.stages[0].mask = "none";
  const GeneratedCorpus whole(recipe, recipe.stages[0], format, 5);
  for (uint64_t i = 0; i < 60; ++i) {
    const Document d = std::move(masked.document(i, i < 10 ? 0 : 0.9)).value();
    ASSERT_EQ(d.scored.size(), 1u);
    EXPECT_EQ(d.scored[0].end, static_cast<int64_t>(d.ids.size()));
    const auto at = static_cast<std::ptrdiff_t>(d.scored[0].begin);
    const std::span<const int32_t> prompt(d.ids.begin(), d.ids.begin() + at),
        rest(d.ids.begin() + at, d.ids.end());
    const std::string before = tokenizer.decode(prompt), after = tokenizer.decode(rest);
    if (before.find("<user>") == std::string::npos) {
      EXPECT_TRUE(before.starts_with("<bos>") && before.ends_with("=")) << before;
      EXPECT_EQ(after.find("<eos>"), std::string::npos) << after;
    } else {
      EXPECT_TRUE(before.starts_with("<bos><user>") && before.ends_with("=?<assistant>")) << before;
      EXPECT_TRUE(after.starts_with("<think>") && after.ends_with("</answer><eos>")) << after;
    }
    const Document w = std::move(whole.document(i, i < 10 ? 0 : 0.9)).value();
    EXPECT_EQ(w.ids, d.ids);
    EXPECT_EQ(w.scored, (std::vector<TokenSpan>{{1, static_cast<int64_t>(d.ids.size())}}));
  }
}

}  // namespace
}  // namespace ponder
