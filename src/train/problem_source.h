// Where a stage's problems come from: the recipe's task, or a file.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/status.h"
#include "eval/task.h"
#include "text/chat_format.h"
#include "train/recipe.h"

namespace ponder {

// Positions to set aside for prompts of up to so many tokens: whole pages of the cache.
int64_t prompt_room(int64_t tokens);

class ProblemSource {
 public:
  // Of a stage's `data` if it names a file, else of the recipe's task.
  static Result<ProblemSource> open(const Recipe& recipe, const Stage& stage);

  const Task& task() const { return *task_; }

  // Problem number `index` to train on: a pure function of its arguments. Rows of a file come in
  // another order each time round.
  Result<Problem> training_problem(uint64_t seed, uint64_t index) const;

  // The first `count` different problems to evaluate on: of a split, or of a file. kInvalid if there
  // are fewer.
  Result<std::vector<Problem>> problem_set(Split split, uint64_t seed, size_t count) const;

  // prompt_room() of the longest prompt, as `format` puts it.
  static Result<int64_t> room_for(const ChatFormat& format, std::span<const Problem> problems);

 private:
  const Task* task_ = nullptr;
  TaskParams params_;
  std::string path_;
  std::vector<Problem> rows_;  // of the file
};

}  // namespace ponder
