#include "train/recipe_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/problem_file.h"
#include "eval/rewards.h"
#include "train/lineage.h"

namespace ponder {
namespace {

int64_t digits_of(int64_t value) {
  int64_t digits = 1;
  for (; value >= 10; value /= 10) ++digits;
  return digits;
}

// Collects what every check needs, so that each reads as one line.
class Checker {
 public:
  Checker(const Recipe& recipe, const KeyPosition& position)
      : recipe_(recipe), position_(position) {}

  Status run() const {
    for (size_t i = 0; i <= recipe_.models.size(); ++i) RETURN_IF_ERROR(check_model(i));
    RETURN_IF_ERROR(check_task());
    if (recipe_.stages.empty()) {
      return error(Section::kTop, 0, "stage", "at least one [[stage]]", "none");
    }
    for (size_t i = 0; i < recipe_.stages.size(); ++i) {
      const Stage& stage = recipe_.stages[i];
      RETURN_IF_ERROR(check_name(i));
      RETURN_IF_ERROR(check_weights(i, "from", stage.from));
      switch (stage.kind) {
        case StageKind::kPretrain:
        case StageKind::kSft:
          RETURN_IF_ERROR(check_optimizer(i));
          RETURN_IF_ERROR(check_supervised(i));
          break;
        case StageKind::kDistill:
          RETURN_IF_ERROR(check_optimizer(i));
          RETURN_IF_ERROR(check_amount(i));
          RETURN_IF_ERROR(check_weights(i, "teacher", stage.teacher));
          RETURN_IF_ERROR(check_sampling(i));
          break;
        case StageKind::kGrpo:
          RETURN_IF_ERROR(check_optimizer(i));
          RETURN_IF_ERROR(check_rollout(i));
          RETURN_IF_ERROR(check_policy_loss(i));
          break;
        case StageKind::kReject:
        case StageKind::kEval:
          RETURN_IF_ERROR(check_sampling(i));
          break;
      }
    }
    return {};
  }

 private:
  Status error(Section section, size_t stage, std::string_view key, std::string_view expected,
               std::string_view got) const {
    return invalid(
        fmt::format("{}: expected {}, got {}", position_(section, stage, key), expected, got));
  }
  Status stage_error(size_t i, std::string_view key, std::string_view expected, auto got) const {
    return error(Section::kStage, i, key, expected, fmt::format("{}", got));
  }

  static bool is_plain(std::string_view name) {
    return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '_' || c == '-';
    });
  }

  static bool is_table(std::string_view name) {
    if (name == "models") return true;
    for (int section = 0; section < kSections; ++section) {
      if (name == section_name(static_cast<Section>(section))) return true;
    }
    return false;
  }

  Status check_model(size_t number) const {
    const ModelSpec& model = model_spec(recipe_, number);
    const auto bad = [&](std::string_view key, std::string_view expected, auto got) {
      return error(Section::kModel, number, key, expected, fmt::format("{}", got));
    };
    if (number > 0) {
      const std::string& name = recipe_.models[number - 1].name;
      if (!is_plain(name) || is_table(name)) {
        return bad("", "a name of 1 to 64 letters, digits, _ or - that is not a table's",
                   fmt::format("\"{}\"", name));
      }
    }
    if (!model.path.empty()) return {};
    if (model.head_dim == 0) {  // resolve_recipe found no whole width
      return bad("num_attention_heads",
                 fmt::format("a divisor of hidden_size = {} (or a head_dim)", model.hidden_size),
                 model.num_attention_heads);
    }
    if (model.head_dim % 2 != 0) {
      return bad("head_dim", "an even number (rotary positions turn pairs)", model.head_dim);
    }
    if (model.num_attention_heads % model.num_key_value_heads != 0) {
      return bad("num_key_value_heads",
                 fmt::format("a divisor of num_attention_heads = {}", model.num_attention_heads),
                 model.num_key_value_heads);
    }
    return {};
  }

  Status check_task() const {
    const TaskSpec& task = recipe_.task;
    const CorpusSpec& corpus = recipe_.corpus;
    if (task.name == "chain" && task.ops_min > task.ops_max) {
      return error(Section::kTask, 0, "ops_min", fmt::format("at most ops_max = {}", task.ops_max),
                   fmt::format("{}", task.ops_min));
    }
    if (task.lexicons == "two" && task.modulo > 97) {
      return error(Section::kTask, 0, "modulo", "at most 97 with two lexicons",
                   fmt::format("{}", task.modulo));
    }
    if (task.name == "reasoner") {
      const Status valid = validate(reasoner_params(task, Stage()));
      if (valid.ok()) return {};
      return error(Section::kTask, 0, "families", "a valid choice", valid.message());
    }
    const double sum = task.name == "chain"
                           ? corpus.direct + corpus.skip2 + corpus.full + corpus.check
                           : corpus.direct + corpus.search;
    if (std::abs(sum - 1.0) > 1e-6) {
      return error(
          Section::kCorpus, 0, "direct",
          fmt::format("shares {} that add up to 1",
                      task.name == "chain" ? "direct + skip2 + full + check" : "direct + search"),
          fmt::format("{:.6g}", sum));
    }
    return {};
  }

  Status check_name(size_t i) const {
    const std::string& name = recipe_.stages[i].name;
    if (!is_plain(name)) {
      return stage_error(i, "name", "1 to 64 letters, digits, _ or -", fmt::format("\"{}\"", name));
    }
    if (is_table(name) || find_model(recipe_, name)) {
      return stage_error(i, "name", "a name that is not a table of the recipe", name);
    }
    for (size_t j = 0; j < i; ++j) {
      if (recipe_.stages[j].name == name) {
        return stage_error(i, "name", "a name that no other stage has", name);
      }
    }
    return {};
  }

  // `key` names weights that are there when stage i begins; a teacher may also be a path.
  Status check_weights(size_t i, std::string_view key, const std::string& name) const {
    const std::optional<size_t> stage = find_stage(recipe_, name);
    if (stage && (*stage >= i || !trains(recipe_.stages[*stage].kind))) {
      return stage_error(
          i, key, "an earlier stage that trains, or a model of the recipe",
          fmt::format("the {} stage {}", stage_kind_name(recipe_.stages[*stage].kind), name));
    }
    if (key == "from" && !name.empty() && !names_weights(recipe_, name)) {
      return stage_error(i, key, "an earlier stage that trains, or a model of the recipe",
                         fmt::format("\"{}\", which is neither", name));
    }
    return {};
  }

  Status check_optimizer(size_t i) const {
    const Stage& stage = recipe_.stages[i];
    if (stage.schedule == "wsd" && stage.warmup + stage.decay > 1.0) {
      return stage_error(i, "decay", fmt::format("at most 1 - warmup = {}", 1.0 - stage.warmup),
                         stage.decay);
    }
    return {};
  }

  Status check_amount(size_t i) const {
    const Stage& stage = recipe_.stages[i];
    if (stage.micro_tokens > stage.tokens_per_step) {
      return stage_error(i, "micro_tokens",
                         fmt::format("at most tokens_per_step = {}", stage.tokens_per_step),
                         stage.micro_tokens);
    }
    if (stage.tokens != 0 && stage.tokens < stage.tokens_per_step) {
      return stage_error(i, "tokens",
                         fmt::format("0 or at least tokens_per_step = {}", stage.tokens_per_step),
                         stage.tokens);
    }
    return {};
  }

  Status check_supervised(size_t i) const {
    const Stage& stage = recipe_.stages[i];
    if (stage.data.empty() && stage.tokens == 0) {
      return stage_error(i, "tokens", "the number of corpus tokens, or a data file for epochs", 0);
    }
    if (const std::optional<size_t> source = find_stage(recipe_, stage.data)) {
      const StageKind kind = recipe_.stages[*source].kind;
      if (*source >= i || (kind != StageKind::kReject && kind != StageKind::kDistill)) {
        return stage_error(i, "data", "a jsonl file or an earlier reject or distill stage",
                           fmt::format("the {} stage {}", stage_kind_name(kind), stage.data));
      }
    }
    return check_amount(i);
  }

  // Whether a prompt with an answer of `tokens` fits the positions of the stage's model, if it is a
  // new one.
  Status check_length(size_t i, std::string_view key, int64_t tokens, int64_t ops_max) const {
    const ModelSpec& model = model_spec(recipe_, weights_of(recipe_, i).model);
    if (!model.path.empty()) return {};              // its config and tokenizer decide
    if (!recipe_.stages[i].data.empty()) return {};  // as do the file's prompts
    const int64_t prompt = prompt_tokens(recipe_, ops_max);
    const int64_t room = model.max_position_embeddings - prompt;
    if (tokens <= room) return {};
    return stage_error(
        i, key,
        fmt::format("at most {} tokens (max_position_embeddings = {} less a prompt "
                    "of {})",
                    std::max<int64_t>(room, 0), model.max_position_embeddings, prompt),
        tokens);
  }

  Status check_rewards(size_t i) const {
    const Stage& stage = recipe_.stages[i];
    std::vector<int64_t> changes = {0};
    for (const RewardWeight& r : stage.rewards) {
      const Reward* reward = find_reward(r.name);
      PONDER_CHECK(reward != nullptr, r.name);
      const bool file = !stage.data.empty();
      const Task* task = file ? &verified_task() : find_task(recipe_.task.name);
      const bool digits = !file && r.name == "language" && recipe_.task.lexicons == "digits";
      if (task != nullptr && (digits || (reward->fits != nullptr && !reward->fits(*task)))) {
        return stage_error(i, "rewards",
                           digits ? "task.lexicons = \"two\" with the reward language"
                                  : fmt::format("rewards that the task {} can give", task->name),
                           r.name);
      }
      if (r.until_step != 0 && r.until_step <= r.from_step) {
        return stage_error(i, "rewards",
                           fmt::format("{}.until_step above from_step = {}", r.name, r.from_step),
                           r.until_step);
      }
      changes.push_back(r.until_step);
    }
    for (const int64_t step : changes) {
      const bool any = std::any_of(stage.rewards.begin(), stage.rewards.end(),
                                   [step](const RewardWeight& r) { return is_in_force(r, step); });
      if (step < stage.steps && !any) {
        return stage_error(i, "rewards", fmt::format("a reward that counts at step {}", step),
                           "none");
      }
    }
    return {};
  }

  Status check_rollout(size_t i) const {
    const Stage& stage = recipe_.stages[i];
    if (stage.group < 2) {
      return stage_error(
          i, "group",
          fmt::format("at least 2 (advantage \"{}\" compares the answers of a group)",
                      stage.advantage),
          stage.group);
    }
    const int64_t samples = stage.prompts_per_rollout * stage.group;
    if (samples % stage.minibatches_per_rollout != 0) {
      return stage_error(i, "minibatches_per_rollout",
                         fmt::format("a divisor of prompts_per_rollout x group = {}", samples),
                         stage.minibatches_per_rollout);
    }
    RETURN_IF_ERROR(check_rewards(i));
    if (!stage.data.empty() && stage.eval_every != 0) {
      return stage_error(i, "eval_every",
                         "0 with a data file (evaluate on another one, in a stage)",
                         stage.eval_every);
    }
    int64_t longest = 0;
    for (size_t j = 0; j < stage.length_cap.size(); ++j) {
      const LengthCap& cap = stage.length_cap[j];
      const bool in_order =
          j == 0 ? cap.from_step == 0 : cap.from_step > stage.length_cap[j - 1].from_step;
      if (!in_order) {
        return stage_error(i, "length_cap", "from_step to be 0 first and to rise", cap.from_step);
      }
      if (stage.truncated == "soft_penalty" && stage.overlong_window > cap.tokens) {
        return stage_error(i, "overlong_window",
                           fmt::format("at most the length cap of {}", cap.tokens),
                           stage.overlong_window);
      }
      longest = std::max(longest, cap.tokens);
    }
    RETURN_IF_ERROR(check_length(i, "length_cap", longest, recipe_.task.ops_max));
    const int64_t row = longest + prompt_tokens(recipe_, recipe_.task.ops_max);
    if (stage.data.empty() && stage.micro_tokens < row) {
      return stage_error(i, "micro_tokens",
                         fmt::format("at least {} (the longest prompt and answer)", row),
                         stage.micro_tokens);
    }
    return {};
  }

  Status check_policy_loss(size_t i) const {
    const Stage& stage = recipe_.stages[i];
    if ((stage.loss == "gspo" || stage.loss == "luspo") && stage.ratio_level == "token") {
      return stage_error(
          i, "ratio_level",
          fmt::format("sequence, sequence_sum or sequence_token with loss \"{}\"", stage.loss),
          "token");
    }
    if (stage.dual_clip > 0 && stage.dual_clip <= 1) {
      return stage_error(i, "dual_clip", "0 or a number above 1", stage.dual_clip);
    }
    if (stage.loss != "cispo" && stage.loss != "sapo" && stage.loss != "reinforce" &&
        stage.eps_low == 0 && stage.eps_high == 0) {
      return stage_error(i, "eps_high", "eps_low or eps_high above 0", 0);
    }
    return {};
  }

  Status check_sampling(size_t i) const {
    const Stage& stage = recipe_.stages[i];
    int64_t ops_max = recipe_.task.ops_max;
    if (stage.kind == StageKind::kEval) {
      for (int64_t k : stage.ks) {
        if (k > stage.samples) {
          return stage_error(i, "ks", fmt::format("each k at most samples = {}", stage.samples), k);
        }
      }
      if (recipe_.task.name != "chain" && (stage.ops_min != 0 || stage.ops_max != 0)) {
        return stage_error(i, stage.ops_min != 0 ? "ops_min" : "ops_max",
                           fmt::format("0 (task {} has no operations to count)", recipe_.task.name),
                           std::max(stage.ops_min, stage.ops_max));
      }
      if (recipe_.task.name == "reasoner") {
        const Status valid = validate(reasoner_params(recipe_.task, stage));
        if (!valid.ok()) return stage_error(i, "families", "a valid choice", valid.message());
      }
      if (stage.ops_min > stage.ops_max) {
        return stage_error(i, "ops_min", fmt::format("at most ops_max = {}", stage.ops_max),
                           stage.ops_min);
      }
      ops_max = stage.ops_max;
    } else if (stage.keep > stage.samples) {
      return stage_error(i, "keep", fmt::format("at most samples = {}", stage.samples), stage.keep);
    } else if (stage.max_length > 0 && stage.min_length > stage.max_length) {
      return stage_error(i, "min_length", fmt::format("at most max_length = {}", stage.max_length),
                         stage.min_length);
    }
    return check_length(i, "max_tokens", stage.max_tokens, ops_max);
  }

  const Recipe& recipe_;
  const KeyPosition& position_;
};

// The longest question with the marks of a dialogue, in a vocabulary of about 2,000 tokens.
constexpr int64_t kReasonerPromptTokens = 192;

}  // namespace

ReasonerParams reasoner_params(const TaskSpec& task, const Stage& stage) {
  ReasonerParams p;
  p.families = stage.families.empty() ? task.families : stage.families;
  p.languages = stage.languages.empty() ? task.languages : stage.languages;
  p.longer = static_cast<int>(stage.longer > 0 ? stage.longer : task.longer);
  return p;
}

int64_t prompt_tokens(const Recipe& recipe, int64_t ops_max) {
  const bool digits = recipe.tokenizer.numbers == "digits";
  const TaskSpec& task = recipe.task;
  if (task.name == "reasoner") return kReasonerPromptTokens;
  if (task.name == "countdown") {
    // <bos><user> n n n = target ? <assistant>, separators between the numbers
    const int64_t number = digits ? digits_of(task.max_number) : 1;
    const int64_t target = digits ? digits_of(task.target_max) : 1;
    return 6 + task.numbers * (number + 1) + target;
  }
  // <bos><user> x0 (op operand)... = ? <assistant>; operands are 2-9
  const bool spelled = digits || task.lexicons == "two";
  return 5 + (spelled ? digits_of(task.modulo - 1) : 1) + 2 * ops_max;
}

void resolve_recipe(Recipe& recipe) {
  for (size_t i = 0; i <= recipe.models.size(); ++i) {
    ModelSpec& model = i == 0 ? recipe.model : recipe.models[i - 1].spec;
    if (!model.path.empty()) continue;
    if (model.num_key_value_heads == 0) model.num_key_value_heads = model.num_attention_heads;
    if (model.head_dim == 0 && model.num_attention_heads > 0 &&
        model.hidden_size % model.num_attention_heads == 0) {
      model.head_dim = model.hidden_size / model.num_attention_heads;
    }
  }
  for (Stage& stage : recipe.stages) {
    if (stage.micro_tokens == 0)
      stage.micro_tokens =
          std::min<int64_t>(stage.tokens_per_step, 1024);  // 0 where neither is a key
    if (stage.kind == StageKind::kGrpo) {
      if (stage.ratio_level == "auto") {
        stage.ratio_level = stage.loss == "gspo" || stage.loss == "luspo" ? "sequence" : "token";
      }
      if (stage.max_len == 0) {
        for (const LengthCap& cap : stage.length_cap) {
          stage.max_len = std::max(stage.max_len, cap.tokens);
        }
      }
    }
    if (stage.kind == StageKind::kEval && recipe.task.name == "chain") {
      if (stage.ops_min == 0) stage.ops_min = recipe.task.ops_min;
      if (stage.ops_max == 0) stage.ops_max = recipe.task.ops_max;
    }
  }
}

Status check_recipe(const Recipe& recipe, const KeyPosition& position) {
  return Checker(recipe, position).run();
}

}  // namespace ponder
