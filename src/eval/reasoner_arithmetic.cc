// Arithmetic: an expression with + - * / and brackets.
#include <fmt/format.h>

#include <algorithm>

#include "eval/answer_tags.h"
#include "eval/reasoner_expression.h"

namespace ponder::reasoner {
namespace {

constexpr std::string_view kEnglishPhrases[] = {"What is {0}?",
                                                "What is {0}",
                                                "what is {0}?",
                                                "What's {0}?",
                                                "Compute {0}.",
                                                "Compute {0}",
                                                "Calculate {0}.",
                                                "calculate {0}",
                                                "Please calculate {0}.",
                                                "Work out {0}.",
                                                "Evaluate {0}.",
                                                "How much is {0}?",
                                                "how much is {0}",
                                                "Find the value of {0}.",
                                                "Can you compute {0}?",
                                                "Solve {0}.",
                                                "What does {0} equal?",
                                                "What is the result of {0}?",
                                                "Tell me {0}.",
                                                "{0}",
                                                "{0}=",
                                                "{0} =",
                                                "{0}=?",
                                                "{0} = ?"};
constexpr std::string_view kChinesePhrases[] = {
    "计算{0}",           "计算{0}。",       "计算：{0}",         "请计算{0}。",     "请计算：{0}",
    "{0}等于多少？",     "{0}等于多少",     "{0}等于几？",       "{0}是多少？",     "{0}得多少？",
    "{0}的结果是多少？", "{0}=？",          "{0} = ？",          "求{0}的值。",     "求{0}的值",
    "算一下{0}",         "帮我算一下{0}。", "请问{0}等于多少？", "算出{0}的结果。", "口算：{0}"};

std::span<const std::string_view> phrases_of(Language language) {
  if (language == Language::kEnglish) return kEnglishPhrases;
  return kChinesePhrases;
}

char draw_operation(Rng& rng, char before) {
  const double x = rng.uniform();
  const bool after_product = before == '*' || before == '/';
  if (x < 0.36) return '+';
  if (x < 0.70) return '-';
  if (after_product) return x < 0.85 ? '+' : '-';
  return x < 0.91 ? '*' : '/';
}

// A flat row of numbers and operations; divisions are exact by construction.
std::vector<Term> draw_row(Rng& rng, int steps) {
  std::vector<Term> out = {{'n', number(rng, 1, 99)}};
  char before = '+';
  for (int i = 0; i < steps; ++i) {
    const char op = draw_operation(rng, before);
    Term& left = out.back();
    int right = 0;
    if (op == '/') {
      right = rng.between(2, 9);
      left.value = right * (chance(rng, 0.5) ? rng.between(2, 10) : rng.between(2, 99));
    } else if (op == '*') {
      right = rng.between(2, 9);
      if (chance(rng, 0.04)) {  // two digits by two
        left.value = rng.between(11, 31);
        right = rng.between(11, 31);
      } else if (chance(rng, 0.3)) {
        left.value = rng.between(2, 9);
        right = rng.between(2, 99);
      } else if (chance(rng, 0.6)) {
        left.value = rng.between(2, 12);
      }
    } else {
      right = chance(rng, 0.12) ? rng.between(100, 499) : number(rng, 1, 99);
    }
    out.push_back({op, 0});
    out.push_back({'n', right});
    before = op;
  }
  return out;
}

// Puts brackets around one or two neighbouring sums.
void add_brackets(Rng& rng, std::vector<Term>& terms, int pairs) {
  for (int p = 0; p < pairs; ++p) {
    std::vector<size_t> sums;  // places of + and - whose neighbours are numbers
    for (size_t i = 1; i + 1 < terms.size(); ++i) {
      const bool sum = terms[i].op == '+' || terms[i].op == '-';
      if (sum && terms[i - 1].op == 'n' && terms[i + 1].op == 'n') sums.push_back(i);
    }
    if (sums.empty()) return;
    const size_t at = sums[rng.below(static_cast<uint32_t>(sums.size()))];
    // At times three numbers: (a+b-c).
    size_t last = at + 1;
    if (chance(rng, 0.25) && last + 2 < terms.size() && terms[last + 2].op == 'n' &&
        (terms[last + 1].op == '+' || terms[last + 1].op == '-')) {
      last += 2;
    }
    terms.insert(terms.begin() + static_cast<std::ptrdiff_t>(last) + 1, {')', 0});
    terms.insert(terms.begin() + static_cast<std::ptrdiff_t>(at) - 1, {'(', 0});
  }
}

}  // namespace

std::optional<Puzzle> arithmetic(Rng& rng, Language language, int steps) {
  std::vector<Term> terms = draw_row(rng, steps);
  if (steps >= 2) add_brackets(rng, terms, chance(rng, 0.55) ? 0 : steps >= 4 ? 2 : 1);
  const Expression e(std::move(terms));
  // Sums that nothing else needs stay out of brackets of the whole.
  if (const std::string t = e.text(); t.front() == '(' && t.find(')') + 1 == t.size()) return {};
  const auto reduction = reduce_aloud(rng, language, e);
  if (!reduction || (reduction->value < 0 && chance(rng, 0.5))) return {};
  Puzzle out;
  const bool spaced = chance(rng, 0.45);
  const std::string_view times = pick(rng, {"*", "*", "×"});
  const std::string_view over = times == "×" ? "÷" : "/";
  out.question = fill(pick(rng, phrases_of(language)), {e.text(spaced, times, over)});
  out.thinking = steps == 1 ? reduction->lines : fmt::format("{}\n{}", e.text(), reduction->lines);
  const auto& last = reduction->last;
  const std::string undone = undo(last.left, last.op, last.right, reduction->value);
  if (last.left >= 0 && reduction->value >= 0 && last.op != '*') {
    out.check = language == Language::kEnglish ? fmt::format("Check: {}.", undone)
                                               : fmt::format("验算：{}。", undone);
  }
  out.gold = num(reduction->value);
  out.answer = answer_sentence(rng, language, out.gold);
  out.steps = steps;
  return out;
}

Drill drill(Rng& rng) {
  for (;;) {
    const char op = pick(rng, {"+++---**/"})[rng.below(9)];  // sums take longest to learn
    int left = 0, right = 0;
    if (op == '*') {
      left = rng.between(2, 99);
      right = rng.between(2, 9);
      if (chance(rng, 0.3)) left = rng.between(2, 12);
      if (chance(rng, 0.3)) std::swap(left, right);
      if (chance(rng, 0.06)) left = rng.between(11, 31), right = rng.between(11, 31);
    } else if (op == '/') {
      right = rng.between(2, 9);
      left = right * (chance(rng, 0.4) ? rng.between(2, 10) : rng.between(2, 99));
    } else {
      // Small ones first of all: what a sum needs is learnt from them.
      const double size = rng.uniform();
      left = rng.between(0, size < 0.3 ? 9 : size < 0.75 ? 99 : 999);
      right = rng.between(1, size < 0.3 ? 9 : size < 0.9 ? 99 : 499);
      // Differences below zero are rare in solutions.
      if (op == '-' && left < right && chance(rng, 0.8)) std::swap(left, right);
      if (chance(rng, 0.05)) left = -rng.between(1, 99);
    }
    const auto worked = work(left, op, right);
    if (!worked) continue;
    const size_t equals = worked->text.find('=') + 1;
    return {"\n" + worked->text.substr(0, equals), worked->text.substr(equals) + "."};
  }
}

std::optional<Solved> solve_arithmetic(std::string_view question) {
  const auto solve = [](std::string_view text) -> std::optional<Solved> {
    auto e = Expression::parse(text);
    if (!e || e->operations() == 0) return {};
    Solved out;
    out.steps = static_cast<int>(e->operations());
    while (!e->is_number()) {
      if (!e->reduce()) return {};
    }
    out.value = e->value();
    return out;
  };
  constexpr std::string_view kSlot = "{0}";
  for (const Language language : {Language::kEnglish, Language::kChinese}) {
    for (const std::string_view phrase : phrases_of(language)) {
      const size_t slot = phrase.find(kSlot);
      const std::string_view before = phrase.substr(0, slot);
      const std::string_view after = phrase.substr(slot + kSlot.size());
      const std::string_view text = trim(question);
      if (text.size() < before.size() + after.size() || !text.starts_with(before) ||
          !text.ends_with(after)) {
        continue;
      }
      const auto solved =
          solve(text.substr(before.size(), text.size() - before.size() - after.size()));
      if (solved) return solved;
    }
  }
  return {};
}

}  // namespace ponder::reasoner
