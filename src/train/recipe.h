// A recipe: the TOML file that says which model is trained, on which task, in which stages. The
// structs are plain data; every default, range and description stands once, in the key table of
// recipe_schema.cc, which also makes docs/recipes.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace ponder {

enum class StageKind : uint8_t { kPretrain, kSft, kGrpo, kReject, kDistill, kEval };
inline constexpr int kStageKinds = 6;

std::string_view stage_kind_name(StageKind kind);

// From policy update `from_step` (counted from 0) on, answers end after `tokens` tokens.
struct LengthCap {
  int64_t from_step = 0;
  int64_t tokens = 0;
  bool operator==(const LengthCap&) const = default;
};

// Counts in the policy updates from_step (counted from 0) to until_step - 1.
struct RewardWeight {
  std::string name;
  double weight = 0;
  int64_t from_step = 0;
  int64_t until_step = 0;  // 0: to the end
  bool operator==(const RewardWeight&) const = default;
};

// Low-rank factors that train in place of the model's matrices (train/adapters.h).
struct LoraSpec {
  int64_t rank = 0;  // 0: none, the weights themselves train
  double alpha = 0;  // the product of the factors counts alpha / rank
  std::vector<std::string> targets;
  bool operator==(const LoraSpec&) const = default;
};

// Either an existing Hugging Face folder (`path`, and nothing else) or the shape of a new model.
struct ModelSpec {
  std::string path;
  std::string architecture;  // llama, qwen2, qwen3
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;
  int64_t max_position_embeddings = 0;
  double rope_theta = 0;
  double rms_norm_eps = 0;
  bool tie_word_embeddings = false;
  std::string init;  // fan_in, normal
  double initializer_range = 0;
  bool operator==(const ModelSpec&) const = default;
};

// A further model of the recipe, [models.NAME]: a student, a reward model's body, ...
struct NamedModel {
  std::string name;
  ModelSpec spec;
  bool operator==(const NamedModel&) const = default;
};

struct RecipeTokenizer {
  std::string kind;        // symbols, bpe
  std::string numbers;     // symbols: whole, digits
  int64_t vocab_size = 0;  // bpe
  int64_t train_documents = 0;
  bool operator==(const RecipeTokenizer&) const = default;
};

struct TaskSpec {
  std::string name;     // chain, countdown
  int64_t modulo = 0;   // chain
  int64_t ops_min = 0;  // chain
  int64_t ops_max = 0;
  std::string lexicons;  // chain: digits, two
  int64_t numbers = 0;   // countdown
  int64_t max_number = 0;
  int64_t target_max = 0;
  std::string families;  // reasoner
  std::string languages;
  int64_t longer = 0;
  bool operator==(const TaskSpec&) const = default;
};

// What a pretrain or sft stage without a data file reads: generated documents of the task.
struct CorpusSpec {
  double drill_phase = 0;  // share of the stage's tokens, at its start, that are drills alone
  double drills = 0;       // share of drill tokens after that
  double direct = 0;       // shares of the solved problems by kind of trace; together 1
  double skip2 = 0;        // chain
  double full = 0;         // chain
  double check = 0;        // chain
  double search = 0;       // countdown
  double check_errors = 0;
  double messy = 0;
  double mixed = 0;  // chain with two lexicons
  int64_t search_lines = 0;
  double earlier = 0;  // reasoner
  bool operator==(const CorpusSpec&) const = default;
};

// One stage. Only the keys of its kind are set (kinds column of the reference table); the others
// stay zero or empty.
struct Stage {
  StageKind kind = StageKind::kPretrain;
  std::string name;
  // Whose weights the stage begins with or looks at: an earlier stage that trains, "model" or a
  // [models.NAME] (their own weights); empty: what the newest stage that trains left.
  std::string from;
  bool keep_model = false;  // keep what the stage leaves as stages/NAME, though no stage names it

  // Data and its amount (pretrain, sft, distill).
  std::string data;     // jsonl file, or an earlier reject or distill stage; empty: the corpus
                        // (grpo, eval: a jsonl file of problems; empty: the task's)
  std::string teacher;  // distill: earlier stage, [models.NAME], Hugging Face folder or GGUF file
  int64_t tokens = 0;   // 0: `epochs` passes over the data
  int64_t epochs = 0;
  int64_t tokens_per_step = 0;
  std::string mask;       // completion, all_assistant, none
  std::string long_rows;  // of a data file: refuse, skip
  double label_smoothing = 0;
  double z_loss = 0;
  double stretch = 0;
  double balance_alpha = 0;
  double bias_update_speed = 0;

  // Optimizer and batches (every kind that trains).
  int64_t micro_tokens = 0;  // never 0 in a parsed recipe
  double lr = 0;
  std::string schedule;  // constant, linear, cosine, wsd
  double warmup = 0;     // share of the stage's steps
  double decay = 0;      // wsd: share of the stage's steps
  double min_ratio = 0;
  std::vector<double> betas;  // two
  double eps = 0;
  double weight_decay = 0;
  double clip = 0;             // largest global gradient norm; 0: no clipping
  LoraSpec lora;               // sft, distill, grpo
  bool checkpointing = false;  // activations are computed again for the backward pass
  int64_t checkpoint_every = 0;

  // Rollouts (grpo).
  int64_t steps = 0;  // policy updates
  int64_t prompts_per_rollout = 0;
  int64_t group = 0;  // G, answers to each prompt
  int64_t minibatches_per_rollout = 0;
  int64_t inner_epochs = 0;
  std::vector<LengthCap> length_cap;  // ascending from_step, the first 0
  std::string truncated;              // mask, zero_reward, soft_penalty
  int64_t overlong_window = 0;
  std::vector<RewardWeight> rewards;
  bool skip_zero_variance = false;
  int64_t eval_every = 0;
  int64_t eval_problems = 0;

  // Policy loss (grpo). A value of 0 switches off delta, dual_clip, log_ratio_clamp,
  // off_policy_delta and beta.
  std::string loss;  // grpo bnpo dapo dr_grpo luspo gspo cispo sapo reinforce
  std::string
      ratio_level;  // token sequence sequence_sum sequence_token; never "auto" in a parsed recipe
  double eps_low = 0;
  double eps_high = 0;
  double delta = 0;
  double dual_clip = 0;
  double log_ratio_clamp = 0;
  double cispo_max = 0;
  double sapo_pos = 0;
  double sapo_neg = 0;
  double off_policy_delta = 0;
  int64_t max_len = 0;    // the constant of dr_grpo; never 0 in a parsed grpo stage
  std::string advantage;  // group group_population none batch rloo gdpo
  double advantage_eps = 0;
  double beta = 0;
  std::string kl;  // k1 k2 k3 k3plus
  bool kl_bias_correction = false;
  int64_t reference_refresh = 0;  // in policy updates; 0: never

  // Sampling (grpo: temperature alone; reject, distill and eval: all).
  double temperature = 0;
  double top_p = 0;
  int64_t problems = 0;
  int64_t samples = 0;
  int64_t max_tokens = 0;
  std::string split;    // train dev test (reject, distill: train dev)
  int64_t ops_min = 0;  // eval of a chain task; 0: the task's
  int64_t ops_max = 0;
  std::string families;  // eval of a reasoner task; empty: the task's
  std::string languages;
  int64_t longer = 0;
  std::vector<int64_t> ks;  // eval: pass@k and cons@k, each at most `samples`
  int64_t keep = 0;         // reject, distill: answers kept per problem at most

  // What is kept beside being right (reject, distill).
  bool well_formed = false;
  bool readable = false;
  int64_t repetition_ngram = 0;
  double max_repetition = 0;  // share of the answer's n-grams that were there before
  double min_language = 0;    // share of the answer in the question's language
  int64_t min_length = 0;     // tokens
  int64_t max_length = 0;     // 0: any

  bool operator==(const Stage&) const = default;
};

struct Recipe {
  std::string name;
  int64_t seed = 0;
  int64_t threads = 0;  // 0: all
  ModelSpec model;
  std::vector<NamedModel> models;
  RecipeTokenizer tokenizer;
  TaskSpec task;
  CorpusSpec corpus;
  std::vector<Stage> stages;
  bool operator==(const Recipe&) const = default;
};

struct RecipeOptions {
  std::string file = "recipe.toml";    // as errors name it
  std::vector<std::string> overrides;  // "stage.key=value", applied over the file in order
  std::string base_dir;  // relative paths are taken from here and must exist; empty: paths stay as
                         // written, unchecked
  bool files_must_exist = true;
};

// The largest recipe file that is read.
inline constexpr size_t kMaxRecipeBytes = 256 * 1024;

// The recipe in `text` with all defaults filled in and every cross-check done: a Recipe returned
// here can be run. Errors are one line, "FILE:LINE:COL: stage.key: expected ..., got ...", or
// "--set: stage.key: ..." for an override. A value in an override is TOML; what is not TOML is
// taken as a string, so that `--set zero.loss=grpo` needs no quotes.
Result<Recipe> parse_recipe(std::string_view text, const RecipeOptions& options = {});

// parse_recipe on a file. Relative paths in it (model.path, data, teacher) are taken from the
// file's folder.
// For a plan the files need not be there.
Result<Recipe> load_recipe(const std::string& path, const std::vector<std::string>& overrides = {},
                           bool files_must_exist = true);

// The recipe as TOML with every default written out; parse_recipe of it gives an equal Recipe.
std::string recipe_to_toml(const Recipe& recipe);

// A stage of this kind with the defaults of the table and no name.
Stage default_stage(StageKind kind);

// Policy updates made of one rollout, and the rollouts of a grpo stage (the last one may be used in
// part).
int64_t updates_per_rollout(const Stage& grpo);
int64_t rollouts(const Stage& grpo);

// Whether a reward counts at policy update `step`.
bool is_in_force(const RewardWeight& reward, int64_t step);

// The length cap in force at policy update `step` of a grpo stage.
int64_t length_cap_at(const Stage& grpo, int64_t step);

}  // namespace ponder
