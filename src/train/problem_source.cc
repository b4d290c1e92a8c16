#include "train/problem_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "core/rng.h"
#include "eval/problem_file.h"
#include "model/kv_cache.h"
#include "train/corpus.h"

namespace ponder {

int64_t prompt_room(int64_t tokens) {
  return (tokens + KvCache::kPageKeys - 1) / KvCache::kPageKeys * KvCache::kPageKeys;
}

Result<ProblemSource> ProblemSource::open(const Recipe& recipe, const Stage& stage) {
  ProblemSource out;
  if (!stage.data.empty()) {
    out.task_ = &verified_task();
    out.path_ = stage.data;
    ASSIGN_OR_RETURN(out.rows_, read_problem_file(stage.data));
    return out;
  }
  TaskSpec spec = recipe.task;
  if (stage.ops_min > 0) spec.ops_min = stage.ops_min;
  if (stage.ops_max > 0) spec.ops_max = stage.ops_max;
  if (!stage.families.empty()) spec.families = stage.families;
  if (!stage.languages.empty()) spec.languages = stage.languages;
  if (stage.longer > 0) spec.longer = stage.longer;
  out.task_ = &task_of(recipe);
  out.params_ = task_params(spec, recipe.corpus);
  return out;
}

Result<Problem> ProblemSource::training_problem(uint64_t seed, uint64_t index) const {
  if (rows_.empty()) return task_->make_problem(params_, Split::kTrain, seed, index);
  const uint64_t count = rows_.size(), round = index / count;
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  Rng(seed, hash64("round"), round).shuffle(std::span<uint32_t>(order));
  return rows_[order[index % count]];
}

Result<std::vector<Problem>> ProblemSource::problem_set(Split split, uint64_t seed,
                                                        size_t count) const {
  if (rows_.empty()) return make_problem_set(*task_, params_, split, seed, count);
  if (count > rows_.size()) {
    return invalid(fmt::format("{}: has {} rows; expected at least the {} problems of the stage",
                               path_, rows_.size(), count));
  }
  return std::vector<Problem>(rows_.begin(), rows_.begin() + static_cast<int64_t>(count));
}

Result<int64_t> ProblemSource::room_for(const ChatFormat& format,
                                        std::span<const Problem> problems) {
  size_t longest = 1;
  for (const Problem& problem : problems) {
    ASSIGN_OR_RETURN(const ChatPrompt prompt, format.question(problem.prompt));
    longest = std::max(longest, prompt.ids.size());
  }
  return prompt_room(static_cast<int64_t>(longest));
}

}  // namespace ponder
