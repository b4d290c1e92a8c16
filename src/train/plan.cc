#include "train/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include "model/config.h"
#include "train/lineage.h"
#include "train/recipe_check.h"
#include "train/run_models.h"

namespace ponder {
namespace {

constexpr double kFloat = 4;  // bytes: weights, activations and the cache are f32 in training

// Parameters that multiply every token: all matrices but the embedding, which is only looked up.
double matrix_parameters(const ModelShape& s) {
  const double attention = static_cast<double>(s.hidden_size) * static_cast<double>(s.head_dim) *
                           static_cast<double>(2 * s.heads + 2 * s.kv_heads);
  const double feed_forward =
      3.0 * static_cast<double>(s.hidden_size) * static_cast<double>(s.intermediate_size);
  return static_cast<double>(s.layers) * (attention + feed_forward) +
         static_cast<double>(s.vocab_size) * static_cast<double>(s.hidden_size);
}

// Linear layers by the names that lora's targets have.
struct LinearShape {
  std::string_view name;
  int64_t inputs, outputs;
};
std::array<LinearShape, 7> linear_shapes(const ModelShape& s) {
  const int64_t q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
  const int64_t dim = s.hidden_size, wide = s.intermediate_size;
  return {{{"q_proj", dim, q},
           {"k_proj", dim, kv},
           {"v_proj", dim, kv},
           {"o_proj", q, dim},
           {"gate_proj", dim, wide},
           {"up_proj", dim, wide},
           {"down_proj", wide, dim}}};
}

// Weights; with them the gradient and AdamW's two moments. With lora these are the factors', and the
// targets are there once more as they were.
double state_bytes(const Stage& stage, const ModelShape& shape) {
  const auto parameters = static_cast<double>(parameter_count(shape));
  if (!trains(stage.kind)) return kFloat * parameters;
  if (stage.lora.rank == 0) return kFloat * 4 * parameters;
  double base = 0, factors = 0;
  for (const LinearShape& linear : linear_shapes(shape)) {
    for (const std::string& target : stage.lora.targets) {
      if (target != "all" && !target.ends_with(linear.name)) continue;
      base += static_cast<double>(linear.inputs * linear.outputs);
      factors += static_cast<double>(stage.lora.rank * (linear.inputs + linear.outputs));
      break;
    }
  }
  return kFloat * (parameters + static_cast<double>(shape.layers) * (base + 4 * factors));
}

// Forward passes that the work on a token is worth: the backward pass is two, one for the gradient of
// the activations and one for that of the weights, which lora does without.
double passes_of(const Stage& stage) {
  return 3 - (stage.lora.rank > 0 ? 1 : 0) + (stage.checkpointing ? 1 : 0);
}

// What the tape keeps of one token: per layer the inputs of the norms and matrices, q, k, v, the
// attention output, the three feed-forward rows; and a row of logits with its gradient. With
// checkpointing that of one layer, and of the others their input.
double activation_bytes(const ModelShape& s, double tokens, bool checkpointing) {
  const double per_layer =
      static_cast<double>(6 * s.hidden_size + 2 * s.heads * s.head_dim +
                          2 * s.kv_heads * s.head_dim + 3 * s.intermediate_size);
  const double kept = checkpointing ? static_cast<double>(s.layers * s.hidden_size) + per_layer
                                    : static_cast<double>(s.layers) * per_layer;
  return kFloat * tokens * (kept + 2.0 * static_cast<double>(s.vocab_size));
}

double cache_bytes(const ModelShape& s, double tokens) {
  return kFloat * tokens * static_cast<double>(2 * s.layers * s.kv_heads * s.head_dim);
}

// Whether its problems come from a file instead of the task.
bool asks_file(const Stage& stage) {
  return !stage.data.empty() && (stage.kind == StageKind::kGrpo || stage.kind == StageKind::kEval);
}

// Mean prompt, and mean answer of a model that writes a line for each step, within the cap.
double mean_prompt(const Recipe& recipe, const Stage& stage, int64_t ops_min, int64_t ops_max) {
  if (asks_file(stage)) return 122;  // the mean of the paper's mathematics
  const auto longest = static_cast<double>(prompt_tokens(recipe, ops_max));
  return recipe.task.name == "chain" ? longest - static_cast<double>(ops_max - ops_min) : longest;
}

double mean_answer(const Recipe& recipe, const Stage& stage, int64_t ops_min, int64_t ops_max,
                   int64_t cap, const PlanOptions& options) {
  const auto most = static_cast<double>(cap);
  if (options.answer_tokens > 0) return std::min(options.answer_tokens, most);
  if (recipe.task.name != "chain" || asks_file(stage)) return most / 2;
  const double ops = static_cast<double>(ops_min + ops_max) / 2;
  const double per_line = recipe.tokenizer.numbers == "digits" ? 8  // 3 7 + 8 = 4 5 ;
                          : recipe.task.lexicons == "two"      ? 7  // the mean of 8 and 6
                                                               : 6;      // 37 + 8 = 45 ;
  return std::min(per_line * ops + 8, most);
}

// Answers to prompts, the prompt read once for each group.
double sampling_flops(const ModelShape& shape, double groups, double samples, double prompt,
                      double answer) {
  return groups * prompt * forward_flops(shape, prompt / 2) +
         samples * answer * forward_flops(shape, prompt + answer / 2);
}

// Tokens of a stage's data: of a file as far as they are known, of an earlier stage (or the stage's own
// teacher) as many as it may keep.
double data_tokens(const Recipe& recipe, const Stage& stage, const PlanOptions& options) {
  const std::optional<size_t> source =
      find_stage(recipe, stage.kind == StageKind::kDistill ? stage.name : stage.data);
  if (!source) return static_cast<double>(options.data_tokens);
  const Stage& s = recipe.stages[*source];
  const int64_t low = recipe.task.ops_min, high = recipe.task.ops_max;
  return static_cast<double>(s.problems * s.keep) *
         (mean_prompt(recipe, s, low, high) +
          mean_answer(recipe, s, low, high, s.max_tokens, options));
}

void plan_supervised(const Recipe& recipe, const Stage& stage, const ModelShape& shape,
                     const PlanOptions& options, StagePlan& plan) {
  plan.tokens_per_update = stage.tokens_per_step;
  plan.trained_tokens =
      stage.tokens > 0 ? static_cast<double>(stage.tokens)
                       : static_cast<double>(stage.epochs) * data_tokens(recipe, stage, options);
  plan.updates = static_cast<int64_t>(
      std::ceil(plan.trained_tokens / static_cast<double>(stage.tokens_per_step)));
  // Documents are short and masked from each other; half a document is the mean context.
  const double document =
      mean_prompt(recipe, stage, recipe.task.ops_min, recipe.task.ops_max) +
      mean_answer(recipe, stage, recipe.task.ops_min, recipe.task.ops_max, 256, {});
  plan.flops += passes_of(stage) * plan.trained_tokens * forward_flops(shape, document / 2);
}

void plan_grpo(const Recipe& recipe, const Stage& stage, const ModelShape& shape,
               const PlanOptions& options, StagePlan& plan) {
  plan.updates = stage.steps;
  plan.prompts_per_rollout = stage.prompts_per_rollout;
  plan.group = stage.group;
  plan.samples_per_rollout = stage.prompts_per_rollout * stage.group;
  plan.minibatches = stage.minibatches_per_rollout;
  plan.inner_epochs = stage.inner_epochs;
  plan.updates_per_rollout = updates_per_rollout(stage);
  plan.max_staleness = plan.updates_per_rollout - 1;
  plan.rollouts = rollouts(stage);
  plan.samples = plan.rollouts * plan.samples_per_rollout;

  const double prompt = mean_prompt(recipe, stage, recipe.task.ops_min, recipe.task.ops_max);
  const double per_update =
      static_cast<double>(plan.samples_per_rollout) / static_cast<double>(plan.minibatches);
  const double trained = per_update * static_cast<double>(plan.updates);
  // The caps hold for their share of the updates.
  double answer = 0;
  int64_t longest = 0;
  for (size_t i = 0; i < stage.length_cap.size(); ++i) {
    const LengthCap& cap = stage.length_cap[i];
    if (cap.from_step >= stage.steps) break;
    const int64_t end = i + 1 < stage.length_cap.size()
                            ? std::min(stage.length_cap[i + 1].from_step, stage.steps)
                            : stage.steps;
    answer +=
        mean_answer(recipe, stage, recipe.task.ops_min, recipe.task.ops_max, cap.tokens, options) *
        static_cast<double>(end - cap.from_step) / static_cast<double>(stage.steps);
    longest = std::max(longest, cap.tokens);
  }
  plan.answer_tokens = answer;
  plan.tokens_per_update = static_cast<int64_t>(per_update * (prompt + answer));
  plan.trained_tokens = trained * (prompt + answer);
  const auto samples = static_cast<double>(plan.samples);
  plan.sampled_tokens = samples * answer;
  // Sampler and trainer agree to the bit, so the old log-probabilities cost nothing; a reference is
  // one more forward pass.
  const double passes = passes_of(stage) + (stage.beta > 0 ? 1 : 0);
  plan.flops +=
      sampling_flops(shape, samples / static_cast<double>(stage.group), samples, prompt, answer) +
      passes * plan.trained_tokens * forward_flops(shape, (prompt + answer) / 2);
  plan.memory_bytes += cache_bytes(
      shape, static_cast<double>(plan.samples_per_rollout) *
                 (prompt / static_cast<double>(stage.group) + static_cast<double>(longest)));
  if (stage.beta > 0) plan.memory_bytes += kFloat * static_cast<double>(parameter_count(shape));
}

void plan_sampling(const Recipe& recipe, const Stage& stage, const ModelShape& shape,
                   const PlanOptions& options, StagePlan& plan) {
  const bool eval = stage.kind == StageKind::kEval;
  const int64_t ops_min = eval ? stage.ops_min : recipe.task.ops_min;
  const int64_t ops_max = eval ? stage.ops_max : recipe.task.ops_max;
  const double prompt = mean_prompt(recipe, stage, ops_min, ops_max);
  plan.answer_tokens = mean_answer(recipe, stage, ops_min, ops_max, stage.max_tokens, options);
  plan.samples = stage.problems * stage.samples;
  plan.sampled_tokens = static_cast<double>(plan.samples) * plan.answer_tokens;
  plan.flops += sampling_flops(shape, static_cast<double>(stage.problems),
                               static_cast<double>(plan.samples), prompt, plan.answer_tokens);
  const double at_once = std::min(512.0, static_cast<double>(plan.samples));
  plan.memory_bytes +=
      cache_bytes(shape, at_once * (prompt + static_cast<double>(stage.max_tokens)));
}

std::string amount(double value, std::string_view unit) {
  constexpr std::array<std::string_view, 6> kPrefixes = {"", "k", "M", "G", "T", "P"};
  size_t prefix = 0;
  while (value >= 999.5 && prefix + 1 < kPrefixes.size()) {
    value /= 1000;
    ++prefix;
  }
  return fmt::format("{:.3g} {}{}", value, kPrefixes[prefix], unit);
}

std::string duration(double seconds) {
  if (seconds < 100) return fmt::format("{:.1f} s", seconds);
  if (seconds < 6000) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

std::string stage_line(const StagePlan& plan) {
  std::string out = fmt::format("  {:<12} {:<9}", plan.name, stage_kind_name(plan.kind));
  if (trains(plan.kind) && plan.updates == 0)
    return out + "epochs of a data file: unknown before it is read\n";
  if (plan.updates > 0) {
    out += fmt::format("{} updates x {} tokens", plan.updates, plan.tokens_per_update);
  }
  if (plan.samples > 0) {
    out += fmt::format("{}{} answers of about {:.0f} tokens", plan.updates > 0 ? ", " : "",
                       plan.samples, plan.answer_tokens);
  }
  if (plan.flops == 0) return out + "\n";  // of a model that is not there
  out += fmt::format("; {}, {}", amount(plan.flops, "FLOP"), amount(plan.memory_bytes, "B"));
  if (plan.seconds > 0) out += fmt::format(", about {}", duration(plan.seconds));
  return out + "\n";
}

}  // namespace

ModelShape shape_of(const ModelSpec& model) {
  return {.vocab_size = model.vocab_size,
          .hidden_size = model.hidden_size,
          .intermediate_size = model.intermediate_size,
          .layers = model.num_hidden_layers,
          .heads = model.num_attention_heads,
          .kv_heads = model.num_key_value_heads,
          .head_dim = model.head_dim,
          .tied = model.tie_word_embeddings,
          .qkv_bias = model.architecture == "qwen2",
          .qk_norm = model.architecture == "qwen3"};
}

int64_t parameter_count(const ModelShape& s) {
  const int64_t q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
  const int64_t layer = s.hidden_size * (2 * q + 2 * kv + 3 * s.intermediate_size) +
                        (s.qkv_bias ? q + 2 * kv : 0) + (s.qk_norm ? 2 * s.head_dim : 0) +
                        2 * s.hidden_size;
  return s.layers * layer + s.hidden_size + s.vocab_size * s.hidden_size * (s.tied ? 1 : 2);
}

double forward_flops(const ModelShape& s, double context) {
  return 2 * matrix_parameters(s) +
         4 * static_cast<double>(s.layers * s.heads * s.head_dim) * context;
}

namespace {

ModelShape shape_of(const Config& c) {
  return {c.vocab_size,
          c.hidden_size,
          c.intermediate_size,
          c.num_hidden_layers,
          c.num_attention_heads,
          c.num_key_value_heads,
          c.head_dim,
          c.tie_word_embeddings,
          c.attention_bias,
          c.qk_norm};
}

// Of the model whose answers a distill stage learns; null where nothing is known of it.
const ModelShape* teacher_shape(const Recipe& recipe, size_t stage, const PlanShapes& shapes) {
  const std::string& teacher = recipe.stages[stage].teacher;
  if (names_weights(recipe, teacher)) {
    return &shapes.models[weights_named(recipe, teacher).model];
  }
  const bool known = stage < shapes.teachers.size() && shapes.teachers[stage].layers > 0;
  return known ? &shapes.teachers[stage] : nullptr;
}

}  // namespace

Result<PlanShapes> plan_shapes(const Recipe& recipe) {
  PlanShapes out;
  for (size_t i = 0; i <= recipe.models.size(); ++i) {
    const ModelSpec& spec = model_spec(recipe, i);
    if (spec.path.empty()) {
      out.models.push_back(shape_of(spec));
      continue;
    }
    if (!std::filesystem::exists(spec.path)) {
      out.models.emplace_back();
      continue;
    }
    ASSIGN_OR_RETURN(const Config config, config_at(spec.path));
    out.models.push_back(shape_of(config));
  }
  for (const Stage& stage : recipe.stages) {
    ModelShape& shape = out.teachers.emplace_back();
    if (stage.teacher.empty() || names_weights(recipe, stage.teacher)) continue;
    // A GGUF file's shape is not looked at: it is a plan.
    const Result<Config> config = load_config(stage.teacher);
    if (config.ok()) shape = shape_of(*config);
  }
  return out;
}

Plan make_plan(const Recipe& recipe, const PlanShapes& shapes, const PlanOptions& options) {
  Plan plan;
  plan.shapes = shapes.models;
  for (const ModelShape& shape : shapes.models) {
    plan.parameters = std::max(plan.parameters, parameter_count(shape));
  }
  for (size_t i = 0; i < recipe.stages.size(); ++i) {
    const Stage& stage = recipe.stages[i];
    const ModelShape& shape = shapes.models[weights_of(recipe, i).model];
    StagePlan& out = plan.stages.emplace_back();
    out.name = stage.name;
    out.kind = stage.kind;
    out.state_bytes = state_bytes(stage, shape);
    out.memory_bytes = out.state_bytes;
    if (trains(stage.kind)) {
      const auto tokens = static_cast<double>(stage.micro_tokens);
      out.memory_bytes += activation_bytes(shape, tokens, stage.checkpointing);
    }
    switch (stage.kind) {
      case StageKind::kPretrain:
      case StageKind::kSft:
        plan_supervised(recipe, stage, shape, options, out);
        break;
      case StageKind::kDistill:
        if (const ModelShape* teacher = teacher_shape(recipe, i, shapes)) {
          plan_sampling(recipe, stage, *teacher, options, out);
          out.memory_bytes += kFloat * static_cast<double>(parameter_count(*teacher));
        }
        plan_supervised(recipe, stage, shape, options, out);
        break;
      case StageKind::kGrpo:
        plan_grpo(recipe, stage, shape, options, out);
        break;
      case StageKind::kReject:
      case StageKind::kEval:
        plan_sampling(recipe, stage, shape, options, out);
        break;
    }
    if (options.gflops > 0) out.seconds = out.flops / (options.gflops * 1e9);
    plan.flops += out.flops;
    plan.seconds += out.seconds;
    plan.memory_bytes = std::max(plan.memory_bytes, out.memory_bytes);
    plan.state_bytes = std::max(plan.state_bytes, out.state_bytes);
  }
  return plan;
}

std::string batch_algebra(const StagePlan& plan) {
  return fmt::format(
      "{} prompts/rollout x G {} = {} samples/rollout; {} minibatch{} x {} inner epoch{} = {} "
      "update{}/rollout, max staleness {}; {} rollouts, about {} tokens/update",
      plan.prompts_per_rollout, plan.group, plan.samples_per_rollout, plan.minibatches,
      plan.minibatches == 1 ? "" : "es", plan.inner_epochs, plan.inner_epochs == 1 ? "" : "s",
      plan.updates_per_rollout, plan.updates_per_rollout == 1 ? "" : "s", plan.max_staleness,
      plan.rollouts, plan.tokens_per_update);
}

std::string plan_text(const Recipe& recipe, const Plan& plan) {
  std::string out;
  for (size_t i = 0; i < plan.shapes.size(); ++i) {
    const ModelShape& s = plan.shapes[i];
    if (s.layers == 0) {
      out += fmt::format("{}: {} is not there: its size, work and memory are unknown\n",
                         i == 0 ? recipe.name : "  " + model_name(recipe, i),
                         model_spec(recipe, i).path);
      continue;
    }
    out += fmt::format(
        "{}: {} parameters ({} layers of {}, feed-forward {}, {} heads of {}, vocabulary {})\n",
        i == 0 ? recipe.name : "  " + model_name(recipe, i),
        amount(static_cast<double>(parameter_count(s)), ""), s.layers, s.hidden_size,
        s.intermediate_size, s.heads, s.head_dim, s.vocab_size);
  }
  for (const StagePlan& stage : plan.stages) {
    out += stage_line(stage);
    if (stage.kind == StageKind::kGrpo) {
      out += fmt::format("  {:<12} {:<9}{}\n", "", "", batch_algebra(stage));
    }
  }
  if (plan.flops == 0) return out;
  out += fmt::format("  in all: {}, {} of memory at most", amount(plan.flops, "FLOP"),
                     amount(plan.memory_bytes, "B"));
  if (plan.seconds > 0) out += fmt::format(", about {}", duration(plan.seconds));
  return out + "\n";
}

}  // namespace ponder
