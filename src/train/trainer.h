// The state of a run and its stages. Inside the train module only; run_recipe() is the door.
#pragma once

#include <chrono>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "eval/evaluate.h"
#include "text/chat_format.h"
#include "train/checkpoint.h"
#include "train/corpus.h"
#include "train/learner.h"
#include "train/metrics.h"
#include "train/recipe.h"
#include "train/run.h"

namespace ponder {

inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Whether what comes every so many steps (0: never) falls into the steps (before, now].
inline bool is_due(int64_t every, int64_t before, int64_t now) {
  return every > 0 && now / every > before / every;
}

struct Trainer {
  const Recipe& recipe;
  const RunOptions& options;
  const RunObserver& observer;
  std::string recipe_hash;
  Tokenizer tokenizer;
  ChatFormat format;  // how questions are put to the model
  Model& model;
  ThreadPool& pool;
  Learner learner;
  std::unique_ptr<Model> reference;  // of the grpo stage under way, if its KL term is on
  Progress progress;
  JsonlLog metrics, completions;
  RunSummary summary;

  const Stage& stage() const { return recipe.stages[static_cast<size_t>(progress.stage)]; }
  // Every stage draws from streams of its own.
  uint64_t seed_of(std::string_view what) const {
    return static_cast<uint64_t>(recipe.seed) ^ hash64(stage().name + "/" + std::string(what));
  }
  bool stop_requested() const { return observer.stop && observer.stop(); }
  void note(const std::string& line) const {
    if (observer.note) observer.note(line);
  }

  // Each runs the stage from progress.stage_step to its end or to a stop request (false).
  Result<bool> run_lm_stage();
  Result<bool> run_grpo_stage();
  Status run_eval_stage();

  Status write_metrics(const nlohmann::json& row);
  // Between policy updates only.
  Status save_checkpoint();
  CheckpointArrays arrays();
  // Evaluates the model as it is and writes the metrics row.
  Result<EvalReport> evaluate_now(const Stage& settings, const std::string& name);
};

// An engine for `answers` answers of up to `max_tokens` tokens to prompts of up to `prompt_tokens`.
Result<std::unique_ptr<Engine>> make_engine(const Model& model, ThreadPool& pool, int64_t answers,
                                            int64_t prompt_tokens, int64_t max_tokens);

// Answers end at whatever ends a turn of the model.
SamplingParams sampling_of(const ChatFormat& format, const Config& config, uint64_t seed,
                           double temperature, double top_p, int64_t max_tokens);

int64_t peak_memory_bytes();  // of this process

AdamWParams adamw_of(const Stage& stage);
double learning_rate(const Stage& stage, int64_t step, int64_t steps);

}  // namespace ponder
