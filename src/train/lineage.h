// Which stage of a recipe works on which weights. All of it follows from the recipe alone, so a run
// that is resumed finds the same models as one that was never stopped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "train/recipe.h"

namespace ponder {

// What stage number `stage` leaves, or (-1) what a model of the recipe begins with.
struct Weights {
  size_t model = 0;  // 0: [model], 1...: [models.NAME] in the recipe's order
  int64_t stage = -1;
  bool operator==(const Weights&) const = default;
};

bool trains(StageKind kind);

std::optional<size_t> find_stage(const Recipe& recipe, std::string_view name);
std::optional<size_t> find_model(const Recipe& recipe, std::string_view name);
// Whether `name` is a stage or a model, as the keys `from` and `teacher` name them.
bool names_weights(const Recipe& recipe, std::string_view name);

const ModelSpec& model_spec(const Recipe& recipe, size_t model);
std::string model_name(const Recipe& recipe, size_t model);  // as errors name its table

// What follows holds for recipes that check_recipe() has passed.

// REQUIRES: names_weights(recipe, name)
Weights weights_named(const Recipe& recipe, std::string_view name);
// What the run holds when `stage` is about to begin: what the newest stage that trains left.
Weights weights_held(const Recipe& recipe, size_t stage);
// What the stage begins with or looks at.
Weights weights_of(const Recipe& recipe, size_t stage);
// What the run holds while the stage runs: of one that trains what it begins with, else as
// weights_held(). `stage` may be the number of stages.
Weights weights_at_start(const Recipe& recipe, size_t stage);
// Whether what the stage leaves is kept in a folder of its own: asked for, named later, or what a
// stage with lora begins with.
bool is_kept(const Recipe& recipe, size_t stage);

}  // namespace ponder
