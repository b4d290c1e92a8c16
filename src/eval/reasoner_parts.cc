#include "eval/reasoner_parts.h"

#include <fmt/args.h>
#include <fmt/format.h>

#include <cstdlib>

#include "core/status.h"

namespace ponder::reasoner {
namespace {

constexpr std::array<Person, 14> kEnglishPeople = {{{"Tom", "He", "him"},
                                                    {"Anna", "She", "her"},
                                                    {"Ben", "He", "him"},
                                                    {"Lucy", "She", "her"},
                                                    {"Sam", "He", "him"},
                                                    {"Emma", "She", "her"},
                                                    {"Jack", "He", "him"},
                                                    {"Mia", "She", "her"},
                                                    {"Leo", "He", "him"},
                                                    {"Kate", "She", "her"},
                                                    {"Max", "He", "him"},
                                                    {"Nina", "She", "her"},
                                                    {"Paul", "He", "him"},
                                                    {"Rosa", "She", "her"}}};
constexpr std::array<Person, 14> kChinesePeople = {{{"小明", "他", "他"},
                                                    {"小红", "她", "她"},
                                                    {"小华", "他", "他"},
                                                    {"小丽", "她", "她"},
                                                    {"小刚", "他", "他"},
                                                    {"小芳", "她", "她"},
                                                    {"小强", "他", "他"},
                                                    {"小美", "她", "她"},
                                                    {"小军", "他", "他"},
                                                    {"小玲", "她", "她"},
                                                    {"小东", "他", "他"},
                                                    {"小兰", "她", "她"},
                                                    {"小李", "他", "他"},
                                                    {"小雨", "她", "她"}}};

constexpr int kMost = 999;  // of any value on the way

// 27*6 = 120+42 = 162: the tens, then the ones.
std::optional<Worked> product(int left, int right) {
  const int a = std::abs(left), b = std::abs(right), value = left * right;
  if (a > 99 || b > 99 || a * b > kMost) return {};
  // Signs only where the product is one that is known by heart.
  if ((left < 0 || right < 0) && (a > 12 || b > 12)) return {};
  const std::string head = fmt::format("{}*{}=", left, right);
  const int by = a < 10 ? b : a, one = a < 10 ? a : b;  // the factor that is taken apart
  if (one >= 10 && by % 10 != 0 && one % 10 != 0) {
    // 23*14 = 23*10+23*4 = 230+92 = 322
    const int tens = b / 10 * 10, ones = b % 10;
    return Worked{fmt::format("{0}{1}*{2}+{1}*{3}={4}+{5}={6}", head, a, tens, ones, a * tens,
                              a * ones, value),
                  value};
  }
  const bool split = by > 10 && by % 10 != 0 && one > 1 && one % 10 != 0 && value > 0;
  if (!split) return Worked{fmt::format("{}{}", head, value), value};
  return Worked{fmt::format("{}{}+{}={}", head, by / 10 * 10 * one, by % 10 * one, value), value};
}

// 162/6 = 120/6+42/6 = 20+7 = 27: the largest multiple of ten times the divisor, then the rest.
std::optional<Worked> quotient(int left, int right) {
  if (right < 2 || right > 99 || left % right != 0) return {};
  const int value = left / right;
  if (std::abs(value) > 99 || (left < 0 && value < -12)) return {};
  const std::string head = fmt::format("{}/{}=", left, right);
  if (left < 0 || value <= 10 || value % 10 == 0 || right > 9) {
    if (right > 9 && (value > 9 || left < 0)) return {};
    return Worked{fmt::format("{}{}", head, value), value};
  }
  const int tens = value / 10 * 10, ones = value % 10;
  return Worked{fmt::format("{0}{1}/{3}+{2}/{3}={4}+{5}={6}", head, tens * right, ones * right,
                            right, tens, ones, value),
                value};
}

}  // namespace

std::string_view pick(Rng& rng, std::span<const std::string_view> choices) {
  return choices[rng.below(static_cast<uint32_t>(choices.size()))];
}

std::string_view pick(Rng& rng, Choices choices) {
  return pick(rng, std::span<const std::string_view>(choices.begin(), choices.size()));
}

std::string_view pick(Rng& rng, Language language, Choices english, Choices chinese) {
  return pick(rng, language == Language::kEnglish ? english : chinese);
}

bool chance(Rng& rng, double probability) { return rng.uniform() < probability; }

std::string fill(std::string_view pattern, std::initializer_list<std::string> arguments) {
  fmt::dynamic_format_arg_store<fmt::format_context> store;
  for (const std::string& argument : arguments) store.push_back(argument);
  return fmt::vformat(fmt::string_view(pattern.data(), pattern.size()), store);
}

std::string num(int value) { return fmt::to_string(value); }

std::vector<Person> people(Rng& rng, Language language, size_t count) {
  const auto& all = language == Language::kEnglish ? kEnglishPeople : kChinesePeople;
  PONDER_CHECK(count <= all.size());
  std::vector<Person> out(all.begin(), all.end());
  rng.shuffle(std::span<Person>(out));
  out.resize(count);
  return out;
}

std::string answer_sentence(Rng& rng, Language language, std::string_view value) {
  return fill(
      pick(rng, language,
           {"The answer is \\boxed{{{0}}}.", "The answer is \\boxed{{{0}}}.",
            "So the answer is \\boxed{{{0}}}."},
           {"答案是\\boxed{{{0}}}。", "答案是\\boxed{{{0}}}。", "所以答案是\\boxed{{{0}}}。"}),
      {std::string(value)});
}

std::optional<Worked> work(int left, char op, int right) {
  if (op == '*') return product(left, right);
  if (op == '/') return quotient(left, right);
  const int value = op == '+' ? left + right : left - right;
  if (std::abs(value) > kMost || std::abs(left) > kMost || std::abs(right) > kMost) return {};
  return Worked{fmt::format("{}{}{}={}", left, op, right, value), value};
}

std::string undo(int left, char op, int right, int result) {
  switch (op) {
    case '+':
      return fmt::format("{}-{}={}", result, right, left);
    case '-':
      return fmt::format("{}+{}={}", result, right, left);
    case '*':
      return fmt::format("{}/{}={}", result, right, left);
    default:
      return fmt::format("{}*{}={}", result, right, left);
  }
}

int number(Rng& rng, int least, int most) {
  if (most - least > 20 && chance(rng, 0.45)) return rng.between(least, least + 18);
  return rng.between(least, most);
}

}  // namespace ponder::reasoner
