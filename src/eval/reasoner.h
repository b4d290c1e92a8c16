// REASONER: questions as a person would type them, in English and Chinese, with solutions that think
// aloud: arithmetic, word problems, comparison, equations, Countdown with three numbers, small logic
// puzzles, and questions that are none of these, whose right answer says so. docs/reasoner.md shows
// each family.
//
// A completion continues a prompt that ends in "<think>\n":
//   THINKING "\n</think>\n" ANSWER        the answer a sentence with \boxed{VALUE}
// Every line of thinking carries along what is still to be done, so that a long problem turns into a
// shorter one line by line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/status.h"
#include "eval/problem.h"

namespace ponder {

struct ReasonerParams {
  // Names separated by spaces, or "all": arithmetic words compare equation countdown logic outside.
  std::string families = "all";
  std::string languages = "all";  // en zh
  // 0: as many steps as in training; 1, 2: so many more than the longest of the family. Countdown
  // and outside have one length only: "all" then leaves them out, and naming them is an error.
  int longer = 0;  // 0..2
};

Status validate(const ReasonerParams& params);

// Problem number `index` of a split: a pure function of its arguments. Families, and languages, are
// equally likely. `gold` is "LANGUAGE FAMILY VALUE"; `difficulty` the number of steps.
Result<Problem> make_reasoner_problem(const ReasonerParams& params, Split split, uint64_t seed,
                                      uint64_t index);

// The same problem with a right completion: what a perfect model would write.
struct ReasonerSolution {
  Problem problem;
  std::string completion;
};
Result<ReasonerSolution> make_reasoner_solution(const ReasonerParams& params, Split split,
                                                uint64_t seed, uint64_t index);

// A question whose answer can be worked out from its text: an expression, alone or in one of the
// phrases that arithmetic questions have. kInvalid: anything else.
Result<Problem> parse_reasoner_prompt(std::string_view prompt);

struct ReasonerMixture {
  double drill = 0;    // single operations as documents of their own, "\n37*6=" and "180+42=222."
  double direct = 0;   // of the rest: short problems answered without thinking
  double check = 0.1;  // of the solutions that have a check: its share
  double earlier = 0;  // of the rest: those with an earlier question and answer before them
};

Status validate(const ReasonerMixture& mixture);

// Example number `index` of the training split: a pure function of its arguments.
Result<Example> make_reasoner_example(const ReasonerParams& params, const ReasonerMixture& mixture,
                                      uint64_t seed, uint64_t index);

// Accuracy: the answer verifier's verdict on what follows </think>; Countdown: grade_countdown() of
// what is in the box; outside: a sentence that says what the model can do, and no box.
// Format 1: some thinking, one </think>, then an answer with one box (outside: none), all of it in
// the question's language. Reasons: those of Verdict and CountdownVerdict, "not_declined" (outside),
// "bad_format", "wrong_language" (right otherwise), "ok". Total over arbitrary bytes.
// REQUIRES: a problem of this task
Grade grade_reasoner(const Problem& problem, std::string_view completion);

// The share of the completion's words that are in the question's language (script_share).
// REQUIRES: a problem of this task
double reasoner_language_share(const Problem& problem, std::string_view completion);

}  // namespace ponder
