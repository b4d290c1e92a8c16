// What a recipe will cost, before it runs: batch algebra, tokens, floating-point work, memory and
// time of each stage.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "train/recipe.h"

namespace ponder {

// What the counts need to know of a dense transformer.
struct ModelShape {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  bool tied = false;
  bool qkv_bias = false;  // qwen2
  bool qk_norm = false;   // qwen3
};

// The shape of a recipe's new model (model.path empty).
ModelShape shape_of(const ModelSpec& model);

// All models that a recipe speaks of.
struct PlanShapes {
  std::vector<ModelShape> models;  // [model], then the [models.NAME] in order
  std::vector<ModelShape>
      teachers;  // by stage: of one that is a path; empty, or without layers: none
};

// Read from the folders of those that have one. Errors name the path.
Result<PlanShapes> plan_shapes(const Recipe& recipe);

int64_t parameter_count(const ModelShape& shape);

// Floating-point operations (a multiply-add is two) of one token's forward pass with `context`
// tokens before it on average: 2 per matrix parameter, the output layer included and the embedding
// not, and 4 layers x heads x head_dim x context for attention. The backward pass costs twice the
// forward.
double forward_flops(const ModelShape& shape, double context);

struct PlanOptions {
  double gflops = 0;         // rate expected of the machine, 10^9 operations a second; 0: no times
  double answer_tokens = 0;  // mean length of sampled answers; 0: a guess from the task and the cap
  int64_t data_tokens = 0;  // tokens of a data file, for stages that count epochs; 0: unknown. What
                            // an earlier stage keeps is taken at its most
};

struct StagePlan {
  std::string name;
  StageKind kind = StageKind::kPretrain;
  // Batch algebra; the rollout figures are 0 except for grpo.
  int64_t updates = 0;  // optimizer steps; 0: none, or unknown (epochs of a file)
  int64_t tokens_per_update = 0;
  int64_t prompts_per_rollout = 0;
  int64_t group = 0;
  int64_t samples_per_rollout = 0;
  int64_t minibatches = 0;
  int64_t inner_epochs = 0;
  int64_t updates_per_rollout = 0;
  int64_t max_staleness = 0;  // updates between a sample and the last update made of it
  int64_t rollouts = 0;
  int64_t samples = 0;        // answers sampled in all
  double answer_tokens = 0;   // their mean length as assumed here
  double trained_tokens = 0;  // forward and backward
  double sampled_tokens = 0;  // drawn one by one
  double flops = 0;
  double memory_bytes = 0;  // weights, gradients, optimizer, activations, cache: an estimate
  double state_bytes = 0;   // of these weights, gradients and optimizer
  double seconds = 0;       // 0: no rate given
};

struct Plan {
  std::vector<ModelShape> shapes;  // of the recipe's models
  int64_t parameters = 0;          // of the largest
  std::vector<StagePlan> stages;
  double flops = 0;
  double memory_bytes = 0;  // the largest stage's
  double state_bytes = 0;   // likewise
  double seconds = 0;
};

// The recipe is a parsed one.
Plan make_plan(const Recipe& recipe, const PlanShapes& shapes, const PlanOptions& options = {});

// The plan as lines for a terminal, ending in a line break.
std::string plan_text(const Recipe& recipe, const Plan& plan);

// The batch algebra of one grpo stage in one line, as printed when it starts.
std::string batch_algebra(const StagePlan& plan);

}  // namespace ponder
