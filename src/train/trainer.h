// The state of a run and its stages. Inside the train module only; run_recipe() is the door.
#pragma once

#include <chrono>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
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
#include "train/run_models.h"

namespace ponder {

// Of a run directory.
inline constexpr const char* kMetricsFile = "/metrics.jsonl";
inline constexpr const char* kCompletionsFile = "/completions.jsonl";

inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Whether what comes every so many steps (0: never) falls into the steps (before, now].
inline bool is_due(int64_t every, int64_t before, int64_t now) {
  return every > 0 && now / every > before / every;
}

// What outlasts the models that a run trains one after the other.
struct Run {
  const Recipe& recipe;
  const RunOptions& options;
  const RunObserver& observer;
  std::string recipe_hash;
  TokenizerFiles files;
  Tokenizer tokenizer;
  ChatFormat format;  // how questions are put to the model
  ThreadPool& pool;
  Progress progress;
  JsonlLog metrics, completions;
  RunSummary summary;

  // What a recipe's model begins with, or what a stage left in its folder; then kInvalid if that is
  // not what the stage wrote.
  Result<Model> load(const Weights& weights, Model::Use use) const;
};

// Stages that work on one model, whose weights each goes on with.
struct Trainer {
  Trainer(Run& run_, Model& model_) : run(run_), model(model_) {}

  Run& run;
  const Recipe& recipe = run.recipe;
  const RunOptions& options = run.options;
  const RunObserver& observer = run.observer;
  const Tokenizer& tokenizer = run.tokenizer;
  const ChatFormat& format = run.format;
  ThreadPool& pool = run.pool;
  Progress& progress = run.progress;
  JsonlLog &metrics = run.metrics, &completions = run.completions;
  RunSummary& summary = run.summary;
  Model& model;
  std::unique_ptr<Learner> learner;  // of the stage under way, if it trains
  std::unique_ptr<Model> reference;  // of the grpo stage under way, if its KL term is on

  const Stage& stage() const { return recipe.stages[static_cast<size_t>(progress.stage)]; }
  // Every stage draws from streams of its own.
  uint64_t seed_of(std::string_view what) const {
    return static_cast<uint64_t>(recipe.seed) ^ hash64(stage().name + "/" + std::string(what));
  }
  bool stop_requested() const { return observer.stop && observer.stop(); }
  void note(const std::string& line) const {
    if (observer.note) observer.note(line);
  }

  // Makes the learner of the stage under way, with fresh optimizer state. With lora the weights are to
  // be those that the stage begins with; kInvalid if a checkpoint says that they are not.
  Status begin_stage();

  // Each runs the stage from progress.stage_step to its end or to a stop request (false).
  Result<bool> run_lm_stage();
  Result<bool> run_grpo_stage();
  Result<bool> run_reject_stage();
  Result<bool> run_distill_stage();
  Status run_eval_stage();

  Status write_metrics(const nlohmann::json& row);
  // Between policy updates only.
  Status save_checkpoint();
  CheckpointArrays arrays();
  // Evaluates the model as it is and writes the metrics row.
  Result<EvalReport> evaluate_now(const Stage& settings, const std::string& name) {
    return evaluate_model(model, settings, name);
  }
  Result<EvalReport> evaluate_model(const Model& judged, const Stage& settings,
                                    const std::string& name);
  // Calls use(model) with the weights that a stage names: the model under training if it holds them.
  // REQUIRES: the stage has not trained yet
  template <typename Use>
  auto with_weights(const Weights& weights, const Use& use) -> decltype(use(model)) {
    if (weights == weights_at_start(recipe, static_cast<size_t>(progress.stage))) return use(model);
    ASSIGN_OR_RETURN(const Model other, run.load(weights, Model::Use::kInference));
    return use(other);
  }
  // The answers of `model` to the stage's problems that pass its filters, in the stage's data file,
  // with a metrics row that counts them; false if stopped on the way (nothing is written then).
  Result<bool> keep_answers(const Model& model, const ChatFormat& format);
};

// The last part of a run: model/, summary.json, report.html.
Status write_results(Trainer& t, double wall_seconds);
// Evaluations that a resumed run has behind it, for the summary.
Status recall_evals(Run& run);

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
