// Recipes: any bytes are refused with one line or give a recipe that reads back equal from what is
// written out. The part after a NUL byte is an override, as --set gives it.
#include <string>
#include <string_view>

#include "fuzz.h"
#include "train/plan.h"
#include "train/recipe.h"

namespace ponder {

void plant(const std::string& /*folder*/) {}

void run(std::string_view input) {
  const size_t cut = input.find('\0');
  RecipeOptions options;
  if (cut != std::string_view::npos) options.overrides = {std::string(input.substr(cut + 1))};
  const Result<Recipe> recipe = parse_recipe(input.substr(0, cut), options);
  if (!recipe.ok()) return check_message(recipe.status());
  const std::string written = recipe_to_toml(*recipe);
  const Result<Recipe> again = parse_recipe(written);
  PONDER_CHECK(again.ok(), again.ok() ? "" : again.status().message());
  PONDER_CHECK(*again == *recipe, written);
  if (recipe->model.path.empty()) {
    const Result<PlanShapes> shapes = plan_shapes(*recipe);
    if (!shapes.ok()) return check_message(shapes.status());
    const Plan plan = make_plan(*recipe, *shapes, {.gflops = 100});
    PONDER_CHECK(!plan_text(*recipe, plan).empty());
  }
}

}  // namespace ponder
