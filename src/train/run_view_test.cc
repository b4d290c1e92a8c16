#include "train/run_view.h"

#include <gtest/gtest.h>

#include "core/file.h"
#include "core/test_folder.h"

namespace ponder {
namespace {

constexpr const char* kRecipe = R"(name = "watched"
[[stage]]
kind = "pretrain"
name = "base"
tokens = 40960
[[stage]]
kind = "eval"
name = "before"
[[stage]]
kind = "grpo"
name = "zero"
steps = 8
[[stage]]
kind = "eval"
name = "after"
)";

struct Watched : testing::Test {
  Watched() { plant(folder / "recipe.toml", kRecipe); }
  void add(const std::string& line) {
    metrics += line + "\n";
    plant(folder / "metrics.jsonl", metrics);
  }
  void add_zero(int step, double reward) {
    add("{\"stage\":\"zero\",\"step\":" + std::to_string(step) +
        ",\"steps\":8,\"seconds\":2,\"tokens\":300,\"sampled_tokens\":100,\"reward_mean\":" +
        std::to_string(reward) + ",\"accuracy\":0.25,\"length_mean\":20,\"loss\":0.5}");
  }
  RunView view() {
    auto read = read_run_view(folder.path());
    EXPECT_TRUE(read.ok()) << read.status().message();
    return std::move(read).value();
  }
  TestFolder folder;
  std::string metrics;
};

TEST_F(Watched, FollowsTheRunFromItsFirstMomentToItsEnd) {
  EXPECT_EQ(view().name, "watched");
  EXPECT_EQ(view().stage_name, "base");
  EXPECT_FALSE(view().step);

  add(R"({"stage":"base","step":3,"seconds":0.5,"tokens":2048,"loss":4.5})");
  RunView v = view();
  ASSERT_TRUE(v.step);
  EXPECT_EQ(v.step->steps, 20);  // of the recipe, where the row does not say
  EXPECT_EQ(v.step->tokens_per_second, 4096);
  EXPECT_EQ(v.step->seconds_left, 17 * 0.5);
  EXPECT_EQ(v.step->kind, StageKind::kPretrain);
  ASSERT_EQ(v.curves.size(), 1u);
  EXPECT_EQ(v.curves[0].first, "loss");

  add(R"({"stage":"base","step":20,"steps":20,"seconds":0.5,"tokens":2048,"loss":3.5})");
  v = view();
  EXPECT_EQ(v.stage_name, "before");  // under way, as base has ended
  EXPECT_EQ(v.stage, 2u);
  EXPECT_EQ(v.stages, 4u);
  EXPECT_EQ(v.step->seconds_left, 0);
  EXPECT_EQ(v.curves[0].second, (std::vector<double>{4.5, 3.5}));

  add(R"({"stage":"before","eval":"before","pass@1":0.125,"stderr":0.01,"cons@4":0.2,"cons@16":0.3,)"
      R"("length_mean":11.5})");
  v = view();
  EXPECT_EQ(v.stage_name, "zero");
  ASSERT_EQ(v.evals.size(), 1u);
  EXPECT_EQ(v.evals[0].pass1, 0.125);
  EXPECT_EQ(v.evals[0].k, 16);
  EXPECT_EQ(v.evals[0].cons, 0.3);

  add_zero(1, 0.5);
  add_zero(2, 0.75);
  // An evaluation on the way does not end the stage.
  add(R"({"stage":"zero","eval":"zero-dev","step":2,"pass@1":0.5})");
  plant(folder / "completions.jsonl",
        "{\"stage\":\"zero\",\"step\":1,\"prompt\":\"early\",\"text\":\"a\"}\n"
        "{\"stage\":\"zero\",\"step\":2,\"prompt\":\"1+2=?\",\"text\":\"three\"}\n");
  v = view();
  EXPECT_EQ(v.stage_name, "zero");
  EXPECT_EQ(v.stage_kind, "grpo");
  EXPECT_EQ(v.step->step, 2);
  EXPECT_EQ(v.step->reward, 0.75);
  EXPECT_EQ(v.step->tokens_per_second, 200);
  EXPECT_EQ(v.step->seconds_left, 6 * 2);
  EXPECT_EQ(v.step->sample_prompt, "1+2=?");
  EXPECT_EQ(v.step->sample_answer, "three");
  ASSERT_EQ(v.curves.size(), 3u);
  EXPECT_EQ(v.curves[0].second, (std::vector<double>{0.5, 0.75}));
  EXPECT_EQ(v.evals.size(), 2u);
  EXPECT_FALSE(v.finished);

  plant(folder / "summary.json", R"({"name":"watched","weights_hash":"abc"})");
  v = view();
  EXPECT_TRUE(v.finished);
  EXPECT_EQ(v.weights_hash, "abc");
}

TEST_F(Watched, LinesThatAreBeingWrittenAndNonsenseDoNoHarm) {
  for (const char* text :
       {"", "\n", "{\"stage\":\"zero\",\"st", "[1]\n", "{}\n", "{\"stage\":\"gone\",\"step\":-5}\n",
        "{\"stage\":\"zero\",\"step\":1e300,\"seconds\":1e308,\"steps\":9e18}\n",
        "{\"eval\":\"x\",\"cons@99999999999999999999\":1}\n",
        "{\"stage\":\"zero\",\"step\":\"x\"}\n"}) {
    plant(folder / "metrics.jsonl", text);
    plant(folder / "completions.jsonl", text);
    EXPECT_TRUE(read_run_view(folder.path()).ok()) << text;
  }
  plant(folder / "recipe.toml", "nonsense = = ");
  EXPECT_TRUE(read_run_view(folder.path()).ok());
}

TEST_F(Watched, AFolderWithoutARunIsAnError) {
  TestFolder other;
  const auto none = read_run_view(other.path());
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.status().message().find(other.path() + ": holds no run"), 0u);
  EXPECT_FALSE(read_run_view(other / "nowhere").ok());
}

TEST_F(Watched, KnowsWhetherAProcessTrains) {
  EXPECT_FALSE(is_running(folder.path()));
  {
    const auto lock = FileLock::acquire(folder.path());
    ASSERT_TRUE(lock.ok());
    EXPECT_TRUE(is_running(folder.path()));
  }
  EXPECT_FALSE(is_running(folder.path()));
  EXPECT_FALSE(is_running(folder / "nowhere"));
}

}  // namespace
}  // namespace ponder
