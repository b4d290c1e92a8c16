// Runs a recipe from its first stage to its last in a run directory (design: recipe.toml,
// metrics.jsonl, completions.jsonl, checkpoints/, model/, summary.json, report.html), or goes on
// with one that was interrupted: bit for bit the same.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/status.h"
#include "model/config.h"
#include "train/recipe.h"

namespace ponder {

// One finished step, for whoever shows progress. Figures are those of its line in metrics.jsonl.
struct StepReport {
  std::string stage;
  StageKind kind = StageKind::kPretrain;
  int64_t step = 0;  // 1-based, of `steps`
  int64_t steps = 0;
  double seconds = 0;
  double tokens_per_second = 0;
  double seconds_left = 0;  // of the stage, by the mean rate of its last steps
  double loss = 0, reward = 0, accuracy = 0, length = 0;
  std::string sample_prompt, sample_answer;  // now and then, for grpo
};

struct EvalLine {
  std::string name;
  double pass1 = 0, stderr_of_mean = 0;
  int64_t k = 0;  // of cons, 0: none
  double cons = 0;
  double length = 0;
};

struct RunObserver {
  std::function<void(const std::string& line)>
      note;  // a stage begins, batch algebra, a file is written
  std::function<void(const StepReport&)> step;
  std::function<void(const EvalLine&)> eval;
  std::function<bool()> stop;  // polled between steps: true ends the run after a checkpoint
};

struct RunOptions {
  std::string out;                     // the run directory
  bool resume = false;                 // go on in `out`; otherwise it must not hold a run yet
  std::string recipe_file = "recipe";  // as errors name the recipe
  std::string build;                   // version of this program, for summary.json
  // Over recipe.threads, without entering recipe.toml: the result is the same. 0: the recipe's.
  int threads = 0;
};

struct RunSummary {
  std::string weights_hash;
  std::vector<std::pair<std::string, EvalLine>> evals;
  double seconds = 0;
  bool finished = false;  // false: stopped on request
};

// The configuration of a recipe's new model (model.path empty), without the tokenizer's ids.
Config config_of(const ModelSpec& model);

Result<RunSummary> run_recipe(const Recipe& recipe, const RunOptions& options,
                              const RunObserver& observer);

}  // namespace ponder
