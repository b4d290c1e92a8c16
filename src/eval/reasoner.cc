#include "eval/reasoner.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <vector>

#include "eval/answer_tags.h"
#include "eval/answer_verify.h"
#include "eval/countdown.h"
#include "eval/reasoner_language.h"
#include "eval/reasoner_parts.h"

namespace ponder {
namespace {

using reasoner::Puzzle;

struct Family {
  std::string_view name;
  std::optional<Puzzle> (*draw)(Rng& rng, Language language, int steps);
  int min_steps, max_steps;  // of the trained range
  bool has_longer;
  int direct_steps;  // up to here also answered without thinking; -1: never
  double share;      // of the examples
};

constexpr std::array<Family, 7> kFamilies = {{
    {"arithmetic", reasoner::arithmetic, 1, 5, true, 1, 0.21},
    {"words", reasoner::words, 1, 5, true, 1, 0.26},
    {"compare", reasoner::compare, 1, 4, true, 1, 0.11},
    {"equation", reasoner::equation, 1, 4, true, 1, 0.14},
    {"countdown", reasoner::countdown, 2, 2, false, -1, 0.12},
    {"logic", reasoner::logic, 2, 5, true, -1, 0.11},
    {"outside", reasoner::outside, 0, 0, false, 0, 0.05},
}};
constexpr std::string_view kAll = "all";
constexpr std::string_view kThinkEnd = "</think>";
constexpr double kOwnLanguage = 0.95;  // the least share of words in the question's language

const Family* find_family(std::string_view name) {
  const auto found = std::find_if(kFamilies.begin(), kFamilies.end(),
                                  [&](const Family& f) { return f.name == name; });
  return found == kFamilies.end() ? nullptr : &*found;
}

std::vector<std::string_view> split_at_spaces(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t space = std::min(text.find(' '), text.size());
    if (space > 0) out.push_back(text.substr(0, space));
    text.remove_prefix(std::min(space + 1, text.size()));
  }
  return out;
}

// What a draw chooses from.
struct Selection {
  std::vector<const Family*> families;
  std::vector<Language> languages;
};

Language draw_language(Rng& rng, const Selection& of) {
  return of.languages[rng.below(static_cast<uint32_t>(of.languages.size()))];
}

Result<Selection> select(const ReasonerParams& params) {
  Selection out;
  if (params.longer < 0 || params.longer > 2) {
    return invalid(fmt::format("longer: {} is not in 0..2", params.longer));
  }
  for (const std::string_view name : split_at_spaces(params.families)) {
    if (name == kAll) {
      for (const Family& f : kFamilies) {
        if (params.longer == 0 || f.has_longer) out.families.push_back(&f);
      }
      continue;
    }
    const Family* family = find_family(name);
    if (family == nullptr) {
      return invalid(
          fmt::format("families: expected all or some of arithmetic words compare equation "
                      "countdown logic outside, got {}",
                      name));
    }
    if (params.longer > 0 && !family->has_longer) {
      return invalid(fmt::format("longer: {} has one length only; leave it out of families", name));
    }
    out.families.push_back(family);
  }
  if (out.families.empty()) return invalid("families: none are named; expected all or some");
  for (const std::string_view name : split_at_spaces(params.languages)) {
    if (name != kAll && name != "en" && name != "zh") {
      return invalid(fmt::format("languages: expected all, en or zh, got {}", name));
    }
    if (name != "zh") out.languages.push_back(Language::kEnglish);
    if (name != "en") out.languages.push_back(Language::kChinese);
  }
  if (out.languages.empty()) return invalid("languages: none are named; expected all, en or zh");
  return out;
}

Split split_of_puzzle(const Puzzle& puzzle) {
  return split_of(puzzle.split_key.empty() ? puzzle.question : puzzle.split_key);
}

// Longer problems are rarer: they take more tokens and teach the same steps.
int draw_steps(const Family& f, Rng& rng) {
  const int a = rng.between(f.min_steps, f.max_steps);
  return a == f.max_steps ? rng.between(f.min_steps, f.max_steps) : a;
}

Result<Puzzle> draw_puzzle(const Family& family, Language language, int steps, Split split,
                           Rng& rng) {
  for (int i = 0; i < kMaxGeneratorTries; ++i) {
    std::optional<Puzzle> puzzle = family.draw(rng, language, steps);
    if (puzzle && split_of_puzzle(*puzzle) == split) return std::move(*puzzle);
  }
  return invalid(
      fmt::format("families: {} leaves the {} split empty", family.name, split_name(split)));
}

VerifyOptions verify_options() {
  VerifyOptions options;
  options.ordered_lists = true;
  return options;
}

// The key of a right answer: what an answer of the gold alone votes for.
std::string key_of(std::string_view family, std::string_view gold) {
  if (family == "outside") return std::string(gold);
  if (family == "countdown") return std::string(gold.substr(gold.rfind(' ') + 1));
  return verify(gold, fmt::format("\\boxed{{{}}}", gold), verify_options()).key;
}

// A puzzle for an example, the families by their shares; `direct`: one to answer without thinking.
Result<Puzzle> draw_for_example(const Selection& selection, int longer, bool direct,
                                Language language, Rng& rng) {
  const auto share = [&](const Family& f) { return direct && f.direct_steps < 0 ? 0 : f.share; };
  double sum = 0;
  for (const Family* f : selection.families) sum += share(*f);
  const Family* family = selection.families.front();
  double left = rng.uniform() * sum;
  for (const Family* f : selection.families) {
    if (share(*f) == 0) continue;
    family = f;
    left -= share(*f);
    if (left < 0) break;
  }
  const int steps = direct       ? std::max(family->direct_steps, family->min_steps)
                    : longer > 0 ? family->max_steps + longer
                                 : draw_steps(*family, rng);
  return draw_puzzle(*family, language, steps, Split::kTrain, rng);
}

std::string completion_of(const Puzzle& puzzle) {
  return fmt::format("{}{}{}\n{}\n{}", puzzle.thinking, puzzle.check.empty() ? "" : "\n",
                     puzzle.check, kThinkEnd, puzzle.answer);
}

Problem problem_of(const Family& family, Language language, Puzzle puzzle) {
  Problem out;
  out.prompt = std::move(puzzle.question);
  out.gold = fmt::format("{} {} {}", language_name(language), family.name, puzzle.gold);
  out.key = key_of(family.name, puzzle.gold);
  out.difficulty = puzzle.steps;
  return out;
}

Language language_of_gold(std::string_view gold) {
  return gold.starts_with("zh") ? Language::kChinese : Language::kEnglish;
}

// A completion's parts.
struct Parts {
  std::string_view thinking, answer;
  bool has_thinking = false;  // one </think>, with something before it
  std::vector<std::string_view> boxes;
};

// What stands in each \boxed{...} of `text`; a box without an end goes on to the text's end.
std::vector<std::string_view> boxes_in(std::string_view text) {
  constexpr std::string_view kBox = "\\boxed{";
  std::vector<std::string_view> out;
  size_t at = text.find(kBox);
  while (at != std::string_view::npos) {
    const size_t begin = at + kBox.size();
    size_t end = begin;
    for (int depth = 1; end < text.size(); ++end) {
      depth += text[end] == '{' ? 1 : text[end] == '}' ? -1 : 0;
      if (depth == 0) break;
    }
    out.push_back(text.substr(begin, end - begin));
    at = text.find(kBox, end);
  }
  return out;
}

Parts parts_of(std::string_view completion) {
  Parts out;
  const size_t end = completion.find(kThinkEnd);
  out.answer = completion;
  if (end != std::string_view::npos) {
    out.thinking = completion.substr(0, end);
    out.answer = completion.substr(end + kThinkEnd.size());
    out.has_thinking = !trim(out.thinking).empty() &&
                       out.answer.find(kThinkEnd) == std::string_view::npos &&
                       completion.find("<think>") == std::string_view::npos;
  }
  out.boxes = boxes_in(out.answer);
  return out;
}

void grade_value(Grade& grade, std::string_view family, std::string_view gold, const Parts& parts) {
  if (family == "outside") {
    grade.accuracy = parts.boxes.empty() && (reasoner::declines(parts.answer, Language::kEnglish) ||
                                             reasoner::declines(parts.answer, Language::kChinese))
                         ? 1
                         : 0;
    grade.reason = grade.accuracy == 1 ? "ok" : "not_declined";
    grade.has_key = grade.accuracy == 1;
    if (grade.has_key) grade.key = gold;
    return;
  }
  if (family == "countdown") {
    const auto problem = parse_countdown_prompt(gold);
    PONDER_CHECK(problem.ok(), std::string(gold));
    if (parts.boxes.size() != 1) {
      grade.reason = parts.boxes.empty() ? "no_answer" : "many_boxed";
      return;
    }
    CountdownVerdict verdict = grade_countdown(parts.boxes[0], *problem);
    grade.reason = verdict.reason;
    grade.accuracy = verdict.correct ? 1 : 0;
    grade.has_key = verdict.correct || verdict.reason == "wrong_value";
    if (grade.has_key) grade.key = std::move(verdict.value);
    return;
  }
  Verdict verdict = verify(gold, parts.answer, verify_options());
  grade.accuracy = verdict.equal ? 1 : 0;
  grade.reason = verdict.equal ? "ok" : verdict.reason;
  grade.has_key = !verdict.key.empty();
  grade.key = std::move(verdict.key);
}

}  // namespace

Status validate(const ReasonerParams& params) { return select(params).status(); }

Status validate(const ReasonerMixture& m) {
  for (double share : {m.drill, m.direct, m.check, m.earlier}) {
    if (!(share >= 0 && share <= 1)) {
      return invalid(fmt::format("drills, direct, check, earlier: {} is not in 0..1", share));
    }
  }
  return {};
}

Result<ReasonerSolution> make_reasoner_solution(const ReasonerParams& params, Split split,
                                                uint64_t seed, uint64_t index) {
  ASSIGN_OR_RETURN(const Selection selection, select(params));
  Rng rng(seed, hash64(fmt::format("reasoner/{}", split_name(split))), index);
  const Family& family =
      *selection.families[rng.below(static_cast<uint32_t>(selection.families.size()))];
  const Language language = draw_language(rng, selection);
  const int steps = params.longer > 0 ? family.max_steps + params.longer
                                      : rng.between(family.min_steps, family.max_steps);
  ASSIGN_OR_RETURN(Puzzle puzzle, draw_puzzle(family, language, steps, split, rng));
  std::string completion = completion_of(puzzle);
  return ReasonerSolution{problem_of(family, language, std::move(puzzle)), std::move(completion)};
}

Result<Problem> make_reasoner_problem(const ReasonerParams& params, Split split, uint64_t seed,
                                      uint64_t index) {
  ASSIGN_OR_RETURN(ReasonerSolution solution, make_reasoner_solution(params, split, seed, index));
  return std::move(solution.problem);
}

Result<Problem> parse_reasoner_prompt(std::string_view prompt) {
  const auto solved = reasoner::solve_arithmetic(prompt);
  if (!solved) {
    return invalid(
        "reasoner prompt: only the answer of an arithmetic question can be worked out, as "
        "in What is 12+3*(4-1)?");
  }
  Puzzle puzzle;
  puzzle.question = prompt;
  puzzle.gold = fmt::to_string(solved->value);
  puzzle.steps = solved->steps;
  return problem_of(*find_family("arithmetic"), language_of(prompt), std::move(puzzle));
}

Result<Example> make_reasoner_example(const ReasonerParams& params, const ReasonerMixture& mixture,
                                      uint64_t seed, uint64_t index) {
  ASSIGN_OR_RETURN(const Selection selection, select(params));
  RETURN_IF_ERROR(validate(mixture));
  Rng rng(seed, hash64("reasoner/example"), index);
  if (rng.uniform() < mixture.drill) {
    constexpr double kComparisons = 0.12;
    const Language language = draw_language(rng, selection);
    reasoner::Drill drill = rng.uniform() < kComparisons ? reasoner::compare_drill(rng, language)
                                                         : reasoner::drill(rng);
    return Example{std::move(drill.prompt), std::move(drill.completion)};
  }
  const bool direct = rng.uniform() < mixture.direct;
  const Language language = draw_language(rng, selection);
  ASSIGN_OR_RETURN(Puzzle puzzle,
                   draw_for_example(selection, params.longer, direct, language, rng));
  Example out{puzzle.question, direct ? puzzle.answer : "", !direct, {}};
  if (!direct) {
    if (rng.uniform() >= mixture.check) puzzle.check.clear();
    out.completion = completion_of(puzzle);
  }
  if (rng.uniform() < mixture.earlier) {
    ASSIGN_OR_RETURN(const Puzzle before, draw_for_example(selection, 0, true, language, rng));
    out.earlier.emplace_back(before.question, before.answer);
  }
  return out;
}

double reasoner_language_share(const Problem& problem, std::string_view completion) {
  return script_share(completion, language_of_gold(problem.gold));
}

Grade grade_reasoner(const Problem& problem, std::string_view completion) {
  const std::string_view gold = problem.gold;
  const size_t first = gold.find(' '), second = gold.find(' ', first + 1);
  PONDER_CHECK(second != std::string_view::npos, problem.gold);
  const Language language = language_of_gold(gold);
  const std::string_view family = gold.substr(first + 1, second - first - 1);
  const Parts parts = parts_of(completion);
  Grade grade;
  grade_value(grade, family, gold.substr(second + 1), parts);
  const size_t boxes = family == "outside" ? 0 : 1;
  const bool formed =
      parts.has_thinking && parts.boxes.size() == boxes && !trim(parts.answer).empty();
  const bool own = script_share(completion, language) >= kOwnLanguage;
  grade.format = formed && own ? 1 : 0;
  if (grade.accuracy == 1 && grade.format == 0)
    grade.reason = formed ? "wrong_language" : "bad_format";
  return grade;
}

}  // namespace ponder
