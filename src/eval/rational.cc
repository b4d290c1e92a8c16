#include "eval/rational.h"

#include <algorithm>

#include "core/status.h"

namespace ponder {
namespace {

Rational::Int gcd(Rational::Int a, Rational::Int b) {
  while (b != 0) {
    const Rational::Int rest = a % b;
    a = b;
    b = rest;
  }
  return a < 0 ? -a : a;
}

std::string decimal(Rational::Int value) {
  const bool negative = value < 0;
  std::string digits;
  do {
    const auto digit = static_cast<int>(value % 10);
    digits += static_cast<char>('0' + (digit < 0 ? -digit : digit));
    value /= 10;
  } while (value != 0);
  if (negative) digits += '-';
  std::reverse(digits.begin(), digits.end());
  return digits;
}

}  // namespace

Rational Rational::make(Int num, Int den) {
  PONDER_CHECK(den != 0);
  const Int divisor = den < 0 ? -gcd(num, den) : gcd(num, den);
  return {num / divisor, den / divisor};
}

std::string Rational::text() const {
  return is_integer() ? decimal(num) : decimal(num) + "/" + decimal(den);
}

Rational apply(const Rational& a, char op, const Rational& b) {
  // Whole numbers, by far the most common, need no common divisor.
  const bool whole = a.is_integer() && b.is_integer();
  switch (op) {
    case '+':
      return whole ? Rational{a.num + b.num, 1}
                   : Rational::make(a.num * b.den + b.num * a.den, a.den * b.den);
    case '-':
      return whole ? Rational{a.num - b.num, 1}
                   : Rational::make(a.num * b.den - b.num * a.den, a.den * b.den);
    case '*':
      return whole ? Rational{a.num * b.num, 1} : Rational::make(a.num * b.num, a.den * b.den);
    default:
      PONDER_CHECK(op == '/');
      return Rational::make(a.num * b.den, a.den * b.num);
  }
}

}  // namespace ponder
