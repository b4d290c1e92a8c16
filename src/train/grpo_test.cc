// grpo stages as a whole: rewards and their schedule, languages, problems from a file; and the shipped
// recipes of several stages, in small.
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "eval/rewards.h"
#include "train/plan.h"
#include "train/recipe_schema.h"
#include "train/test_run.h"

namespace ponder {
namespace {

using nlohmann::json;

constexpr const char* kTwoLexicons = R"(
name = "two"
seed = 5
threads = 1
[model]
hidden_size = 32
intermediate_size = 48
num_hidden_layers = 1
num_attention_heads = 2
max_position_embeddings = 64
[task]
modulo = 7
ops_min = 2
ops_max = 2
lexicons = "two"
[corpus]
drill_phase = 0.0
direct = 0.2
skip2 = 0.0
full = 0.8
check = 0.0
messy = 0.2
mixed = 0.3
[[stage]]
kind = "pretrain"
name = "base"
tokens = 60000
tokens_per_step = 600
lr = 1e-2
[[stage]]
kind = "eval"
name = "before"
problems = 8
samples = 4
max_tokens = 40
[[stage]]
kind = "grpo"
name = "rl"
steps = 3
prompts_per_rollout = 4
group = 4
length_cap = 40
truncated = "mask"
rewards = {accuracy = 1.0, language = 0.5, readable = 0.25, preference = {weight = 2.0, from_step = 1, until_step = 2}}
lr = 1e-3
)";

TEST(Grpo, RewardsCountWhenTheyAreInForceAndAreReportedAlways) {
  TestFolder folder;
  const Recipe recipe = test_recipe(kTwoLexicons);
  const auto summary = test_run(recipe, folder / "run");
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  int steps = 0;
  for (const json& row : rows_of(folder / "run/metrics.jsonl")) {
    if (row.contains("eval") || row["stage"] == "rl") {
      for (const char* key : {"language", "readable"}) {
        ASSERT_TRUE(row.contains(key)) << row;
        EXPECT_GE(row[key].get<double>(), 0);
        EXPECT_LE(row[key].get<double>(), 1);
      }
      int64_t answers = 0;
      for (const auto& [reason, count] : row["verdicts"].items()) answers += count.get<int64_t>();
      EXPECT_EQ(answers, row.contains("eval") ? 32 : 16);
    }
    if (row["stage"] != "rl") continue;
    const json& means = row["rewards"];
    ASSERT_EQ(means.size(), 4u);
    EXPECT_GT(means["preference"].get<double>(), 0);
    const double preference = steps == 1 ? 2.0 : 0.0;
    EXPECT_NEAR(row["reward_mean"].get<double>(),
                means["accuracy"].get<double>() + 0.5 * means["language"].get<double>() +
                    0.25 * means["readable"].get<double>() +
                    preference * means["preference"].get<double>(),
                1e-12);
    EXPECT_EQ(row["dlogp_max"], 0);
    ++steps;
  }
  EXPECT_EQ(steps, 3);
}

TEST(Grpo, RecipesNameTheRewardsThatThereAre) {
  const KeyRow* row =
      find_key(Section::kStage, 1u << static_cast<unsigned>(StageKind::kGrpo), "rewards");
  ASSERT_NE(row, nullptr);
  const std::vector<std::string_view> names = split_words(row->choices);
  ASSERT_EQ(names.size(), rewards().size());
  for (size_t i = 0; i < names.size(); ++i) EXPECT_EQ(names[i], rewards()[i].name);
}

TEST(Grpo, RewardSchedulesAreChecked) {
  const auto error = [](const std::string& rewards, const char* task = "lexicons = \"two\"") {
    const auto recipe = parse_recipe(
        "name = \"r\"\n[task]\n" + std::string(task) +
            "\n[[stage]]\nkind = \"grpo\"\nname = \"rl\"\nsteps = 9\nrewards = " + rewards,
        {"r.toml", {}, ""});
    return recipe.ok() ? std::string() : recipe.status().message();
  };
  EXPECT_EQ(error("{accuracy = 1.0, language = {weight = 1, from_step = 3}}"), "");
  EXPECT_NE(error("{language = 1.0}", "").find("lexicons"), std::string::npos);
  EXPECT_NE(error("{language = 1.0}", "name = \"countdown\"").find("countdown"), std::string::npos);
  EXPECT_NE(error("{readable = 1.0}", "name = \"countdown\"").find("countdown"), std::string::npos);
  EXPECT_NE(error("{accuracy = {weight = 1, until_step = 5}}").find("step 5"), std::string::npos);
  EXPECT_NE(error("{accuracy = {weight = 1, from_step = 5}}").find("step 0"), std::string::npos);
  EXPECT_NE(error("{accuracy = {weight = 1, from_step = 5, until_step = 5}}").find("until_step"),
            std::string::npos);
  for (const char* bad :
       {"{accuracy = {}}", "{accuracy = {from_step = 1}}", "{accuracy = {weight = 1, step = 2}}",
        "{accuracy = {weight = true}}", "{accuracy = {weight = 1, from_step = -1}}"}) {
    EXPECT_NE(error(bad).find("rewards: expected a table like"), std::string::npos) << bad;
  }
  EXPECT_NE(error("{accuracy = 1.0}", "lexicons = \"two\"\nmodulo = 101").find("modulo"),
            std::string::npos);
}

TEST(Grpo, RewardsFitWhatGradesTheStage) {
  const auto recipe_with = [](const char* reward) {
    return parse_recipe(std::string("name = \"r\"\n[[stage]]\nkind = \"grpo\"\nname = \"rl\"\n") +
                            "data = \"rows.jsonl\"\nrewards = {" + reward + " = 1.0}",
                        {"r.toml", {}, ""});
  };
  EXPECT_TRUE(recipe_with("language").ok());  // though the task has none
  EXPECT_FALSE(recipe_with("readable").ok());
}

TEST(Grpo, PaperRecipesPlanWithoutTheirModels) {
  int count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(PONDER_SOURCE_DIR "/recipes/paper")) {
    const auto recipe = load_recipe(entry.path().string(), {}, false);
    ASSERT_TRUE(recipe.ok()) << recipe.status().message();
    EXPECT_EQ(recipe->name + ".toml", entry.path().filename().string());
    EXPECT_EQ(load_recipe(entry.path().string()).status().code(), Code::kNotFound);
    const auto shapes = plan_shapes(*recipe);
    ASSERT_TRUE(shapes.ok()) << shapes.status().message();
    const std::string text = plan_text(*recipe, make_plan(*recipe, *shapes, {.gflops = 100}));
    EXPECT_NE(text.find("is not there"), std::string::npos) << text;
    const bool rl = recipe->stages[0].kind == StageKind::kGrpo;
    EXPECT_EQ(
        text.find("512 prompts/rollout x G 16 = 8192 samples/rollout; 16 minibatches x 1 inner "
                  "epoch = 16 updates/rollout, max staleness 15") != std::string::npos,
        rl || recipe->name == "r1")
        << text;
    if (recipe->name.starts_with("distill-")) {
      EXPECT_EQ(recipe->stages[0].tokens_per_step, 64 * 32768);
    }
    ++count;
  }
  EXPECT_EQ(count, 9);
}

TEST(Grpo, ARecipeWithAScheduleOfRewardsReadsBackEqual) {
  const Recipe recipe = test_recipe(kTwoLexicons);
  const Recipe again = test_recipe(recipe_to_toml(recipe));
  EXPECT_EQ(recipe.stages, again.stages);
  EXPECT_EQ(again.stages[2].rewards[3], (RewardWeight{"preference", 2.0, 1, 2}));
}

// --- Problems from a file

std::string with_data(const std::string& data) {
  return R"(
name = "data"
threads = 1
[model]
hidden_size = 32
intermediate_size = 48
num_hidden_layers = 1
num_attention_heads = 2
max_position_embeddings = 256
[[stage]]
kind = "grpo"
name = "rl"
steps = 3
prompts_per_rollout = 2
group = 2
length_cap = 16
data = ")" +
         data + R"("
[[stage]]
kind = "eval"
name = "score"
problems = 3
samples = 2
max_tokens = 16
data = ")" +
         data + "\"\n";
}

TEST(Grpo, ProblemsFromAFile) {
  TestFolder folder;
  const std::string data = folder / "problems.jsonl";
  std::string longest = "1";
  for (int i = 0; i < 50; ++i) longest += "+1";  // more than a page of tokens
  std::ofstream(data) << R"({"prompt": "3+4=?", "answer": 7})"
                      << "\n"
                      << R"({"prompt": "5*5=?", "answer": "25"})"
                      << "\n"
                      << R"({"prompt": ")" << longest << R"(=?", "answer": "51"})"
                      << "\n";
  const auto summary = test_run(test_recipe(with_data(data)), folder / "run");
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  std::map<std::string, int> asked;
  for (const json& row : rows_of(folder / "run/completions.jsonl")) ++asked[row["prompt"]];
  // Three rollouts of two prompts with two answers each: every row twice.
  EXPECT_EQ(asked.size(), 3u);
  for (const auto& [prompt, count] : asked) EXPECT_EQ(count, 4) << prompt;
  EXPECT_EQ(summary->evals.size(), 1u);
}

TEST(Grpo, ARowWithoutAnAnswerIsNamed) {
  TestFolder folder;
  const std::string data = folder / "problems.jsonl";
  std::ofstream(data) << R"({"prompt": "3+4=?", "answer": 7})"
                      << "\n"
                      << R"({"prompt": "5*5=?"})"
                      << "\n";
  const auto summary = test_run(test_recipe(with_data(data)), folder / "run");
  ASSERT_FALSE(summary.ok());
  EXPECT_NE(summary.status().message().find("problems.jsonl:2: expected an \"answer\""),
            std::string::npos)
      << summary.status().message();
}

// --- The shipped recipes

// Runs a shipped recipe with less of everything, and checks that each stage left its rows.
void run_in_small(const char* name, std::vector<std::string> overrides) {
  TestFolder folder;
  const auto recipe = load_recipe(std::string(PONDER_SOURCE_DIR) + "/recipes/" + name, overrides);
  ASSERT_TRUE(recipe.ok()) << recipe.status().message();
  const auto summary = test_run(*recipe, folder / "run");
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  std::map<std::string, int> rows;
  for (const json& row : rows_of(folder / "run/metrics.jsonl")) {
    ++rows[row["stage"]];
    EXPECT_EQ(row.value("dlogp_max", 0.0), 0) << row;
  }
  for (const Stage& stage : recipe->stages) {
    EXPECT_GE(rows[stage.name], 1) << stage.name;
    if (stage.keep_model) {
      EXPECT_TRUE(std::filesystem::exists(folder / "run/stages/" + stage.name)) << stage.name;
    }
  }
  EXPECT_TRUE(std::filesystem::exists(folder / "run/report.html"));
}

std::vector<std::string> small_model(const std::string& table) {
  return {table + ".hidden_size=32", table + ".intermediate_size=48",
          table + ".num_hidden_layers=1", table + ".num_attention_heads=2"};
}

TEST(ShippedRecipes, R1InSmall) {
  std::vector<std::string> overrides = {"task.modulo=3", "task.ops_min=2", "task.ops_max=2",
                                        "corpus.direct=0.4", "corpus.full=0.53"};
  for (const char* table : {"model", "models.student"}) {
    for (const std::string& o : small_model(table)) overrides.push_back(o);
  }
  for (const char* stage : {"base", "student-base"}) {
    overrides.push_back(std::string(stage) + ".tokens=200000");
  }
  for (const char* stage : {"zero", "dev2", "dev2-ablation", "r1", "student-rl"}) {
    for (const char* key : {".steps=2", ".prompts_per_rollout=4", ".group=4", ".length_cap=40"}) {
      overrides.push_back(std::string(stage) + key);
    }
  }
  overrides.push_back(
      "r1.rewards={accuracy = 1.0, language = 1.0, preference = {weight = 0.2, from_step = 1}}");
  for (const char* stage : {"cold-data", "dev3-data", "student-distilled"}) {
    for (const char* key : {".problems=60", ".max_tokens=40", ".min_length=0", ".readable=false",
                            ".min_language=0.0", ".well_formed=false"}) {
      overrides.push_back(std::string(stage) + key);
    }
  }
  for (const char* stage : {"base", "zero", "dev1", "dev2", "dev2-ablation", "dev3", "r1",
                            "student-distilled", "student-rl"}) {
    for (const char* key :
         {"-score.problems=8", "-score.samples=2", "-score.ks=[1, 2]", "-score.max_tokens=40"}) {
      overrides.push_back(std::string(stage) + key);
    }
  }
  run_in_small("r1-laptop.toml", overrides);
}

TEST(ShippedRecipes, HackingDemoInSmall) {
  std::vector<std::string> overrides = small_model("model");
  for (const char* o :
       {"task.modulo=5", "base.tokens=30000", "honest.steps=2", "honest.prompts_per_rollout=4",
        "honest.group=4", "hacked.steps=2", "hacked.prompts_per_rollout=4", "hacked.group=4",
        "honest-score.problems=8", "hacked-score.problems=8"}) {
    overrides.emplace_back(o);
  }
  run_in_small("hacking-demo.toml", overrides);
}

}  // namespace
}  // namespace ponder
