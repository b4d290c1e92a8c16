// CHAIN: "37+8*3-5*7=?", evaluated strictly left to right, every result reduced modulo a prime that
// the prompt does not name. Modulo 97 ("chain97") answers are close to uniform, so guessing earns
// 1%.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.h"
#include "core/status.h"
#include "eval/chain_lexicon.h"
#include "eval/problem.h"

namespace ponder {

struct ChainParams {
  int modulo = 97;  // 2..1000
  int min_ops = 3;  // 1..64
  int max_ops = 6;  // min_ops..64
  bool two_lexicons =
      false;  // half of the prompts in words, half in number tokens; modulo at most 97
};

// Ok if the values are within the ranges above; the message names the key.
Status validate(const ChainParams& params);

struct ChainStep {
  int left = 0;
  char op = '+';  // + - *
  int operand = 0;
  int result = 0;  // 0..modulo-1
};

struct ChainProblem {
  std::string prompt;
  ChainLexicon lexicon = ChainLexicon::kDigits;
  int modulo = 0;
  int answer = 0;                // 0..modulo-1: the last step's result
  std::vector<ChainStep> steps;  // one per operation
};

// The problem number `index` of a split: a pure function of its arguments. Operations are uniform
// in min_ops..max_ops and over + - *, operands in 2..9, the first number in 0..modulo-1. Prompts
// may repeat between indices, never between splits; in whichever lexicon, a problem belongs to the
// split of its digits. kInvalid for bad params or a split that they leave empty.
Result<ChainProblem> make_chain_problem(const ChainParams& params, Split split, uint64_t seed,
                                        uint64_t index);

// Reads "NUMBER{OP NUMBER}=?", in any lexicon, with 1 to 64 operations and numbers of up to three digits without
// leading zeros. REQUIRES: modulo in 2..1000
Result<ChainProblem> parse_chain_prompt(std::string_view prompt, int modulo);

enum class ChainMode : uint8_t {
  kDirect,  // <think></think><answer>37</answer>
  kSkip2,   // two operations a line, an odd last one alone: <think>37+8*3=38;38-5*7=37;</think>...
  kFull,    // one operation a line: <think>37+8=45;45*3=38;38-5=33;33*7=37;</think>...
  kCheck,   // the lines of kFull, "wait check ", the same lines again, "so"
};

// In the problem's lexicon.
std::string chain_completion(const ChainProblem& problem, ChainMode mode);

// A check trace whose first pass goes wrong: one of its results is off and the lines after it carry
// the error on; the second pass is right and disagrees, a third confirms it. The answer is right.
// It teaches revision, not just repetition.
std::string chain_check_with_error(const ChainProblem& problem, Rng& rng);

// One fact as a document of its own, "37+8=" and "45;": 24 facts per residue, drawn uniformly; with two
// lexicons half of the documents in each.
Example chain_drill(const ChainParams& params, Rng& rng);

// Shares of what pre-training shows. Weights are relative to their sum, which must be above zero.
struct ChainMixture {
  double drill = 0.15;
  double direct = 0.85 * 0.70;
  double skip2 = 0.85 * 0.08;
  double full = 0.85 * 0.16;
  double check = 0.85 * 0.06;
  double error_share = 0.30;  // of the check traces: the first pass goes wrong
  double messy_share = 0.0;   // of the full and check traces: badly formatted, half without
                              // </think>, half with spaces for ';'
  double mixed_share = 0.0;   // of the lines of thinking, with two lexicons: not in the prompt's
};

Status validate(const ChainMixture& mixture);

// Example number `index` of the training split: a pure function of its arguments.
Result<Example> make_chain_example(const ChainParams& params, const ChainMixture& mixture,
                                   uint64_t seed, uint64_t index);

// Accuracy 1 if the answer between the tags, trimmed, is "0" or one to three digits without a
// leading zero and equals `answer` (not modulo anything). Reasons: those of TaggedAnswer,
// "not_a_number", "wrong_value", "bad_format", "ok". The steps are not checked. Total over
// arbitrary bytes, linear time. The key is the number's text.
Grade grade_chain(std::string_view completion, int answer);

}  // namespace ponder
