// Whole runs of a tiny recipe: what is written, and that neither a stop, a kill nor the number of
// threads changes a bit of the result.
#include "train/run.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "eval/estimators.h"
#include "io/safetensors.h"
#include "model/model.h"
#include "text/tokenizer.h"
#include "train/checkpoint.h"
#include "train/test_run.h"
#include "train/trainer.h"

namespace ponder {

Recipe test_recipe(const std::string& text, std::vector<std::string> overrides) {
  auto recipe = parse_recipe(text, {"tiny.toml", std::move(overrides), ""});
  EXPECT_TRUE(recipe.ok()) << recipe.status().message();
  return std::move(recipe).value();
}

Result<RunSummary> test_run(const Recipe& recipe, const std::string& out, bool resume,
                            const RunObserver& observer, int threads) {
  RunOptions options;
  options.out = out;
  options.resume = resume;
  options.build = "test";
  options.threads = threads;
  return run_recipe(recipe, options, observer);
}

std::vector<nlohmann::json> rows_of(const std::string& path) {
  std::vector<nlohmann::json> out;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    out.push_back(nlohmann::json::parse(line, nullptr, false));
    EXPECT_TRUE(out.back().is_object()) << path << ": " << line;
  }
  return out;
}

nlohmann::json measured_nothing(nlohmann::json row) {
  std::erase_if(row.get_ref<nlohmann::json::object_t&>(), [](const auto& entry) {
    return entry.first.starts_with("seconds") || entry.first == "tokens_per_second" ||
           entry.first == "peak_memory_bytes";
  });
  return row;
}

void expect_same_metrics(const std::string& run_a, const std::string& run_b) {
  const auto a = rows_of(run_a + "/metrics.jsonl"), b = rows_of(run_b + "/metrics.jsonl");
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(measured_nothing(a[i]), measured_nothing(b[i])) << "row " << i;
  }
}

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kTiny = R"(
name = "tiny"
seed = 3
)" + kSmallModel + kSmallTask +
                          R"(
[corpus]
drill_phase = 0.2
direct = 0.8
skip2 = 0.1
full = 0.1
check = 0.0
[[stage]]
kind = "pretrain"
name = "base"
tokens = 24000
tokens_per_step = 600
micro_tokens = 250
lr = 1e-2
checkpoint_every = 10
[[stage]]
kind = "eval"
name = "before"
problems = 6
samples = 2
max_tokens = 20
[[stage]]
kind = "grpo"
name = "zero"
steps = 5
prompts_per_rollout = 4
group = 4
minibatches_per_rollout = 2
length_cap = [{from_step = 0, tokens = 12}, {from_step = 2, tokens = 20}]
rewards = {accuracy = 1.0, format = 1.0, repetition = 0.5, overlong = 0.5, cosine = 0.25}
overlong_window = 8
truncated = "soft_penalty"
micro_tokens = 60
beta = 0.05
reference_refresh = 3
lr = 1e-2
eval_every = 1
eval_problems = 6
checkpoint_every = 3
[[stage]]
kind = "eval"
name = "after"
problems = 6
samples = 4
ks = [1, 4, 2]
max_tokens = 20
)";

// Its steps, and the moments after each step and evaluation in their order: base, before, and of
// zero two updates and an evaluation three times (the last rollout is used in part), after.
constexpr int kBase = 40, kMoments = kBase + 1 + 8 + 1;
// Global steps of checkpoints.
constexpr int kEndOfBase = kBase, kFirstRollout = kBase + 1 + 3, kEndOfZero = kBase + 1 + 8;

const Recipe& tiny() {
  static const Recipe recipe = test_recipe(kTiny);
  return recipe;
}

// The run that nothing disturbed, and its folder at the moment after every step and evaluation:
// what a kill would leave.
struct Unbroken {
  TestFolder folder;
  std::string out = folder / "run", moments = folder / "moments";
  RunSummary summary;
  int count = 0;

  Unbroken() {
    fs::create_directory(moments);
    const auto keep = [&] {
      fs::copy(out, moments + "/" + std::to_string(count++), fs::copy_options::recursive);
    };
    RunObserver observer;
    observer.step = [&](const StepReport&) { keep(); };
    observer.eval = [&](const EvalLine&) { keep(); };
    auto result = test_run(tiny(), out, false, observer);
    EXPECT_TRUE(result.ok()) << result.status().message();
    if (result.ok()) summary = *result;
  }
};

const Unbroken& unbroken() {
  static const Unbroken u;
  return u;
}

void expect_same_run(const std::string& out, const RunSummary& summary) {
  const Unbroken& u = unbroken();
  EXPECT_TRUE(summary.finished);
  EXPECT_EQ(summary.weights_hash, u.summary.weights_hash);
  expect_same_metrics(out, u.out);
  EXPECT_EQ(slurp(out + "/completions.jsonl"), slurp(u.out + "/completions.jsonl"));
  EXPECT_EQ(slurp(out + "/model/model.safetensors"), slurp(u.out + "/model/model.safetensors"));
  const json a = json::parse(slurp(out + "/summary.json")),
             b = json::parse(slurp(u.out + "/summary.json"));
  EXPECT_EQ(a["evals"], b["evals"]);
  EXPECT_EQ(a["steps"], b["steps"]);
  EXPECT_TRUE(files_ending(out, ".tmp").empty());
}

TEST(Run, WritesTheRunDirectory) {
  const Unbroken& u = unbroken();
  ASSERT_TRUE(u.summary.finished);
  EXPECT_TRUE(parse_recipe(slurp(u.out + "/recipe.toml")).value() == tiny());
  const json summary = json::parse(slurp(u.out + "/summary.json"));
  EXPECT_EQ(summary["weights_hash"], u.summary.weights_hash);
  EXPECT_EQ(summary["seed"], 3);
  EXPECT_EQ(summary["build"], "test");
  EXPECT_EQ(summary["steps"], kMoments);
  EXPECT_GT(summary["peak_memory_bytes"], 0);
  for (const char* stage : {"base", "before", "zero", "after", "all stages"}) {
    EXPECT_GT(summary["phases"][stage], 0) << stage;
  }
  EXPECT_TRUE(summary["evals"]["after"].contains("cons@4"));  // the largest k
  EXPECT_NE(slurp(u.out + "/report.html").find("</html>"), std::string::npos);
  const auto model = Model::load(u.out + "/model", Model::Use::kInference);
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model->weights_hash(), u.summary.weights_hash);
  EXPECT_TRUE(Tokenizer::load_folder(u.out + "/model").ok());
  EXPECT_TRUE(files_ending(u.out, ".tmp").empty());
}

TEST(Run, MetricsHaveTheirKeysAndTrainerAndSamplerAgree) {
  std::map<std::string, int> steps;
  int64_t global_step = 0;
  for (const json& row : rows_of(unbroken().out + "/metrics.jsonl")) {
    EXPECT_EQ(row["global_step"], ++global_step);
    if (row.contains("eval")) {
      for (const char* key :
           {"pass@1", "stderr", "samples", "problems", "length_mean", "seconds"}) {
        EXPECT_TRUE(row.contains(key) && row[key].is_number()) << key << " " << row;
      }
      continue;
    }
    const std::string stage = row["stage"];
    EXPECT_EQ(row["step"], ++steps[stage]);
    for (const char* key : {"loss", "lr", "grad_norm", "tokens", "seconds", "tokens_per_second"}) {
      EXPECT_TRUE(row.contains(key) && row[key].is_number()) << key << " " << row;
    }
    if (stage != "zero") continue;
    for (const char* key : {"reward_mean",      "reward_std",
                            "accuracy",         "format_rate",
                            "frac_zero_std",    "length_mean",
                            "length_max",       "clipped_ratio",
                            "entropy",          "kl",
                            "ratio_min",        "ratio_max",
                            "clip_low",         "clip_high",
                            "dlogp_max",        "seconds_sample",
                            "seconds_reward",   "seconds_forward",
                            "seconds_backward", "seconds_optimizer"}) {
      EXPECT_TRUE(row.contains(key) && row[key].is_number()) << key << " " << row;
    }
    EXPECT_EQ(row["dlogp_max"], 0.0);
    EXPECT_EQ(row["dlogp_tokens"] > 0, steps[stage] % 2 == 1) << row;  // fresh at every second
    if (steps[stage] % 2 == 1) {
      EXPECT_EQ(row["ratio_min"], 1.0);
      EXPECT_EQ(row["ratio_max"], 1.0);
    }
  }
  EXPECT_EQ(steps, (std::map<std::string, int>{{"base", kBase}, {"zero", 5}}));
  const std::vector<json> rows = rows_of(unbroken().out + "/metrics.jsonl");
  const auto kl_at = [&](int step) {
    for (const json& row : rows) {
      if (row["stage"] == "zero" && row["step"] == step && !row.contains("eval")) return row["kl"];
    }
    return json();
  };
  // At first the policy is its reference, and again after the third update; in between it is not.
  EXPECT_EQ(kl_at(1), 0.0);
  EXPECT_GT(kl_at(2), 0.0);
  EXPECT_GT(kl_at(3), 0.0);
  EXPECT_EQ(kl_at(4), 0.0);
  EXPECT_GT(kl_at(5), 0.0);
}

TEST(Run, CompletionsSayHowEachAnswerWasRewarded) {
  const std::vector<json> rows = rows_of(unbroken().out + "/completions.jsonl");
  ASSERT_EQ(rows.size(), 3u * 16);  // three rollouts
  std::map<int, std::set<std::string>> prompts;
  std::map<int, double> advantages;
  for (size_t i = 0; i < rows.size(); ++i) {
    const json& row = rows[i];
    const int step = row["step"];
    EXPECT_EQ(step, 1 + 2 * static_cast<int>(i / 16));
    EXPECT_EQ(row["sample"], i % 4);
    prompts[step].insert(row["prompt"]);
    advantages[step] += row["advantage"].get<double>();
    const std::vector<int32_t> ids = row["ids"];
    const auto length = static_cast<int64_t>(ids.size());
    const int64_t cap = step == 1 ? 12 : 20;
    ASSERT_TRUE(length >= 1 && length <= cap);
    const bool cut = row["finish_reason"] == "length";
    EXPECT_EQ(cut, ids.back() != 2) << row;
    EXPECT_EQ(row["finish_reason"], cut ? "length" : "stop");
    EXPECT_EQ(row["text"].get<std::string>().find("<eos>"), std::string::npos) << row;
    EXPECT_FALSE(row["verdict"].get<std::string>().empty());
    const json& rewards = row["rewards"];
    EXPECT_EQ(rewards.size(), 5u);
    const double accuracy = rewards["accuracy"];
    EXPECT_TRUE(accuracy == 0 || accuracy == 1);
    EXPECT_EQ(rewards["repetition"], repetition_reward(ids, 3, -1));
    EXPECT_EQ(rewards["overlong"], overlong_reward(length, cap, 8));
    EXPECT_EQ(rewards["cosine"],
              cosine_length_reward(length, cap, accuracy == 1, {0.5, 1.0}, {-1.0, -0.5}));
  }
  for (const auto& [step, set] : prompts) EXPECT_GE(set.size(), 3u) << step;
  for (const auto& [step, sum] : advantages) EXPECT_NEAR(sum, 0, 1e-9) << step;
}

TEST(Run, KeepsTheNewestTwoCheckpointsAndTheBest) {
  const std::vector<std::string> kept = list_checkpoints(unbroken().out);
  // The last is that of the end of the last stage that trains.
  ASSERT_FALSE(kept.empty());
  EXPECT_EQ(kept.back(), checkpoint_path(unbroken().out, kEndOfZero));
  double best = -1;
  int64_t best_step = 0;
  for (const json& row : rows_of(unbroken().out + "/metrics.jsonl")) {
    if (row.value("eval", "") != "zero-dev" || row["pass@1"] <= best) continue;
    best = row["pass@1"];
    best_step = row["global_step"];
  }
  EXPECT_NE(std::find(kept.begin(), kept.end(), checkpoint_path(unbroken().out, best_step)),
            kept.end());
  EXPECT_LE(kept.size(), 3u);
  // Every third update means after the rollout whose updates pass 3.
  EXPECT_EQ(list_checkpoints(unbroken().moments + "/" + std::to_string(kFirstRollout + 3)).back(),
            checkpoint_path(unbroken().moments + "/" + std::to_string(kFirstRollout + 3),
                            kFirstRollout + 3));
}

TEST(Run, AStageBeginsWithAFreshOptimizer) {
  const auto file = SafetensorsFile::open(
      checkpoint_path(unbroken().moments + "/" + std::to_string(kBase), kEndOfBase));
  ASSERT_TRUE(file.ok()) << file.status().message();
  // An evaluation comes next: the weights are all there is.
  EXPECT_EQ(file->tensors().all().size(), 1u);
  EXPECT_NE(file->tensors().find("weights"), nullptr);
  const json progress = json::parse(file->metadata().at("progress"));
  EXPECT_EQ(progress["stage"], 1);
  for (const char* key : {"stage_step", "optimizer_step", "documents", "tokens"}) {
    EXPECT_EQ(progress[key], 0) << key;
  }
}

TEST(Run, StoppedAndResumedItEndsTheSame) {
  for (int first : {0, 13, kBase, kBase + 1, kBase + 2}) {
    TestFolder folder;
    const std::string out = folder / "run";
    int polls = 0, until = first;
    RunObserver observer;
    observer.stop = [&] { return polls++ == until; };
    auto summary = test_run(tiny(), out, false, observer);
    ASSERT_TRUE(summary.ok()) << summary.status().message();
    EXPECT_FALSE(summary->finished) << first;
    EXPECT_FALSE(fs::exists(out + "/summary.json"));
    // Stopped once more on the way.
    polls = 0;
    until = 1;
    summary = test_run(tiny(), out, true, observer);
    ASSERT_TRUE(summary.ok()) << summary.status().message();
    if (!summary->finished) summary = test_run(tiny(), out, true);
    ASSERT_TRUE(summary.ok()) << summary.status().message();
    expect_same_run(out, *summary);
  }
}

TEST(Run, KilledAtAnyMomentAndResumedItEndsTheSame) {
  const Unbroken& u = unbroken();
  ASSERT_EQ(u.count, kMoments);
  for (int moment = 0; moment < u.count; moment += moment < kBase - 2 ? 6 : 1) {
    TestFolder folder;
    const std::string out = folder / "run";
    fs::copy(u.moments + "/" + std::to_string(moment), out, fs::copy_options::recursive);
    // What else a kill leaves: a torn row, halves of files.
    std::ofstream(out + "/completions.jsonl", std::ios::app) << "{\"global_step\": 9, \"ids\": [1";
    std::ofstream(out + "/metrics.jsonl", std::ios::app) << "{\"glo";
    fs::create_directories(out + "/checkpoints");
    plant(out + "/checkpoints/step-00000099.safetensors.1.0.tmp", "half");
    plant(out + "/recipe.toml.1.0.tmp", "half");
    const auto summary = test_run(tiny(), out, true, {}, 1 + moment % 3);
    ASSERT_TRUE(summary.ok()) << moment << ": " << summary.status().message();
    expect_same_run(out, *summary);
  }
}

TEST(Run, GroupsWithoutVarianceAreSkippedOnlyWhereThatIsExact) {
  for (const char* loss : {"dapo", "grpo", "bnpo"}) {
    double norms[2], values[2];
    for (int skip : {0, 1}) {
      TestFolder folder;
      Recipe recipe = test_recipe(
          kTiny, {"zero.beta=0", "zero.steps=1", "zero.minibatches_per_rollout=1",
                  "zero.truncated=zero_reward", "zero.rewards={cosine = 1.0}",
                  "zero.length_cap=[{from_step = 0, tokens = 2}]", "zero.prompts_per_rollout=16",
                  std::string("zero.loss=") + loss,
                  std::string("zero.skip_zero_variance=") + (skip == 1 ? "true" : "false")});
      recipe.stages.resize(3);
      ASSERT_TRUE(test_run(recipe, folder / "run").ok());
      for (const json& row : rows_of(folder / "run/metrics.jsonl")) {
        if (row["stage"] != "zero" || row.contains("eval")) continue;
        // Some groups move the policy, and some do not.
        EXPECT_GT(row["frac_zero_std"], 0);
        EXPECT_LT(row["frac_zero_std"], 1);
        norms[skip] = row["grad_norm"];
        values[skip] = row["loss"];
      }
    }
    EXPECT_GT(norms[0], 0) << loss;
    EXPECT_NEAR(norms[1], norms[0], 1e-5 * norms[0]) << loss;
    EXPECT_NEAR(values[1], values[0], 1e-6) << loss;
  }
}

TEST(Run, ThreadsChangeNothing) {
  TestFolder folder;
  const auto summary = test_run(tiny(), folder / "run", false, {}, 3);
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  expect_same_run(folder / "run", *summary);
}

TEST(Run, ResumingAFinishedRunChangesNothing) {
  TestFolder folder;
  const std::string out = folder / "run";
  fs::copy(unbroken().out, out, fs::copy_options::recursive);
  int steps = 0;
  RunObserver observer;
  observer.step = [&](const StepReport&) { ++steps; };
  const auto summary = test_run(tiny(), out, true, observer);
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  EXPECT_EQ(steps, 0);
  expect_same_run(out, *summary);
}

struct Damaged : testing::Test {
  // Resumes after `spoil` has damaged the newest checkpoint, of the grpo stage; the one before it
  // is of the end of the stage before.
  void expect_passed_over(const std::function<void(const std::string&)>& spoil) {
    fs::copy(unbroken().moments + "/" + std::to_string(kFirstRollout), out,
             fs::copy_options::recursive);
    const std::string good = checkpoint_path(out, kEndOfBase),
                      bad = checkpoint_path(out, kFirstRollout);
    ASSERT_EQ(list_checkpoints(out).back(), bad);
    ASSERT_TRUE(fs::exists(good));
    spoil(bad);
    std::string notes;
    RunObserver observer;
    observer.note = [&](const std::string& line) { notes += line + "\n"; };
    const auto summary = test_run(tiny(), out, true, observer);
    ASSERT_TRUE(summary.ok()) << summary.status().message();
    EXPECT_NE(notes.find("skipping " + bad), std::string::npos) << notes;
    EXPECT_NE(notes.find("resuming from " + good), std::string::npos) << notes;
    expect_same_run(out, *summary);
  }
  TestFolder folder;
  std::string out = folder / "run";
};

TEST_F(Damaged, ATruncatedCheckpointIsPassedOver) {
  expect_passed_over(
      [](const std::string& path) { fs::resize_file(path, fs::file_size(path) - 7); });
  for (const std::string& path : list_checkpoints(out)) fs::resize_file(path, 100);
  const auto lost = test_run(tiny(), out, true);
  ASSERT_FALSE(lost.ok());
  EXPECT_NE(lost.status().message().find("checkpoints/step-"), std::string::npos);
}

TEST_F(Damaged, ACheckpointThatLostItsReferenceIsPassedOver) {
  expect_passed_over([](const std::string& path) {
    const std::string copy = path + ".copy";
    fs::rename(path, copy);
    {
      const auto file = SafetensorsFile::open(copy);
      ASSERT_TRUE(file.ok());
      std::vector<StoredTensor> tensors = file->tensors().all();
      EXPECT_EQ(std::erase_if(tensors, [](const auto& t) { return t.name == "reference"; }), 1u);
      ASSERT_TRUE(write_safetensors(path, tensors, file->metadata()).ok());
    }
    fs::remove(copy);
  });
}

// What a full disk does to a write: files of this process may not grow past a size.
class SizeLimit {
 public:
  explicit SizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~SizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST(Run, AFullDiskWhileCheckpointingLosesNothing) {
  TestFolder folder;
  const std::string out = folder / "run";
  fs::copy(unbroken().moments + "/13", out, fs::copy_options::recursive);
  const std::vector<std::string> before = list_checkpoints(out);
  ASSERT_FALSE(before.empty());
  {
    const SizeLimit full(fs::file_size(before[0]) / 2);
    const auto summary = test_run(tiny(), out, true);
    ASSERT_FALSE(summary.ok());
    EXPECT_EQ(summary.status().code(), Code::kIo);
    EXPECT_NE(summary.status().message().find("checkpoints/step-"), std::string::npos)
        << summary.status().message();
  }
  EXPECT_TRUE(files_ending(out, ".tmp").empty());
  EXPECT_EQ(list_checkpoints(out), before);
  const auto summary = test_run(tiny(), out, true);
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  expect_same_run(out, *summary);
}

struct BadRun : testing::Test {
  void expect_refused(const Recipe& recipe, bool resume, const std::string& part) {
    const auto got = test_run(recipe, out, resume);
    ASSERT_FALSE(got.ok()) << part;
    EXPECT_NE(got.status().message().find(part), std::string::npos) << got.status().message();
    EXPECT_EQ(got.status().message().find('\n'), std::string::npos) << got.status().message();
  }
  TestFolder folder;
  std::string out = folder / "run";
};

TEST_F(BadRun, ARunDirectoryIsNeverTrainedOver) {
  fs::copy(unbroken().moments + "/13", out, fs::copy_options::recursive);
  const std::string metrics = slurp(out + "/metrics.jsonl");
  expect_refused(tiny(), false, out + ": holds a run already");
  expect_refused(test_recipe(kTiny, {"seed=4"}), true, "another recipe");
  fs::remove(out + "/recipe.toml");
  expect_refused(tiny(), false, out + ": holds a run already");
  fs::remove(out + "/metrics.jsonl");
  expect_refused(tiny(), false, out + ": holds a run already");
  plant(out + "/metrics.jsonl", metrics);
  EXPECT_EQ(slurp(out + "/completions.jsonl"), slurp(unbroken().moments + "/13/completions.jsonl"));
}

TEST_F(BadRun, WhatCannotRunIsRefusedBeforeAnythingIsWritten) {
  expect_refused(test_recipe(kTiny, {"model.vocab_size=255"}), false, "model.vocab_size");
  Recipe elsewhere = tiny();
  elsewhere.model.path = folder / "nowhere";
  expect_refused(elsewhere, false, folder / "nowhere");
  EXPECT_FALSE(fs::exists(out));
  Recipe no_data = tiny();
  no_data.stages[0].data = folder / "rows.jsonl";
  expect_refused(no_data, false, folder / "rows.jsonl");
}

TEST_F(BadRun, ALearningRateThatExplodesIsAnErrorWithItsStageAndStep) {
  Recipe wild = test_recipe(kTiny, {"base.lr=10", "base.clip=0", "base.schedule='constant'"});
  wild.stages[0].lr = 1e30;
  expect_refused(wild, false, "stage base step ");
}

TEST(RunFromData, AnEpochReadsEveryTokenOnce) {
  TestFolder folder;
  std::string rows;
  // 16 tokens each, the last of which is predicted and not read: 15.
  for (int i = 0; i < 8; ++i) rows += "{\"text\": \"1+2=3;1+2=3;1+2=\"}\n";
  plant(folder / "rows.jsonl", rows);
  Recipe recipe = test_recipe(kTiny);
  recipe.stages.resize(1);
  Stage& s = recipe.stages[0];
  s.data = folder / "rows.jsonl";
  s.tokens = 0;
  s.epochs = 2;
  s.tokens_per_step = s.micro_tokens = 15;
  const auto summary = test_run(recipe, folder / "run");
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  const std::vector<json> steps = rows_of(folder / "run/metrics.jsonl");
  EXPECT_EQ(steps.size(), 16u);
  for (const json& row : steps) EXPECT_EQ(row["tokens"], 15);
}

TEST(RunFromData, AModelThatWasTrainedIsTrainedOn) {
  TestFolder folder;
  Recipe recipe = test_recipe(kTiny, {"base.tokens=600"});
  recipe.stages.resize(1);
  recipe.model = ModelSpec();
  recipe.model.path = unbroken().out + "/model";
  recipe.stages[0].lr = 0;
  const auto summary = test_run(recipe, folder / "run");
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  EXPECT_EQ(summary->weights_hash, unbroken().summary.weights_hash);
}

TEST(RunFromData, InitialWeightsAreAsTheRecipeSays) {
  TestFolder folder;
  Recipe recipe = test_recipe(
      kTiny, {"base.tokens=600", "model.init=normal", "model.initializer_range=0.3", "base.lr=0"});
  recipe.stages.resize(1);
  ASSERT_TRUE(test_run(recipe, folder / "run").ok());
  const auto model = Model::load(folder / "run/model", Model::Use::kTraining);
  ASSERT_TRUE(model.ok());
  for (const Parameter& p : model->parameters()) {
    if (p.weight.layout == Layout::kPlain) continue;
    double squares = 0;
    const std::vector<float> values = model->parameter_values(p.weight);
    for (float x : values) squares += static_cast<double>(x) * static_cast<double>(x);
    EXPECT_NEAR(std::sqrt(squares / static_cast<double>(values.size())), 0.3, 0.02) << p.name;
  }
}

TEST(Run, WhatComesEverySoManyStepsIsDueOncePerMultiple) {
  EXPECT_FALSE(is_due(0, 0, 100));
  EXPECT_FALSE(is_due(3, 0, 2));
  EXPECT_TRUE(is_due(3, 2, 4));  // two updates of a rollout pass over 3
  EXPECT_FALSE(is_due(3, 3, 5));
  EXPECT_TRUE(is_due(3, 4, 6));
  EXPECT_TRUE(is_due(1, 4, 5));
}

}  // namespace
}  // namespace ponder
