#include "train/lineage.h"

#include <gtest/gtest.h>

namespace ponder {
namespace {

// The R1 story: zero, then cold start from the base again, and a student.
constexpr const char* kStory = R"(
name = "t"
[model]
hidden_size = 64
num_attention_heads = 4
[models.student]
hidden_size = 32
num_attention_heads = 2
[[stage]]
kind = "pretrain"
name = "base"
[[stage]]
kind = "grpo"
name = "zero"
[[stage]]
kind = "sft"
name = "cold"
from = "base"
data = "rows.jsonl"
[[stage]]
kind = "eval"
name = "look-back"
from = "zero"
[[stage]]
kind = "reject"
name = "picked"
[[stage]]
kind = "pretrain"
name = "student-base"
from = "student"
[[stage]]
kind = "distill"
name = "student-r1"
teacher = "zero"
keep_model = true
[[stage]]
kind = "grpo"
name = "student-rl"
from = "student-base"
[[stage]]
kind = "eval"
name = "last"
)";

Recipe recipe_of(const std::string& text) {
  auto recipe = parse_recipe(text);
  EXPECT_TRUE(recipe.ok()) << recipe.status().message();
  return std::move(recipe).value();
}

TEST(Lineage, FollowsTheWeightsThroughTheStages) {
  const Recipe r = recipe_of(kStory);
  const auto of = [&](size_t stage) { return weights_of(r, stage); };
  EXPECT_EQ(of(0), (Weights{0, -1}));
  EXPECT_EQ(of(1), (Weights{0, 0}));
  EXPECT_EQ(of(2), (Weights{0, 0}));  // the base again
  EXPECT_EQ(of(3), (Weights{0, 1}));
  EXPECT_EQ(of(4), (Weights{0, 2}));  // looking back does not lead there
  EXPECT_EQ(of(5), (Weights{1, -1}));
  EXPECT_EQ(of(6), (Weights{1, 5}));
  EXPECT_EQ(of(7), (Weights{1, 5}));
  EXPECT_EQ(of(8), (Weights{1, 7}));
  EXPECT_EQ(weights_named(r, "zero"), (Weights{0, 1}));
  EXPECT_EQ(weights_named(r, "model"), (Weights{0, -1}));
  // What the run holds in memory: an evaluation of other weights does not change that.
  EXPECT_EQ(weights_held(r, 0), (Weights{0, -1}));
  EXPECT_EQ(weights_at_start(r, 3), (Weights{0, 2}));
  EXPECT_EQ(weights_at_start(r, 5), (Weights{1, -1}));
  EXPECT_EQ(weights_at_start(r, 9), (Weights{1, 7}));
}

TEST(Lineage, KeepsWhatIsNamedLaterOrAskedFor) {
  const Recipe r = recipe_of(kStory);
  std::string kept;
  for (size_t i = 0; i < r.stages.size(); ++i) {
    if (is_kept(r, i)) kept += r.stages[i].name + " ";
  }
  EXPECT_EQ(kept, "base zero student-base student-r1 ");
}

TEST(Lineage, KeepsWhatLoraBeginsWith) {
  Recipe r = recipe_of(kStory);
  r.stages.back() = r.stages[2];  // an sft stage after student-rl
  r.stages.back().name = "narrow";
  r.stages.back().from = "";
  EXPECT_FALSE(is_kept(r, 7));
  r.stages.back().lora = {4, 8, {"all"}};
  EXPECT_TRUE(is_kept(r, 7));
  EXPECT_FALSE(is_kept(r, 4));  // a stage that only looks leaves nothing
  r.stages.back().from = "model";
  EXPECT_FALSE(is_kept(r, 7));
}

TEST(Lineage, NamesThatLeadNowhereAreRefused) {
  const auto error_with = [](const std::string& line, const std::string& replacement) {
    std::string text = kStory;
    const size_t at = text.find(line);
    EXPECT_NE(at, std::string::npos);
    const auto recipe = parse_recipe(text.replace(at, line.size(), replacement));
    return recipe.ok() ? std::string("ok") : recipe.status().message();
  };
  const auto expect = [&](const std::string& line, const std::string& replacement,
                          const std::string& part) {
    const std::string error = error_with(line, replacement);
    EXPECT_NE(error.find(part), std::string::npos) << replacement << ": " << error;
  };
  expect("from = \"zero\"", "from = \"nine\"", "look-back.from: expected an earlier stage");
  expect("from = \"zero\"", "from = \"student-rl\"", "got the grpo stage student-rl");
  expect("from = \"base\"", "from = \"cold\"", "cold.from: expected an earlier stage");
  expect("from = \"student-base\"", "from = \"picked\"", "got the reject stage picked");
  expect("teacher = \"zero\"", "teacher = \"last\"", "student-r1.teacher: expected an earlier");
  expect("data = \"rows.jsonl\"", "data = \"picked\"", "cold.data: expected a jsonl file");
  expect("name = \"zero\"", "name = \"student\"", "not a table of the recipe");
  expect("[models.student]", "[models.stage]", "models.stage: expected a name");
  expect("[models.student]\n", "[models]\nx = 1\n[models.student]\n", "models.x: expected a table");
  expect("[models.student]\n", "[models.student]\nheads = 1\n", "models.student.heads");
  expect("hidden_size = 32", "hidden_size = 33", "models.student.num_attention_heads");
}

TEST(Lineage, ModelsAreWrittenOutAndOverridden) {
  const auto recipe = parse_recipe(kStory, {"r.toml", {"models.student.hidden_size=48"}, ""});
  ASSERT_TRUE(recipe.ok()) << recipe.status().message();
  EXPECT_EQ(model_spec(*recipe, 1).hidden_size, 48);
  EXPECT_EQ(model_spec(*recipe, 1).head_dim, 24);
  EXPECT_EQ(model_spec(*recipe, 0).hidden_size, 64);
  const auto again = parse_recipe(recipe_to_toml(*recipe));
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_TRUE(*again == *recipe);
}

}  // namespace
}  // namespace ponder
