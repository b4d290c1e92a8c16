// Small logic: orders from pairs, chains of truth-tellers and liars, who has what by elimination.
#include <fmt/format.h>

#include <algorithm>

#include "eval/reasoner_parts.h"

namespace ponder::reasoner {
namespace {

std::string joined(std::span<const std::string> items, std::string_view separator) {
  std::string out;
  for (const std::string& item : items) {
    if (!out.empty()) out += separator;
    out += item;
  }
  return out;
}

// {0} and {1} are people. `most` and `least` ask for the ends, `second` for the one after the first.
struct Scale {
  std::string_view more, less, most, least, second, order;
};
constexpr std::string_view kEnglishOrder = "Order them from {0} to {1}.";
constexpr Scale kEnglishScales[] = {
    {"{0} is taller than {1}.", "{0} is shorter than {1}.", "tallest", "shortest", "second tallest",
     ""},
    {"{0} is older than {1}.", "{0} is younger than {1}.", "oldest", "youngest", "second oldest",
     ""},
    {"{0} is faster than {1}.", "{0} is slower than {1}.", "fastest", "slowest", "second fastest",
     ""},
    {"{0} is heavier than {1}.", "{0} is lighter than {1}.", "heaviest", "lightest",
     "second heaviest", ""},
    {"{0} is stronger than {1}.", "{0} is weaker than {1}.", "strongest", "weakest",
     "second strongest", ""},
};
constexpr Scale kChineseScales[] = {
    {"{0}比{1}高。", "{0}比{1}矮。", "最高", "最矮", "第二高", "从高到矮"},
    {"{0}比{1}年龄大。", "{0}比{1}年龄小。", "年龄最大", "年龄最小", "年龄第二大",
     "按年龄从大到小"},
    {"{0}比{1}快。", "{0}比{1}慢。", "最快", "最慢", "第二快", "从快到慢"},
    {"{0}比{1}重。", "{0}比{1}轻。", "最重", "最轻", "第二重", "从重到轻"},
};

// The facts in the order told, then a row of people that grows at its upper end, then at its lower.
std::string build_row(std::span<const std::pair<std::string, std::string>> facts, bool english) {
  std::string lines = english ? "Facts: " : "已知：";
  for (size_t i = 0; i < facts.size(); ++i) {
    lines += fmt::format("{}{}>{}",
                         i == 0    ? ""
                         : english ? ", "
                                   : "，",
                         facts[i].first, facts[i].second);
  }
  std::vector<std::string> row = {facts[0].first, facts[0].second};
  lines += "\n" + joined(row, ">");
  for (bool up = true;;) {
    const auto next = std::find_if(facts.begin(), facts.end(), [&](const auto& fact) {
      return up ? fact.second == row.front() : fact.first == row.back();
    });
    if (next == facts.end()) {
      if (!up) return lines;
      up = false;
      continue;
    }
    if (up) {
      row.insert(row.begin(), next->first);
    } else {
      row.push_back(next->second);
    }
    lines += "\n" + joined(row, ">");
  }
}

std::optional<Puzzle> order(Rng& rng, Language language, int steps) {
  const bool english = language == Language::kEnglish;
  const auto scales =
      english ? std::span<const Scale>(kEnglishScales) : std::span<const Scale>(kChineseScales);
  const Scale& scale = scales[rng.below(static_cast<uint32_t>(scales.size()))];
  const auto who = people(rng, language, static_cast<size_t>(steps) + 1);
  std::vector<std::string> names;
  for (const Person& p : who) names.emplace_back(p.name);  // from most to least
  std::vector<std::pair<std::string, std::string>> facts;
  for (size_t i = 0; i + 1 < names.size(); ++i) facts.emplace_back(names[i], names[i + 1]);
  rng.shuffle(std::span<std::pair<std::string, std::string>>(facts));
  std::string text;
  for (const auto& [more, less] : facts) {
    text += chance(rng, 0.65) ? fill(scale.more, {more, less}) : fill(scale.less, {less, more});
    if (english) text += " ";
  }
  const double kind = rng.uniform();
  Puzzle out;
  std::string what;
  if (kind < 0.33 || (kind < 0.82 && kind >= 0.66 && steps < 2)) {
    what = scale.most;
    out.gold = names.front();
  } else if (kind < 0.66) {
    what = scale.least;
    out.gold = names.back();
  } else if (kind < 0.82) {
    what = scale.second;
    out.gold = names[1];
  } else {
    text += english ? fill(kEnglishOrder, {std::string(scale.most), std::string(scale.least)})
                    : fmt::format("请{}排列。", scale.order);
    out.gold = joined(names, ", ");
  }
  if (what.empty()) {
    out.answer =
        fill(english ? "The order is \\boxed{{{0}}}." : "顺序是\\boxed{{{0}}}。", {out.gold});
  } else {
    text += english ? fmt::format("Who is the {}?", what) : fmt::format("谁{}？", what);
    out.answer = english ? fmt::format("The {} is \\boxed{{{}}}.", what, out.gold)
                         : fmt::format("{}的是\\boxed{{{}}}。", what, out.gold);
  }
  out.question = std::move(text);
  out.thinking = build_row(facts, english);
  out.steps = steps;
  return out;
}

std::optional<Puzzle> truth(Rng& rng, Language language, int steps) {
  const bool english = language == Language::kEnglish;
  const auto who = people(rng, language, static_cast<size_t>(steps) + 1);
  bool honest = chance(rng, 0.5);
  const auto state = [&](const Person& p, bool tells_truth) {
    if (english) return fmt::format("{} {}", p.name, tells_truth ? "tells the truth" : "lies");
    return fmt::format("{}{}", p.name, tells_truth ? "说真话" : "说谎");
  };
  std::string text =
      english ? fmt::format("{} always {}.", who[0].name, honest ? "tells the truth" : "lies")
              : fmt::format("{}总是{}。", who[0].name, honest ? "说真话" : "说谎");
  std::string lines = state(who[0], honest) + (english ? "." : "。");
  for (size_t i = 0; i + 1 < who.size(); ++i) {
    const bool claim = chance(rng, 0.5);
    const std::string_view said =
        pick(rng, language, {"{0} says that {1}.", "{0} says {1}."}, {"{0}说{1}。"});
    text += (english ? " " : "") + fill(said, {std::string(who[i].name), state(who[i + 1], claim)});
    const bool next = claim == honest;
    lines += english
                 ? fmt::format("\n{} says {}: {}, so {}.", who[i].name, state(who[i + 1], claim),
                               honest ? "true" : "false", state(who[i + 1], next))
                 : fmt::format("\n{}说{}：{}，所以{}。", who[i].name, state(who[i + 1], claim),
                               honest ? "真" : "假", state(who[i + 1], next));
    honest = next;
  }
  const std::string_view last = who.back().name;
  Puzzle out;
  out.question =
      text + fill(pick(rng, language,
                       {" Is {0} a truth-teller or a liar?", " Does {0} tell the truth or lie?"},
                       {"{0}说真话还是说谎？", "请问{0}是说真话还是说谎？"}),
                  {std::string(last)});
  out.thinking = std::move(lines);
  out.gold = english ? (honest ? "truth-teller" : "liar") : (honest ? "说真话" : "说谎");
  out.answer = english ? fmt::format("{} is a \\boxed{{{}}}.", last, out.gold)
                       : fmt::format("{}\\boxed{{{}}}。", last, out.gold);
  out.steps = steps;
  return out;
}

constexpr std::string_view kEnglishPets[] = {"cat",   "dog",    "fish",  "bird", "rabbit",
                                             "horse", "turtle", "mouse", "duck"};
constexpr std::string_view kChinesePets[] = {"猫", "狗",   "鱼",   "鸟",  "兔子",
                                             "马", "乌龟", "老鼠", "鸭子"};

std::optional<Puzzle> elimination(Rng& rng, Language language, int steps) {
  const bool english = language == Language::kEnglish;
  const size_t count = static_cast<size_t>(steps) + 1;
  const auto who = people(rng, language, count);
  const auto all = english ? std::span<const std::string_view>(kEnglishPets)
                           : std::span<const std::string_view>(kChinesePets);
  std::vector<std::string> left(all.begin(), all.end());
  rng.shuffle(std::span<std::string>(left));
  left.resize(count);
  std::vector<std::string> names;
  for (const Person& p : who) names.emplace_back(p.name);
  const std::string_view and_ = english ? " and " : "和";
  const auto listed = [&](std::span<const std::string> items) {
    return fmt::format("{}{}{}", joined(items.first(items.size() - 1), english ? ", " : "、"), and_,
                       items.back());
  };
  std::string text =
      english ? fmt::format("{} have a {}, one each.", listed(names), joined(left, ", a "))
              : fmt::format("{}每人养一种动物：{}。", listed(names), joined(left, "、"));
  std::string lines;
  for (size_t i = 0; i + 1 < count; ++i) {
    const size_t own = rng.below(static_cast<uint32_t>(left.size()));
    std::vector<std::string> others = left;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(own));
    text += english ? fmt::format(" {} does not have the {}.", names[i], joined(others, " or the "))
                    : fmt::format("{}没有养{}。", names[i], joined(others, "或"));
    lines += english ? fmt::format("Left: {}. {}: not {}, so {}.\n", joined(left, ", "), names[i],
                                   joined(others, ", "), left[own])
                     : fmt::format("剩下：{}。{}：不是{}，所以是{}。\n", joined(left, "、"),
                                   names[i], joined(others, "、"), left[own]);
    left = std::move(others);
  }
  lines += english ? fmt::format("Left: {}. {}: {}.", left[0], names.back(), left[0])
                   : fmt::format("剩下：{}。{}：{}。", left[0], names.back(), left[0]);
  Puzzle out;
  out.question = text + (english ? fmt::format(" What does {} have?", names.back())
                                 : fmt::format("{}养的是什么？", names.back()));
  out.thinking = std::move(lines);
  out.gold = left[0];
  out.answer = english ? fmt::format("{} has the \\boxed{{{}}}.", names.back(), out.gold)
                       : fmt::format("{}养的是\\boxed{{{}}}。", names.back(), out.gold);
  out.steps = steps;
  return out;
}

}  // namespace

std::optional<Puzzle> logic(Rng& rng, Language language, int steps) {
  const double kind = rng.uniform();
  if (kind < 0.5) return order(rng, language, steps);
  if (kind < 0.8) return truth(rng, language, steps);
  return elimination(rng, language, steps);
}

}  // namespace ponder::reasoner
