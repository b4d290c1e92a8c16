// Sampled evaluation of a task: k answers to each problem, graded, with the estimates of
// eval/estimators.h. Used alike by `ponder eval` and by the evaluation stages of a training run.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"
#include "engine/engine.h"
#include "eval/estimators.h"
#include "eval/task.h"
#include "text/chat_format.h"

namespace ponder {

struct EvalSettings {
  int64_t samples = 1;
  SamplingParams sampling;  // its stop ids and seed included
  uint64_t key = 0;         // of the draws: problem p, sample s is request key + p * samples + s
  std::vector<int64_t> ks;  // pass@k and cons@k to report, each at most `samples`
};

struct EvalSample {
  std::vector<int32_t> tokens;
  std::string text;
  FinishReason finish = FinishReason::kNone;
  Grade grade;
  // As the task says; NaN: it does not.
  double language = std::numeric_limits<double>::quiet_NaN();
  double readable = std::numeric_limits<double>::quiet_NaN();
};

struct EvalRow {
  Problem problem;
  std::vector<EvalSample> samples;
};

struct EvalReport {
  std::vector<EvalRow> rows;
  Estimate pass1;
  std::vector<std::pair<int64_t, Estimate>> pass_at, cons_at;  // by k
  double truncated = 0;                                        // shares of all samples
  double format_rate = 0;
  double length_mean = 0;  // tokens
  // Means over the answers to problems that have one (Task); none: no problem has.
  std::optional<double> language, readable;
  std::map<std::string_view, int64_t> verdicts;  // answers by reason code
};

// Called now and then with the problems finished so far.
using EvalProgress = std::function<void(size_t done, size_t total)>;

// Questions are put as `format` puts them.
Result<EvalReport> evaluate(Engine& engine, const ChatFormat& format, const Task& task,
                            std::span<const Problem> problems, const EvalSettings& settings,
                            const EvalProgress& progress = {});

}  // namespace ponder
