#include "eval/reasoner_expression.h"

#include <fmt/format.h>

#include <cctype>

namespace ponder::reasoner {
namespace {

bool is_operation(const Term& t) {
  return t.op == '+' || t.op == '-' || t.op == '*' || t.op == '/';
}

// The ASCII sign that `text` begins with, and how many bytes it takes; 0 for none.
std::pair<char, size_t> sign_at(std::string_view text) {
  constexpr std::pair<std::string_view, char> kSigns[] = {{"×", '*'},  {"÷", '/'},  {"−", '-'},
                                                          {"＋", '+'}, {"－", '-'}, {"＊", '*'},
                                                          {"／", '/'}, {"（", '('}, {"）", ')'}};
  for (const auto& [sign, ascii] : kSigns) {
    if (text.starts_with(sign)) return {ascii, sign.size()};
  }
  if (std::string_view("+-*/()").find(text[0]) != std::string_view::npos) return {text[0], 1};
  return {0, 0};
}

// Numbers and operations in turn, brackets closed: what a recursive descent would accept, without
// recursion.
bool well_formed(const std::vector<Term>& terms) {
  bool want_number = true;
  int depth = 0;
  for (const Term& t : terms) {
    if (want_number != (t.op == 'n' || t.op == '(')) return false;
    if (t.op == '(') {
      ++depth;
    } else if (t.op == ')') {
      if (--depth < 0) return false;
    } else {
      want_number = !want_number;
    }
  }
  return depth == 0 && !want_number;
}

}  // namespace

std::optional<Expression> Expression::parse(std::string_view text) {
  constexpr size_t kMaxTerms = 128;
  std::vector<Term> terms;
  while (!text.empty()) {
    if (terms.size() == kMaxTerms) return {};
    if (text[0] == ' ') {
      text.remove_prefix(1);
      continue;
    }
    size_t digits = 0;
    int value = 0;
    while (digits < text.size() && digits < 5 &&
           std::isdigit(static_cast<unsigned char>(text[digits])) != 0) {
      value = value * 10 + (text[digits++] - '0');
    }
    if (digits == 5) return {};
    if (digits > 0) {
      terms.push_back({'n', value});
      text.remove_prefix(digits);
      continue;
    }
    const auto [sign, size] = sign_at(text);
    if (size == 0) return {};
    terms.push_back({sign, 0});
    text.remove_prefix(size);
  }
  if (!well_formed(terms)) return {};
  return Expression(std::move(terms));
}

std::string Expression::text(bool spaced, std::string_view times, std::string_view over) const {
  std::string out;
  for (const Term& t : terms_) {
    if (t.op == 'n') {
      out += num(t.value);
    } else if (is_operation(t)) {
      const std::string_view sign = t.op == '*'   ? times
                                    : t.op == '/' ? over
                                                  : std::string_view(&t.op, 1);
      out += spaced ? fmt::format(" {} ", sign) : std::string(sign);
    } else {
      out += t.op;
    }
  }
  return out;
}

size_t Expression::operations() const {
  size_t n = 0;
  for (const Term& t : terms_) n += is_operation(t) ? 1 : 0;
  return n;
}

std::optional<Expression::Step> Expression::reduce() {
  // The first closing bracket ends an innermost pair; without one all of it is the group.
  size_t begin = 0, end = terms_.size();
  for (size_t i = 0; i < end; ++i) {
    if (terms_[i].op == '(') begin = i + 1;
    if (terms_[i].op == ')') end = i;
  }
  size_t at = 0;
  for (size_t i = begin; i < end && at == 0; ++i) {
    if (terms_[i].op == '*' || terms_[i].op == '/') at = i;
  }
  for (size_t i = begin; i < end && at == 0; ++i) {
    if (is_operation(terms_[i])) at = i;
  }
  if (at == 0) return {};
  Step step;
  step.left = terms_[at - 1].value;
  step.op = terms_[at].op;
  step.right = terms_[at + 1].value;
  std::optional<Worked> worked = work(step.left, step.op, step.right);
  if (!worked) return {};
  step.work = std::move(*worked);
  size_t first = at - 1, last = at + 1;
  if (end - begin == 3 && end < terms_.size()) --first, ++last;  // its brackets go too
  if (step.work.result < 0 && first > 0) return {};
  terms_[first] = {'n', step.work.result};
  terms_.erase(terms_.begin() + static_cast<std::ptrdiff_t>(first) + 1,
               terms_.begin() + static_cast<std::ptrdiff_t>(last) + 1);
  return step;
}

std::optional<Reduction> reduce_aloud(Rng& rng, Language language, Expression e) {
  const bool english = language == Language::kEnglish;
  Reduction out;
  const size_t all = e.operations();
  for (size_t i = 0; i < all; ++i) {
    const std::string_view lead =
        i == 0 ? pick(rng, language, {"First ", "First ", "Start: "}, {"先算", "先算", "首先"})
        : i + 1 == all ? pick(rng, language, {"Then ", "Then ", "Last "}, {"再算", "再算", "最后"})
                       : pick(rng, language, {"Then ", "Then ", "Next "}, {"再算", "再算", "接着"});
    const auto step = e.reduce();
    if (!step) return {};
    if (i > 0) out.lines += "\n";
    out.lines += fmt::format("{}{}", lead, step->work.text);
    out.lines += e.is_number() ? (english ? "." : "。")
                 : english     ? fmt::format(", so {}", e.text())
                               : fmt::format("，得{}", e.text());
    out.last = *step;
  }
  if (!e.is_number()) return {};
  out.value = e.value();
  return out;
}

}  // namespace ponder::reasoner
