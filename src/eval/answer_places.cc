#include "eval/answer_places.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "eval/answer_tags.h"
#include "eval/answer_text.h"

namespace ponder {
namespace {

constexpr size_t npos = std::string_view::npos;

bool letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

}  // namespace

bool unbalanced(std::string_view text) {
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] != '\\') {
      ++i;
    } else if (text[i] == '{') {
      ++depth;
    } else if (text[i] == '}' && --depth < 0) {
      return true;
    }
  }
  return depth != 0;
}

std::vector<Box> find_boxes(std::string_view text, bool& open) {
  std::vector<Box> boxes;
  open = false;
  for (size_t i = text.find('\\'); i != npos; i = text.find('\\', i + 1)) {
    size_t at = npos;
    for (const std::string_view name : {"\\boxed", "\\fbox"}) {
      if (text.substr(i).starts_with(name)) at = i + name.size();
    }
    if (at == npos) continue;
    while (at < text.size() && (text[at] == ' ' || text[at] == '\n')) ++at;
    if (at >= text.size() || text[at] != '{') {
      size_t end = at;  // \boxed 5
      while (end < text.size() && (is_digit(text[end]) || letter(text[end]))) ++end;
      if (end > at) boxes.push_back({i, end, text.substr(at, end - at)});
      continue;
    }
    int depth = 0;
    size_t end = at;
    for (; end < text.size(); ++end) {
      if (text[end] == '\\' && end + 1 < text.size() && text[end + 1] != '\\') {
        ++end;
      } else if (text[end] == '{') {
        ++depth;
      } else if (text[end] == '}' && --depth == 0) {
        break;
      }
    }
    open = end >= text.size();
    const size_t stop = std::min(end, text.size());
    boxes.push_back({i, std::min(end + 1, text.size()), text.substr(at + 1, stop - at - 1)});
    if (open) break;
    i = end;
  }
  return boxes;
}

Joint joint_of(std::string_view gap, int most_words) {
  if (gap.size() > 60) return Joint::kNone;
  const std::string low = lower_case(gap);
  if (low.find("answer") != npos) return Joint::kNone;
  int words = 0;
  bool connective = false, either = false;
  for (size_t i = 0; i < low.size();) {
    if (low[i] == '\\') {  // a command, such as \text or \quad
      size_t end = i + 1;
      while (end < low.size() && letter(low[end])) ++end;
      i = std::max(end, i + 2);
    } else if (letter(low[i])) {
      size_t end = i;
      while (end < low.size() && letter(low[end])) ++end;
      const std::string_view word = std::string_view(low).substr(i, end - i);
      connective = connective || word == "and" || word == "or";
      either = either || word == "or";
      ++words;
      i = end;
    } else {
      ++i;
    }
  }
  for (const char* c : {"和", "或", "与", "、", "，"})
    connective = connective || gap.find(c) != npos;
  either = either || gap.find("或") != npos;
  const bool other_script = std::any_of(
      gap.begin(), gap.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  if (connective ? words > most_words : words > 0 || other_script) return Joint::kNone;
  return either ? Joint::kOr : Joint::kComma;
}

std::string percent_behind(std::string_view rest) {
  size_t i = 0;
  while (i < rest.size() &&
         (rest[i] == ' ' || rest[i] == '$' ||
          (rest[i] == '\\' && i + 1 < rest.size() && rest[i + 1] == ')' && ++i != 0)))
    ++i;
  const std::string low = lower_case(rest.substr(std::min(i, rest.size()), 12));
  for (const std::string_view mark : {"%", "\\%", "percent", "pct"}) {
    if (low.starts_with(mark) && (low.size() == mark.size() || !letter(low[mark.size()])))
      return "\\%";
  }
  return {};
}

std::vector<FormulaPlace> find_formulas(std::string_view text) {
  std::vector<FormulaPlace> found;
  std::array<bool, 3> unclosed{};  // $$, \[, \(: no partner behind, so that none is sought again
  for (size_t i = 0; i < text.size(); ++i) {
    std::string_view open, close;
    if (text[i] == '$') {
      open = close = text.substr(i).starts_with("$$") ? "$$" : "$";
    } else if (text[i] == '\\' && i + 1 < text.size()) {
      if (text[i + 1] == '[') open = "\\[", close = "\\]";
      if (text[i + 1] == '(') open = "\\(", close = "\\)";
      if (open.empty()) {
        ++i;  // \$ and all other commands
        continue;
      }
    } else {
      continue;
    }
    const size_t kind = open == "$$" ? 0 : open == "\\[" ? 1 : open == "\\(" ? 2 : 3;
    if (kind < 3 && unclosed[kind]) {
      i += open.size() - 1;
      continue;
    }
    size_t end = i + open.size();
    while (end < text.size() && !text.substr(end).starts_with(close)) {
      if (close == "$" && text[end] == '\n') break;  // inline formulas stay in their line
      end += text[end] == '\\' && close[0] == '$' ? 2 : 1;
    }
    if (end >= text.size() || !text.substr(end).starts_with(close)) {
      if (kind < 3) unclosed[kind] = true;
      i += open.size() - 1;
      continue;
    }
    found.push_back({i, end + close.size(), text.substr(i + open.size(), end - i - open.size())});
    i = end + close.size() - 1;
  }
  return found;
}

std::string last_formula(std::string_view text, size_t& begin, size_t& end) {
  const auto found = find_formulas(text);
  if (found.empty()) return {};
  size_t first = found.size() - 1;
  while (first > 0 && found.size() - first < 32) {
    const std::string_view gap =
        text.substr(found[first - 1].end, found[first].begin - found[first - 1].end);
    const Joint joint = joint_of(gap, 1);
    const bool named = std::any_of(gap.begin(), gap.end(), letter);
    if (joint == Joint::kNone || (!named && gap.find(',') == npos)) break;
    --first;
  }
  begin = found[first].begin;
  end = found.back().end;
  std::string joined(found[first].content);
  for (size_t k = first + 1; k < found.size(); ++k) {
    const bool either =
        joint_of(text.substr(found[k - 1].end, found[k].begin - found[k - 1].end), 1) == Joint::kOr;
    joined += (either ? " \\text{ or } " : " ; ") + std::string(found[k].content);
  }
  return joined + percent_behind(text.substr(end));
}

NumberPlace last_number(std::string_view text) {
  NumberPlace place;
  size_t end = text.size();
  for (int attempt = 0; attempt < 20; ++attempt) {
    while (end > 0 && !is_digit(text[end - 1])) --end;
    if (end == 0) return place;
    size_t begin = end;
    while (begin > 0 && (is_digit(text[begin - 1]) ||
                         (begin > 1 && std::string_view(".,/").find(text[begin - 1]) != npos &&
                          (is_digit(text[begin - 2]) || text[begin - 1] == '.'))))
      --begin;
    if (begin > 0 &&
        (letter(text[begin - 1]) || text[begin - 1] == '_' || text[begin - 1] == '^')) {
      end = begin;  // part of a name: "x2"
      continue;
    }
    const bool negative = begin > 0 && text[begin - 1] == '-' &&
                          (begin == 1 || (!letter(text[begin - 2]) && !is_digit(text[begin - 2])));
    if (negative) --begin;
    place = {begin, end, true};
    if (place.end < text.size() && text[place.end] == '%') ++place.end;
    return place;
  }
  return place;
}

}  // namespace ponder
