// A recipe written out as TOML, and what follows from a stage's numbers.
#include <fmt/format.h>

#include <string>
#include <variant>

#include "train/recipe.h"
#include "train/recipe_schema.h"

namespace ponder {
namespace {

// -------------------------------------------------------------------------------------------------------------

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string write(int64_t value) { return fmt::format("{}", value); }
std::string write(bool value) { return value ? "true" : "false"; }
std::string write(const std::string& value) { return toml_string(value); }
std::string write(StageKind value) { return toml_string(stage_kind_name(value)); }
std::string write(double value) {
  const std::string text =
      fmt::format("{}", value);  // the shortest that reads back as the same bits
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}
std::string write(const LengthCap& cap) {
  return fmt::format("{{from_step = {}, tokens = {}}}", cap.from_step, cap.tokens);
}
template <typename T>
std::string write(const std::vector<T>& values) {
  std::string out;
  for (const T& value : values) out += (out.empty() ? "" : ", ") + write(value);
  return "[" + out + "]";
}
std::string write(const std::vector<RewardWeight>& weights) {
  std::string out;
  for (const RewardWeight& weight : weights) {
    out += fmt::format("{}{} = ", out.empty() ? "" : ", ", weight.name);
    if (weight.from_step == 0 && weight.until_step == 0) {
      out += write(weight.weight);
      continue;
    }
    out += fmt::format("{{weight = {}, from_step = {}, until_step = {}}}", write(weight.weight),
                       weight.from_step, weight.until_step);
  }
  return "{" + out + "}";
}

std::string write(const LoraSpec& lora) {
  if (lora.rank == 0) return "{}";
  return fmt::format("{{rank = {}, alpha = {}, targets = {}}}", lora.rank, write(lora.alpha),
                     write(lora.targets));
}

std::string write_section(Section section, Recipe& recipe, Stage& stage) {
  std::string out;
  const uint32_t variants = variant_of(section, recipe, stage);
  for (const KeyRow& row : key_table()) {
    if (row.section != section || (row.variants & variants) == 0) continue;
    out +=
        fmt::format("{} = {}\n", row.key,
                    std::visit([](auto* value) { return write(*value); }, row.slot(recipe, stage)));
  }
  return out;
}

}  // namespace

std::string recipe_to_toml(const Recipe& recipe) {
  Recipe copy = recipe;  // slots point into it
  Stage none;
  std::string out = write_section(Section::kTop, copy, none);
  out += "\n[model]\n" + write_section(Section::kModel, copy, none);
  for (const NamedModel& model : recipe.models) {
    copy.model = model.spec;
    out += fmt::format("\n[models.{}]\n", model.name) + write_section(Section::kModel, copy, none);
  }
  for (Section section : {Section::kTokenizer, Section::kTask, Section::kCorpus}) {
    out += fmt::format("\n[{}]\n", section_name(section)) + write_section(section, copy, none);
  }
  for (Stage& stage : copy.stages) {
    out += "\n[[stage]]\n" + write_section(Section::kStage, copy, stage);
  }
  return out;
}

int64_t updates_per_rollout(const Stage& grpo) {
  return grpo.minibatches_per_rollout * grpo.inner_epochs;
}

int64_t rollouts(const Stage& grpo) {
  const int64_t updates = updates_per_rollout(grpo);
  return (grpo.steps + updates - 1) / updates;
}

bool is_in_force(const RewardWeight& reward, int64_t step) {
  return reward.from_step <= step && (reward.until_step == 0 || step < reward.until_step);
}

int64_t length_cap_at(const Stage& grpo, int64_t step) {
  int64_t tokens = 0;
  for (const LengthCap& cap : grpo.length_cap) {
    if (cap.from_step <= step) tokens = cap.tokens;
  }
  return tokens;
}

}  // namespace ponder
