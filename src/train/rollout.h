// The answers of one rollout of a grpo stage, and what they look like in metrics.jsonl and
// completions.jsonl.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "eval/problem.h"
#include "train/checkpoint.h"
#include "train/recipe.h"

namespace ponder {

struct Sample {
  size_t prompt = 0;  // index into Rollout::prompts
  Answer answer;
  std::string text;
  Grade grade;
  std::vector<double> rewards;  // in the stage's order, then `overlong` of truncated = soft_penalty
  double reward = 0, advantage = 0;
  // NaN: the task has none.
  double language = std::numeric_limits<double>::quiet_NaN();
  double readable = std::numeric_limits<double>::quiet_NaN();
  bool masked = false;  // truncated, and the recipe leaves such answers out of the loss

  bool truncated() const { return answer.reason == FinishReason::kLength; }
  int64_t tokens() const { return static_cast<int64_t>(answer.tokens.size()); }
};

struct Rollout {
  std::vector<Problem> problems;
  std::vector<std::vector<int32_t>> prompts;
  std::vector<Sample> samples;  // prompt after prompt, `group` each
  double frac_zero_std = 0;
  double sample_seconds = 0, reward_seconds = 0;
};

// What a rollout looks like, for the metrics.
struct RolloutStats {
  double reward_mean = 0, reward_std = 0, accuracy = 0, format = 0, entropy = 0;
  double length_mean = 0, length_min = 0, length_max = 0,
         length_terminated = 0;  // tokens; the last: of those that ended
  double clipped = 0;            // share of answers cut at the cap
  double duplicates = 0;         // share of answers that another answer of their group repeats
  double reflective = 0;         // words of doubt ("wait", "check") per answer
  int64_t tokens = 0;
  std::optional<double> language, readable;  // means over the answers that have one
  std::map<std::string, double> rewards;     // mean by reward function
  std::map<std::string, int64_t> verdicts;   // answers by reason code
  std::map<std::string, double> difficulty;  // accuracy by the problems' difficulty
};

RolloutStats summarize(const Rollout& rollout, const Stage& stage);

// The keys of a metrics row that tell of the rollout.
nlohmann::json rollout_metrics(const Rollout& rollout, const RolloutStats& stats);

// A line for each answer.
std::vector<std::string> completion_rows(const Stage& stage, const Progress& progress,
                                         const Rollout& rollout);

}  // namespace ponder
