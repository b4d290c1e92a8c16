#include "eval/countdown.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>

#include "eval/answer_tags.h"
#include "eval/rational.h"

namespace ponder {
namespace {

constexpr int kMaxGeneratedNumbers = 5;
constexpr int kMaxGeneratedTarget = 1'000'000;
constexpr int kMaxDeadEnds = 64;
constexpr int kMaxSolverTries = 2000;  // unsolvable draws before a generator gives up

// A value and how it was made. binding: 0 for a number, 1 for a product or quotient, 2 for a sum or
// difference.
struct Item {
  Rational value;
  std::string text;
  int binding = 0;
};

std::string parenthesised(const Item& item, bool needed) {
  return needed ? "(" + item.text + ")" : item.text;
}

// a op b with the fewest parentheses that keep the value. REQUIRES: no division by zero
Item combine(const Item& a, char op, const Item& b) {
  const bool product = op == '*' || op == '/';
  const bool left = product && a.binding == 2;
  const bool right = op == '+'   ? false
                     : op == '*' ? b.binding == 2
                     : op == '-' ? b.binding == 2
                                 : b.binding > 0;
  return {apply(a.value, op, b.value),
          fmt::format("{}{}{}", parenthesised(a, left), op, parenthesised(b, right)),
          product ? 1 : 2};
}

std::vector<Item> items_of(const CountdownProblem& problem) {
  std::vector<Item> items;
  for (int number : problem.numbers) items.push_back({{number, 1}, fmt::to_string(number), 0});
  return items;
}

// The items without i and j and with `made` in the place of i. REQUIRES: i < j
template <typename T>
std::vector<T> merged(const std::vector<T>& items, size_t i, size_t j, T made) {
  std::vector<T> rest = items;
  rest[i] = std::move(made);
  rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(j));
  return rest;
}

// One way of joining two of the items: a op b, where a and b are places in the list.
struct Move {
  size_t a = 0, b = 0;
  char op = '+';
};

// Every way that can be told apart from the others, in a fixed order: + and * once for a pair, -
// and / both ways round.
template <typename Visit>
bool any_move(const std::vector<Rational>& values, bool integers_only, Visit visit) {
  for (size_t i = 0; i < values.size(); ++i) {
    for (size_t j = i + 1; j < values.size(); ++j) {
      for (const Move& move : {Move{i, j, '+'}, Move{i, j, '*'}, Move{i, j, '-'}, Move{j, i, '-'},
                               Move{i, j, '/'}, Move{j, i, '/'}}) {
        if (move.op == '/' && values[move.b].is_zero()) continue;
        const Rational value = apply(values[move.a], move.op, values[move.b]);
        if (integers_only && !value.is_integer()) continue;
        if (visit(move, value)) return true;
      }
    }
  }
  return false;
}

// Depth first; on success the moves are in `path`, each in terms of the list that the moves before
// it left. The depth is that of the list: at most kMaxGeneratedNumbers.
bool search(const std::vector<Rational>& values, const Rational& target, bool integers_only,
            bool nonnegative_only, std::vector<Move>& path) {
  if (values.size() == 1) return values[0] == target;
  return any_move(values, integers_only, [&](const Move& move, const Rational& value) {
    if (nonnegative_only && value.num < 0) return false;
    path.push_back(move);
    const auto rest = merged(values, std::min(move.a, move.b), std::max(move.a, move.b), value);
    if (search(rest, target, integers_only, nonnegative_only, path)) return true;
    path.pop_back();
    return false;
  });
}

std::vector<Rational> values_of(const std::vector<Item>& items) {
  std::vector<Rational> values;
  for (const Item& item : items) values.push_back(item.value);
  return values;
}

void play(std::vector<Item>& items, const Move& move) {
  Item made = combine(items[move.a], move.op, items[move.b]);
  items = merged(items, std::min(move.a, move.b), std::max(move.a, move.b), std::move(made));
}

std::string line_of(const std::vector<Item>& items, const Move& move) {
  const Rational& a = items[move.a].value;
  const Rational& b = items[move.b].value;
  return fmt::format("{}{}{}={};", a.text(), move.op, b.text(), apply(a, move.op, b).text());
}

// All moves that give an integer of 0 or more.
std::vector<Move> plain_moves(const std::vector<Item>& items) {
  std::vector<Move> moves;
  any_move(values_of(items), /*integers_only=*/true, [&](const Move& move, const Rational& value) {
    if (value.num >= 0) moves.push_back(move);
    return false;
  });
  return moves;
}

struct Branch {
  std::string lines;
  Item result;
};

// A branch as a searcher without a plan would try it: random moves, then the last one that comes
// nearest to the target.
Branch random_branch(const CountdownProblem& problem, Rng& rng) {
  std::vector<Item> items = items_of(problem);
  Branch branch;
  while (items.size() > 1) {
    const std::vector<Move> moves = plain_moves(items);  // never empty: sums always are
    Move chosen = moves[rng.below(static_cast<uint32_t>(moves.size()))];
    if (items.size() == 2) {
      const auto distance = [&](const Move& move) {
        const auto d =
            apply(items[move.a].value, move.op, items[move.b].value).num - problem.target;
        return d < 0 ? -d : d;
      };
      chosen = *std::min_element(moves.begin(), moves.end(), [&](const Move& x, const Move& y) {
        return distance(x) < distance(y);
      });
    }
    branch.lines += line_of(items, chosen);
    play(items, chosen);
  }
  branch.result = items[0];
  return branch;
}

CountdownProblem draw_problem(const CountdownParams& params, Rng& rng) {
  CountdownProblem problem;
  const int count = rng.between(params.min_numbers, params.max_numbers);
  for (int i = 0; i < count; ++i) problem.numbers.push_back(rng.between(1, params.max_number));
  problem.target = rng.between(1, params.max_target);
  return problem;
}

Split split_of_problem(CountdownProblem problem) {
  std::sort(problem.numbers.begin(), problem.numbers.end());
  return split_of(countdown_prompt(problem));
}

bool read_int(std::string_view& text, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

}  // namespace

Status validate(const CountdownProblem& problem) {
  if (problem.numbers.empty() || problem.numbers.size() > kMaxCountdownNumbers) {
    return invalid(fmt::format("numbers: {} of them; expected 1 to {}", problem.numbers.size(),
                               kMaxCountdownNumbers));
  }
  for (int number : problem.numbers) {
    if (number < 1 || number > kMaxCountdownNumber) {
      return invalid(fmt::format("numbers: {} is not in 1..{}", number, kMaxCountdownNumber));
    }
  }
  if (problem.target < 0 || problem.target > kMaxCountdownTarget) {
    return invalid(fmt::format("target: {} is not in 0..{}", problem.target, kMaxCountdownTarget));
  }
  return {};
}

std::string countdown_prompt(const CountdownProblem& problem) {
  return fmt::format("{} -> {}", fmt::join(problem.numbers, " "), problem.target);
}

Result<CountdownProblem> parse_countdown_prompt(std::string_view prompt) {
  const auto error = [] {
    return invalid("countdown prompt: expected numbers and a target, as in 3 7 12 -> 15");
  };
  CountdownProblem problem;
  std::string_view text = trim(prompt);
  int64_t value = 0;
  while (!text.starts_with("->")) {
    if (!read_int(text, value)) return error();
    if (value < 1 || value > kMaxCountdownNumber ||
        problem.numbers.size() == kMaxCountdownNumbers) {
      return invalid(fmt::format("countdown prompt: expected at most {} numbers in 1..{}",
                                 kMaxCountdownNumbers, kMaxCountdownNumber));
    }
    problem.numbers.push_back(static_cast<int>(value));
    text = trim(text);
  }
  text = trim(text.substr(2));
  if (!read_int(text, problem.target) || !text.empty()) return error();
  RETURN_IF_ERROR(validate(problem).with_prefix("countdown prompt"));
  return problem;
}

Status validate(const CountdownParams& p) {
  const auto check = [](const char* key, int value, int lo, int hi) {
    if (value >= lo && value <= hi) return Status();
    return invalid(fmt::format("{}: {} is not in {}..{}", key, value, lo, hi));
  };
  RETURN_IF_ERROR(check("min_numbers", p.min_numbers, 2, kMaxGeneratedNumbers));
  RETURN_IF_ERROR(check("max_numbers", p.max_numbers, p.min_numbers, kMaxGeneratedNumbers));
  RETURN_IF_ERROR(check("max_number", p.max_number, 1, kMaxCountdownNumber));
  return check("max_target", p.max_target, 1, kMaxGeneratedTarget);
}

Result<CountdownProblem> make_countdown_problem(const CountdownParams& params, Split split,
                                                uint64_t seed, uint64_t index) {
  RETURN_IF_ERROR(validate(params));
  Rng rng(seed, hash64(fmt::format("countdown/{}", split_name(split))), index);
  int solver_tries = 0;
  for (int i = 0; i < kMaxGeneratorTries && solver_tries < kMaxSolverTries; ++i) {
    CountdownProblem problem = draw_problem(params, rng);
    if (split_of_problem(problem) != split) continue;
    if (solve_countdown(problem, params.integers_only)) return problem;
    ++solver_tries;
  }
  return invalid(fmt::format(
      "max_target: {} to {} numbers up to {} make too few targets up to {} in the {} split",
      params.min_numbers, params.max_numbers, params.max_number, params.max_target,
      split_name(split)));
}

std::optional<std::string> solve_countdown(const CountdownProblem& problem, bool integers_only) {
  PONDER_CHECK(validate(problem).ok() && problem.numbers.size() <= kMaxGeneratedNumbers);
  std::vector<Item> items = items_of(problem);
  std::vector<Move> path;
  if (!search(values_of(items), {problem.target, 1}, integers_only, false, path)) return {};
  for (const Move& move : path) play(items, move);
  return items[0].text;
}

std::optional<std::string> countdown_search(const CountdownProblem& problem, int max_dead_ends,
                                            Rng& rng) {
  PONDER_CHECK(validate(problem).ok() && problem.numbers.size() >= 2 &&
               problem.numbers.size() <= kMaxGeneratedNumbers);
  // Signs can always be pushed to the root, so a solution in integers has one without negative
  // values.
  std::vector<Move> path;
  std::vector<Item> items = items_of(problem);
  if (!search(values_of(items), {problem.target, 1}, true, true, path)) return {};

  std::string thinking;
  std::vector<std::string> tried;
  constexpr int kDrawsPerBranch = 4;  // a small problem may not have so many different branches
  for (int draw = 0; draw < max_dead_ends * kDrawsPerBranch; ++draw) {
    if (static_cast<int>(tried.size()) == max_dead_ends) break;
    Branch branch = random_branch(problem, rng);
    if (branch.result.value == Rational{problem.target, 1}) {
      return tagged_completion(thinking + branch.lines + "so", branch.result.text);
    }
    if (std::find(tried.begin(), tried.end(), branch.lines) != tried.end()) continue;
    thinking += branch.lines + "wait ";
    tried.push_back(std::move(branch.lines));
  }
  for (const Move& move : path) {
    thinking += line_of(items, move);
    play(items, move);
  }
  return tagged_completion(thinking + "so", items[0].text);
}

Status validate(const CountdownMixture& mixture) {
  if (!(mixture.direct_share >= 0 && mixture.direct_share <= 1)) {
    return invalid(fmt::format("direct_share: {} is not in 0..1", mixture.direct_share));
  }
  if (mixture.max_dead_ends < 0 || mixture.max_dead_ends > kMaxDeadEnds) {
    return invalid(
        fmt::format("max_dead_ends: {} is not in 0..{}", mixture.max_dead_ends, kMaxDeadEnds));
  }
  return {};
}

Result<Example> make_countdown_example(const CountdownParams& params,
                                       const CountdownMixture& mixture, uint64_t seed,
                                       uint64_t index) {
  RETURN_IF_ERROR(validate(mixture));
  CountdownParams integers = params;
  integers.integers_only = true;  // traces show integers
  ASSIGN_OR_RETURN(const CountdownProblem problem,
                   make_countdown_problem(integers, Split::kTrain, seed, index));
  Rng rng(seed, hash64("countdown/example"), index);
  const bool direct = rng.uniform() < mixture.direct_share;
  const std::optional<std::string> solution = solve_countdown(problem, true);
  const std::optional<std::string> completion =
      direct ? tagged_completion("", *solution)
             : countdown_search(problem, mixture.max_dead_ends, rng);
  PONDER_CHECK(completion.has_value());
  return Example{countdown_prompt(problem), *completion};
}

}  // namespace ponder
