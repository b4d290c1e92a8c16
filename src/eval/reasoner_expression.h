// Integer expressions that shrink by one operation at a time. Internal to reasoner*.cc.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/reasoner_parts.h"

namespace ponder::reasoner {

// A number, or one of + - * / ( ).
struct Term {
  char op = 'n';
  int value = 0;
};

class Expression {
 public:
  Expression() = default;
  explicit Expression(std::vector<Term> terms) : terms_(std::move(terms)) {}
  // "12+3*(4-1)", with white space, full-width signs and the signs of school books. None if it is not
  // an expression of two-sided operations on numbers of up to four digits.
  static std::optional<Expression> parse(std::string_view text);

  // "12+3*(4-1)"; with spaces around the operations, and other signs for * and /, as asked.
  std::string text(bool spaced = false, std::string_view times = "*",
                   std::string_view over = "/") const;
  size_t operations() const;
  bool is_number() const { return terms_.size() == 1 && terms_[0].op == 'n'; }
  int value() const { return terms_[0].value; }  // REQUIRES: is_number()

  // The operation whose turn it is (the innermost brackets first, * and / before + and -, then from
  // the left) and its work; the expression becomes what is left. None if work() does not do it, or
  // if its result is negative and would stand after an operation. REQUIRES: not is_number()
  struct Step {
    Worked work;
    int left = 0, right = 0;
    char op = '+';
  };
  std::optional<Step> reduce();

 private:
  std::vector<Term> terms_;
};

// The lines that reduce `e` to a number, each with what is left. None as reduce().
struct Reduction {
  std::string lines;
  Expression::Step last;
  int value = 0;
};
std::optional<Reduction> reduce_aloud(Rng& rng, Language language, Expression e);

}  // namespace ponder::reasoner
