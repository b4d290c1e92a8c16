// Word problems: stories that follow one amount, amounts that depend on one another, and sums of
// products (shopping, trips). The solution goes through the text from left to right, one line a
// sentence that matters, and passes the value on.
#include "eval/reasoner_words.h"

#include <fmt/format.h>

#include <algorithm>

#include "eval/reasoner_parts.h"

namespace ponder::reasoner {
namespace {

// Solution lines and the value so far.
struct Account {
  explicit Account(Language l) : language(l) {}

  void line(std::string_view text) {
    if (!lines.empty()) lines += "\n";
    lines += text;
  }
  // "WHERE: WORK, WORK." Each work is an operation; false if one cannot be done or falls below zero.
  struct Operation {
    int left;
    char op;
    int right;
  };
  bool work_line(std::string_view where, std::initializer_list<Operation> operations) {
    const bool english = language == Language::kEnglish;
    std::string text = fmt::format("{}{}", where, english ? ": " : "：");
    bool first = true;
    for (const Operation& o : operations) {
      const auto worked = work(o.left, o.op, o.right);
      if (!worked || worked->result < 0) return false;
      if (!first) text += english ? ", " : "，";
      first = false;
      text += worked->text;
      value = worked->result;
      ++steps;
    }
    line(text + (english ? "." : "。"));
    return true;
  }

  Language language;
  std::string lines;
  int value = 0, steps = 0;
};

// The text of a problem: sentences with distractors among them, then the question.
std::string story_text(Rng& rng, Language language, std::vector<std::string> sentences,
                       std::span<const std::string> distracting, std::string_view question) {
  for (const std::string& d : distracting) {
    const auto at = 1 + rng.below(static_cast<uint32_t>(sentences.size()));
    sentences.insert(sentences.begin() + static_cast<std::ptrdiff_t>(at), d);
  }
  const bool english = language == Language::kEnglish;
  std::string out;
  for (const std::string& s : sentences) out += s + (english ? " " : "");
  return out + std::string(question);
}

std::optional<Puzzle> finish(Rng& rng, Language language, const Account& account, int steps,
                             std::string question) {
  if (account.steps != steps) return {};
  Puzzle out;
  out.question = std::move(question);
  out.thinking = account.lines;
  out.gold = num(account.value);
  out.answer = answer_sentence(rng, language, out.gold);
  out.steps = steps;
  return out;
}

std::string_view nth_of(std::string_view list, uint32_t n) {
  for (; n > 0; --n) list.remove_prefix(list.find(',') + 1);
  return list.substr(0, list.find(','));
}

uint32_t size_of(std::string_view list) {
  return static_cast<uint32_t>(std::count(list.begin(), list.end(), ',')) + 1;
}

// What a change does to the account; n and m are drawn so that it can be done.
bool apply_change(Rng& rng, const Event& event, Account& a, int& n, int& m) {
  const int value = a.value;
  n = m = 0;
  const auto where = [&] { return fill(event.echo, {"", "", "", num(n), num(m)}); };
  switch (event.change) {
    case Change::kAdd:
      n = number(rng, 2, 80);
      return a.work_line(where(), {{value, '+', n}});
    case Change::kTake:
      if (value < 5) return false;
      n = number(rng, 2, std::min(value - 1, 90));
      return a.work_line(where(), {{value, '-', n}});
    case Change::kAddGroups:
    case Change::kTakeGroups: {
      const bool add = event.change == Change::kAddGroups;
      n = rng.between(2, 9);
      m = rng.between(2, chance(rng, 0.7) ? 9 : 25);
      if (!add && n * m >= value) return false;
      return a.work_line(where(), {{n, '*', m}, {value, add ? '+' : '-', n * m}});
    }
    case Change::kDouble:
    case Change::kTriple:
      return value <= 99 &&
             a.work_line(where(), {{value, '*', event.change == Change::kDouble ? 2 : 3}});
    case Change::kHalve:
      return value > 3 && value % 2 == 0 && a.work_line(where(), {{value, '/', 2}});
    case Change::kShare: {
      std::vector<int> divisors;
      for (int d = 2; d <= 9; ++d) {
        if (value > d && value % d == 0) divisors.push_back(d);
      }
      if (divisors.empty()) return false;
      n = divisors[rng.below(static_cast<uint32_t>(divisors.size()))];
      return a.work_line(where(), {{value, '/', n}});
    }
  }
  return false;
}

std::optional<Puzzle> story(Rng& rng, Language language, int steps) {
  const auto all = themes(language);
  const Theme& theme = all[rng.below(static_cast<uint32_t>(all.size()))];
  const auto who = people(rng, language, 2);
  const std::string_view list = theme.things.empty() ? all[0].things : theme.things;
  const uint32_t thing = rng.below(size_of(list));
  const std::string what(nth_of(list, thing));
  const std::string other(nth_of(list, (thing + 1 + rng.below(5)) % size_of(list)));
  int n = 0, m = 0;
  bool named = true;  // a sentence that began with He would need a name before it
  const auto sentence = [&](std::string_view pattern) {
    const std::string_view subject = named && chance(rng, 0.6) ? who[0].subject : who[0].name;
    return fill(pattern, {std::string(who[0].name), std::string(who[1].name), what, num(n), num(m),
                          other, std::string(subject)});
  };
  Account a(language);
  std::vector<std::string> sentences;
  n = number(rng, 5, 99);
  a.value = n;
  const std::string_view start = pick(rng, theme.starts);
  named = start.find("{0}") != std::string_view::npos;
  sentences.push_back(sentence(start));
  a.line(sentence(theme.start_echo) + (language == Language::kEnglish ? "." : "。"));
  bool shared = false;
  for (int tries = 0; a.steps < steps; ++tries) {
    if (tries > 40) return {};
    const Event& event = theme.events[rng.below(static_cast<uint32_t>(theme.events.size()))];
    const bool groups = event.change == Change::kAddGroups || event.change == Change::kTakeGroups;
    if (groups && a.steps + 2 > steps) continue;
    const bool last = a.steps + (groups ? 2 : 1) == steps;
    if (event.change == Change::kShare && !last) continue;
    if (!apply_change(rng, event, a, n, m)) continue;
    sentences.push_back(sentence(event.text));
    named = named || event.text.find("{0}") != std::string_view::npos;
    shared = event.change == Change::kShare;
  }
  std::vector<std::string> distracting;
  for (double p = 0.4; chance(rng, p); p *= 0.25) {
    n = number(rng, 2, 60);
    distracting.push_back(sentence(pick(rng, distractors(language))));
  }
  const std::string question =
      sentence(pick(rng, shared ? theme.share_questions : theme.questions));
  return finish(rng, language, a, steps,
                story_text(rng, language, std::move(sentences), distracting, question));
}

// Each person's amount from that of the one before.
struct Relation {
  char op;
  int least, most;  // of n
  std::string_view english, chinese;
};

// {0} this person, {1} the one before, {2} things, {3} n.
constexpr Relation kAmounts[] = {
    {'+', 2, 60, "{0} has {3} more {2} than {1}.", "{0}比{1}多{3}{2}。"},
    {'+', 2, 60, "{0} has {3} more than {1}.", "{0}的比{1}的多{3}。"},
    {'-', 2, 60, "{0} has {3} fewer {2} than {1}.", "{0}比{1}少{3}{2}。"},
    {'-', 2, 60, "{0} has {3} fewer than {1}.", "{0}的比{1}的少{3}。"},
    {'*', 2, 2, "{0} has twice as many {2} as {1}.", "{0}的数量是{1}的2倍。"},
    {'*', 3, 6, "{0} has {3} times as many {2} as {1}.", "{0}的数量是{1}的{3}倍。"},
    {'/', 2, 2, "{0} has half as many {2} as {1}.", "{0}的数量是{1}的一半。"},
};
constexpr Relation kAges[] = {
    {'+', 2, 30, "{0} is {3} years older than {1}.", "{0}比{1}大{3}岁。"},
    {'-', 2, 30, "{0} is {3} years younger than {1}.", "{0}比{1}小{3}岁。"},
    {'*', 2, 2, "{0} is twice as old as {1}.", "{0}的年龄是{1}的2倍。"},
    {'*', 3, 4, "{0} is {3} times as old as {1}.", "{0}的年龄是{1}的{3}倍。"},
};

std::optional<Puzzle> relations(Rng& rng, Language language, int steps) {
  const bool english = language == Language::kEnglish;
  const bool ages = chance(rng, 0.3);
  const bool together = steps >= 2 && steps % 2 == 0 && chance(rng, 0.35);
  const int links = together ? steps / 2 : steps;
  const bool extra = !together && chance(rng, 0.2);
  const auto who = people(rng, language, static_cast<size_t>(links) + 2);
  const std::string_view list = themes(language)[0].things;
  const std::string what(nth_of(list, rng.below(size_of(list))));
  const auto table = ages ? std::span<const Relation>(kAges) : std::span<const Relation>(kAmounts);

  Account a(language);
  a.value = ages ? rng.between(4, 40) : number(rng, 4, 80);
  std::vector<int> values = {a.value};
  std::vector<std::string> sentences;
  const std::string_view first =
      ages ? pick(rng, language, {"{0} is {3} years old."}, {"{0}今年{3}岁。", "{0}{3}岁。"})
           : pick(rng, language, {"{0} has {3} {2}."}, {"{0}有{3}{2}。"});
  sentences.push_back(fill(first, {std::string(who[0].name), "", what, num(a.value)}));
  a.line(
      fmt::format("{}{}{}{}", who[0].name, english ? ": " : "：", a.value, english ? "." : "。"));
  for (int i = 1, tries = 0; i <= links + (extra ? 1 : 0); ++tries) {
    if (tries > 60) return {};
    const Relation& r = table[rng.below(static_cast<uint32_t>(table.size()))];
    const int n = number(rng, r.least, r.most);
    const auto at = static_cast<size_t>(i);
    const auto worked = work(values.back(), r.op, n);
    if (!worked || worked->result < (ages ? 2 : 1) || worked->result > (ages ? 99 : 300)) continue;
    sentences.push_back(
        fill(english ? r.english : r.chinese,
             {std::string(who[at].name), std::string(who[at - 1].name), what, num(n)}));
    if (i <= links && !a.work_line(who[at].name, {{values.back(), r.op, n}})) return {};
    values.push_back(worked->result);
    ++i;
  }
  std::string_view question;
  if (together) {
    question =
        ages ? pick(rng, language, {"How old are they together?", "What is the sum of their ages?"},
                    {"他们的年龄一共是多少岁？", "他们的年龄和是多少？"})
             : pick(rng, language,
                    {"How many {2} do they have altogether?", "How many {2} do they have in all?"},
                    {"他们一共有多少{2}？", "他们总共有多少{2}？"});
    int sum = values[0];
    for (int i = 1; i <= links; ++i) {
      const int next = values[static_cast<size_t>(i)];
      const std::string_view where = english ? "Sum" : "合计";
      if (!a.work_line(where, {{sum, '+', next}})) return {};
      sum += next;
    }
  } else {
    question = ages ? pick(rng, language, {"How old is {0}?"}, {"{0}今年多少岁？", "{0}几岁？"})
                    : pick(rng, language, {"How many {2} does {0} have?"},
                           {"{0}有多少{2}？", "{0}有几{2}？"});
  }
  const std::string asked =
      fill(question, {std::string(who[static_cast<size_t>(links)].name), "", what});
  std::vector<std::string> distracting;
  if (chance(rng, 0.2)) {
    distracting.push_back(english ? fmt::format("It is {} degrees outside.", rng.between(2, 35))
                                  : fmt::format("外面的气温是{}度。", rng.between(2, 35)));
  }
  return finish(rng, language, a, steps,
                story_text(rng, language, std::move(sentences), distracting, asked));
}

// Sums of products: k of them and their running sum are 2k-1 operations; an even number of steps has
// one more, what is left of a given whole.
struct Products {
  int parts;
  bool remainder;
};

Products products_of(int steps) { return {(steps + 1) / 2, steps % 2 == 0}; }

// "WHERE: n*m=..., SUM+..."; `sum` is passed on.
bool add_product(Account& a, std::string_view where, int n, int m, int& sum) {
  const bool ok = sum == 0 ? a.work_line(where, {{n, '*', m}})
                           : a.work_line(where, {{n, '*', m}, {sum, '+', n * m}});
  sum += n * m;
  return ok;
}

int draw_factor(Rng& rng) { return rng.between(2, chance(rng, 0.7) ? 12 : 30); }

std::optional<Puzzle> trip(Rng& rng, Language language, int steps) {
  const bool english = language == Language::kEnglish;
  const Products shape = products_of(steps);
  const std::string name(people(rng, language, 1)[0].name);
  const std::string_view rides =
      pick(rng, language, {"rides", "walks", "drives"}, {"骑", "走", "开"});
  Account a(language);
  std::string text = name;
  int sum = 0;
  for (int i = 0; i < shape.parts; ++i) {
    const int n = rng.between(2, 9), m = draw_factor(rng);
    text += english ? fmt::format("{} for {} hours at {} km per hour",
                                  i == 0 ? fmt::format(" {}", rides) : ", then", n, m)
                    : fmt::format("{}以每小时{}公里的速度{}了{}小时", i == 0 ? "" : "，然后", m,
                                  rides, n);
    const std::string where =
        english ? fmt::format("{} hours at {}", n, m) : fmt::format("每小时{}走{}小时", m, n);
    if (!add_product(a, where, n, m, sum)) return {};
  }
  text += english ? ". " : "。";
  if (shape.remainder) {
    const int whole = sum + rng.between(1, 60);
    text = fill(english ? "A trip is {0} km long. " : "路程一共{0}公里。", {num(whole)}) + text;
    if (!a.work_line(english ? "Left" : "还剩", {{whole, '-', sum}})) return {};
  }
  text += shape.remainder ? pick(rng, language, {"How many km are left?", "How far is it to go?"},
                                 {"还剩多少公里？", "还要走多少公里？"})
                          : pick(rng, language, {"How far is that in all?", "How many km is that?"},
                                 {"一共走了多少公里？", "总路程是多少公里？"});
  return finish(rng, language, a, steps, std::move(text));
}

std::optional<Puzzle> shopping(Rng& rng, Language language, int steps) {
  const bool english = language == Language::kEnglish;
  const Products shape = products_of(steps);
  const Person who = people(rng, language, 1)[0];
  std::vector<Ware> goods(wares(language).begin(), wares(language).end());
  rng.shuffle(std::span<Ware>(goods));
  Account a(language);
  std::string prices, bought;
  int sum = 0;
  for (int i = 0; i < shape.parts; ++i) {
    const int n = rng.between(2, 9), m = draw_factor(rng);
    const Ware& ware = goods[static_cast<size_t>(i)];
    const bool first = i == 0, last = i + 1 == shape.parts;
    const std::string_view comma = first ? "" : english ? ", " : "，";
    const std::string_view link = first || !last ? comma : english ? " and " : "和";
    prices += english
                  ? fmt::format("{}{} {} costs {} dollars", comma, first ? "A" : "a", ware.one, m)
                  : fmt::format("{}一{}{}元", comma, ware.one, m);
    bought += fmt::format("{}{}{}{}", link, n, english ? " " : "", ware.many);
    const std::string_view where = english ? ware.many : ware.one.substr(3);  // no measure word
    if (!add_product(a, where, n, m, sum)) return {};
  }
  std::string text = english ? fmt::format("{}. {} buys {}. ", prices, who.name, bought)
                             : fmt::format("{}。{}买了{}。", prices, who.name, bought);
  if (shape.remainder) {
    const int paid = chance(rng, 0.5) ? sum + rng.between(1, 60) : (sum / 50 + 1) * 50;
    text += english ? fmt::format("{} pays with {} dollars. ", who.subject, paid)
                    : fmt::format("付了{}元。", paid);
    if (!a.work_line(english ? "Change" : "找回", {{paid, '-', sum}})) return {};
  }
  text += shape.remainder
              ? pick(rng, language, {"How much change is there?", "How much money comes back?"},
                     {"应找回多少元？", "找回多少钱？"})
              : pick(rng, language, {"How much does it cost in all?", "What is the total price?"},
                     {"一共要多少元？", "一共花了多少钱？"});
  return finish(rng, language, a, steps, std::move(text));
}

}  // namespace

std::optional<Puzzle> words(Rng& rng, Language language, int steps) {
  const double kind = rng.uniform();
  if (kind < 0.56) return story(rng, language, steps);
  if (kind < 0.78) return relations(rng, language, steps);
  if (kind < 0.86) return trip(rng, language, steps);
  return shopping(rng, language, steps);
}

}  // namespace ponder::reasoner
