// The grader of countdown.h: scan, parse to postfix without recursion, compare the numbers,
// evaluate in exact rationals.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "eval/answer_tags.h"
#include "eval/countdown.h"
#include "eval/rational.h"

namespace ponder {
namespace {

constexpr size_t kMaxCodePoints = 200;
constexpr size_t kMaxBytesPerCodePoint = 4;

bool too_long(std::string_view text) {
  if (text.size() > kMaxCodePoints * kMaxBytesPerCodePoint) return true;
  const auto starts_code_point = [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  };
  return std::count_if(text.begin(), text.end(), starts_code_point) >
         static_cast<std::ptrdiff_t>(kMaxCodePoints);
}

// kind: one of + - * / ( ) = for itself, 'n' for an integer (with its digits).
struct Token {
  char kind;
  std::string_view digits;
};

// False if some byte belongs to no token.
bool scan(std::string_view text, std::vector<Token>& tokens) {
  while (!text.empty()) {
    size_t size = 1;
    if (is_white_space(text[0])) {
      // Between tokens only: "1 2" becomes two integers, which no rule joins.
    } else if (text[0] == '0') {
      tokens.push_back({'n', text.substr(0, 1)});
    } else if (is_digit(text[0])) {
      while (size < text.size() && is_digit(text[size])) ++size;
      tokens.push_back({'n', text.substr(0, size)});
    } else if (std::string_view("+-*/()=").find(text[0]) != std::string_view::npos) {
      tokens.push_back({text[0], {}});
    } else if (text.starts_with("\u00D7")) {
      tokens.push_back({'*', {}});
      size = 2;
    } else if (text.starts_with("\u00F7")) {
      tokens.push_back({'/', {}});
      size = 2;
    } else if (text.starts_with("\u2212")) {
      tokens.push_back({'-', {}});
      size = 3;
    } else {
      return false;
    }
    text.remove_prefix(size);
  }
  return true;
}

int precedence(char op) { return op == '+' || op == '-' ? 1 : op == '*' || op == '/' ? 2 : 0; }

struct Parsed {
  std::vector<Token> postfix;  // integers and operators
  std::string_view claim;      // the digits after "="
  bool has_claim = false;
};

// The grammar by operator precedence: an explicit stack of open operators and parentheses, so depth
// costs no recursion.
bool parse(const std::vector<Token>& tokens, Parsed& parsed) {
  std::vector<Token> stack;
  const auto pop_down_to = [&](int level) {
    while (!stack.empty() && precedence(stack.back().kind) >= level) {
      parsed.postfix.push_back(stack.back());
      stack.pop_back();
    }
  };
  bool want_operand = true;
  size_t i = 0;
  for (; i < tokens.size() && tokens[i].kind != '='; ++i) {
    const Token& token = tokens[i];
    if (want_operand) {
      if (token.kind == 'n') {
        parsed.postfix.push_back(token);
        want_operand = false;
      } else if (token.kind == '(') {
        stack.push_back(token);
      } else {
        return false;
      }
    } else if (token.kind == ')') {
      pop_down_to(1);
      if (stack.empty()) return false;
      stack.pop_back();
    } else if (precedence(token.kind) > 0) {
      pop_down_to(precedence(token.kind));  // equal ones too: operators group from the left
      stack.push_back(token);
      want_operand = true;
    } else {
      return false;
    }
  }
  if (want_operand) return false;
  pop_down_to(1);
  if (!stack.empty()) return false;  // a parenthesis left open
  if (i == tokens.size()) return true;
  if (i + 2 != tokens.size() || tokens[i + 1].kind != 'n') return false;
  parsed.has_claim = true;
  parsed.claim = tokens[i + 1].digits;
  return true;
}

// Without leading zeros equal integers are equal texts, so integers of any length compare without
// arithmetic.
bool uses_the_numbers(const Parsed& parsed, const std::vector<int>& numbers) {
  std::vector<std::string_view> used;
  for (const Token& token : parsed.postfix) {
    if (token.kind == 'n') used.push_back(token.digits);
  }
  if (used.size() != numbers.size()) return false;
  std::vector<std::string> given;
  for (int number : numbers) given.push_back(fmt::to_string(number));
  return std::is_permutation(used.begin(), used.end(), given.begin());
}

// None on a division by zero. REQUIRES: uses_the_numbers() of a valid problem, so every integer has
// at most four digits
std::optional<Rational> evaluate(const std::vector<Token>& postfix) {
  std::vector<Rational> stack;
  for (const Token& token : postfix) {
    if (token.kind == 'n') {
      int value = 0;
      for (char c : token.digits) value = value * 10 + (c - '0');
      stack.push_back({value, 1});
      continue;
    }
    const Rational right = stack.back();
    stack.pop_back();
    if (token.kind == '/' && right.is_zero()) return std::nullopt;
    stack.back() = apply(stack.back(), token.kind, right);
  }
  return stack.back();
}

CountdownVerdict wrong(std::string_view reason, std::string value = {}) {
  return {false, reason, std::move(value)};
}

}  // namespace

CountdownVerdict grade_countdown(std::string_view expression, const CountdownProblem& problem) {
  PONDER_CHECK(validate(problem).ok());
  if (too_long(expression)) return wrong("too_long");
  if (trim(expression).empty()) return wrong("empty");
  std::vector<Token> tokens;
  Parsed parsed;
  if (!scan(expression, tokens) || !parse(tokens, parsed)) return wrong("syntax");
  if (!uses_the_numbers(parsed, problem.numbers)) return wrong("wrong_numbers");
  const std::optional<Rational> value = evaluate(parsed.postfix);
  if (!value) return wrong("division_by_zero");
  if (*value != Rational{problem.target, 1}) return wrong("wrong_value", value->text());
  if (parsed.has_claim && parsed.claim != fmt::to_string(problem.target)) {
    return wrong("equality_wrong", value->text());
  }
  return {true, "ok", value->text()};
}

Grade grade_countdown_completion(std::string_view completion, const CountdownProblem& problem) {
  const TaggedAnswer tagged = find_answer(completion);
  Grade grade;
  grade.format = tagged.well_formed ? 1 : 0;
  grade.reason = tagged.reason;
  if (!tagged.has_answer()) return grade;
  CountdownVerdict verdict = grade_countdown(tagged.answer, problem);
  grade.reason = verdict.reason == "empty" ? "empty_answer" : verdict.reason;
  // An answer that contradicts itself votes for nothing: the key of a right answer must mean a
  // right answer.
  grade.has_key = verdict.correct || verdict.reason == "wrong_value";
  if (grade.has_key) grade.key = std::move(verdict.value);
  grade.accuracy = verdict.correct ? 1 : 0;
  if (verdict.correct && grade.format == 0) grade.reason = "bad_format";
  return grade;
}

}  // namespace ponder
