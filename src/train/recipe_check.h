// The checks of a recipe that look at more than one key, and the values that follow from others.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "core/status.h"
#include "eval/reasoner.h"
#include "train/recipe_schema.h"

namespace ponder {

// "FILE:LINE:COL: stage.key" of a key, for errors; `stage` counts for Section::kStage, and for
// Section::kModel it is the number of the model (lineage.h).
using KeyPosition = std::function<std::string(Section section, size_t stage, std::string_view key)>;

// Replaces the values that mean "as the others say": num_key_value_heads 0, head_dim 0, ratio_level
// auto, max_len 0, micro_tokens 0 and an evaluation's ops 0. Doing it again changes nothing.
void resolve_recipe(Recipe& recipe);

// ok if the recipe, resolved, can be run. Touches no file.
Status check_recipe(const Recipe& recipe, const KeyPosition& position);

// Longest prompt of the task in tokens of the symbol vocabulary, specials included; `ops_max`
// counts for chain.
int64_t prompt_tokens(const Recipe& recipe, int64_t ops_max);

// The questions of a reasoner task: the stage's choice, or the task's where it makes none.
ReasonerParams reasoner_params(const TaskSpec& task, const Stage& stage);

}  // namespace ponder
