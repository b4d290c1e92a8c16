// Problems from a file, with known answers, for a task that nobody generates.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "eval/task.h"

namespace ponder {

// The rows of a jsonl file: "prompt", a string, and "answer", a string or a number; other keys are
// ignored. kInvalid names the file and the line: a row without one of them, an answer that the
// verifier cannot read, no row at all.
Result<std::vector<Problem>> read_problem_file(const std::string& path);

// Grades such problems: accuracy by the verifier (answer_verify.h); format 1 if thinking that was begun
// is ended once and the answer behind it stands in a box; language by its script. Its other functions
// are null.
const Task& verified_task();

}  // namespace ponder
