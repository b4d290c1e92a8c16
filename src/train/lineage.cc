#include "train/lineage.h"

#include <algorithm>

namespace ponder {

bool trains(StageKind kind) { return kind != StageKind::kReject && kind != StageKind::kEval; }

std::optional<size_t> find_stage(const Recipe& recipe, std::string_view name) {
  for (size_t i = 0; i < recipe.stages.size(); ++i) {
    if (recipe.stages[i].name == name) return i;
  }
  return std::nullopt;
}

std::optional<size_t> find_model(const Recipe& recipe, std::string_view name) {
  if (name == "model") return 0;
  for (size_t i = 0; i < recipe.models.size(); ++i) {
    if (recipe.models[i].name == name) return i + 1;
  }
  return std::nullopt;
}

bool names_weights(const Recipe& recipe, std::string_view name) {
  return find_stage(recipe, name).has_value() || find_model(recipe, name).has_value();
}

const ModelSpec& model_spec(const Recipe& recipe, size_t model) {
  return model == 0 ? recipe.model : recipe.models[model - 1].spec;
}

std::string model_name(const Recipe& recipe, size_t model) {
  return model == 0 ? "model" : "models." + recipe.models[model - 1].name;
}

Weights weights_named(const Recipe& recipe, std::string_view name) {
  if (const std::optional<size_t> stage = find_stage(recipe, name)) {
    return {weights_of(recipe, *stage).model, static_cast<int64_t>(*stage)};
  }
  const std::optional<size_t> model = find_model(recipe, name);
  PONDER_CHECK(model.has_value(), std::string(name));
  return {*model, -1};
}

Weights weights_held(const Recipe& recipe, size_t stage) {
  for (size_t i = stage; i-- > 0;) {
    if (trains(recipe.stages[i].kind)) return weights_named(recipe, recipe.stages[i].name);
  }
  return {};
}

Weights weights_of(const Recipe& recipe, size_t stage) {
  const std::string& from = recipe.stages[stage].from;
  return from.empty() ? weights_held(recipe, stage) : weights_named(recipe, from);
}

Weights weights_at_start(const Recipe& recipe, size_t stage) {
  return stage < recipe.stages.size() && trains(recipe.stages[stage].kind)
             ? weights_of(recipe, stage)
             : weights_held(recipe, stage);
}

bool is_kept(const Recipe& recipe, size_t stage) {
  const Stage& s = recipe.stages[stage];
  // The checkpoints of a stage with lora hold its factors alone.
  const Weights left{weights_of(recipe, stage).model, static_cast<int64_t>(stage)};
  for (size_t i = stage + 1; i < recipe.stages.size(); ++i) {
    if (recipe.stages[i].lora.rank > 0 && weights_of(recipe, i) == left) return true;
  }
  return s.keep_model ||
         std::any_of(recipe.stages.begin(), recipe.stages.end(), [&](const Stage& other) {
           return other.from == s.name || other.teacher == s.name;
         });
}

}  // namespace ponder
