// A complex number that an answer stands for: exact while only fractions are involved, otherwise a
// pair of balls. Undefined stands for 1/0, the root of a negative number where only real values
// count, and everything beyond the limits.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "eval/answer_ball.h"

namespace ponder {

struct Scalar {
  enum class Kind : uint8_t { kUndefined, kExact, kBall };
  Kind kind = Kind::kUndefined;
  BigRational re, im;     // kExact
  Ball ball_re, ball_im;  // kBall

  Scalar() = default;
  Scalar(BigRational value) : kind(Kind::kExact), re(std::move(value)) {}  // NOLINT: implicit
  static Scalar of(const Ball& re, const Ball& im = {});
  static Scalar imaginary_unit();

  bool defined() const { return kind != Kind::kUndefined; }
  bool exact() const { return kind == Kind::kExact; }
  bool is_rational() const { return exact() && im.is_zero(); }
  bool is_real() const;  // exactly, or as far as the balls tell
  bool is_zero() const;
};

// Everything the operations need: the budget, and whether powers are those of real numbers (then
// (-8)^(2/3) = 4 and (-1)^(1/2) is undefined) or also complex ones.
struct Arithmetic {
  Work& work;
  bool real_only = false;

  Scalar add(const Scalar& a, const Scalar& b) const;
  Scalar negate(const Scalar& a) const;
  Scalar multiply(const Scalar& a, const Scalar& b) const;
  Scalar divide(const Scalar& a, const Scalar& b) const;
  Scalar power(const Scalar& base, const Scalar& exponent) const;
  Scalar absolute(const Scalar& a) const;
  Scalar factorial(const Scalar& a) const;
  // sin, cos, tan, cot, sec, csc, their inverses, sinh, cosh, tanh, ln, log, exp, floor, ceil, gcd,
  // lcm, max, min, binom, mod. Undefined for another name or number of arguments.
  Scalar call(std::string_view name, std::span<const Scalar> arguments) const;

 private:
  Scalar integer_power(const Scalar& base, int64_t exponent) const;
  Scalar rational_power(const BigRational& base, const BigRational& exponent) const;
  Scalar binomial(const Scalar& n, const Scalar& k) const;
  Scalar logarithm(const Scalar& a) const;
  Scalar exponential(const Scalar& a) const;
};

// A ball that can only be a fraction, as that fraction; anything else as it is.
Scalar simplified(const Scalar& a, Work& work);

// One text per value: "7/3", "-2+3*i", "~1.41421356237309505" (18 digits). Empty if there is none.
// Two values of one text are equal to at least 17 digits.
std::string scalar_text(const Scalar& a, Work& work);

// The sign of a - b for real values; 0 also where they cannot be told apart.
int compare_real(const Scalar& a, const Scalar& b);

Ball to_ball(const Scalar& a);  // the real part

}  // namespace ponder
