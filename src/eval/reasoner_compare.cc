// Comparison and ordering of numbers and of the values of expressions.
#include <fmt/format.h>

#include <algorithm>

#include "eval/reasoner_expression.h"

namespace ponder::reasoner {
namespace {

// A value and how the question writes it.
struct Item {
  int value = 0;
  std::string text;
};

std::string joined(std::span<const Item> items, std::string_view separator) {
  std::string out;
  for (const Item& item : items) {
    if (!out.empty()) out += separator;
    out += item.text;
  }
  return out;
}

// Different numbers, often close to one another.
std::vector<Item> draw_numbers(Rng& rng, size_t count) {
  const int most = chance(rng, 0.5) ? 99 : 999;
  const int least = chance(rng, 0.15) ? -most : 1;
  const int base = rng.between(std::max(1, least), most - 40);
  const bool close = least > 0 && chance(rng, 0.4);
  std::vector<Item> out;
  while (out.size() < count) {
    const int value = close ? base + rng.between(0, 40) : rng.between(least, most);
    const bool known =
        std::any_of(out.begin(), out.end(), [&](const Item& item) { return item.value == value; });
    if (value != 0 && !known) out.push_back({value, num(value)});
  }
  return out;
}

// Picks the first of the order again and again, and carries along what is left.
void sort_aloud(Language language, std::vector<Item>& items, bool descending, size_t wanted,
                std::string& lines, std::vector<Item>& order) {
  const bool english = language == Language::kEnglish;
  const std::string_view best =
      english ? (descending ? "Largest" : "Smallest") : (descending ? "最大" : "最小");
  while (order.size() < wanted) {
    const auto found =
        std::min_element(items.begin(), items.end(), [&](const Item& a, const Item& b) {
          return descending ? a.value > b.value : a.value < b.value;
        });
    order.push_back(*found);
    items.erase(found);
    if (!lines.empty()) lines += "\n";
    lines += fmt::format("{}{}{}", best, english ? ": " : "：", order.back().text);
    if (!items.empty() && order.size() < wanted) {
      lines += english ? fmt::format(". Left: {}.", joined(items, ", "))
                       : fmt::format("。剩下：{}。", joined(items, ","));
    } else {
      lines += english ? "." : "。";
    }
  }
}

std::string answer_of(Rng& rng, Language language, std::string_view value, bool list) {
  if (list) {
    return fill(pick(rng, language, {"The order is \\boxed{{{0}}}."}, {"顺序是\\boxed{{{0}}}。"}),
                {std::string(value)});
  }
  return answer_sentence(rng, language, value);
}

std::optional<Puzzle> numbers(Rng& rng, Language language, int steps) {
  const auto count = static_cast<size_t>(steps) + 1;
  std::vector<Item> items = draw_numbers(rng, count);
  const bool descending = chance(rng, 0.5);
  const bool ordered = count > 2 && chance(rng, 0.6);
  const std::string list = joined(
      items, count == 2 ? pick(rng, language, {" or ", " or ", " and "}, {"和", "还是", "和"})
                        : pick(rng, language, {", ", ", ", " "}, {"、", ", ", "，"}));
  std::string_view phrase;
  if (ordered) {
    phrase = descending
                 ? pick(rng, language,
                        {"Order these numbers from largest to smallest: {0}",
                         "Sort {0} in descending order.", "Arrange {0} from greatest to least."},
                        {"把{0}从大到小排列。", "将下列各数从大到小排序：{0}",
                         "按从大到小的顺序排列：{0}"})
                 : pick(rng, language,
                        {"Order these numbers from smallest to largest: {0}",
                         "Sort {0} in ascending order.", "Arrange {0} from least to greatest.",
                         "Sort these numbers: {0}", "sort {0}"},
                        {"把{0}从小到大排列。", "将下列各数从小到大排序：{0}",
                         "按从小到大的顺序排列：{0}"});
  } else if (count == 2) {
    phrase = descending
                 ? pick(rng, language,
                        {"Which is larger, {0}?", "Which number is bigger: {0}?",
                         "What is greater, {0}?", "Which is greater: {0}?"},
                        {"{0}哪个大？", "{0}，哪个更大？", "比较大小：{0}哪个数大？"})
                 : pick(rng, language, {"Which is smaller, {0}?", "Which number is less: {0}?"},
                        {"{0}哪个小？", "{0}，哪个更小？"});
  } else {
    phrase = descending
                 ? pick(rng, language,
                        {"What is the largest of {0}?", "Which of these is the largest: {0}?",
                         "Find the biggest number: {0}"},
                        {"{0}中最大的数是多少？", "{0}里哪个最大？", "找出最大的数：{0}"})
                 : pick(rng, language,
                        {"What is the smallest of {0}?", "Which of these is the smallest: {0}?",
                         "Find the smallest number: {0}"},
                        {"{0}中最小的数是多少？", "{0}里哪个最小？", "找出最小的数：{0}"});
  }
  Puzzle out;
  out.question = fill(phrase, {list});
  std::vector<Item> order;
  sort_aloud(language, items, descending, ordered ? count : 1, out.thinking, order);
  out.gold = joined(order, ", ");
  out.answer = answer_of(rng, language, out.gold, ordered);
  out.steps = steps;
  return out;
}

// Expressions of one operation each; each is worked out, then they are compared.
std::optional<Puzzle> expressions(Rng& rng, Language language, int steps) {
  const bool english = language == Language::kEnglish;
  const size_t count = steps <= 2 ? 2 : steps <= 4 ? 3 : static_cast<size_t>(steps) - 1;
  std::vector<Item> items, values;
  std::string lines;
  const bool spaced = chance(rng, 0.4);
  while (items.size() < count) {
    const char op = pick(rng, {"+-*"})[rng.below(3)];
    const int left = op == '*' ? rng.between(2, 12) : number(rng, 5, 99);
    const int right = op == '*' ? rng.between(2, 9) : number(rng, 1, 60);
    const auto worked = work(left, op, right);
    if (!worked || worked->result <= 0) continue;
    const bool known = std::any_of(values.begin(), values.end(),
                                   [&](const Item& item) { return item.value == worked->result; });
    if (known) continue;
    const Expression e({{'n', left}, {op, 0}, {'n', right}});
    items.push_back({worked->result, e.text(spaced)});
    values.push_back({worked->result, fmt::format("{}={}", worked->result, e.text(false))});
    lines += fmt::format("{}{}{}", lines.empty() ? "" : "\n", worked->text, english ? "." : "。");
  }
  const bool descending = chance(rng, 0.5);
  const std::string list =
      joined(items, count == 2 ? (english ? " or " : "和") : (english ? ", " : "、"));
  const std::string_view phrase =
      descending
          ? pick(rng, language, {"Which is larger: {0}?", "Which has the greatest value: {0}?"},
                 {"{0}哪个最大？", "比较{0}，哪个更大？"})
          : pick(rng, language, {"Which is smaller: {0}?", "Which has the least value: {0}?"},
                 {"{0}哪个最小？", "比较{0}，哪个更小？"});
  const auto by_value = [&](const Item& a, const Item& b) {
    return descending ? a.value > b.value : a.value < b.value;
  };
  // Each value stands before what it is the value of, so that who has found the value can read on.
  const Item best = *std::min_element(items.begin(), items.end(), by_value);
  const Item found = *std::min_element(values.begin(), values.end(), by_value);
  lines += english ? fmt::format("\nValues: {}. {}: {}.", joined(values, ", "),
                                 descending ? "Largest" : "Smallest", found.text)
                   : fmt::format("\n各值：{}。{}：{}。", joined(values, ","),
                                 descending ? "最大" : "最小", found.text);
  Puzzle out;
  out.question = fill(phrase, {list});
  out.thinking = lines;
  std::string text = best.text;
  std::erase(text, ' ');
  out.gold = num(best.value);
  out.answer = english
                   ? fmt::format("{} is {}: \\boxed{{{}}}", text,
                                 descending ? "the largest" : "the smallest", text)
                   : fmt::format("{}{}：\\boxed{{{}}}", text, descending ? "最大" : "最小", text);
  out.steps = steps;
  return out;
}

}  // namespace

Drill compare_drill(Rng& rng, Language language) {
  std::vector<Item> items = draw_numbers(rng, 2 + rng.below(4));
  const std::string left = language == Language::kEnglish
                               ? fmt::format("\nLeft: {}.\n", joined(items, ", "))
                               : fmt::format("\n剩下：{}。\n", joined(items, ","));
  std::string line;
  std::vector<Item> order;
  sort_aloud(language, items, chance(rng, 0.5), 1, line, order);
  const size_t number = line.find(order.front().text);
  return {left + line.substr(0, number), line.substr(number)};
}

std::optional<Puzzle> compare(Rng& rng, Language language, int steps) {
  return chance(rng, 0.65) ? numbers(rng, language, steps) : expressions(rng, language, steps);
}

}  // namespace ponder::reasoner
