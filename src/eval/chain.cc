#include "eval/chain.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>

#include "eval/answer_tags.h"

namespace ponder {
namespace {

constexpr int kMaxModulo = 1000;  // answers have at most three digits
constexpr int kMaxOps = 64;
constexpr int kTokenNumbers = 97;  // text/symbol_vocab.h has N0 to N96
constexpr std::string_view kOps = "+-*";

int apply(int left, char op, int operand, int modulo) {
  const int value = op == '+' ? left + operand : op == '-' ? left - operand : left * operand;
  return (value % modulo + modulo) % modulo;
}

void append_step(ChainProblem& problem, int left, char op, int operand) {
  problem.answer = apply(left, op, operand, problem.modulo);
  problem.steps.push_back({left, op, operand, problem.answer});
}

std::string prompt_of(const std::vector<ChainStep>& steps, ChainLexicon lexicon) {
  std::string text = chain_number(steps[0].left, lexicon);
  for (const ChainStep& s : steps) {
    text += chain_operator(s.op, lexicon) + chain_number(s.operand, lexicon);
  }
  return text + "=?";
}

ChainLexicon draw_lexicon(Rng& rng) {
  return rng.below(2) == 0 ? ChainLexicon::kWords : ChainLexicon::kTokens;
}

// In digits.
ChainProblem draw_problem(const ChainParams& params, Rng& rng) {
  ChainProblem problem;
  problem.modulo = params.modulo;
  const int ops = rng.between(params.min_ops, params.max_ops);
  int left = rng.between(0, params.modulo - 1);
  for (int i = 0; i < ops; ++i) {
    const char op = kOps[rng.below(static_cast<uint32_t>(kOps.size()))];
    const int operand = rng.between(2, 9);
    append_step(problem, left, op, operand);
    left = problem.answer;
  }
  problem.prompt = prompt_of(problem.steps, ChainLexicon::kDigits);
  return problem;
}

// Chooses the lexicon of each line: the problem's own, but for a share in the other language.
struct Pen {
  ChainLexicon own = ChainLexicon::kDigits;
  double mixed = 0;
  Rng* rng = nullptr;  // none needed if nothing is mixed

  ChainLexicon next() const {
    if (mixed == 0 || own == ChainLexicon::kDigits || rng->uniform() >= mixed) return own;
    return own == ChainLexicon::kWords ? ChainLexicon::kTokens : ChainLexicon::kWords;
  }
};

// Lines of `per_line` operations each; the last one may have fewer.
std::string lines(const std::vector<ChainStep>& steps, size_t per_line, const Pen& pen) {
  std::string text;
  for (size_t i = 0; i < steps.size();) {
    const ChainLexicon lexicon = pen.next();
    text += chain_number(steps[i].left, lexicon);
    const size_t end = std::min(i + per_line, steps.size());
    for (; i < end; ++i) {
      text += chain_operator(steps[i].op, lexicon) + chain_number(steps[i].operand, lexicon);
    }
    text +=
        fmt::format("{}{};", chain_equals(lexicon), chain_number(steps[end - 1].result, lexicon));
  }
  return text;
}

constexpr std::string_view kAgain = "wait check ";

std::string completion_of(const ChainProblem& problem, std::string_view thinking) {
  return tagged_completion(thinking, fmt::to_string(problem.answer));
}

std::string completion_of(const ChainProblem& problem, ChainMode mode, const Pen& pen) {
  const auto& steps = problem.steps;
  switch (mode) {
    case ChainMode::kDirect:
      return completion_of(problem, "");
    case ChainMode::kSkip2:
      return completion_of(problem, lines(steps, 2, pen));
    case ChainMode::kFull:
      return completion_of(problem, lines(steps, 1, pen));
    case ChainMode::kCheck: {
      const std::string first = lines(steps, 1, pen);
      return completion_of(problem, first + std::string(kAgain) + lines(steps, 1, pen) + "so");
    }
  }
  PONDER_CHECK(false, "unknown chain mode");
  return {};
}

std::string completion_with_error(const ChainProblem& problem, Rng& rng, const Pen& pen) {
  std::vector<ChainStep> wrong = problem.steps;
  const size_t bad = rng.below(static_cast<uint32_t>(wrong.size()));
  // Any residue but the right one, each equally likely.
  int value = (wrong[bad].result + rng.between(1, problem.modulo - 1)) % problem.modulo;
  wrong[bad].result = value;
  for (size_t i = bad + 1; i < wrong.size(); ++i) {
    wrong[i].left = value;
    value = wrong[i].result = apply(value, wrong[i].op, wrong[i].operand, problem.modulo);
  }
  std::string text = lines(wrong, 1, pen);
  for (int pass = 0; pass < 2; ++pass) text += std::string(kAgain) + lines(problem.steps, 1, pen);
  return completion_of(problem, text + "so");
}

// "0" or one to three digits without a leading zero; else -1.
int read_number(std::string_view text) {
  if (text.empty() || text.size() > 3 || (text.size() > 1 && text[0] == '0')) return -1;
  int value = 0;
  for (char c : text) {
    if (!is_digit(c)) return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

void make_messy(std::string& completion, Rng& rng) {
  if (rng.below(2) == 0) {
    constexpr std::string_view kEnd = "</think>";
    completion.erase(completion.find(kEnd), kEnd.size());
  } else {
    for (char& c : completion) {
      if (c == ';') c = ' ';
    }
  }
}

// A place of `weights` with probability in proportion to its weight, never one of weight zero.
// REQUIRES: a positive sum
size_t draw_kind(std::span<const double> weights, Rng& rng) {
  double sum = 0;
  for (double weight : weights) sum += weight;
  double left = rng.uniform() * sum;
  size_t kind = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    kind = i;
    if (left < weights[i]) break;
    left -= weights[i];
  }
  return kind;
}

}  // namespace

Status validate(const ChainParams& p) {
  if (p.modulo < 2 || p.modulo > kMaxModulo) {
    return invalid(fmt::format("modulo: {} is not in 2..{}", p.modulo, kMaxModulo));
  }
  if (p.min_ops < 1 || p.min_ops > kMaxOps) {
    return invalid(fmt::format("min_ops: {} is not in 1..{}", p.min_ops, kMaxOps));
  }
  if (p.max_ops < p.min_ops || p.max_ops > kMaxOps) {
    return invalid(
        fmt::format("max_ops: {} is not in {} (min_ops)..{}", p.max_ops, p.min_ops, kMaxOps));
  }
  if (p.two_lexicons && p.modulo > kTokenNumbers) {
    return invalid(
        fmt::format("modulo: {}, but two lexicons name the numbers 0 to {} only; expected "
                    "at most {}",
                    p.modulo, kTokenNumbers - 1, kTokenNumbers));
  }
  return {};
}

Status validate(const ChainMixture& m) {
  double sum = 0;
  for (double weight : {m.drill, m.direct, m.skip2, m.full, m.check}) {
    if (!(weight >= 0) || !std::isfinite(weight)) {
      return invalid(fmt::format("mixture: {} is not a share; expected 0 or more", weight));
    }
    sum += weight;
  }
  if (!(sum > 0) || !std::isfinite(sum)) return invalid("mixture: the shares add up to nothing");
  for (double share : {m.error_share, m.messy_share, m.mixed_share}) {
    if (!(share >= 0 && share <= 1)) {
      return invalid(
          fmt::format("error_share, messy_share, mixed_share: {} is not in 0..1", share));
    }
  }
  return {};
}

Result<ChainProblem> make_chain_problem(const ChainParams& params, Split split, uint64_t seed,
                                        uint64_t index) {
  RETURN_IF_ERROR(validate(params));
  Rng rng(seed, hash64(fmt::format("chain/{}", split_name(split))), index);
  for (int i = 0; i < kMaxGeneratorTries; ++i) {
    ChainProblem problem = draw_problem(params, rng);
    if (split_of(problem.prompt) != split) continue;
    if (params.two_lexicons) {
      problem.lexicon = draw_lexicon(rng);
      problem.prompt = prompt_of(problem.steps, problem.lexicon);
    }
    return problem;
  }
  return invalid(
      fmt::format("max_ops: {} to {} operations modulo {} leave the {} split empty; allow more",
                  params.min_ops, params.max_ops, params.modulo, split_name(split)));
}

Result<ChainProblem> parse_chain_prompt(std::string_view prompt, int modulo) {
  PONDER_CHECK(modulo >= 2 && modulo <= kMaxModulo);
  const ChainLexicon lexicon = chain_lexicon_of(prompt);
  ChainReader in(prompt, lexicon);
  const auto error = [&](std::string_view expected) {
    return invalid(
        fmt::format("chain prompt, byte {}: expected {}, as in 37+8*3-5*7=?", in.at(), expected));
  };
  constexpr std::string_view kNumber = "a number of at most three digits without leading zeros";

  ChainProblem problem;
  problem.prompt = prompt;
  problem.lexicon = lexicon;
  problem.modulo = modulo;
  int left = in.number();
  if (left < 0) return error(kNumber);
  while (const char op = in.operation()) {
    const int operand = in.number();
    if (operand < 0) return error(kNumber);
    if (problem.steps.size() == kMaxOps)
      return error(fmt::format("at most {} operations", kMaxOps));
    append_step(problem, left, op, operand);
    left = problem.answer;
  }
  if (problem.steps.empty()) return error("one of + - *");
  if (!in.take("=?") || !in.done()) return error("one of + - * or a final =?");
  return problem;
}

std::string chain_completion(const ChainProblem& problem, ChainMode mode) {
  return completion_of(problem, mode, {.own = problem.lexicon});
}

std::string chain_check_with_error(const ChainProblem& problem, Rng& rng) {
  return completion_with_error(problem, rng, {.own = problem.lexicon});
}

Example chain_drill(const ChainParams& params, Rng& rng) {
  const int left = rng.between(0, params.modulo - 1);
  const char op = kOps[rng.below(static_cast<uint32_t>(kOps.size()))];
  const int operand = rng.between(2, 9);
  const ChainLexicon lexicon = params.two_lexicons ? draw_lexicon(rng) : ChainLexicon::kDigits;
  std::string prompt =
      chain_number(left, lexicon) + chain_operator(op, lexicon) + chain_number(operand, lexicon);
  prompt += chain_equals(lexicon);
  return {std::move(prompt), chain_number(apply(left, op, operand, params.modulo), lexicon) + ";"};
}

Result<Example> make_chain_example(const ChainParams& params, const ChainMixture& mixture,
                                   uint64_t seed, uint64_t index) {
  RETURN_IF_ERROR(validate(params));
  RETURN_IF_ERROR(validate(mixture));
  Rng rng(seed, hash64("chain/example"), index);
  const std::array<double, 5> weights = {mixture.direct, mixture.skip2, mixture.full, mixture.check,
                                         mixture.drill};
  const size_t kind = draw_kind(weights, rng);
  if (kind == 4) return chain_drill(params, rng);

  ASSIGN_OR_RETURN(const ChainProblem problem,
                   make_chain_problem(params, Split::kTrain, seed, index));
  const auto mode = static_cast<ChainMode>(kind);
  const Pen pen{problem.lexicon, mixture.mixed_share, &rng};
  std::string completion = mode == ChainMode::kCheck && rng.uniform() < mixture.error_share
                               ? completion_with_error(problem, rng, pen)
                               : completion_of(problem, mode, pen);
  const bool is_long = mode == ChainMode::kFull || mode == ChainMode::kCheck;
  if (is_long && rng.uniform() < mixture.messy_share) make_messy(completion, rng);
  return Example{problem.prompt, std::move(completion)};
}

Grade grade_chain(std::string_view completion, int answer) {
  const TaggedAnswer tagged = find_answer(completion);
  Grade grade;
  grade.format = tagged.well_formed ? 1 : 0;
  grade.reason = tagged.reason;
  if (!tagged.has_answer()) return grade;
  const std::string_view text = trim(tagged.answer);
  const int value = read_number(text);
  if (value < 0) {
    grade.reason = "not_a_number";
    return grade;
  }
  grade.has_key = true;
  grade.key = text;
  if (value != answer) {
    grade.reason = "wrong_value";
    return grade;
  }
  grade.accuracy = 1;
  grade.reason = grade.format == 1 ? "ok" : "bad_format";
  return grade;
}

}  // namespace ponder
