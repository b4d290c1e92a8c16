// Answers in words: yes and no, "no solution", times, dates, numbers in words.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "eval/answer_text.h"
#include "eval/answer_value.h"

namespace ponder {
namespace {

using Kind = Value::Kind;

struct Phrase {
  std::string_view text, key;
};
constexpr Phrase kPhrases[] = {{"yes", "true"},
                               {"true", "true"},
                               {"correct", "true"},
                               {"是", "true"},
                               {"是的", "true"},
                               {"对", "true"},
                               {"正确", "true"},
                               {"no", "false"},
                               {"false", "false"},
                               {"incorrect", "false"},
                               {"否", "false"},
                               {"不是", "false"},
                               {"不对", "false"},
                               {"错", "false"},
                               {"错误", "false"},
                               {"no solution", "{}"},
                               {"no solutions", "{}"},
                               {"no real solution", "{}"},
                               {"no real solutions", "{}"},
                               {"empty set", "{}"},
                               {"none", "{}"},
                               {"无解", "{}"},
                               {"空集", "{}"},
                               {"没有解", "{}"},
                               {"all real numbers", "R"},
                               {"all reals", "R"},
                               {"all real", "R"},
                               {"real numbers", "R"},
                               {"全体实数", "R"},
                               {"任意实数", "R"},
                               {"一切实数", "R"},
                               {"undefined", "undefined"},
                               {"dne", "undefined"},
                               {"does not exist", "undefined"},
                               {"not defined", "undefined"},
                               {"不存在", "undefined"},
                               {"无意义", "undefined"},
                               {"infinity", "oo"},
                               {"positive infinity", "oo"},
                               {"negative infinity", "-oo"},
                               {"正无穷", "oo"},
                               {"无穷大", "oo"},
                               {"负无穷", "-oo"}};

// LaTeX dress off, lower case, single spaces; signs stay.
std::string undressed(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\') {
      size_t end = i + 1;
      while (end < text.size() && std::isalpha(static_cast<unsigned char>(text[end])) != 0) ++end;
      i = end == i + 1 ? end : end - 1;
      if (i >= text.size()) break;
      out += ' ';
    } else if (c != '{' && c != '}' && c != '$' && c != '*') {
      out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c == '\n' ? ' ' : c;
    }
  }
  std::string tidy;
  for (char c : out) {
    if (c != ' ' || (!tidy.empty() && tidy.back() != ' ')) tidy += c;
  }
  while (!tidy.empty() && (tidy.back() == ' ' || tidy.back() == ',')) tidy.pop_back();
  return tidy;
}

class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}
  bool done() const { return text_.empty(); }
  bool take(std::string_view what) {
    if (!text_.starts_with(what)) return false;
    text_.remove_prefix(what.size());
    return true;
  }
  bool spaces() {
    while (take(" ")) {
    }
    return true;
  }
  // `least` to `most` digits, all that are there.
  bool digits(size_t least, size_t most, int& value) {
    size_t n = 0;
    value = 0;
    while (n < text_.size() && text_[n] >= '0' && text_[n] <= '9') {
      if (++n > most) return false;
      value = value * 10 + (text_[n - 1] - '0');
    }
    text_.remove_prefix(n);
    return n >= least;
  }
  // am, a.m., pm, p.m.: 0, 12; -1 if there is none.
  int half_of_day() {
    spaces();
    for (const auto& [text, hours] : {std::pair<std::string_view, int>{"a.m.", 0},
                                      {"a.m", 0},
                                      {"am", 0},
                                      {"p.m.", 12},
                                      {"p.m", 12},
                                      {"pm", 12}}) {
      if (take(text)) return hours;
    }
    return -1;
  }
  int month() {
    static constexpr std::array<std::string_view, 12> kMonths = {
        "january", "february", "march",     "april",   "may",      "june",
        "july",    "august",   "september", "october", "november", "december"};
    size_t n = 0;
    while (n < text_.size() && text_[n] >= 'a' && text_[n] <= 'z') ++n;
    const std::string_view word = text_.substr(0, n);
    for (size_t m = 0; m < kMonths.size(); ++m) {
      if (word == kMonths[m] || (word.size() == 3 && kMonths[m].starts_with(word))) {
        text_.remove_prefix(n);
        take(".");
        return static_cast<int>(m) + 1;
      }
    }
    return 0;
  }

 private:
  std::string_view text_;
};

std::string time_of_day(std::string_view text) {
  Cursor c(text);
  int half = -1;
  for (const auto& [prefix, hours] :
       {std::pair<std::string_view, int>{"上午", 0}, {"早上", 0}, {"下午", 12}, {"晚上", 12}}) {
    if (c.take(prefix)) half = hours;
  }
  c.spaces();
  int hour = 0, minute = 0, second = -1;
  if (!c.digits(1, 2, hour)) return {};
  if (c.take(":")) {
    if (!c.digits(2, 2, minute)) return {};
    if (c.take(":") && !c.digits(2, 2, second)) return {};
  } else if (c.take("点") || c.take("时")) {
    if (!c.take("整") && !c.done()) {
      if (c.take("半")) {
        minute = 30;
      } else if (!c.digits(1, 2, minute) || !c.take("分")) {
        return {};
      }
    }
  } else {
    half = c.half_of_day();
    if (half < 0) return {};
  }
  if (half < 0) half = c.half_of_day();
  c.spaces();
  if (!c.done() || hour > 24 || minute > 59 || second > 59) return {};
  if (half >= 0) {
    if (hour > 12 && half == 0) return {};
    if (hour <= 12) hour = hour % 12 + half;
  }
  return second > 0 ? fmt::format("time {:02}:{:02}:{:02}", hour, minute, second)
                    : fmt::format("time {:02}:{:02}", hour, minute);
}

std::string date_key(int year, int month, int day) {
  if (month < 1 || month > 12 || day < 0 || day > 31) return {};
  std::string key =
      year > 0 ? fmt::format("date {:04}-{:02}", year, month) : fmt::format("date --{:02}", month);
  return day > 0 ? key + fmt::format("-{:02}", day) : key;
}

void skip_ordinal(Cursor& c) {
  for (const char* suffix : {"st", "nd", "rd", "th"}) {
    if (c.take(suffix)) return;
  }
}

std::string date(std::string_view text) {
  int year = 0, month = 0, day = 0;
  {
    Cursor c(text);  // 2024-01-05, 2024/1/5, 2024年1月5日
    if (c.digits(4, 4, year)) {
      const bool chinese = c.take("年");
      const bool dash = !chinese && c.take("-");
      if ((chinese || dash || c.take("/")) && c.digits(1, 2, month)) {
        if (chinese && !c.take("月")) return {};
        if (!chinese && !c.take(dash ? "-" : "/")) return {};
        if (!c.done() && (!c.digits(1, 2, day) || (chinese && !c.take("日") && !c.take("号"))))
          return {};
        return c.done() ? date_key(year, month, day) : std::string();
      }
    }
  }
  {
    Cursor c(text);  // 1/5/2024 (month first), 1月5日
    if (c.digits(1, 2, month)) {
      const bool chinese = c.take("月");
      if ((chinese || c.take("/")) && c.digits(1, 2, day)) {
        if (chinese)
          return (c.take("日") || c.take("号")) && c.done() ? date_key(0, month, day) : "";
        if (c.take("/") && c.digits(4, 4, year) && c.done()) return date_key(year, month, day);
      }
    }
  }
  Cursor c(text);  // January 5, 2024; 5 January 2024
  const bool day_first = c.digits(1, 2, day);
  if (day_first) skip_ordinal(c);
  c.spaces();
  if (day_first && c.take("of ")) c.spaces();
  month = c.month();
  if (month == 0) return {};
  c.spaces();
  if (!day_first) {
    if (c.done()) return {};  // "May" alone is a word
    Cursor ahead = c;
    if (c.digits(1, 2, day)) {
      skip_ordinal(c);
    } else {
      c = ahead;
      day = 0;
    }
  }
  c.take(",");
  c.spaces();
  if (!c.done() && !c.digits(4, 4, year)) return {};
  return c.done() ? date_key(year, month, day) : std::string();
}

}  // namespace

Value read_phrase(std::string_view text, Work& work) {
  Value v;
  if (text.size() > 120) return v;
  std::string plain = undressed(text);
  std::string_view words = plain;
  while (!words.empty() && words.back() == '.' && !words.ends_with(".m.")) words.remove_suffix(1);
  for (const Phrase& p : kPhrases) {
    if (p.text != words) continue;
    v.kind = p.key == "oo" || p.key == "-oo" ? Kind::kInfinity : Kind::kText;
    v.key = p.key;
    if (p.key == "{}" || p.key == "R") {
      v.kind = Kind::kRealSet;
      v.has_set = true;
      if (p.key == "R") v.set = all_reals();
      v.key = set_text(v.set, work);
    }
    return v;
  }
  std::string key = time_of_day(words);
  if (key.empty()) key = date(words);
  if (!key.empty()) {
    v.kind = Kind::kTime;
    v.key = std::move(key);
    return v;
  }
  if (const auto number = english_number(words)) {
    v.kind = Kind::kNumber;
    v.number = *number;
    set_number_key(v, work);
  }
  return v;
}

}  // namespace ponder
