// COUNTDOWN: make a target from all of a few numbers, each used exactly once, with + - * / and
// parentheses. "3 7 12 -> 15".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.h"
#include "core/status.h"
#include "eval/problem.h"

namespace ponder {

// Limits of every problem, generated or read. Within them no exact rational of any expression
// overflows: with k numbers of at most N the parts of every intermediate fraction stay below
// 2^(k-1) N^k < 2^87.
inline constexpr size_t kMaxCountdownNumbers = 8;
inline constexpr int kMaxCountdownNumber = 1000;
inline constexpr int64_t kMaxCountdownTarget = 1'000'000'000;

struct CountdownProblem {
  std::vector<int> numbers;  // in the order of the prompt
  int64_t target = 0;
};

// Ok if there are 1 to 8 numbers in 1..1000 and the target is in 0..10^9; the message names what is
// not.
Status validate(const CountdownProblem& problem);

// "3 7 12 -> 15"
std::string countdown_prompt(const CountdownProblem& problem);
// The reverse, checked by validate(); any white space may separate.
Result<CountdownProblem> parse_countdown_prompt(std::string_view prompt);

struct CountdownParams {
  int min_numbers = 3;  // 2..5
  int max_numbers = 4;  // min_numbers..5
  int max_number = 20;  // 1..1000: numbers are uniform in 1..max_number
  int max_target =
      60;  // 1..10^6: targets are uniform in 1..max_target, those that cannot be made drawn again
  bool integers_only =
      true;  // only problems that can be solved with every intermediate value an integer
};

Status validate(const CountdownParams& params);

// The problem number `index` of a split, always solvable: a pure function of its arguments. The
// split is that of the prompt with its numbers sorted, so one problem in two orders is never in two
// splits. kInvalid for bad params or a split they leave empty.
Result<CountdownProblem> make_countdown_problem(const CountdownParams& params, Split split,
                                                uint64_t seed, uint64_t index);

// An expression that makes the target, in as few parentheses as need be, or none if there is none:
// every expression is tried in exact rationals. `integers_only`: every intermediate value must be
// an integer (negative ones allowed). REQUIRES: a valid problem of at most 5 numbers (five take
// about 10 ms in the worst case)
std::optional<std::string> solve_countdown(const CountdownProblem& problem, bool integers_only);

// A search in words, of the Stream-of-Search kind (Gandhi et al., 2024), then the answer:
//   thinking = { branch "wait " } branch "so"
//   branch   = { line }
//   line     = LEFT OP RIGHT "=" RESULT ";"
//   <think>3+7=10;10+12=22;wait 12-7=5;5*3=15;so</think><answer>(12-7)*3</answer>
// Each branch starts from all the numbers again and takes two of them (or earlier results) a line
// until one is left; its last line gives the target in the last branch and only there. Values are
// integers of 0 or more, division is exact. First lines are drawn at random and never lead twice to
// the same branch; the last line of a branch is the one that comes nearest to the target. After
// `max_dead_ends` branches that miss, the last one is the solver's, so traces of 3 numbers have at
// most 2 (max_dead_ends + 1) lines. None if the problem has no solution in integers. REQUIRES: as
// solve_countdown, and at least 2 numbers
std::optional<std::string> countdown_search(const CountdownProblem& problem, int max_dead_ends,
                                            Rng& rng);

struct CountdownMixture {
  double direct_share = 0.5;  // <think></think><answer>EXPRESSION</answer>; the rest are searches
  int max_dead_ends = 3;      // 0..64
};

Status validate(const CountdownMixture& mixture);

// Example number `index` of the training split: a pure function of its arguments. Problems are
// solvable in integers.
Result<Example> make_countdown_example(const CountdownParams& params,
                                       const CountdownMixture& mixture, uint64_t seed,
                                       uint64_t index);

struct CountdownVerdict {
  bool correct = false;
  // The first that applies of "too_long" (over 200 code points), "empty", "syntax",
  // "wrong_numbers", "division_by_zero", "wrong_value", "equality_wrong", "ok".
  std::string_view reason;
  // The exact value, "15" or "13/4", when the expression was good enough to have one (from
  // "wrong_value" on).
  std::string value;
};

// Grammar, white space allowed between tokens:
//   answer  = sum [ "=" int ]
//   sum     = product { ("+"|"-") product }
//   product = atom { ("*"|"/") atom }
//   atom    = int | "(" sum ")"
//   int     = "0" | digit 1-9 { digit }, of any length
// U+00D7 is *, U+00F7 is /, U+2212 is -. No unary sign. Total over arbitrary bytes and bounded:
// nothing longer than 200 code points (800 bytes) is parsed. REQUIRES: a valid problem
CountdownVerdict grade_countdown(std::string_view expression, const CountdownProblem& problem);

// A whole completion: the expression stands between the answer tags. Reasons: those of
// TaggedAnswer, then those of CountdownVerdict with "empty_answer" for its "empty", then
// "bad_format", "ok". The key is the value of an expression that uses the numbers rightly, so all
// right answers vote together.
Grade grade_countdown_completion(std::string_view completion, const CountdownProblem& problem);

}  // namespace ponder
