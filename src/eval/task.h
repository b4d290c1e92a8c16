// The table of procedural tasks. Training, evaluation and grading all go through it: a GRPO reward
// is a grader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "eval/chain.h"
#include "eval/countdown.h"
#include "eval/problem.h"
#include "eval/reasoner.h"

namespace ponder {

// The settings of every task; each task reads its own part.
struct TaskParams {
  ChainParams chain;
  ChainMixture chain_mixture;
  CountdownParams countdown;
  CountdownMixture countdown_mixture;
  ReasonerParams reasoner;
  ReasonerMixture reasoner_mixture;
};

// All functions are pure: equal arguments, equal results, from any thread. Errors are kInvalid and
// name the key or the byte.
struct Task {
  std::string_view name;
  std::string_view about;  // one line for listings

  Status (*validate)(const TaskParams& params);

  // Problem number `index` of a split. Equal prompts may come back at other indices, never in
  // another split.
  Result<Problem> (*make_problem)(const TaskParams& params, Split split, uint64_t seed,
                                  uint64_t index);

  // A problem that someone typed, or a row of a file. For chain the modulo comes from `params`.
  Result<Problem> (*parse_problem)(const TaskParams& params, std::string_view prompt);

  // Worked example number `index`, of the training split only.
  Result<Example> (*make_example)(const TaskParams& params, uint64_t seed, uint64_t index);

  // Total over arbitrary bytes, linear time. REQUIRES: a problem of this task (make_problem,
  // parse_problem)
  Grade (*grade)(const Problem& problem, std::string_view completion);

  // The share of the thinking's words that are in the problem's language, 0..1; 0 without words; NaN
  // for a problem that is in no language. Null: the task knows no languages.
  double (*language_share)(const Problem& problem, std::string_view completion) = nullptr;
  // Whether somebody can read the thinking: 1 if all of it keeps to the task's grammar, else 0, also
  // where there is none. Null: the task has no grammar.
  double (*readable)(const Problem& problem, std::string_view completion) = nullptr;
};

std::span<const Task> tasks();
const Task* find_task(std::string_view name);  // nullptr if there is none

// `count` problems with different prompts: those of indices 0, 1, 2, ... without repeats. kInvalid
// if the split has fewer (as judged by the draws since the last new one: ten for each problem
// found, and a hundred).
Result<std::vector<Problem>> make_problem_set(const Task& task, const TaskParams& params,
                                              Split split, uint64_t seed, size_t count);

}  // namespace ponder
