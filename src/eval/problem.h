// What every task speaks of: splits, problems, worked examples, grades.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/rng.h"

namespace ponder {

// A problem belongs to one split whatever seed or index finds it: hash64 of its text mod 100 is 0
// for dev, 1 for test and 2..99 for train. So nothing that is trained on is ever asked in an
// evaluation.
enum class Split : uint8_t { kTrain, kDev, kTest };

constexpr Split split_of(std::string_view text) {
  const uint64_t bucket = hash64(text) % 100;
  return bucket == 0 ? Split::kDev : bucket == 1 ? Split::kTest : Split::kTrain;
}

constexpr std::string_view split_name(Split split) {
  return split == Split::kDev ? "dev" : split == Split::kTest ? "test" : "train";
}

// Tries before a generator gives up on a split that its settings leave (nearly) empty.
inline constexpr int kMaxGeneratorTries = 100000;

struct Problem {
  std::string prompt;  // what the model is asked
  std::string gold;    // all that grading needs, in the task's own notation
  std::string key;     // the vote of a right answer (see Grade::key)
  int difficulty = 0;  // chain: operations; countdown: numbers
};

// A prompt with a right completion, for pre-training and fine-tuning. Losses are on the completion.
struct Example {
  std::string prompt;
  std::string completion;
  // Whether the completion begins with thinking that the prompt opens (true) or follows thinking that
  // it closes at once (false); none: the completion marks its thinking itself, or is a drill.
  std::optional<bool> think = {};
  std::vector<std::pair<std::string, std::string>> earlier = {};  // questions and answers before it
};

// What a grader says about one completion. Accuracy and format are independent of each other.
struct Grade {
  int accuracy = 0;         // 1 or 0
  int format = 0;           // 1 or 0: TaggedAnswer::well_formed
  std::string_view reason;  // a code, in static memory: "ok", "bad_format" (right, but not well
                            // formed), "wrong_value", ...
  // The class this answer votes for in cons@k; equal to Problem::key if and only if accuracy is 1.
  // Meaningless without has_key: then nothing could be read from the answer, and it forms no class.
  bool has_key = false;
  std::string key;
};

}  // namespace ponder
