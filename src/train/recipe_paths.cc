#include "train/recipe_paths.h"

#include <fmt/format.h>

#include <filesystem>

#include "train/lineage.h"

namespace ponder {
namespace {

namespace fs = std::filesystem;

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

bool is_model(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error) || is_file(path);
}

class Resolver {
 public:
  Resolver(const RecipeOptions& options, const KeyPosition& position)
      : options_(options), position_(position) {}

  Status resolve(Section section, size_t number, std::string_view key, std::string& path,
                 std::string_view expected, bool (*is_there)(const fs::path&)) const {
    if (path.empty()) return {};
    std::error_code error;
    const fs::path full =
        fs::absolute(fs::path(options_.base_dir) / path, error).lexically_normal();
    if (error || (options_.files_must_exist && !is_there(full))) {
      return not_found(fmt::format("{}: expected {}, got {}, which is not there",
                                   position_(section, number, key), expected, full.string()));
    }
    path = full.string();
    return {};
  }

 private:
  const RecipeOptions& options_;
  const KeyPosition& position_;
};

}  // namespace

Status resolve_paths(Recipe& recipe, const RecipeOptions& options, const KeyPosition& position) {
  if (options.base_dir.empty()) return {};
  const Resolver r(options, position);
  constexpr std::string_view kModel = "a Hugging Face folder or a GGUF file";
  for (size_t i = 0; i <= recipe.models.size(); ++i) {
    ModelSpec& spec = i == 0 ? recipe.model : recipe.models[i - 1].spec;
    RETURN_IF_ERROR(r.resolve(Section::kModel, i, "path", spec.path, kModel, is_model));
  }
  for (size_t i = 0; i < recipe.stages.size(); ++i) {
    Stage& s = recipe.stages[i];
    if (!names_weights(recipe, s.teacher)) {
      RETURN_IF_ERROR(r.resolve(
          Section::kStage, i, "teacher", s.teacher,
          "an earlier stage, a [models.NAME], a Hugging Face folder or a GGUF file", is_model));
    }
    if (!find_stage(recipe, s.data)) {
      RETURN_IF_ERROR(r.resolve(Section::kStage, i, "data", s.data, "a jsonl file", is_file));
    }
  }
  return {};
}

}  // namespace ponder
