// Finds the answer in what a model wrote.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ponder {

struct ExtractOptions {
  bool latex = true;               // formulas in \boxed, $...$ and the like may be the answer
  bool expressions = true;         // so may plain text and numbers
  bool lenient = false;            // a gold: no rule against guessing applies
  bool need_thinking_end = false;  // without </think> there is no answer
  bool choice = false;             // the answer is a letter: "故选C" says so
};

struct Extracted {
  // Texts that may be the answer, most likely first: the first that is a formula counts; if none is,
  // the first as words.
  std::vector<std::string> candidates;
  // Why there are none, in static memory: "empty", "too_long", "unclosed_thinking",
  // "unclosed_answer", "many_answers", "many_boxed", "unbalanced", "hedged", "question_restated",
  // "no_answer".
  const char* error = nullptr;
};

// In this order: <answer> tags; the last \boxed, with neighbours joined to it by "and" or a comma;
// what follows "the answer is", "####", "答案是" and the like; all of a short text; the last formula
// between dollar signs; the last number. Text up to </think> never counts. Linear time; of a long text
// only the last 16 KiB are read, and beyond 1 MiB it is refused.
Extracted extract_answer(std::string_view text, const ExtractOptions& options);

}  // namespace ponder
