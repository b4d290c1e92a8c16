#include "train/answer_filter.h"

#include <cmath>

#include "eval/estimators.h"
#include "eval/reasoner_language.h"

namespace ponder {

namespace {

// By the task's own words, or by their script; NaN: the question is in no language.
double language_share(const Task& task, const Problem& problem, const std::string& text) {
  if (task.language_share != nullptr) return task.language_share(problem, text);
  return script_share(text, language_of(problem.prompt));
}

}  // namespace

std::string_view drop_reason(const Stage& s, const Task& task, const Problem& problem,
                             const EvalSample& sample) {
  const auto length = static_cast<int64_t>(sample.tokens.size());
  const int ngram = static_cast<int>(s.repetition_ngram);
  if (sample.finish == FinishReason::kLength) return "truncated";
  if (sample.grade.accuracy != 1) return "wrong";
  if (s.well_formed && sample.grade.format != 1) return "malformed";
  if (s.readable && task.readable != nullptr && task.readable(problem, sample.text) != 1) {
    return "unreadable";
  }
  if (-repetition_reward(sample.tokens, ngram, -1.0) > s.max_repetition) return "repetitive";
  const double language = s.min_language > 0 ? language_share(task, problem, sample.text) : 1;
  if (!std::isnan(language) && language < s.min_language) return "mixed_language";
  if (length < s.min_length) return "short";
  if (s.max_length > 0 && length > s.max_length) return "long";
  return "";
}

}  // namespace ponder
