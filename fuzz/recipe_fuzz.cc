// Recipes: any bytes are refused with one line or give a recipe that reads back equal from what is
// written out. The part after a NUL byte is an override, as --set gives it.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "train/plan.h"
#include "train/recipe.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ponder;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t cut = input.find('\0');
  RecipeOptions options;
  if (cut != std::string_view::npos) options.overrides = {std::string(input.substr(cut + 1))};
  const Result<Recipe> recipe = parse_recipe(input.substr(0, cut), options);
  if (!recipe.ok()) {
    const std::string& message = recipe.status().message();
    PONDER_CHECK(!message.empty() && message.find('\n') == std::string::npos, message);
    return 0;
  }
  const std::string written = recipe_to_toml(*recipe);
  const Result<Recipe> again = parse_recipe(written);
  PONDER_CHECK(again.ok(), again.ok() ? "" : again.status().message());
  PONDER_CHECK(*again == *recipe, written);
  if (recipe->model.path.empty()) {
    const Plan plan = make_plan(*recipe, shape_of(recipe->model), {.gflops = 100});
    PONDER_CHECK(!plan_text(*recipe, plan).empty());
  }
  return 0;
}
