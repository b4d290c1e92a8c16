// A recipe of many stages in small: starting points, kept models, rejection sampling, distillation; and
// that it ends the same wherever it is stopped or killed.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "eval/task.h"
#include "model/model.h"
#include "train/test_run.h"

namespace ponder {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kStory = R"(
name = "story"
seed = 5
)" + kSmallModel + R"(
[models.student]
hidden_size = 16
intermediate_size = 24
num_hidden_layers = 1
num_attention_heads = 2
max_position_embeddings = 48
)" + kSmallTask + R"(
[corpus]
drill_phase = 0.2
direct = 0.8
skip2 = 0.0
full = 0.2
check = 0.0
[[stage]]
kind = "pretrain"
name = "base"
tokens = 90000
tokens_per_step = 600
micro_tokens = 300
lr = 1e-2
checkpoint_every = 40
[[stage]]
kind = "grpo"
name = "zero"
steps = 2
prompts_per_rollout = 4
group = 4
length_cap = 20
checkpoint_every = 1
[[stage]]
kind = "eval"
name = "after-zero"
problems = 5
samples = 2
max_tokens = 20
[[stage]]
kind = "sft"
name = "cold"
from = "base"
data = "picked-before"
epochs = 1
tokens_per_step = 30
checkpoint_every = 1
[[stage]]
kind = "reject"
name = "picked"
problems = 40
samples = 6
keep = 2
max_tokens = 20
[[stage]]
kind = "sft"
name = "dev3"
from = "base"
data = "picked"
epochs = 1
tokens_per_step = 48
checkpoint_every = 2
[[stage]]
kind = "eval"
name = "zero-again"
from = "zero"
problems = 5
samples = 2
max_tokens = 20
[[stage]]
kind = "pretrain"
name = "student-base"
from = "student"
tokens = 1200
tokens_per_step = 400
[[stage]]
kind = "distill"
name = "small"
teacher = "dev3"
problems = 40
samples = 6
max_tokens = 20
epochs = 1
tokens_per_step = 60
keep_model = true
checkpoint_every = 1
[[stage]]
kind = "grpo"
name = "control"
from = "student-base"
steps = 1
prompts_per_rollout = 2
group = 2
length_cap = 16
[[stage]]
kind = "eval"
name = "small-last"
from = "small"
problems = 5
samples = 2
max_tokens = 20
)";

// The story with its data file; `overrides` as --set has them.
Recipe story(const std::string& folder, std::vector<std::string> overrides = {}) {
  const std::string rows = folder + "/rows.jsonl";
  plant(rows,
        "{\"prompt\": \"1+2+3=?\", \"completion\": "
        "\"<think>1+2=3;3+3=6;</think><answer>6</answer>\"}\n"
        "{\"prompt\": \"2+2+3=?\", \"completion\": "
        "\"<think>2+2=4;4+3=7;</think><answer>7</answer>\"}\n"
        "{\"messages\": [{\"role\": \"user\", \"content\": \"3+2+2=?\"},"
        " {\"role\": \"assistant\", \"content\": "
        "\"<think>3+2=5;5+2=7;</think><answer>7</answer>\"}]}\n");
  overrides.push_back("cold.data='" + rows + "'");
  return test_recipe(kStory, std::move(overrides));
}

// The story told without a break, and its folder after every step and evaluation.
struct Told {
  TestFolder folder;
  std::string out = folder / "run", moments = folder / "moments";
  Recipe recipe = story(folder.path());
  RunSummary summary;
  int count = 0, polls = 0;

  Told() {
    fs::create_directory(moments);
    const auto keep = [&] {
      fs::copy(out, moments + "/" + std::to_string(count++), fs::copy_options::recursive);
    };
    RunObserver observer;
    observer.step = [&](const StepReport& step) {
      if (step.stage != "base" || step.step % 50 == 0) keep();
    };
    observer.eval = [&](const EvalLine&) { keep(); };
    observer.stop = [&] { return ++polls < 0; };
    auto result = test_run(recipe, out, false, observer);
    EXPECT_TRUE(result.ok()) << result.status().message();
    if (result.ok()) summary = *result;
  }
};

const Told& told() {
  static const Told t;
  return t;
}

json summary_of(const std::string& out) { return json::parse(slurp(out + "/summary.json")); }

json stage_of(const std::string& out, const std::string& name) {
  const json summary = summary_of(out);
  for (const json& row : summary["stages"]) {
    if (row["name"] == name) return row;
  }
  ADD_FAILURE() << name;
  return {};
}

void expect_same_story(const std::string& out, const Result<RunSummary>& summary) {
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  ASSERT_TRUE(summary->finished);
  EXPECT_EQ(summary->weights_hash, told().summary.weights_hash);
  expect_same_metrics(out, told().out);
  for (const char* file :
       {"completions.jsonl", "model/model.safetensors", "data/picked.jsonl", "data/small.jsonl",
        "stages/base/model.safetensors", "stages/zero/model.safetensors",
        "stages/small/model.safetensors", "stages/student-base/config.json"}) {
    EXPECT_EQ(slurp(out + "/" + file), slurp(told().out + "/" + file)) << file;
  }
  json a = summary_of(out)["stages"], b = summary_of(told().out)["stages"];
  for (json* table : {&a, &b}) {
    for (json& row : *table) row = measured_nothing(row);
  }
  EXPECT_EQ(a, b);
  EXPECT_TRUE(files_ending(out, ".tmp").empty());
}

TEST(Story, KeepsWhatLaterStagesName) {
  const std::string& out = told().out;
  ASSERT_TRUE(told().summary.finished);
  std::map<std::string, std::string> hashes;
  for (const auto& entry : fs::directory_iterator(out + "/stages")) {
    const auto model = Model::load(entry.path().string(), Model::Use::kInference);
    ASSERT_TRUE(model.ok()) << model.status().message();
    EXPECT_TRUE(fs::exists(entry.path() / "tokenizer.json"));
    hashes[entry.path().filename().string()] = model->weights_hash();
  }
  ASSERT_EQ(hashes.size(), 5u);
  for (const auto& [name, hash] : hashes) {
    EXPECT_EQ(stage_of(out, name)["weights_hash"], hash) << name;
  }
  EXPECT_TRUE(hashes.contains("base") && hashes.contains("zero") && hashes.contains("dev3") &&
              hashes.contains("student-base") && hashes.contains("small"));
  const auto small = Model::load(out + "/stages/small", Model::Use::kInference);
  EXPECT_EQ(small->config().hidden_size, 16);
  EXPECT_EQ(stage_of(out, "small")["model"], "models.student");
  EXPECT_EQ(stage_of(out, "dev3")["from"], "base");
  EXPECT_EQ(stage_of(out, "control")["from"], "student-base");
  EXPECT_FALSE(stage_of(out, "cold").contains("weights_hash"));
}

TEST(Story, AnEvaluationLooksAtWhatItNames) {
  const json then = stage_of(told().out, "after-zero"), now = stage_of(told().out, "zero-again");
  for (const char* key : {"pass@1", "stderr", "length_mean", "format_rate", "truncated", "from"}) {
    EXPECT_EQ(then[key], now[key]) << key;
  }
  EXPECT_EQ(stage_of(told().out, "small-last")["from"], "small");
}

TEST(Story, RejectionKeepsRightAnswersAndCountsTheRest) {
  for (const char* name : {"picked", "small"}) {
    const json row = stage_of(told().out, name);
    int64_t dropped = 0;
    for (const auto& [reason, count] : row["dropped"].items()) dropped += count.get<int64_t>();
    const int64_t kept = row["kept"];
    EXPECT_EQ(row["dropped"].size(), 10u) << row;
    EXPECT_EQ(kept + dropped, 40 * 6) << row;
    EXPECT_GE(kept, 1);
    std::map<std::string, int> by_prompt;
    std::set<std::string> texts;
    const std::vector<json> rows = rows_of(told().out + "/data/" + name + ".jsonl");
    EXPECT_EQ(static_cast<int64_t>(rows.size()), kept);
    for (const json& answer : rows) {
      const std::string prompt = answer["prompt"], text = answer["completion"];
      EXPECT_LE(++by_prompt[prompt], 2);
      EXPECT_TRUE(texts.insert(prompt + text).second) << text;
      Problem problem;
      TaskParams params;
      params.chain.modulo = 11;
      problem = std::move(find_task("chain")->parse_problem(params, prompt)).value();
      const Grade grade = find_task("chain")->grade(problem, text);
      EXPECT_EQ(grade.accuracy + grade.format, 2) << answer;
    }
    EXPECT_EQ(static_cast<int64_t>(by_prompt.size()), row["kept_problems"].get<int64_t>());
  }
  EXPECT_GT(stage_of(told().out, "dev3")["tokens"], 0);
}

TEST(Story, AStageBeginsWhereItSays) {
  TestFolder folder;
  Recipe recipe = story(folder.path(), {"cold.lr=0", "dev3.lr=0", "dev3.keep_model=true",
                                        "cold.keep_model=true", "zero.steps=1"});
  recipe.stages.resize(6);
  ASSERT_EQ(recipe.stages[5].name, "dev3");
  const auto summary = test_run(recipe, folder / "run");
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  const json base = stage_of(folder / "run", "base")["weights_hash"];
  EXPECT_EQ(stage_of(folder / "run", "cold")["weights_hash"], base);
  EXPECT_EQ(stage_of(folder / "run", "dev3")["weights_hash"], base);
  EXPECT_EQ(summary->weights_hash, base);
}

TEST(Story, KilledAtAnyMomentAndResumedItEndsTheSame) {
  ASSERT_GT(told().count, 18);
  for (int moment = 0; moment < told().count; ++moment) {
    SCOPED_TRACE(moment);
    TestFolder folder;
    const std::string out = folder / "run";
    fs::copy(told().moments + "/" + std::to_string(moment), out, fs::copy_options::recursive);
    // What else a kill leaves: halves of what was being written.
    fs::create_directories(out + "/stages/base.tmp");
    fs::create_directories(out + "/data");
    plant(out + "/stages/base.tmp/config.json", "half");
    plant(out + "/data/picked.jsonl.1.0.tmp", "half");
    std::ofstream(out + "/metrics.jsonl", std::ios::app) << "{\"glo";
    expect_same_story(out, test_run(told().recipe, out, true, {}, 1 + moment % 3));
  }
}

TEST(Story, StoppedAtAnyPollAndResumedItEndsTheSame) {
  // Begun near the end of base, which is not worth doing again each time; the polls are those from
  // the checkpoint on.
  const int before = 30, after = told().polls - 150;
  ASSERT_GT(after, 15);
  for (int stop = before; stop < before + after; ++stop) {
    SCOPED_TRACE(stop);
    TestFolder folder;
    const std::string out = folder / "run";
    fs::copy(told().moments + "/2", out, fs::copy_options::recursive);
    int polls = 0;
    RunObserver observer;
    observer.stop = [&] { return polls++ == stop; };
    const auto stopped = test_run(told().recipe, out, true, observer);
    ASSERT_TRUE(stopped.ok()) << stopped.status().message();
    EXPECT_FALSE(stopped->finished);
    EXPECT_FALSE(fs::exists(out + "/summary.json"));
    expect_same_story(out, test_run(told().recipe, out, true));
  }
}

TEST(Story, WhatAnEarlierStageLeftMustBeAsItLeftIt) {
  const auto refused = [](const std::string& spoilt, const std::string& part, bool remove) {
    TestFolder folder;
    const std::string out = folder / "run";
    // After the last step of cold: picked is to come, then dev3 from base.
    int moment = 0;
    for (int i = 0; i < told().count; ++i) {
      const auto rows = rows_of(told().moments + "/" + std::to_string(i) + "/metrics.jsonl");
      if (rows.back()["stage"] == (spoilt.starts_with("data") ? "dev3" : "cold")) moment = i;
      if (spoilt.starts_with("data") && rows.back()["stage"] == "dev3" && rows.back()["step"] == 2)
        break;
    }
    fs::copy(told().moments + "/" + std::to_string(moment), out, fs::copy_options::recursive);
    if (remove) {
      fs::remove_all(out + "/" + spoilt);
    } else {
      std::fstream file(out + "/" + spoilt, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(-3, std::ios::end);
      file.write("9", 1);
    }
    const auto got = test_run(told().recipe, out, true);
    ASSERT_FALSE(got.ok()) << spoilt;
    EXPECT_NE(got.status().message().find(part), std::string::npos) << got.status().message();
  };
  refused("stages/base/model.safetensors", "holds other weights than stage base left", false);
  refused("stages/base", "stages/base", true);
  refused("data/picked.jsonl", "is not as stage picked left it", false);
  refused("data/picked.jsonl", "data/picked.jsonl", true);
}

TEST(Story, NothingKeptIsAnError) {
  TestFolder folder;
  Recipe recipe = story(folder.path(), {"base.tokens=600", "zero.steps=1", "picked.min_length=20",
                                        "picked.max_length=20"});
  recipe.stages.resize(6);
  const auto got = test_run(recipe, folder / "run");
  ASSERT_FALSE(got.ok());
  EXPECT_NE(got.status().message().find("stage picked: none of 240 answers is kept (dropped: "),
            std::string::npos)
      << got.status().message();
  EXPECT_FALSE(fs::exists(folder / "run/data/picked.jsonl"));
}

TEST(Story, ProblemsMayComeFromAFile) {
  TestFolder folder;
  // Whatever is answered to the second is wrong.
  plant(folder / "problems.jsonl",
        "{\"prompt\": \"1+2+3=?\", \"answer\": \"6\"}\n{\"prompt\": \"1+2=?\", \"answer\": "
        "\"77\"}\n");
  Recipe recipe = story(folder.path());
  recipe.stages.erase(recipe.stages.begin(), recipe.stages.begin() + 4);
  recipe.stages.resize(1);
  Stage& s = recipe.stages[0];
  s.data = folder / "problems.jsonl";
  s.problems = 2;
  s.samples = 60;
  s.keep = 60;
  s.well_formed = false;
  recipe.model = ModelSpec();
  recipe.model.path = told().out + "/stages/base";
  const auto summary = test_run(recipe, folder / "run");
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  for (const json& row : rows_of(folder / "run/data/picked.jsonl")) {
    EXPECT_EQ(row["prompt"], "1+2+3=?");
    EXPECT_NE(row["completion"].get<std::string>().find("6</answer>"), std::string::npos) << row;
  }
  EXPECT_EQ(stage_of(folder / "run", "picked")["kept_problems"], 1);
}

TEST(Story, ATeacherMayBeAFolderWithItsOwnTokenizer) {
  TestFolder folder;
  Recipe recipe = story(folder.path());
  std::erase_if(recipe.stages, [](const Stage& s) { return s.name != "small"; });
  recipe.stages[0].from = "student";
  recipe.stages[0].teacher = told().out + "/stages/dev3";
  const auto summary = test_run(recipe, folder / "run");
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  EXPECT_EQ(slurp(folder / "run/data/small.jsonl"), slurp(told().out + "/data/small.jsonl"));
  recipe.stages[0].teacher = folder / "nobody";
  const auto missing = test_run(recipe, folder / "other");
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.status().message().find("stage small: teacher: "), std::string::npos)
      << missing.status().message();
}

TEST(Story, ModelsAreCheckedBeforeAnyWork) {
  TestFolder folder;
  const auto refused = [&](const std::string& override, const std::string& part) {
    const auto got = test_run(story(folder.path(), {override}), folder / "run");
    ASSERT_FALSE(got.ok()) << override;
    EXPECT_NE(got.status().message().find(part), std::string::npos) << got.status().message();
    EXPECT_FALSE(fs::exists(folder / "run"));
  };
  refused("models.student.vocab_size=255", "models.student.vocab_size: the tokenizer has 256");
  // A folder whose tokenizer is another.
  fs::copy(told().out + "/model", folder / "other", fs::copy_options::recursive);
  plant(folder / "other/tokenizer.json", "{}");
  Recipe recipe = story(folder.path());
  recipe.models[0].spec = ModelSpec();
  recipe.models[0].spec.path = folder / "other";
  const auto got = test_run(recipe, folder / "run");
  ASSERT_FALSE(got.ok());
  EXPECT_NE(got.status().message().find("differs from the tokenizer of [model]"), std::string::npos)
      << got.status().message();
}

TEST(Story, AnEmptyDataFileIsAnError) {
  TestFolder folder;
  Recipe recipe = story(folder.path());
  recipe.stages.erase(recipe.stages.begin(), recipe.stages.begin() + 3);
  recipe.stages.resize(1);
  recipe.stages[0].from = "";
  plant(folder / "rows.jsonl", "");
  const auto got = test_run(recipe, folder / "run");
  ASSERT_FALSE(got.ok());
  EXPECT_NE(got.status().message().find("rows.jsonl: has no rows"), std::string::npos)
      << got.status().message();
}

}  // namespace
}  // namespace ponder
