// The rewards that a grpo stage can weigh: one row of a table each. A new reward is a function in
// rewards.cc, its row there, and its name in the `rewards` row of train/recipe_schema.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/status.h"
#include "eval/task.h"

namespace ponder {

// One answer and what is known of it. Views and references are of the caller.
struct RewardInput {
  const Task& task;
  const Problem& problem;
  std::string_view completion;
  std::span<const int32_t> tokens;  // of the completion, with its stop token
  const Grade& grade;
  int64_t length_cap = 1;       // tokens that an answer may have, at least 1
  int64_t overlong_window = 0;  // the last so many of them are penalised by `overlong`
};

struct Reward {
  std::string_view name;
  std::string_view about;  // one line for listings
  double (*value)(const RewardInput& input);
  // Whether answers of the task can be given it; null: of every task.
  bool (*fits)(const Task& task) = nullptr;
};

std::span<const Reward> rewards();
const Reward* find_reward(std::string_view name);  // nullptr if there is none

// The reward's value; kInvalid, naming the reward, the prompt and the answer, if it is not a finite
// number. REQUIRES: the reward fits the task
Result<double> reward_value(const Reward& reward, const RewardInput& input);

}  // namespace ponder
