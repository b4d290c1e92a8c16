// What an evaluation found: every answer with its verdict, figures with their errors, the same by
// group of problems, and all of it as JSON. Pure functions of the answers: a run that was killed and
// went on writes the same bytes.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/status.h"
#include "engine/engine.h"
#include "eval/benchmarks.h"
#include "eval/draw_answers.h"
#include "eval/estimators.h"
#include "eval/problem.h"
#include "text/tokenizer.h"

namespace ponder {

// More than this share of an answer's windows repeats an earlier one: it goes round in a loop.
inline constexpr double kLoopShare = 0.5;
inline constexpr int kRepeatWindow = 16;  // tokens

// Of a share that there is none of: the task knows no languages, the problem is in none.
inline constexpr double kNoShare = std::numeric_limits<double>::quiet_NaN();

struct BenchAnswer {
  std::string text;
  FinishReason finish = FinishReason::kNone;
  int64_t tokens = 0, thinking_tokens = 0;
  double repeated = 0;  // share of the windows of kRepeatWindow tokens that were there before
  Grade grade;
  // What the task says of the thinking: its words in the problem's language, whether it can be read.
  double language = kNoShare, readable = kNoShare;
};

struct BenchProblem {
  std::string id, prompt, gold;
  std::string key;  // the vote of a right answer
  int difficulty = 0;
  Groups groups;
  std::vector<BenchAnswer> answers;  // as many for every problem
};

// What a score depends on.
struct BenchConditions {
  std::string bench, data, data_hash;  // data: the file; both empty for a procedural task
  std::vector<std::pair<std::string, std::string>> task;  // its settings
  std::string model, model_hash, template_hash, prompts_hash;
  std::string thinking;  // "forced", "off", "template"
  std::string instruction;
  int64_t problems = 0, samples = 0, max_tokens = 0;
  double temperature = 0, top_p = 0;
  uint64_t seed = 0;
  std::vector<std::string> notes;  // what a reader of the score should know
};

struct KFigures {
  int64_t k = 0;
  Estimate pass, cons;
};

struct BenchGroup {
  std::string label, value;
  int64_t problems = 0;
  Estimate pass1;
  double truncated = 0, tokens_mean = 0;
};

struct BenchFigures {
  Estimate pass1;
  std::vector<KFigures> by_k;  // k = 1, 2, 4, ..., and the number of samples
  // Shares of all answers: that hit the token budget, are well formed, go round in a loop, say nothing
  // that can be read.
  double truncated = 0, format_rate = 0, repetition = 0, unreadable = 0;
  double tokens_mean = 0, thinking_mean = 0, answer_mean = 0;  // tokens
  double language = kNoShare, readable = kNoShare;             // means
  std::vector<BenchGroup> groups;
};

struct BenchRun {
  BenchConditions conditions;
  std::vector<BenchProblem> problems;
  BenchFigures figures;
};

// An answer without its grade. `thinking`: the prompt ended in an open <think>.
BenchAnswer bench_answer(const Drawn& drawn, const Tokenizer& tokenizer, bool thinking);

// kInvalid if a problem has not exactly the samples that were asked for: an average over fewer is no
// pass@1 of this protocol.
Result<BenchFigures> bench_figures(const BenchConditions& conditions,
                                   const std::vector<BenchProblem>& problems);

// What an unfinished run must have in common with the one that goes on with it.
nlohmann::json identity_json(const BenchConditions& conditions);
nlohmann::json run_json(const BenchRun& run);

}  // namespace ponder
