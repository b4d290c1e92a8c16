// Exact fractions for small problems: the caller bounds the numbers (eval/countdown.h), so nothing
// here can overflow.
#pragma once

#include <string>

namespace ponder {

struct Rational {
  using Int = __int128;
  Int num = 0;
  Int den = 1;  // above zero, no common factor with num

  static Rational make(Int num, Int den);  // in lowest terms. REQUIRES: den != 0
  bool is_integer() const { return den == 1; }
  bool is_zero() const { return num == 0; }
  bool operator==(const Rational&) const = default;
  std::string text() const;  // "15", "-3", "13/4"
};

// op is one of + - * /. REQUIRES: no division by zero
Rational apply(const Rational& a, char op, const Rational& b);

}  // namespace ponder
