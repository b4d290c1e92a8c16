// The answer verifier: does what a model wrote give the gold answer? Extraction included. A pure
// function of its arguments, total over all bytes, bounded in time and memory, safe from any thread.
// docs/grading.md has the rules.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ponder {

struct VerifyOptions {
  // Forms that may be read: formulas (in \boxed, dollar signs, ...) and plain expressions.
  bool latex = true, expressions = true;
  // An answer with at least so many decimals may stand for the exact gold it is rounded from. With
  // round_both, decimals are compared by rounding both sides to it.
  int precision = 6;
  bool round_both = false;
  bool strict = true;                // false: names of symbols do not count, f(x) = f(y)
  bool relation_for_set = true;      // "x > 1" may answer a gold "(1, oo)"
  bool ordered_lists = false;        // "1, 2" is not "2, 1"
  bool need_thinking_end = false;    // an answer without </think> is wrong
  std::vector<std::string> choices;  // texts of the options A, B, C, ...; then the gold is a letter
  std::string question;              // known: a formula copied from it is no answer
};

struct Verdict {
  bool equal = false;
  // A code in static memory. Equal: "same", "rounded", "unit_omitted", "percent", "degrees",
  // "assignment", "choice" ("C. 42", or an option's text, for C). Not equal: "wrong_value", "wrong_unit", "wrong_kind",
  // "wrong_length", "relation_for_set", or why nothing was read: the errors of answer_extract.h and
  // answer_value.h, "bad_gold".
  const char* reason = "no_answer";
  // The class that the answer votes for among answers to this question: the gold's if equal, else
  // its own. Empty: nothing could be read.
  std::string key;
};

Verdict verify(std::string_view gold, std::string_view answer, const VerifyOptions& options = {});

// The class that an answer votes for when no gold is known. Empty: none could be read.
std::string answer_key(std::string_view answer, const VerifyOptions& options = {});

}  // namespace ponder
