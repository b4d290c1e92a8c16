// Which sampled answers are worth learning from: the right ones that are also readable (DeepSeek-R1,
// section 2.3.3: mixed languages and long repetitions are left out).
#pragma once

#include <string_view>

#include "eval/evaluate.h"
#include "train/recipe.h"

namespace ponder {

// Why an answer is not kept, as a word for the counts: "truncated", "wrong", "malformed",
// "unreadable", "repetitive", "mixed_language", "short" or "long", the first that holds under the stage's settings; empty if it is
// kept.
std::string_view drop_reason(const Stage& stage, const Task& task, const Problem& problem,
                             const EvalSample& sample);

}  // namespace ponder
