// The files that a recipe names.
#pragma once

#include "core/status.h"
#include "train/recipe.h"
#include "train/recipe_check.h"

namespace ponder {

// Makes relative paths absolute from options.base_dir and, if options.files_must_exist, requires the
// files to be there: kNotFound then names the key. Without a base_dir paths stay as they are. What
// `data` and `teacher` name within the recipe is no path. REQUIRES: check_recipe() has passed
Status resolve_paths(Recipe& recipe, const RecipeOptions& options, const KeyPosition& position);

}  // namespace ponder
