// Stages that train low-rank factors, and that compute activations again, as parts of whole runs: what
// they leave, what their checkpoints hold, and that they end the same wherever they are killed.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "io/safetensors.h"
#include "model/model.h"
#include "train/checkpoint.h"
#include "train/test_run.h"

namespace ponder {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kNarrow = R"(
name = "narrow"
seed = 5
)" + kSmallModel + kSmallTask +
                            R"(
[corpus]
direct = 0.8
skip2 = 0.0
full = 0.2
check = 0.0
[[stage]]
kind = "pretrain"
name = "base"
tokens = 30000
tokens_per_step = 600
lr = 1e-2
checkpoint_every = 0
checkpointing = true
[[stage]]
kind = "grpo"
name = "zero"
steps = 3
prompts_per_rollout = 8
group = 4
length_cap = 20
rewards = {accuracy = 1.0, repetition = 0.5, cosine = 0.5}
beta = 0.01
lr = 1e-2
checkpoint_every = 1
checkpointing = true
lora = {rank = 4, alpha = 8, targets = ["q_proj", "mlp.down_proj"]}
[[stage]]
kind = "eval"
name = "look"
problems = 5
samples = 2
max_tokens = 20
[[stage]]
kind = "sft"
name = "after"
tokens = 1200
tokens_per_step = 400
lora = {rank = 2}
checkpoint_every = 1
[[stage]]
kind = "sft"
name = "whole"
tokens = 800
tokens_per_step = 400
checkpoint_every = 1
)";

struct Told {
  TestFolder folder;
  std::string out = folder / "run", moments = folder / "moments";
  Recipe recipe = test_recipe(kNarrow);
  RunSummary summary;
  int count = 0;

  Told() {
    fs::create_directory(moments);
    const auto keep = [&] {
      fs::copy(out, moments + "/" + std::to_string(count++), fs::copy_options::recursive);
    };
    RunObserver observer;
    observer.step = [&](const StepReport& step) {
      if (step.stage != "base" || step.step == step.steps) keep();
    };
    observer.eval = [&](const EvalLine&) { keep(); };
    auto result = test_run(recipe, out, false, observer);
    EXPECT_TRUE(result.ok()) << result.status().message();
    if (result.ok()) summary = *result;
  }
};

const Told& told() {
  static const Told t;
  return t;
}

Model model_in(const std::string& folder) {
  auto model = Model::load(folder, Model::Use::kTraining);
  EXPECT_TRUE(model.ok()) << model.status().message();
  return std::move(model).value();
}

// Names of the parameters that differ between two folders.
std::string moved(const std::string& from, const std::string& to) {
  const Model a = model_in(from), b = model_in(to);
  std::string out;
  for (size_t i = 0; i < a.parameters().size(); ++i) {
    const Parameter &p = a.parameters()[i], &q = b.parameters()[i];
    if (a.parameter_values(p.weight) != b.parameter_values(q.weight))
      out += p.name.substr(13) + " ";
  }
  return out;
}

TEST(NarrowRun, SamplerAndTrainerAgreeAndTargetsAloneMove) {
  ASSERT_TRUE(told().summary.finished);
  int updates = 0;
  for (const json& row : rows_of(told().out + "/metrics.jsonl")) {
    if (row["stage"] != "zero" || row.contains("eval")) continue;
    EXPECT_EQ(row["dlogp_max"], 0.0);
    EXPECT_GT(row["dlogp_tokens"], 0);
    EXPECT_GT(row["grad_norm"], 0);
    ++updates;
  }
  EXPECT_EQ(updates, 3);
  // What a stage with lora begins with is kept, though nothing names it.
  EXPECT_EQ(moved(told().out + "/stages/base", told().out + "/stages/zero"),
            "0.mlp.down_proj.weight 0.self_attn.q_proj.weight 1.mlp.down_proj.weight "
            "1.self_attn.q_proj.weight ");
}

TEST(NarrowRun, CheckpointsHoldTheFactorsAlone) {
  const std::string moment =
      told().moments + "/3";  // zero's last step, after the second's checkpoint
  const auto file = SafetensorsFile::open(list_checkpoints(moment).back());
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->tensors().find("weights"), nullptr);
  EXPECT_EQ(file->tensors().find("reference"), nullptr);  // the KL's is the model of stages/base
  const StoredTensor* factors = file->tensors().find("lora");
  ASSERT_NE(factors, nullptr);
  // Two layers of (4, 32) and (32, 4), (4, 48) and (32, 4); panels have 16 rows.
  EXPECT_EQ(factors->elements(), 2 * (16 * 32 + 32 * 4 + 16 * 48 + 32 * 4));
  for (const char* name : {"exp_avg", "exp_avg_sq"}) {
    ASSERT_NE(file->tensors().find(name), nullptr);
    EXPECT_EQ(file->tensors().find(name)->elements(), factors->elements());
  }
}

TEST(NarrowRun, AStageOfTheWholeModelBeginsWithAFreshOptimizer) {
  // After the first step of whole: the checkpoint is that of its beginning.
  const auto file = SafetensorsFile::open(list_checkpoints(told().moments + "/8").back());
  ASSERT_TRUE(file.ok()) << file.status().message();
  const StoredTensor* weights = file->tensors().find("weights");
  ASSERT_NE(weights, nullptr);
  for (const char* name : {"exp_avg", "exp_avg_sq"}) {
    const StoredTensor* tensor = file->tensors().find(name);
    ASSERT_NE(tensor, nullptr);
    EXPECT_EQ(tensor->elements(), weights->elements());
    EXPECT_TRUE(std::all_of(tensor->bytes.begin(), tensor->bytes.end(), [](std::byte b) {
      return b == std::byte{0};
    })) << name;
  }
  EXPECT_EQ(json::parse(file->metadata().at("progress"))["optimizer_step"], 0);
}

TEST(NarrowRun, KilledAtAnyMomentAndResumedItEndsTheSame) {
  ASSERT_EQ(told().count, 1 + 3 + 1 + 3 + 2);
  for (int moment = 0; moment < told().count; ++moment) {
    SCOPED_TRACE(moment);
    TestFolder folder;
    const std::string out = folder / "run";
    fs::copy(told().moments + "/" + std::to_string(moment), out, fs::copy_options::recursive);
    const auto summary = test_run(told().recipe, out, true, {}, 1 + moment % 3);
    ASSERT_TRUE(summary.ok()) << summary.status().message();
    EXPECT_EQ(summary->weights_hash, told().summary.weights_hash);
    expect_same_metrics(out, told().out);
    for (const char* file :
         {"completions.jsonl", "model/model.safetensors", "stages/zero/model.safetensors"}) {
      EXPECT_EQ(slurp(out + "/" + file), slurp(told().out + "/" + file)) << file;
    }
  }
}

TEST(NarrowRun, CheckpointingChangesNoBit) {
  TestFolder folder;
  const auto summary =
      test_run(test_recipe(kNarrow, {"base.checkpointing=false", "zero.checkpointing=false"}),
               folder / "run");
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  EXPECT_EQ(summary->weights_hash, told().summary.weights_hash);
}

TEST(NarrowRun, AnotherBaseIsRefused) {
  TestFolder folder;
  const std::string out = folder / "run";
  // A run whose model is a folder, killed in its only stage; then the folder changes.
  fs::copy(told().out + "/stages/base", folder / "model", fs::copy_options::recursive);
  Recipe recipe = told().recipe;
  recipe.stages = {recipe.stages[3]};
  recipe.model = ModelSpec();
  recipe.model.path = folder / "model";
  int polls = 0;
  RunObserver observer;
  observer.stop = [&] { return polls++ == 2; };
  auto summary = test_run(recipe, out, false, observer);
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  EXPECT_FALSE(summary->finished);
  fs::copy(told().out + "/stages/zero/model.safetensors", folder / "model/model.safetensors",
           fs::copy_options::overwrite_existing);
  summary = test_run(recipe, out, true);
  ASSERT_FALSE(summary.ok());
  EXPECT_NE(summary.status().message().find(
                "stage after: its model differs from the one that its factors were trained on"),
            std::string::npos)
      << summary.status().message();
}

TEST(NarrowRun, TargetsAreCheckedBeforeAnyWork) {
  TestFolder folder;
  const auto got =
      test_run(test_recipe(kNarrow, {"after.lora={rank = 2, targets = 'w_proj'}"}), folder / "run");
  ASSERT_FALSE(got.ok());
  EXPECT_NE(got.status().message().find("after.lora: expected targets among q_proj, "),
            std::string::npos)
      << got.status().message();
  EXPECT_FALSE(fs::exists(folder / "run"));
}

}  // namespace
}  // namespace ponder
