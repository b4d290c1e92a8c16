// Countdown with three numbers. One number is kept for the end; the target without it says what the
// other two have to make; then they are tried.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "eval/reasoner_parts.h"

namespace ponder::reasoner {
namespace {

constexpr int kLargest = 20;  // of the numbers
constexpr int kMostTarget = 60;

// The other two must make `value`; `pattern` then makes the target of what they make, {0}, and the
// number that was kept, {1}.
struct Need {
  int value = 0;
  std::string_view pattern;
};

// Products and quotients of two numbers above ten are left alone.
bool easy(int a, int b) { return a <= 10 || b <= 10; }

// What two numbers have to make for `target`, given the third; `text` the working.
std::vector<Need> needs(int target, int kept, Language language, std::string& text) {
  std::vector<Need> out;
  const auto add = [&](int left, char op, int right, std::string_view pattern) {
    const auto worked = work(left, op, right);
    if (!worked || worked->result > 400) return;
    if (!text.empty()) text += language == Language::kEnglish ? ", " : "，";
    text += worked->text;
    out.push_back({worked->result, pattern});
  };
  if (target >= kept) {
    add(target, '-', kept, "{0}+{1}");
  } else {
    add(kept, '-', target, "{1}-{0}");
  }
  add(target, '+', kept, "{0}-{1}");
  if (kept > 1 && target % kept == 0) add(target, '/', kept, "{0}*{1}");
  if (kept > 1 && easy(target, kept)) add(target, '*', kept, "{0}/{1}");
  if (target > 1 && kept > target && kept % target == 0) add(kept, '/', target, "{1}/{0}");
  return out;
}

struct Search {
  std::string lines;
  std::string expression;  // empty: nothing found
};

Search search(std::array<int, 3> numbers, int target, Language language) {
  const bool english = language == Language::kEnglish;
  std::sort(numbers.begin(), numbers.end(), std::greater<>());
  Search out;
  for (size_t k = 0; k < 3; ++k) {
    if (k > 0 && numbers[k] == numbers[k - 1]) continue;
    const int kept = numbers[k], a = numbers[k == 0 ? 1 : 0], b = numbers[k == 2 ? 1 : 2];
    std::string wanted;
    const std::vector<Need> list = needs(target, kept, language, wanted);
    if (!out.lines.empty()) out.lines += "\n";
    out.lines += english ? fmt::format("Keep {}: {}.\n{} and {}: ", kept, wanted, a, b)
                         : fmt::format("留{}：{}。\n{}和{}：", kept, wanted, a, b);
    bool first = true;
    for (const char op : {'+', '-', '*', '/'}) {
      if (op == '*' && !easy(a, b)) continue;
      if (op == '/' && (b < 2 || a % b != 0)) continue;
      const auto worked = work(a, op, b);
      if (!worked) continue;
      out.lines += fmt::format("{}{}", first ? "" : english ? ", " : "，", worked->text);
      first = false;
      const auto fits = std::find_if(
          list.begin(), list.end(), [&](const Need& need) { return need.value == worked->result; });
      // Not a division by zero: {1}/{0} needs at least 2, and the others do not divide by {0}.
      if (fits == list.end()) continue;
      out.lines += fmt::format("{}{}={}{}", english ? " fits: " : "，可以：",
                               fill(fits->pattern, {num(worked->result), num(kept)}), target,
                               english ? "." : "。");
      out.expression = fill(fits->pattern, {fmt::format("({}{}{})", a, op, b), num(kept)});
      return out;
    }
    out.lines += english ? ". No." : "。不行。";
  }
  return out;
}

}  // namespace

std::optional<Puzzle> countdown(Rng& rng, Language language, int steps) {
  std::array<int, 3> n{};
  for (int& x : n) x = rng.between(1, chance(rng, 0.5) ? 10 : kLargest);
  const int target = rng.between(2, kMostTarget);
  Search found = search(n, target, language);
  if (found.expression.empty()) return {};
  const std::string list =
      language == Language::kEnglish
          ? fill(pick(rng, {"{0}, {1} and {2}", "{0}, {1}, {2}", "{0} {1} {2}"}),
                 {num(n[0]), num(n[1]), num(n[2])})
          : fill(pick(rng, {"{0}、{1}、{2}", "{0}，{1}，{2}", "{0}、{1}和{2}", "{0} {1} {2}"}),
                 {num(n[0]), num(n[1]), num(n[2])});
  Puzzle out;
  out.question =
      fill(pick(rng, language,
                {"Use {0} to make {1}.", "Make {1} from {0}.", "Use each of {0} once to make {1}.",
                 "Make {1} with the numbers {0}, each used once.",
                 "Using + - * / and each of {0} exactly once, get {1}.",
                 "How can you get {1} from {0}?", "Countdown: {0} -> {1}", "Reach {1} using {0}.",
                 "Combine {0} to get {1}.", "Can you make {1} out of {0}?"},
                {"用{0}凑出{1}。", "用{0}算出{1}。", "用{0}得到{1}，每个数用一次。",
                 "用{0}这三个数和加减乘除得到{1}。", "怎样用{0}算出{1}？", "请用{0}凑成{1}",
                 "数字{0}，目标{1}", "用{0}各一次，使结果等于{1}。", "用数字{0}组成{1}。",
                 "凑{1}：{0}"}),
           {list, num(target)});
  out.thinking = std::move(found.lines);
  out.gold = fmt::format("{} {} {} -> {}", n[0], n[1], n[2], target);
  std::sort(n.begin(), n.end());
  out.split_key = fmt::format("{} {} {} -> {}", n[0], n[1], n[2], target);
  out.answer = answer_sentence(rng, language, found.expression);
  out.steps = steps;
  return out;
}

}  // namespace ponder::reasoner
