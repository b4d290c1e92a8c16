#include "eval/chain.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <span>

#include "eval/answer_tags.h"

namespace ponder {
namespace {

constexpr int kMaxModulo = 1000;  // answers have at most three digits
constexpr int kMaxOps = 64;
constexpr std::string_view kOps = "+-*";

int apply(int left, char op, int operand, int modulo) {
  const int value = op == '+' ? left + operand : op == '-' ? left - operand : left * operand;
  return (value % modulo + modulo) % modulo;
}

void append_step(ChainProblem& problem, int left, char op, int operand) {
  problem.answer = apply(left, op, operand, problem.modulo);
  problem.steps.push_back({left, op, operand, problem.answer});
}

ChainProblem draw_problem(const ChainParams& params, Rng& rng) {
  ChainProblem problem;
  problem.modulo = params.modulo;
  const int ops = rng.between(params.min_ops, params.max_ops);
  int left = rng.between(0, params.modulo - 1);
  problem.prompt = fmt::to_string(left);
  for (int i = 0; i < ops; ++i) {
    const char op = kOps[rng.below(static_cast<uint32_t>(kOps.size()))];
    const int operand = rng.between(2, 9);
    problem.prompt += fmt::format("{}{}", op, operand);
    append_step(problem, left, op, operand);
    left = problem.answer;
  }
  problem.prompt += "=?";
  return problem;
}

std::string lines(const std::vector<ChainStep>& steps) {
  std::string text;
  for (const ChainStep& s : steps) {
    text += fmt::format("{}{}{}={};", s.left, s.op, s.operand, s.result);
  }
  return text;
}

std::string skip2_lines(const std::vector<ChainStep>& steps) {
  std::string text;
  for (size_t i = 0; i < steps.size(); i += 2) {
    text += fmt::format("{}{}{}", steps[i].left, steps[i].op, steps[i].operand);
    size_t last = i;
    if (i + 1 < steps.size()) {
      last = i + 1;
      text += fmt::format("{}{}", steps[last].op, steps[last].operand);
    }
    text += fmt::format("={};", steps[last].result);
  }
  return text;
}

constexpr std::string_view kAgain = "wait check ";

std::string completion_of(const ChainProblem& problem, std::string_view thinking) {
  return tagged_completion(thinking, fmt::to_string(problem.answer));
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
  for (double share : {m.error_share, m.messy_share}) {
    if (!(share >= 0 && share <= 1)) {
      return invalid(fmt::format("error_share, messy_share: {} is not in 0..1", share));
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
    if (split_of(problem.prompt) == split) return problem;
  }
  return invalid(
      fmt::format("max_ops: {} to {} operations modulo {} leave the {} split empty; allow more",
                  params.min_ops, params.max_ops, params.modulo, split_name(split)));
}

Result<ChainProblem> parse_chain_prompt(std::string_view prompt, int modulo) {
  PONDER_CHECK(modulo >= 2 && modulo <= kMaxModulo);
  size_t at = 0;
  const auto number = [&]() {
    const size_t begin = at;
    while (at < prompt.size() && is_digit(prompt[at])) ++at;
    return read_number(prompt.substr(begin, at - begin));
  };
  const auto error = [&](std::string_view expected) {
    return invalid(
        fmt::format("chain prompt, byte {}: expected {}, as in 37+8*3-5*7=?", at, expected));
  };
  constexpr std::string_view kNumber = "a number of at most three digits without leading zeros";

  ChainProblem problem;
  problem.prompt = prompt;
  problem.modulo = modulo;
  int left = number();
  if (left < 0) return error(kNumber);
  while (at < prompt.size() && kOps.find(prompt[at]) != std::string_view::npos) {
    const char op = prompt[at++];
    const int operand = number();
    if (operand < 0) return error(kNumber);
    if (problem.steps.size() == kMaxOps)
      return error(fmt::format("at most {} operations", kMaxOps));
    append_step(problem, left, op, operand);
    left = problem.answer;
  }
  if (problem.steps.empty()) return error("one of + - *");
  if (prompt.substr(at) != "=?") return error("one of + - * or a final =?");
  return problem;
}

std::string chain_completion(const ChainProblem& problem, ChainMode mode) {
  const auto& steps = problem.steps;
  switch (mode) {
    case ChainMode::kDirect:
      return completion_of(problem, "");
    case ChainMode::kSkip2:
      return completion_of(problem, skip2_lines(steps));
    case ChainMode::kFull:
      return completion_of(problem, lines(steps));
    case ChainMode::kCheck:
      return completion_of(problem, fmt::format("{0}{1}{0}so", lines(steps), kAgain));
  }
  PONDER_CHECK(false, "unknown chain mode");
  return {};
}

std::string chain_check_with_error(const ChainProblem& problem, Rng& rng) {
  std::vector<ChainStep> wrong = problem.steps;
  const size_t bad = rng.below(static_cast<uint32_t>(wrong.size()));
  // Any residue but the right one, each equally likely.
  int value = (wrong[bad].result + rng.between(1, problem.modulo - 1)) % problem.modulo;
  wrong[bad].result = value;
  for (size_t i = bad + 1; i < wrong.size(); ++i) {
    wrong[i].left = value;
    value = wrong[i].result = apply(value, wrong[i].op, wrong[i].operand, problem.modulo);
  }
  return completion_of(
      problem, fmt::format("{0}{1}{2}{1}{2}so", lines(wrong), kAgain, lines(problem.steps)));
}

Example chain_drill(int modulo, Rng& rng) {
  const int left = rng.between(0, modulo - 1);
  const char op = kOps[rng.below(static_cast<uint32_t>(kOps.size()))];
  const int operand = rng.between(2, 9);
  return {fmt::format("{}{}{}=", left, op, operand),
          fmt::format("{};", apply(left, op, operand, modulo))};
}

Result<Example> make_chain_example(const ChainParams& params, const ChainMixture& mixture,
                                   uint64_t seed, uint64_t index) {
  RETURN_IF_ERROR(validate(params));
  RETURN_IF_ERROR(validate(mixture));
  Rng rng(seed, hash64("chain/example"), index);
  const std::array<double, 5> weights = {mixture.direct, mixture.skip2, mixture.full, mixture.check,
                                         mixture.drill};
  const size_t kind = draw_kind(weights, rng);
  if (kind == 4) return chain_drill(params.modulo, rng);

  ASSIGN_OR_RETURN(const ChainProblem problem,
                   make_chain_problem(params, Split::kTrain, seed, index));
  const auto mode = static_cast<ChainMode>(kind);
  std::string completion = mode == ChainMode::kCheck && rng.uniform() < mixture.error_share
                               ? chain_check_with_error(problem, rng)
                               : chain_completion(problem, mode);
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
