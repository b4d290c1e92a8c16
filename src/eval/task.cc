#include "eval/task.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <limits>
#include <string>
#include <unordered_set>

namespace ponder {
namespace {

// Chain: the gold is the answer's digits, which are the key too.

Problem chain_problem(const ChainProblem& chain) {
  const std::string answer = fmt::to_string(chain.answer);
  return {chain.prompt, answer, answer, static_cast<int>(chain.steps.size())};
}

Status validate_chain(const TaskParams& params) {
  RETURN_IF_ERROR(validate(params.chain));
  return validate(params.chain_mixture);
}

Status validate_chain97(const TaskParams& params) {
  if (params.chain.modulo != 97) {
    return invalid(fmt::format("modulo: {}, but chain97 is modulo 97; use the task chain",
                               params.chain.modulo));
  }
  return validate_chain(params);
}

Result<Problem> make_chain(const TaskParams& params, Split split, uint64_t seed, uint64_t index) {
  ASSIGN_OR_RETURN(const ChainProblem chain, make_chain_problem(params.chain, split, seed, index));
  return chain_problem(chain);
}

Result<Problem> parse_chain(const TaskParams& params, std::string_view prompt) {
  RETURN_IF_ERROR(validate(params.chain));
  ASSIGN_OR_RETURN(const ChainProblem chain, parse_chain_prompt(prompt, params.chain.modulo));
  return chain_problem(chain);
}

Result<Example> chain_example(const TaskParams& params, uint64_t seed, uint64_t index) {
  return make_chain_example(params.chain, params.chain_mixture, seed, index);
}

Grade grade_chain_problem(const Problem& problem, std::string_view completion) {
  int answer = -1;
  std::from_chars(problem.gold.data(), problem.gold.data() + problem.gold.size(), answer);
  PONDER_CHECK(answer >= 0, problem.gold);
  return grade_chain(completion, answer);
}

double chain_language(const Problem& problem, std::string_view completion) {
  const ChainLexicon lexicon = chain_lexicon_of(problem.prompt);
  if (lexicon == ChainLexicon::kDigits) return std::numeric_limits<double>::quiet_NaN();
  return chain_language_share(completion, lexicon);
}

double chain_is_readable(const Problem&, std::string_view completion) {
  return chain_readable(completion) ? 1 : 0;
}

// Countdown: the gold is the problem itself, as in the prompt; the key of a right answer is the
// target.

Problem countdown_problem(const CountdownProblem& countdown) {
  const std::string prompt = countdown_prompt(countdown);
  return {prompt, prompt, fmt::to_string(countdown.target),
          static_cast<int>(countdown.numbers.size())};
}

Status validate_countdown(const TaskParams& params) {
  RETURN_IF_ERROR(validate(params.countdown));
  return validate(params.countdown_mixture);
}

Result<Problem> make_countdown(const TaskParams& params, Split split, uint64_t seed,
                               uint64_t index) {
  ASSIGN_OR_RETURN(const CountdownProblem countdown,
                   make_countdown_problem(params.countdown, split, seed, index));
  return countdown_problem(countdown);
}

Result<Problem> parse_countdown(const TaskParams&, std::string_view prompt) {
  ASSIGN_OR_RETURN(const CountdownProblem countdown, parse_countdown_prompt(prompt));
  return countdown_problem(countdown);
}

Result<Example> countdown_example(const TaskParams& params, uint64_t seed, uint64_t index) {
  return make_countdown_example(params.countdown, params.countdown_mixture, seed, index);
}

Grade grade_countdown_problem(const Problem& problem, std::string_view completion) {
  const Result<CountdownProblem> countdown = parse_countdown_prompt(problem.gold);
  return grade_countdown_completion(completion, countdown.value());
}

// Reasoner: the gold is "LANGUAGE FAMILY VALUE".

Status validate_reasoner(const TaskParams& params) {
  RETURN_IF_ERROR(validate(params.reasoner));
  return validate(params.reasoner_mixture);
}

Result<Problem> make_reasoner(const TaskParams& params, Split split, uint64_t seed,
                              uint64_t index) {
  return make_reasoner_problem(params.reasoner, split, seed, index);
}

Result<Problem> parse_reasoner(const TaskParams&, std::string_view prompt) {
  return parse_reasoner_prompt(prompt);
}

Result<Example> reasoner_example(const TaskParams& params, uint64_t seed, uint64_t index) {
  return make_reasoner_example(params.reasoner, params.reasoner_mixture, seed, index);
}

constexpr std::array<Task, 4> kTasks = {{
    {"chain", "arithmetic left to right under a hidden modulus", validate_chain, make_chain,
     parse_chain, chain_example, grade_chain_problem, chain_language, chain_is_readable},
    {"chain97", "chain modulo 97", validate_chain97, make_chain, parse_chain, chain_example,
     grade_chain_problem, chain_language, chain_is_readable},
    {"countdown", "make a target from all of a few numbers", validate_countdown, make_countdown,
     parse_countdown, countdown_example, grade_countdown_problem},
    {"reasoner", "questions in English and Chinese, thought through aloud", validate_reasoner,
     make_reasoner, parse_reasoner, reasoner_example, grade_reasoner, reasoner_language_share},
}};

}  // namespace

std::span<const Task> tasks() { return kTasks; }

const Task* find_task(std::string_view name) {
  for (const Task& task : kTasks) {
    if (task.name == name) return &task;
  }
  return nullptr;
}

Result<std::vector<Problem>> make_problem_set(const Task& task, const TaskParams& params,
                                              Split split, uint64_t seed, size_t count) {
  RETURN_IF_ERROR(task.validate(params));
  std::vector<Problem> problems;
  std::unordered_set<std::string> seen;
  size_t barren = 0;  // draws since the last new prompt
  for (uint64_t index = 0; problems.size() < count; ++index) {
    ASSIGN_OR_RETURN(Problem problem, task.make_problem(params, split, seed, index));
    if (seen.insert(problem.prompt).second) {
      problems.push_back(std::move(problem));
      barren = 0;
    } else if (++barren > 10 * problems.size() + 100) {
      return invalid(fmt::format("{}: only {} different problems found in the {} split, {} wanted",
                                 task.name, problems.size(), split_name(split), count));
    }
  }
  return problems;
}

}  // namespace ponder
